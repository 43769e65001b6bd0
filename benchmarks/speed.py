"""Training, prediction and the work in them, on random corpora. Every function runs in its own process."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine
from benchmarks.corpora import feature_bytes, make
from benchmarks.shapes import Shape
from erc_kedro.models.architectures import build
from erc_kedro.models.base import Network
from erc_kedro.parameters import TrainParameters
from erc_kedro.training import batches as batching
from erc_kedro.training import checkpoint, loop
from erc_kedro.training.batches import Dialogues, batch_of
from tests import defaults

# What ``predict`` puts into a batch, padding included.
PREDICT_SIZE = 512


def train(shape: Shape, threads: int, epochs: int, most: int | None = None) -> dict[str, Any]:
    """Speed and memory of ``train_model``, timed from one epoch's end to the next one's.

    An epoch is all that ``train_model`` spends on it: batches, loss, gradient, clipping, AdamW, averaging of
    weights, the validation of two utterances and, every five seconds, a checkpoint.

    Args:
        epochs: how many are timed, after one that is not.
        most: batches of an epoch that are trained on; None for all.
    """
    rates = [machine.matmul_rate(threads)]
    imports = machine.resident()
    data = make(shape)
    parameters = defaults.TrainParameters(threads=threads, epochs=1 + epochs, patience=1 + epochs)
    stages = machine.Stages()
    started = time.perf_counter()
    checkpoint.training_key(data, parameters, 0)
    key_seconds = time.perf_counter() - started
    stages.end("key")
    ends: list[float] = []
    processor: list[float] = []

    def on_epoch(row: dict[str, float]) -> None:
        ends.append(time.perf_counter())
        processor.append(time.process_time())
        stages.end("warm-up" if len(ends) == 1 else "training")

    with tempfile.TemporaryDirectory() as folder, first_batches(most) as trained:
        loop.train_model(data, parameters, 0, Path(folder), on_epoch)
    fit_seconds = time.perf_counter() - ends[-1]
    stages.end("prediction")
    rates.append(machine.matmul_rate(threads))
    each = [count / seconds for count, seconds in zip(trained[1:], np.diff(ends).tolist(), strict=True)]
    return {
        "threads": threads,
        "epochs_timed": epochs,
        "utterances_per_s": statistics.median(each),
        "utterances_per_s_each": each,
        "processor_share": (processor[-1] - processor[0]) / (ends[-1] - ends[0]) / threads,
        "matmul_gflops": rates,
        "key_seconds": key_seconds,
        "predict_and_save_seconds": fit_seconds,
        "memory": _memory(stages, imports, data),
    }


def infer(shape: Shape, threads: int, repeats: int, singles: int) -> dict[str, Any]:
    """Speed and memory of ``predict``, of its forward passes alone, and of single dialogues.

    Args:
        repeats: of the whole corpus, after one that is not timed.
        singles: forward passes of one dialogue at a time, after a tenth as many that are not timed.
    """
    rates = [machine.matmul_rate(threads)]
    imports = machine.resident()
    data = make(shape)
    network = _network(data, defaults.TrainParameters()).eval()
    count = len(data.utterance_id)
    stages = machine.Stages()
    whole, passes, shares = [], [], []
    for _ in range(1 + repeats):
        started, used = time.perf_counter(), time.process_time()
        loop.predict(network, data)
        seconds = time.perf_counter() - started
        whole.append(count / seconds)
        shares.append((time.process_time() - used) / seconds / threads)
    stages.end("prediction")
    for _ in range(1 + repeats):
        started = time.perf_counter()
        with torch.inference_mode():
            for which in batching.dialogue_batches(data, None, PREDICT_SIZE):
                network(batch_of(data, which))
        passes.append(count / (time.perf_counter() - started))
    order = np.flatnonzero(data.split == "train")
    order = order[data.length[order].argsort(kind="stable")]
    latency = {
        name: _latency(network, data, int(index), singles)
        for name, index in (("median", order[len(order) // 2]), ("longest", order[-1]))
    }
    rates.append(machine.matmul_rate(threads))
    return {
        "threads": threads,
        "utterances_per_s": statistics.median(whole[1:]),
        "utterances_per_s_each": whole[1:],
        "forward_utterances_per_s": statistics.median(passes[1:]),
        "processor_share": statistics.median(shares[1:]),
        "latency_ms": latency,
        "matmul_gflops": rates,
        "memory": _memory(stages, imports, data),
    }


def work(shape: Shape) -> dict[str, Any]:
    """Parameters, padding and arithmetic, which do not depend on the machine."""
    torch.set_num_threads(1)
    data = make(shape)
    parameters = defaults.TrainParameters()
    network = _network(data, parameters)
    training = list(
        batching.dialogue_batches(data, "train", parameters.batch_utterances, np.random.default_rng(0))
    )
    predicting = list(batching.dialogue_batches(data, None, PREDICT_SIZE))
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "batches": len(training),
        "padding": padding(data, training),
        "padding_predict": padding(data, predicting),
        "flops": {
            "forward": count_flops(network, data, training, None),
            "training": count_flops(network, data, training, parameters),
            "predict": count_flops(network, data, predicting, None),
        },
        "flops_by_hand": {
            "forward": estimate_flops(network, data, training, False),
            "training": estimate_flops(network, data, training, True),
            "predict": estimate_flops(network, data, predicting, False),
        },
    }


def padding(data: Dialogues, groups: list[np.ndarray]) -> float:
    """The share of places in these batches that hold no utterance."""
    places = sum(len(which) * int(data.length[which].max()) for which in groups)
    return 1 - sum(int(data.length[which].sum()) for which in groups) / places


def count_flops(
    network: Network, data: Dialogues, groups: list[np.ndarray], parameters: TrainParameters | None
) -> float:
    """FLOP of matrix products per real utterance, two a multiplication and addition; padding costs, too.

    Args:
        parameters: of a training step (loss and gradient included); None for a forward pass.
    """
    network.train(parameters is not None)
    total = 0
    for which in groups:
        batch = batch_of(data, which)
        with FlopCounterMode(display=False, custom_mapping=_ATTENTION) as counter:
            if parameters is None:
                with torch.inference_mode():
                    network(batch)
            else:
                loss, _ = network.loss(network(batch), batch, parameters.loss)
                loss.backward()
        total += counter.get_total_flops()
    network.zero_grad(set_to_none=True)
    return total / sum(int(data.length[which].sum()) for which in groups)


def estimate_flops(network: Network, data: Dialogues, groups: list[np.ndarray], training: bool) -> float:
    """The same by hand for the default network: a check that the counter sees every product.

    Each weight multiplies each place once, those of the GRUs each real utterance. A gradient costs
    twice its forward pass, save that no gradient goes to the features.
    """
    sizes: dict[str, int] = {}
    for name, weight in network.named_parameters():
        part = name.split(".")[0]
        # Weights of layer normalisation have one row.
        if (name.endswith("weight") or part == "linear") and weight.ndim > 1 and weight.shape[-2] > 1:
            sizes[part] = sizes.get(part, 0) + 2 * weight.numel()
    loss_only = sizes.pop("consistency", 0) + sizes.pop("redundancy", 0)
    context = sizes.pop("context", 0)
    hidden = network.get_parameter("context.speaker").shape[1]
    total, real = 0.0, 0
    for which in groups:
        count, longest = int(data.length[which].sum()), int(data.length[which].max())
        places = len(which) * longest
        products = places * sum(sizes.values()) + count * context
        # Scores and their mean of values, in the six directions of the gates.
        attention = 6 * places * 4 * longest * hidden
        if training:
            # Three correlation matrices in the loss; attention's gradient computes its scores again.
            products += places * (loss_only + 3 * 2 * hidden**2)
            total += 3 * products - places * (sizes["inputs"] + sizes["linear"]) + 3.5 * attention
        else:
            total += products + attention
        real += count
    return total / real


@contextmanager
def first_batches(most: int | None) -> Iterator[list[int]]:
    """Lets every epoch train on its first batches only, and counts each epoch's utterances."""
    trained: list[int] = []
    whole = loop.dialogue_batches

    def limited(data: Dialogues, split: str | None, *rest: Any) -> Iterator[np.ndarray]:
        if split != "train":
            yield from whole(data, split, *rest)
            return
        trained.append(0)
        for which in islice(whole(data, split, *rest), most):
            trained[-1] += int(data.length[which].sum())
            yield which

    loop.dialogue_batches = limited
    try:
        yield trained
    finally:
        loop.dialogue_batches = whole


