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


def masked(kind: str, path: Path, words: list[str] = WORDS) -> Path:
    """A tiny encoder that was made to fill masks, with the tokenizer of its kind."""
    if kind == "bert":
        return bert(path, words, layers=2)
    if kind == "roberta":
        return roberta(path, words)
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    path.mkdir(parents=True, exist_ok=True)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 130,
    }
    torch.manual_seed(0)
    if kind == "mpnet":
        special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
        (path / "vocab.txt").write_text("\n".join([*special, *words]))
        tokenizer = transformers.MPNetTokenizerFast(vocab=str(path / "vocab.txt"))
        config = transformers.MPNetConfig(vocab_size=len(special) + len(words), **sizes)
        model = transformers.MPNetModel(config)
    else:
        special = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
        if kind == "deberta":
            made = Tokenizer(models.Unigram())
            made.pre_tokenizer = pre_tokenizers.Metaspace()
            made.decoder = decoders.Metaspace()
            trainer = trainers.UnigramTrainer(vocab_size=80, special_tokens=special, unk_token="[UNK]")
        else:
            made = Tokenizer(models.BPE())
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            made.decoder = decoders.ByteLevel()
            trainer = trainers.BpeTrainer(
                vocab_size=300,
                special_tokens=special,
                initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            )
        made.train_from_iterator([" ".join(words)], trainer)
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=made,
            cls_token="[CLS]",
            pad_token="[PAD]",
            sep_token="[SEP]",
            unk_token="[UNK]",
            mask_token="[MASK]",
        )
        sizes |= {"vocab_size": 300, "pad_token_id": 1}
        if kind == "deberta":
            relative = {
                "relative_attention": True,
                "pos_att_type": ["p2c", "c2p"],
                "position_biased_input": False,
            }
            model = transformers.DebertaV2Model(transformers.DebertaV2Config(**sizes, **relative))
        else:
            tokens = {"bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2}
            model = transformers.ModernBertModel(transformers.ModernBertConfig(**sizes, **tokens))
    tokenizer.model_max_length = 128
    tokenizer.save_pretrained(path)
    model.save_pretrained(path)
    return path


def without_mask(path: Path) -> Path:
    """A tiny decoder, whose tokenizer has no mask."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2Model, GPT2TokenizerFast

    path.mkdir(parents=True, exist_ok=True)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([" ".join(WORDS)], vocab_size=300, special_tokens=["<|endoftext|>"])
    tokenizer.save_model(str(path))
    torch.manual_seed(0)
    GPT2Model(GPT2Config(vocab_size=300, n_positions=128, n_embd=16, n_layer=2, n_head=2)).save_pretrained(
        path
    )
    GPT2TokenizerFast(vocab=str(path / "vocab.json"), merges=str(path / "merges.txt")).save_pretrained(path)
    return path
