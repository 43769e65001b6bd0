"""One model: train, select the epoch on validation, resume after a kill, predict."""

import copy
import json
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor

from erc_kedro.models.architectures import build
from erc_kedro.models.base import ClosedForm, Network
from erc_kedro.models.batch import Batch
from erc_kedro.parameters import TrainParameters
from erc_kedro.processes import draws_alone
from erc_kedro.schemas import heads_of
from erc_kedro.training import checkpoint
from erc_kedro.training.batches import Dialogues, batch_of, dialogue_batches

# A training is saved this often, so that a kill costs less than this.
SAVE_EVERY_S = 5.0


@dataclass
class TrainedModel:
    """What one seed leaves behind.

    Attributes:
        predictions: the predictions table of this seed (``schemas.predictions``).
        history: one row an epoch: seed, epoch, train_loss, each loss term, val_weighted_f1, val_accuracy,
            learning_rate, selected (the epoch whose weights were kept), seconds.
        folder: holds model.safetensors and config.json.
        resumed: "done" if nothing was trained anew, "epoch N" if it went on from there, else "".
    """

    predictions: pd.DataFrame
    history: pd.DataFrame
    folder: Path
    resumed: str


@draws_alone
def train_model(
    data: Dialogues,
    parameters: TrainParameters,
    seed: int,
    folder: Path,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
    shared: Path | None = None,
    start: Path | None = None,
) -> TrainedModel:
    """Trains one seed, or reuses what an earlier call with the same data and parameters left.

    The epoch with the best validation weighted F1 is kept, or the last one (``selection``); the test split is
    predicted once, by that epoch's weights, after training has stopped.

    Args:
        folder: where this seed's checkpoint and results live.
        on_epoch: called with each epoch's row of the history.
        shared: a folder below which another experiment's model of the same content is reused, too.
        start: the folder of a finished model of the same classes and features, whose weights training starts
            from; a model in closed form has no use for it.
    Raises:
        FloatingPointError: the loss became NaN or infinite.
        FileNotFoundError: ``start`` holds no finished model.
        ValueError: the training split has no labelled utterance, or validation where it chooses.
    """
    for split in ("train", "val") if parameters.selection == "validation" else ("train",):
        if not (data.label[data.rows(split)] >= 0).any():
            raise ValueError(
                f"the {split} split has no labelled utterance; training needs labels in train and "
                "val; the corpus's audit in 08_reporting/audit counts them"
            )
    parameters = checkpoint.effective(parameters, data, start)
    torch.set_num_threads(parameters.threads)
    key = checkpoint.training_key(data, parameters, seed, start)
    done = checkpoint.load_result(folder, key)
    if done is not None:
        return TrainedModel(*done, folder, "done")
    config = {
        "key": key,
        "seed": seed,
        "classes": list(data.classes),
        "dimensions": data.dimensions,
        "parameters": json.loads(parameters.model_dump_json()),
    }
    equal = checkpoint.find(shared, key) if shared else None
    if equal is not None:
        made, predictions, table = equal
        checkpoint.save_result(folder, config, made / checkpoint.WEIGHTS, predictions, table)
        if checkpoint.finished(made) == key:
            return TrainedModel(predictions, table, folder, "done")
        # Another run was replacing it: whose weights these are is not known.
        (folder / checkpoint.CONFIG).unlink()
    if parameters.withhold:
        whole = parameters.model_copy(update={"withhold": ()})
        trained = train_model(data, whole, seed, folder / "whole", on_epoch, shared, start)
        network = load_network(trained.folder)
        shown = data.only(parameters.shown)
        predictions = predict(network, shown, heads=heads_of(shown.modalities))
        predictions.insert(0, "seed", seed)
        weights = trained.folder / checkpoint.WEIGHTS
        checkpoint.save_result(folder, config, weights, predictions, trained.history)
        return TrainedModel(predictions, trained.history, folder, trained.resumed)

    torch.manual_seed(seed)
    network = build(parameters.model, data.dimensions, len(data.classes))
    if start is not None:
        network.load_state_dict(load_file(start / checkpoint.WEIGHTS))
    seen = data.only(parameters.model.modalities)
    if isinstance(network, ClosedForm):
        history, resumed = _solve(network, seen, seed), ""
        best = network.state_dict()
    else:
        best, history, resumed = _train(network, seen, parameters, seed, folder, key, on_epoch)
    network.load_state_dict(best)
    table = pd.DataFrame(history)
    table["selected"] = table["epoch"] == _kept_epoch(history, parameters)
    predictions = predict(network, seen, heads=heads_of(seen.modalities))
    predictions.insert(0, "seed", seed)
    checkpoint.save_result(folder, config, best, predictions, table)
    return TrainedModel(predictions, table, folder, resumed)


