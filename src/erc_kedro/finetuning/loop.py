"""One fit: fine-tune an encoder, keep the epoch that is best on validation, resume after a kill."""

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from erc_kedro import files, sources
from erc_kedro.audit.encoders import contents
from erc_kedro.extractors.base import fingerprint
from erc_kedro.extractors.finetuned import FIT, HEAD, Fitted, outcome
from erc_kedro.extractors.windows import longest
from erc_kedro.finetuning import classifier
from erc_kedro.finetuning.classifier import Classifier
from erc_kedro.finetuning.examples import Dialogues, Example, batches
from erc_kedro.parameters import FinetuneParameters
from erc_kedro.processes import draws_alone
from erc_kedro.progress import bar as progress_bar
from erc_kedro.training import checkpoint
from erc_kedro.training.loop import best_epoch, mix

# A kill costs less than this, or twenty times what saving costs, if that is more.
SAVE_EVERY_S = 60.0
# What decides how many fits there are, how fast, and what is read from them, or is in the key as what it
# comes to on this machine.
IDLE = {"jobs", "processes", "precision", "folds", "seed", "pooling", "beside"}
# Steps between two looks at the loss, which wait for the device.
LOOK_EVERY = 20


@dataclass(frozen=True)
class Task:
    """One encoder to fit.

    Attributes:
        name: what the progress bar calls it.
        utterances: training and validation dialogues, no others.
        seed: of the head's first weights, of dropout and of batches.
        folder: where it is left.
        threads: of this process, on CPU.
        line: of the terminal, where its progress is shown.
    """

    name: str
    utterances: pd.DataFrame
    classes: tuple[str, ...]
    parameters: FinetuneParameters
    seed: int
    folder: Path
    threads: int = 1
    line: int = 0


@draws_alone
def fit(task: Task) -> None:
    """Fits one encoder into its folder, or takes up what an earlier call of the same content left there.

    Every step draws from a seed of its own, so that a resumed fit on one device repeats an uninterrupted one.

    Args:
    Raises:
        ValueError: there is no such encoder, or nothing to learn from.
        FloatingPointError: the loss became NaN or infinite.
    """
    parameters = task.parameters
    torch.set_num_threads(task.threads)
    accelerator = _accelerator(parameters)
    torch.manual_seed(task.seed)
    tokenizer, encoder, digest, licence = classifier.load(parameters.encoder)
    key = _key(task, digest, accelerator.num_processes, accelerator.mixed_precision)
    done = outcome(task.folder)
    if done is not None and done.fitted.key == key:
        if accelerator.is_main_process and done.resumed != "done":
            _write(task.folder, done.fitted, done.digest, done.licence, "done")
        accelerator.wait_for_everyone()
        return
    limit = longest(parameters.max_tokens, tokenizer, encoder)
    learned, validated = (
        Dialogues(rows, task.classes, tokenizer, limit, parameters)
        for rows in (task.utterances[task.utterances["split"] == split] for split in ("train", "val"))
    )
    for split, data in (("train", learned), ("val", validated)):
        if not data.examples():
            raise ValueError(f"finetune: no labelled utterance of {task.name}'s {split} split says a word")
    if parameters.lora is not None:
        encoder = classifier.with_adapters(encoder, parameters.lora)
    network = Classifier(encoder, len(task.classes), parameters.dropout).to(accelerator.device)
    some = validated.examples()[: 4 * parameters.batch_utterances]
    network.eval().measure(*_on(accelerator.device, learned.tensors(some))[:2])
    if accelerator.is_main_process:
        task.folder.mkdir(parents=True, exist_ok=True)
        # Without it nothing counts as done, whatever else lies here; what cannot be fitted leaves it.
        (task.folder / FIT).unlink(missing_ok=True)
    history, resumed = _train(task, network, learned, validated, accelerator, tokenizer, key)
    if accelerator.is_main_process:
        fitted = Fitted(
            key=key,
            seed=task.seed,
            trained_on=_of(task.utterances, "train"),
            selected_on=_of(task.utterances, "val"),
            history=history,
        )
        _write(task.folder, fitted, digest, licence, resumed)
        (task.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)
    accelerator.wait_for_everyone()


