"""One encoder: fine-tune it, keep the epoch that is best on validation, resume after a kill."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from erc_kedro.audit.encoders import contents
from erc_kedro.extractors.finetuned import FIT, Fitted, outcome
from erc_kedro.extractors.windows import longest
from erc_kedro.finetuning import classifier, hardware
from erc_kedro.finetuning.classifier import Classifier
from erc_kedro.finetuning.examples import Example, TokenizedDialogues, window_batches
from erc_kedro.finetuning.task import FinetuningTask, finetuning_key, save_encoder, save_outcome
from erc_kedro.parameters import FinetuneParameters
from erc_kedro.processes import draws_alone
from erc_kedro.progress import bar as progress_bar
from erc_kedro.training import checkpoint
from erc_kedro.training.loop import best_epoch, mix

# A kill costs less than this, or twenty times what saving costs, if that is more.
SAVE_EVERY_S = 60.0
# Steps between two looks at the loss, which wait for the device.
LOOK_EVERY = 20


@draws_alone
def finetune_encoder(task: FinetuningTask) -> None:
    """Fine-tunes one encoder into its folder, or reuses what an earlier call of the same content left there.

    Every step draws from a seed of its own, so that a resumed fine-tuning on one device repeats an
    uninterrupted one.

    Raises:
        ValueError: there is no such encoder, or nothing to learn from.
        FloatingPointError: the loss became NaN or infinite.
    """
    parameters = task.parameters
    torch.set_num_threads(task.threads)
    accelerator = hardware.accelerator(parameters)
    torch.manual_seed(task.seed)
    tokenizer, encoder, digest, licence = classifier.load(parameters.encoder)
    key = finetuning_key(task, digest, accelerator.num_processes, accelerator.mixed_precision)
    done = outcome(task.folder)
    if done is not None and done.fitted.key == key:
        if accelerator.is_main_process and done.resumed != "done":
            save_outcome(task.folder, done.fitted, done.digest, done.licence, "done")
        accelerator.wait_for_everyone()
        return
    limit = longest(parameters.max_tokens, tokenizer, encoder)
    rows = {split: task.utterances[task.utterances["split"] == split] for split in ("train", "val")}
    data = {
        split: TokenizedDialogues(own, task.classes, tokenizer, limit, parameters)
        for split, own in rows.items()
    }
    for split, dialogues in data.items():
        if not dialogues.examples():
            raise ValueError(f"finetune: no labelled utterance of {task.name}'s {split} split says a word")
    if parameters.lora is not None:
        encoder = classifier.with_adapters(encoder, parameters.lora)
    network = Classifier(encoder, len(task.classes), parameters.dropout).to(accelerator.device)
    some = data["val"].examples()[: 4 * parameters.batch_utterances]
    network.eval().measure(*hardware.on_device(accelerator.device, data["train"].tensors(some))[:2])
    if accelerator.is_main_process:
        task.folder.mkdir(parents=True, exist_ok=True)
        # Without it nothing counts as done, whatever else lies here; what cannot be fitted leaves it.
        (task.folder / FIT).unlink(missing_ok=True)
    history, resumed = _train(task, network, data["train"], data["val"], accelerator, tokenizer, key)
    if accelerator.is_main_process:
        fitted = Fitted(
            key=key,
            seed=task.seed,
            trained_on=contents(rows["train"]),
            selected_on=contents(rows["val"]),
            history=history,
        )
        save_outcome(task.folder, fitted, digest, licence, resumed)
        (task.folder / checkpoint.CHECKPOINT).unlink(missing_ok=True)
    accelerator.wait_for_everyone()


class _Saving:
    """Saves checkpoints, as seldom as they are dear."""

    def __init__(self, folder: Path, key: str, network: nn.Module, optimiser: Any, writes: bool) -> None:
        self._folder, self._key, self._writes = folder, key, writes
        self._network, self._optimiser = network, optimiser
        self._last, self._cost = time.monotonic(), 0.0

    def load(self) -> dict[str, Any] | None:
        """Restores network and optimiser; the rest of what was saved, if anything was."""
        state = checkpoint.load(self._folder, self._key)
        if state is not None:
            self._network.load_state_dict(state.pop("network"))
            self._optimiser.load_state_dict(state.pop("optimiser"))
        return state

    @property
    def due(self) -> bool:
        return time.monotonic() - self._last > max(SAVE_EVERY_S, 20 * self._cost)

    def save(self, **rest: Any) -> None:
        started = time.monotonic()
        if self._writes:
            content = {"network": self._network.state_dict(), "optimiser": self._optimiser.state_dict()}
            checkpoint.save(self._folder, self._key, {**rest, **content})
        self._last = time.monotonic()
        self._cost = self._last - started


def _train(
    task: FinetuningTask,
    network: Classifier,
    learned: TokenizedDialogues,
    validated: TokenizedDialogues,
    accelerator: Any,
    tokenizer: Any,
    key: str,
) -> tuple[list[dict[str, float]], str]:
    """A row an epoch, and from where it went on; the best epoch's encoder is left in the folder."""
    parameters, main = task.parameters, accelerator.is_main_process
    groups = classifier.groups(network, parameters)
    rates = [group.pop("rate") for group in groups]
    optimiser = torch.optim.AdamW(groups, lr=parameters.learning_rate, fused=True)
    network, optimiser = accelerator.prepare(network, optimiser)
    inner = accelerator.unwrap_model(network)
    weight = _class_weight(task).to(accelerator.device)
    history: list[dict[str, float]] = []
    first, resumed, sums = 0, "", _nothing(accelerator.device)
    saving = _Saving(task.folder, key, inner, optimiser, main)
    state = saving.load()
    if state is not None:
        history, first = state["history"], state["step"]
        sums = state["sums"] | {"loss": state["sums"]["loss"].to(accelerator.device)}
        resumed = f"epoch {len(history)} step {first}"
    with progress_bar(
        learned.count * parameters.epochs,
        f"Fine-tuning {task.name}",
        "utt",
        done=learned.count * len(history) + int(sums["utterances"]),
        silent=not main,
        line=task.line,
    ) as bar:
        for epoch in range(len(history), parameters.epochs):
            steps = _steps(task, learned, epoch, accelerator.num_processes)
            network.train()
            for step in range(first, len(steps)):
                started = time.monotonic()
                torch.manual_seed(mix(task.seed, epoch, step, accelerator.process_index))
                factor = _schedule((epoch + step / len(steps)) / parameters.epochs, parameters.warmup)
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * factor
                batch = steps[step][accelerator.process_index]
                with accelerator.accumulate(network):
                    loss, labelled = _step(
                        network, optimiser, learned, batch, weight, accelerator, parameters
                    )
                sums["loss"] += loss * labelled
                sums["labelled"] += labelled
                passed = sum(len(example.labels) for part in steps[step] for example in part)
                sums["utterances"] += passed
                bar.update(passed)
                due = saving.due
                if due or step % LOOK_EVERY == 0 or step + 1 == len(steps):
                    _check(sums["loss"])
                sums["seconds"] += time.monotonic() - started
                if due and accelerator.sync_gradients:
                    saving.save(history=history, step=step + 1, sums=sums)
            scores = _validate(inner, validated, accelerator, parameters) if main else {}
            scores = hardware.from_main(scores, accelerator)
            # The last steps' losses say nothing of the weights that they left.
            _check(torch.tensor(scores["val_loss"]))
            row = {"epoch": epoch, "train_loss": float(sums["loss"] / sums["labelled"]), **scores}
            history.append({**row, "seconds": float(sums["seconds"])})
            if main and best_epoch(history) == epoch:
                save_encoder(inner, tokenizer, task.folder)
            bar.set_postfix(epoch=epoch, val_wf1=f"{row['val_weighted_f1']:.3f}")
            first, sums = 0, _nothing(accelerator.device)
            saving.save(history=history, step=0, sums=sums)
    return [{**row, "selected": float(row["epoch"] == best_epoch(history))} for row in history], resumed


