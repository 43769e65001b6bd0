"""Random encoders small enough to make in a test, saved as the real ones are."""

from pathlib import Path

import torch

WORDS = ["oh", "no", "yes", "what", "is", "this", "i", "love", "it", "hate", "you", ".", "ada", "ben", ":"]


def bert(path: Path, words: list[str] = WORDS, layers: int = 5, dropout: float = 0.1) -> Path:
    """A BERT whose vocabulary is five special tokens and the words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (path / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        hidden_dropout_prob=dropout,
    )
    BertModel(config).save_pretrained(path)
    BertTokenizerFast(vocab=str(path / "vocab.txt")).save_pretrained(path)
    return path


def roberta(path: Path, words: list[str] = WORDS) -> Path:
    """A RoBERTa with its byte-level tokenizer, like roberta-large but small."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    path.mkdir(parents=True, exist_ok=True)
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator([" ".join(words)], vocab_size=300, special_tokens=special)
    tokenizer.save_model(str(path))
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=300,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=130,
        type_vocab_size=1,
        pad_token_id=1,
    )
    RobertaModel(config).save_pretrained(path)
    made = RobertaTokenizerFast(vocab=str(path / "vocab.json"), merges=str(path / "merges.txt"))
    made.model_max_length = 128
    made.save_pretrained(path)
    return path