def _train(
    task: Task,
    network: Classifier,
    learned: Dialogues,
    validated: Dialogues,
    accelerator: Any,
    tokenizer: Any,
    key: str,
) -> tuple[list[dict[str, float]], str]:
    """A row an epoch, and from where it went on; the best epoch's encoder is left in the folder."""
    parameters, folder = task.parameters, task.folder
    groups = classifier.groups(network, parameters)
    rates = [group.pop("rate") for group in groups]
    optimiser = torch.optim.AdamW(groups, lr=parameters.learning_rate, fused=True)
    network, optimiser = accelerator.prepare(network, optimiser)
    inner = accelerator.unwrap_model(network)
    weight = _class_weight(task).to(accelerator.device)
    state = checkpoint.load(folder, key)
    history: list[dict[str, float]] = []
    first, resumed = 0, ""
    sums = _nothing(accelerator.device)
    if state is not None:
        inner.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        history, first = state["history"], state["step"]
        sums = state["sums"] | {"loss": state["sums"]["loss"].to(accelerator.device)}
        resumed = f"epoch {len(history)} step {first}"

    def save(step: int) -> float:
        started = time.monotonic()
        if accelerator.is_main_process:
            content = {"network": inner.state_dict(), "optimiser": optimiser.state_dict()}
            checkpoint.save(folder, key, {"history": history, "step": step, "sums": sums, **content})
        return 20 * (time.monotonic() - started)

    saved_at, patience = time.monotonic(), 0.0
    count = learned.count
    with progress_bar(
        count * parameters.epochs,
        f"Fine-tuning {task.name}",
        "utt",
        done=count * len(history) + int(sums["utterances"]),
        silent=not accelerator.is_main_process,
        line=task.line,
    ) as bar:
        for epoch in range(len(history), parameters.epochs):
            draw = np.random.default_rng([task.seed, epoch])
            steps = batches(
                learned.examples(parameters.targets, draw),
                parameters.batch_utterances,
                parameters.batch_tokens,
                draw,
            )
            # Every process takes as many steps, and no gradient is left over from an epoch; so the first
            # batches may be there twice.
            world = accelerator.num_processes
            short = -len(steps) % (world * parameters.accumulate)
            steps += [steps[at % len(steps)] for at in range(short)]
            network.train()
            for step in range(first, len(steps) // world):
                started = time.monotonic()
                torch.manual_seed(mix(task.seed, epoch, step, accelerator.process_index))
                along = (epoch + step * world / len(steps)) / parameters.epochs
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * _schedule(along, parameters.warmup)
                batch = steps[step * world + accelerator.process_index]
                with accelerator.accumulate(network):
                    loss, labelled = _step(
                        network, optimiser, learned, batch, weight, accelerator, parameters
                    )
                sums["loss"] += loss * labelled
                sums["labelled"] += labelled
                together = steps[step * world : (step + 1) * world]
                passed = sum(len(example.labels) for part in together for example in part)
                sums["utterances"] += passed
                bar.update(passed)
                due = time.monotonic() - saved_at > max(SAVE_EVERY_S, patience)
                if due or step % LOOK_EVERY == 0 or step + 1 == len(steps) // world:
                    _check(sums["loss"])
                sums["seconds"] += time.monotonic() - started
                if due and accelerator.sync_gradients:
                    patience = save(step + 1)
                    saved_at = time.monotonic()
            first = 0
            scores: dict[str, float] = {}
            if accelerator.is_main_process:
                scores = _validate(inner, validated, accelerator, parameters)
            scores = _from_main(scores, accelerator)
            # The last steps' losses say nothing of the weights that they left.
            _check(torch.tensor(scores["val_loss"]))
            row = {"epoch": epoch, "train_loss": float(sums["loss"] / sums["labelled"]), **scores}
            history.append({**row, "seconds": float(sums["seconds"])})
            sums = _nothing(accelerator.device)
            if accelerator.is_main_process and best_epoch(history) == epoch:
                _export(inner, tokenizer, folder)
            bar.set_postfix(epoch=epoch, val_wf1=f"{row['val_weighted_f1']:.3f}")
            patience = save(0)
            saved_at = time.monotonic()
    return [{**row, "selected": float(row["epoch"] == best_epoch(history))} for row in history], resumed


def _step(
    network: nn.Module,
    optimiser: Any,
    learned: Dialogues,
    batch: Sequence[Example],
    weight: Tensor,
    accelerator: Any,
    parameters: FinetuneParameters,
) -> tuple[Tensor, int]:
    """Loss and number of labelled targets of one batch, after its gradient step; waits for no device."""
    tokens, read, labels = _on(accelerator.device, learned.tensors(batch))
    with accelerator.autocast():
        logits, unit = network(tokens, read)
    loss = nn.functional.cross_entropy(
        logits.float(), labels, weight=weight, label_smoothing=parameters.label_smoothing
    )
    if parameters.contrastive:
        loss = loss + parameters.contrastive * classifier.contrast(
            unit, labels, parameters.contrastive_temperature
        )
    accelerator.backward(loss)
    if accelerator.sync_gradients:
        accelerator.clip_grad_norm_(network.parameters(), parameters.gradient_clip)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss.detach(), len(labels)


def _check(loss: Tensor) -> None:
    if not torch.isfinite(loss):
        raise FloatingPointError("the loss is no longer finite; lower finetune.learning_rate")


def _nothing(device: Any) -> dict[str, Tensor]:
    """What is summed over an epoch's steps; the loss stays on the device."""
    sums = {name: torch.zeros((), dtype=torch.float64) for name in ("labelled", "utterances", "seconds")}
    return {"loss": torch.zeros((), device=device), **sums}


def _validate(
    network: Classifier, data: Dialogues, accelerator: Any, parameters: FinetuneParameters
) -> dict[str, float]:
    """Scores every validation utterance in a window of its own, as extraction will see it."""
    from sklearn.metrics import accuracy_score, f1_score

    network.eval()
    truth, logits = [], []
    with torch.inference_mode(), accelerator.autocast():
        for batch in batches(data.examples(), 4 * parameters.batch_utterances, parameters.batch_tokens):
            tokens, read, labels = data.tensors(batch)
            truth.append(labels)
            logits.append(network(*_on(accelerator.device, (tokens, read, labels))[:2])[0].float())
    y, z = torch.cat(truth), torch.cat(logits).cpu()
    guess = z.argmax(1).numpy()
    return {
        "val_loss": float(nn.functional.cross_entropy(z, y)),
        "val_weighted_f1": float(f1_score(y.numpy(), guess, average="weighted", zero_division=0)),
        "val_accuracy": float(accuracy_score(y.numpy(), guess)),
    }


def _precision(parameters: FinetuneParameters) -> str:
    if parameters.precision != "auto":
        return parameters.precision
    if torch.cuda.is_available():
        has = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Emulated elsewhere, it is slower than full precision.
        has = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return "bf16" if has else "no"


def _accelerator(parameters: FinetuneParameters) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedDataParallelKwargs

    if not torch.cuda.is_available() and parameters.precision == "fp16":
        raise ValueError("finetune.precision: fp16 needs a GPU; write auto")
    # An earlier fit of this process may have had another precision.
    AcceleratorState._reset_state()
    # A pooler that an encoder brings is not used.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    return Accelerator(
        mixed_precision=_precision(parameters),
        gradient_accumulation_steps=parameters.accumulate,
        cpu=not torch.cuda.is_available(),
        kwargs_handlers=[unused],
    )