def _network(data: Dialogues, parameters: TrainParameters) -> Network:
    torch.manual_seed(0)
    return build(parameters.model, data.dimensions, len(data.classes))


def _latency(network: Network, data: Dialogues, index: int, repeats: int) -> dict[str, float]:
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + repeats // 10):
            started = time.perf_counter()
            network(batch_of(data, np.array([index])))
            seconds.append(time.perf_counter() - started)
    timed = np.array(seconds[repeats // 10 :]) * 1000
    return {
        "utterances": int(data.length[index]),
        "median": float(np.median(timed)),
        "p95": float(np.quantile(timed, 0.95)),
    }


def _memory(stages: machine.Stages, imports: float, data: Dialogues) -> dict[str, Any]:
    """MiB: the highest peak, what it is above the features, and by stage also above the imports."""
    features = feature_bytes(data) / machine.MIB
    top = max(stages.peaks.values())
    return {
        "peak": top,
        "features": features,
        "imports": imports,
        "above_features": top - features,
        "working": {stage: value - features - imports for stage, value in stages.peaks.items()},
        "stages_apart": stages.apart,
    }


def _attention_forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    batch, heads, length, size = query
    return 2 * batch * heads * length * key[-2] * (size + value[-1])


def _attention_backward(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    # Scores again, and the gradients of values, weights, queries and keys.
    return 5 * _attention_forward(query, key, value) // 2


# torch counts the fused kernels of GPUs but not the CPU's.
_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}