def _steps(
    task: FinetuningTask, learned: TokenizedDialogues, epoch: int, world: int
) -> list[list[list[Example]]]:
    """An epoch's batches, by step and process."""
    parameters = task.parameters
    draw = np.random.default_rng([task.seed, epoch])
    examples = learned.examples(parameters.targets, draw)
    made = window_batches(examples, parameters.batch_utterances, parameters.batch_tokens, draw)
    # Every process takes as many steps, and no gradient is left over from an epoch; so the first batches may
    # be there twice.
    short = -len(made) % (world * parameters.accumulate)
    made += [made[at % len(made)] for at in range(short)]
    return [made[at : at + world] for at in range(0, len(made), world)]


def _step(
    network: nn.Module,
    optimiser: Any,
    learned: TokenizedDialogues,
    batch: Sequence[Example],
    weight: Tensor,
    accelerator: Any,
    parameters: FinetuneParameters,
) -> tuple[Tensor, int]:
    """Loss and number of labelled targets of one batch, after its gradient step; waits for no device."""
    tokens, read, labels = hardware.on_device(accelerator.device, learned.tensors(batch))
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
    network: Classifier, data: TokenizedDialogues, accelerator: Any, parameters: FinetuneParameters
) -> dict[str, float]:
    """Scores every validation utterance in a window of its own, as extraction will see it."""
    from sklearn.metrics import accuracy_score, f1_score

    network.eval()
    truth, logits = [], []
    with torch.inference_mode(), accelerator.autocast():
        size = 4 * parameters.batch_utterances
        for batch in window_batches(data.examples(), size, parameters.batch_tokens):
            tensors = data.tensors(batch)
            tokens, read, _ = hardware.on_device(accelerator.device, tensors)
            truth.append(tensors[2])
            logits.append(network(tokens, read)[0].float())
    y, z = torch.cat(truth), torch.cat(logits).cpu()
    guess = z.argmax(1).numpy()
    return {
        "val_loss": float(nn.functional.cross_entropy(z, y)),
        "val_weighted_f1": float(f1_score(y.numpy(), guess, average="weighted", zero_division=0)),
        "val_accuracy": float(accuracy_score(y.numpy(), guess)),
    }


def _class_weight(task: FinetuningTask) -> Tensor:
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
