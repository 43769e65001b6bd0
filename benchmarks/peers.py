"""The baselines' training speed beside ours, on the same batches in turn."""

import copy
import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.corpora import make
from benchmarks.shapes import Shape
from benchmarks.speed import first_batches
from erc_kedro.models.architectures import build
from erc_kedro.training import loop
from tests.defaults import ModelParameters, TrainParameters

OURS = "gated_fusion"
# MMGCN's layers as in its experiment; all else is the default.
PEERS: dict[str, dict[str, Any]] = {
    OURS: {},
    "bc_lstm": {},
    "dialogue_rnn": {},
    "mmgcn": {"layers": 4},
    "sdt": {},
}


def peers(shape: Shape, threads: int, rounds: int, most: int) -> dict[str, dict[str, Any]]:
    """By architecture: training utterances/s, and how many times that ours is, in the same round.

    Args:
        rounds: how often each architecture has its turn, after one that is not timed.
        most: batches of a turn.
    """
    torch.set_num_threads(threads)
    data = make(shape)
    contestants = {}
    for name, settings in PEERS.items():
        parameters = TrainParameters(model=ModelParameters(architecture=name, **settings))
        torch.manual_seed(0)
        network = build(parameters.model, data.dimensions, len(data.classes))
        optimiser = torch.optim.AdamW(network.parameters(), parameters.learning_rate)
        contestants[name] = (parameters, network, copy.deepcopy(network), optimiser)
    speeds: dict[str, list[float]] = {name: [] for name in PEERS}
    for turn in range(1 + rounds):
        for name, (parameters, network, average, optimiser) in contestants.items():
            draw = np.random.default_rng(turn)
            with first_batches(most) as trained:
                started = time.perf_counter()
                loop._train_epoch(network, average, optimiser, data, parameters, None, draw)
                speeds[name].append(trained[0] / (time.perf_counter() - started))
    return {
        name: {
            "utterances_per_s": statistics.median(each[1:]),
            "utterances_per_s_each": each[1:],
            "ours_is_times": statistics.median(
                ours / theirs for ours, theirs in zip(speeds[OURS][1:], each[1:], strict=True)
            ),
            "parameters": sum(p.numel() for p in contestants[name][1].parameters()),
        }
        for name, each in speeds.items()
    }