def _from_main(value: Any, accelerator: Any) -> Any:
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value


def _class_weight(task: Task) -> Tensor:
    """A weight a class [C] from training counts, whose mean over training utterances is 1."""
    labels = task.utterances.loc[task.utterances["split"] == "train", "label"]
    counts = np.array([(labels == name).sum() for name in task.classes], float)
    if task.parameters.class_weighting == "none":
        return torch.ones(len(counts))
    # A class that training never shows cannot occur in the loss.
    rarity = np.where(counts > 0, counts.sum() / np.maximum(counts, 1), 0.0)
    weight = rarity if task.parameters.class_weighting == "balanced" else np.sqrt(rarity)
    return torch.tensor(weight / (weight @ counts / counts.sum()), dtype=torch.float32)


def _schedule(along: float, warmup: float) -> float:
    """Linear warm-up, then linearly to 0; ``along`` is the share of all steps that is done."""
    return (along + 1e-3) / warmup if along + 1e-3 < warmup else (1 - along) / (1 - warmup)


def _on(device: Any, tensors: tuple[dict[str, Tensor], Tensor, Tensor]) -> Any:
    tokens, read, labels = tensors
    return (
        {name: _moved(value, device) for name, value in tokens.items()},
        _moved(read, device),
        _moved(labels, device),
    )


def _moved(value: Tensor, device: Any) -> Tensor:
    if device.type != "cuda":
        return value.to(device)
    # Only from pinned memory does a copy not wait for what the device is doing.
    return value.pin_memory().to(device, non_blocking=True)


def code_version() -> str:
    """A hash of the sources that decide what is learned."""
    return sources.version("finetuning/*.py", "extractors/windows.py", "extractors/text.py")


def _key(task: Task, digest: str, *hardware: object) -> str:
    """A hash of all that decides what is learned."""
    import transformers

    columns = ["utterance_id", "dialogue_id", "position", "speaker", "text", "label", "split"]
    said = task.utterances[columns].sort_values(["dialogue_id", "position"])
    return fingerprint(
        said.to_json(orient="values"),
        task.classes,
        task.parameters.model_dump_json(exclude=IDLE),
        task.seed,
        digest,
        hardware,
        torch.__version__,
        transformers.__version__,
        *(version(package) for package in ("accelerate", "peft")),
        code_version(),
    )


def _of(utterances: pd.DataFrame, split: str) -> dict[str, str]:
    return contents(utterances[utterances["split"] == split])


def _export(network: Classifier, tokenizer: Any, folder: Path) -> None:
    """Leaves the encoder as ``transformers`` keeps one, and its head beside it."""
    encoder: Any = network.encoder
    if hasattr(encoder, "merge_and_unload"):
        import copy

        # Training goes on with the adapters.
        encoder = copy.deepcopy(encoder).merge_and_unload()
    # What a killed fit left half-written must not lie beside the whole.
    beside = folder / ".best"
    shutil.rmtree(beside, ignore_errors=True)
    encoder.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    head = {"weight": network.head.weight * network.length, "bias": network.head.bias}
    save_file({name: value.detach().cpu().contiguous() for name, value in head.items()}, beside / HEAD)
    for path in beside.iterdir():
        os.replace(path, folder / path.name)
    beside.rmdir()


def _write(folder: Path, fitted: Fitted, digest: str, licence: str, resumed: str) -> None:
    facts = {"fitted": fitted.model_dump(), "digest": digest, "licence": licence, "resumed": resumed}
    with files.replacing(folder / FIT) as path:
        path.write_text(json.dumps(facts) + "\n", "utf-8")