@draws_alone
def load_network(folder: Path) -> Network:
    """The trained network of a model's folder, ready to predict.

    Raises:
        FileNotFoundError: the folder holds no finished model.
    """
    config = json.loads((folder / checkpoint.CONFIG).read_text("utf-8"))
    model = TrainParameters(**config["parameters"]).model
    network = build(model, config["dimensions"], len(config["classes"]))
    network.load_state_dict(load_file(folder / checkpoint.WEIGHTS))
    return network.eval()


def _train(
    network: Network,
    data: Dialogues,
    parameters: TrainParameters,
    seed: int,
    folder: Path,
    key: str,
    on_epoch: Callable[[dict[str, float]], None],
) -> tuple[dict[str, Tensor], list[dict[str, float]], str]:
    """The best epoch's weights, a row an epoch, and from where it went on if it was interrupted."""
    optimiser = torch.optim.AdamW(
        network.parameters(), parameters.learning_rate, weight_decay=parameters.weight_decay
    )
    # Scored and kept are the weights averaged over steps, which vary less from epoch to epoch.
    average = copy.deepcopy(network)
    class_weight = weights_of_classes(data, parameters.loss.class_weighting)
    history: list[dict[str, float]] = []
    best: dict[str, Tensor] = {}
    resumed = ""
    state = checkpoint.load(folder, key)
    if state is not None:
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        best, history = state["best"], state["history"]
        resumed = f"epoch {len(history)}"
    saved_at = time.monotonic()
    while not _finished(history, parameters):
        started = time.monotonic()
        epoch = len(history)
        # Each epoch draws from its own seed, so that a resumed training repeats an uninterrupted one exactly.
        torch.manual_seed(mix(seed, epoch))
        _set_rate(optimiser, parameters, epoch)
        generator = np.random.default_rng([seed, epoch])
        row = _train_epoch(network, average, optimiser, data, parameters, class_weight, generator)
        scores = _validate(average, data)
        row = {"seed": seed, "epoch": epoch, **row, **scores}
        row |= {"learning_rate": optimiser.param_groups[0]["lr"], "seconds": time.monotonic() - started}
        history.append(row)
        if _kept_epoch(history, parameters) == epoch:
            best = {name: value.detach().clone() for name, value in average.state_dict().items()}
        if time.monotonic() - saved_at > SAVE_EVERY_S:
            checkpoint.save(
                folder,
                key,
                {"network": network.state_dict(), "average": average.state_dict(), "best": best}
                | {"optimiser": optimiser.state_dict(), "history": history},
            )
            saved_at = time.monotonic()
        on_epoch(row)
    return best, history, resumed


def _solve(network: ClosedForm, data: Dialogues, seed: int) -> list[dict[str, float]]:
    """Fits a model that has no epochs; it counts as one."""
    started = time.monotonic()
    train, val = (batch_of(data, np.flatnonzero(data.split == split)) for split in ("train", "val"))
    loss = network.solve(train, val)
    row = {"seed": seed, "epoch": 0, "train_loss": loss, **_validate(network, data)}
    return [row | {"learning_rate": 0.0, "seconds": time.monotonic() - started}]


def predict(
    network: Network, data: Dialogues, size: int = 512, heads: Collection[str] | None = None
) -> pd.DataFrame:
    """Probabilities of a network's heads for every utterance.

    Args:
        size: utterances in a batch, padding included.
        heads: those that are wanted, all for None. One that rests on no modality that training has was never
            trained: ``heads_of(data.modalities)`` leaves it out.
    Returns:
        Columns utterance_id, split, head, label, p_<class>…; the rows of a head follow the table's order.
    """
    count, classes = len(data.utterance_id), len(data.classes)
    probabilities = np.zeros((len(network.heads), count, classes), np.float32)
    network.eval()
    with torch.inference_mode():
        for which in dialogue_batches(data, None, size):
            batch = batch_of(data, which)
            p = network(batch).logits.softmax(-1)
            probabilities[:, batch.row[batch.valid].numpy()] = p[:, batch.valid].numpy()
    label = data.label[:count].numpy()
    names = np.array([*data.classes, None], object)
    wanted = [at for at, head in enumerate(network.heads) if heads is None or head in heads]
    probabilities = probabilities[wanted]
    frame = pd.DataFrame(
        {
            "utterance_id": np.tile(data.utterance_id, len(wanted)),
            "split": np.tile(np.repeat(data.split, data.length), len(wanted)),
            "head": np.repeat(np.array(network.heads, object)[wanted], count),
            "label": np.tile(names[label], len(wanted)),
        }
    ).astype("str")
    for index, name in enumerate(data.classes):
        frame[f"p_{name}"] = probabilities[:, :, index].ravel()
    return frame


