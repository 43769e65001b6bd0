"""The network that is fine-tuned: an encoder, the pooling of an utterance's tokens, and a linear head."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erc_kedro.extractors import hub
from erc_kedro.extractors.windows import pooled
from erc_kedro.parameters import FinetuneParameters, LoraParameters

# Attention dropout costs half of the time on a CPU, by what each architecture calls it.
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout", "attention_dropout_prob")


class Classifier(nn.Module):
    """Scores the targets of windows, each by the mean over the tokens that are read of it.

    The head reads an utterance's vector at one length, whatever its own was: extraction keeps vectors at unit
    length, and the head must mean the same for them. The length is the mean one before training: at √H the
    head learned too fast (docs/decisions/0008-fine-tuning.md).
    """

    length: Tensor

    def __init__(self, encoder: nn.Module, classes: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), classes)  # type: ignore[union-attr, arg-type]
        self.register_buffer("length", torch.ones(()))

    def measure(self, tokens: dict[str, Tensor], read: Tensor) -> None:
        """Sets the length from some windows; the arguments are those of ``forward``."""
        with torch.no_grad():
            vectors = pooled(self.encoder(**tokens).last_hidden_state, read).float()
        self.length.fill_(vectors.norm(dim=1).mean())

    def forward(self, tokens: dict[str, Tensor], read: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [T, C], unit vectors [T, H] of targets; from tokens [B, L], those to read [T, B * L]."""
        hidden = self.encoder(**tokens).last_hidden_state
        # Lengths and products of vectors want full precision.
        unit = nn.functional.normalize(pooled(hidden, read).float(), dim=-1)
        return self.head(self.dropout(unit * self.length)), unit


def load(name: str) -> tuple[Any, nn.Module, str, str]:
    """Tokenizer and encoder without attention dropout, the weights' digest, and their licence.

    Raises:
        ValueError: there is no such encoder.
    """
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    class Undropped:
        @staticmethod
        def from_pretrained(source: str | Path, **options: Any) -> Any:
            config = AutoConfig.from_pretrained(source, trust_remote_code=options["trust_remote_code"])
            for attribute in ATTENTION_DROPOUT:
                if hasattr(config, attribute):
                    setattr(config, attribute, 0.0)
            # The fused attention of a CPU is slow to differentiate, in bf16 most of all.
            attention = {} if torch.cuda.is_available() else {"attn_implementation": "eager"}
            return AutoModel.from_pretrained(source, config=config, **attention, **options)

    kinds: tuple[Callable[..., Any], ...] = (AutoTokenizer.from_pretrained, hub.model(Undropped))
    (tokenizer, encoder), digest, licence = hub.load(name, kinds, "finetune.encoder")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer, encoder, digest, licence


def with_adapters(encoder: nn.Module, parameters: LoraParameters) -> nn.Module:
    """The encoder with low-rank adapters, which alone are trained (Hu et al., 2022)."""
    from peft import LoraConfig, get_peft_model

    targets = parameters.targets if isinstance(parameters.targets, str) else list(parameters.targets)
    config = LoraConfig(
        r=parameters.rank,
        lora_alpha=parameters.alpha,  # type: ignore[arg-type]
        lora_dropout=parameters.dropout,
        target_modules=targets,
    )
    try:
        return get_peft_model(encoder, config)  # type: ignore[arg-type, return-value]
    except ValueError as error:
        raise ValueError(f"finetune.lora.targets: {str(error).splitlines()[0]}") from error


def groups(network: Classifier, parameters: FinetuneParameters) -> list[dict[str, Any]]:
    """The optimiser's groups: each layer's learning rate is ``layer_decay`` of that of the layer above.

    The head has a rate of its own, or the full one, the top layer one step less, the embeddings least.
    Biases and norms have no weight decay.
    """
    stack = _stack(network.encoder)
    layers = len(stack[1]) if stack else 0
    head = parameters.head_learning_rate or parameters.learning_rate
    made: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            below = layers + 1 - _height(name, stack[0] if stack else None, layers)
            rate = parameters.learning_rate * parameters.layer_decay**below
            key = (head if name.startswith("head.") else rate, parameter.ndim > 1)
            made.setdefault(key, []).append(parameter)
    return [
        {"params": group, "rate": rate, "weight_decay": parameters.weight_decay if decays else 0.0}
        for (rate, decays), group in made.items()
    ]


def _stack(encoder: nn.Module) -> tuple[str, nn.ModuleList] | None:
    """The encoder's list of layers, and its name."""
    wanted = getattr(encoder.config, "num_hidden_layers", None)
    lists = [(n, m) for n, m in encoder.named_modules() if isinstance(m, nn.ModuleList) and len(m) == wanted]
    return lists[0] if lists else None


def _height(name: str, stack: str | None, layers: int) -> int:
    """0 for embeddings, 1 … ``layers`` for layers, one more for the head and what stands above the layers."""
    found = re.match(rf"encoder\.{re.escape(stack)}\.(\d+)\.", name) if stack is not None else None
    if found:
        return int(found[1]) + 1
    return 0 if "embed" in name else layers + 1


def contrast(unit: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss over a batch's unit vectors [T, H] (Khosla et al., 2020, their L_out).

    An utterance without another of its class in the batch has no part in it.
    """
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    alike = (labels[:, None] == labels) & ~itself
    similar = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    share = similar.log_softmax(1).masked_fill(~alike, 0.0)
    has = alike.any(1)
    if not has.any():
        return unit.sum() * 0
    return -(share.sum(1)[has] / alike.sum(1)[has]).mean()