def weights_of_classes(data: Dialogues, how: str) -> Tensor | None:
    """A weight a class [C] from training counts: "balanced" N / (C n_c), "sqrt" its square root."""
    if how == "none":
        return None
    label = data.label[data.rows("train")]
    counts = torch.bincount(label[label >= 0], minlength=len(data.classes)).double()
    # A class that training never shows gets no weight: it cannot occur in the loss.
    weight = torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), 0.0)
    return (weight if how == "balanced" else weight.sqrt()).float()


def drop_modalities(batch: Batch, rate: float) -> Batch:
    """In training, a dialogue loses one or two of the modalities it has, with chance ``rate``."""
    if rate <= 0:
        return batch
    has = batch.present.any(1)
    order = torch.rand(has.shape).masked_fill(~has, 2.0).argsort(1).argsort(1)
    # At least one modality that the dialogue has stays.
    lost = torch.randint(1, 3, (len(has), 1)).clamp(max=(has.sum(1, keepdim=True) - 1).clamp(min=0))
    drop = (torch.rand(len(has), 1) < rate) & (order < lost) & has
    return Batch(**{**batch.__dict__, "present": batch.present & ~drop[:, None, :]})


def _train_epoch(
    network: Network,
    average: Network,
    optimiser: torch.optim.Optimizer,
    data: Dialogues,
    parameters: TrainParameters,
    class_weight: Tensor | None,
    generator: np.random.Generator,
) -> dict[str, float]:
    network.train()
    sums: dict[str, float] = {}
    count = 0
    for which in dialogue_batches(data, "train", parameters.batch_utterances, generator):
        batch = drop_modalities(batch_of(data, which), parameters.modality_dropout)
        labelled = int((batch.label >= 0).sum())
        if not labelled:
            continue
        loss, terms = network.loss(network(batch), batch, parameters.loss, class_weight)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                "the loss is no longer finite; lower train.learning_rate or train.gradient_clip"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), parameters.gradient_clip)
        optimiser.step()
        _blend(average, network, parameters.averaging, optimiser)
        for name, value in (("train_loss", loss.detach()), *((f"loss_{n}", t) for n, t in terms.items())):
            sums[name] = sums.get(name, 0.0) + float(value) * labelled
        count += labelled
    return {name: value / count for name, value in sums.items()}


def _blend(average: Network, network: Network, decay: float, optimiser: torch.optim.Optimizer) -> None:
    """One step of an exponential moving average that starts fast, so that it forgets the first weights."""
    step = float(next(iter(optimiser.state.values()))["step"])
    decay = min(decay, step / (step + 10))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - decay)


def _validate(network: Network, data: Dialogues, size: int = 512) -> dict[str, float]:
    network.eval()
    truth, guess, losses = [], [], []
    with torch.inference_mode():
        for which in dialogue_batches(data, "val", size):
            batch = batch_of(data, which)
            seen = batch.label >= 0
            logits = network(batch).logits[-1][seen]
            losses.append(torch.nn.functional.cross_entropy(logits, batch.label[seen], reduction="none"))
            truth.append(batch.label[seen])
            guess.append(logits.argmax(-1))
    if not sum(map(len, truth)):
        return dict.fromkeys(("val_loss", "val_weighted_f1", "val_accuracy"), math.nan)
    y, p = torch.cat(truth).numpy(), torch.cat(guess).numpy()
    return {
        "val_loss": float(torch.cat(losses).mean()),
        "val_weighted_f1": float(f1_score(y, p, average="weighted", zero_division=0)),
        "val_accuracy": float(accuracy_score(y, p)),
    }


def best_epoch(history: list[dict[str, float]]) -> int:
    """The first epoch with the best validation weighted F1, or -1 before any."""
    scores = [row["val_weighted_f1"] for row in history]
    return scores.index(max(scores)) if scores else -1


def _kept_epoch(history: list[dict[str, float]], parameters: TrainParameters) -> int:
    return best_epoch(history) if parameters.selection == "validation" else len(history) - 1


def _finished(history: list[dict[str, float]], parameters: TrainParameters) -> bool:
    epochs = len(history)
    # The last epoch, where it is kept, is none too many.
    return epochs >= parameters.epochs or epochs - 1 - _kept_epoch(history, parameters) >= parameters.patience


def _set_rate(optimiser: torch.optim.Optimizer, parameters: TrainParameters, epoch: int) -> None:
    """Linear warm-up, then a half cosine down to a twentieth over all epochs."""
    warm = parameters.warmup_epochs
    if epoch < warm:
        factor = (epoch + 1) / (warm + 1)
    else:
        along = (epoch - warm) / max(parameters.epochs - warm, 1)
        factor = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along))
    for group in optimiser.param_groups:
        group["lr"] = parameters.learning_rate * factor


def mix(*parts: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
