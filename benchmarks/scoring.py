"""Recordings scored: processor time, memory in the length of a recording, and the start.

Every function without an underscore runs in its own process.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd

from benchmarks import extraction, machine
from erc_kedro.extractors import runner
from tests.defaults import RunnerParameters

# What is encoded once and repeated, and an utterance's length and distance to the next, in seconds.
LOOP_S, SPOKEN_S, EVERY_S = 30.0, 2.6, 3.0


def recording(folder: str, seconds: float, size: tuple[int, int]) -> dict[str, Any]:
    """Makes a long recording: the same half minute again and again, copied without encoding it anew."""
    path = Path(folder) / f"{size[1]}p{seconds:.0f}.mp4"
    part = Path(folder) / f"part{size[1]}p.mp4"
    if not part.exists():
        extraction._encode(part, 1, size, LOOP_S)
    with av.open(str(path), "w") as made:
        streams: dict[int, Any] = {}
        later: dict[int, int] = {}
        for _ in range(max(1, round(seconds / LOOP_S))):
            with av.open(str(part)) as source:
                # All of them before the first packet: with that, the header is written.
                streams = streams or {s.index: made.add_stream_from_template(s) for s in source.streams}
                first: dict[int, int] = {}
                ends: dict[int, int] = {}
                for packet in source.demux():
                    if packet.dts is None:
                        continue
                    index = packet.stream_index
                    first.setdefault(index, packet.dts)
                    ends[index] = packet.dts + packet.duration
                    packet.pts += later.get(index, 0)
                    packet.dts += later.get(index, 0)
                    packet.stream = streams[index]
                    made.mux(packet)
                later = {index: later.get(index, 0) + end - first[index] for index, end in ends.items()}
    return {"path": str(path), "seconds": seconds, "mb": path.stat().st_size / 1e6}


def extract(path: str, seconds: float, what: str, shared: bool = False) -> dict[str, Any]:
    """Processor seconds and memory, in MiB, of one recording's features in this one process.

    Args:
        what: audio, visual or all.
        shared: whether the speaker's face is to be found by the voice.
    """
    settings = extraction._settings(what, 1)
    table = spoken(path, seconds).assign(shared_frame=shared)
    # Extractors are made, and a little is extracted, before anything is measured.
    with tempfile.TemporaryDirectory() as caches:
        runner.extract(table[:2], settings, Path(caches, "warm"))
        before = machine.resident()
        machine.reset_peak()
        started = time.process_time()
        found = runner.extract(table, settings, Path(caches, "cold"))
        cpu = time.process_time() - started
    reasons = [result.reason for _, results in found.values() for result in results]
    return {
        "seconds": seconds,
        "utterances": len(table),
        "cpu_s_per_s": cpu / seconds,
        "memory": {"before": before, "peak": machine.peak()},
        "reasons": {reason: reasons.count(reason) for reason in sorted({*reasons})},
    }


def spoken(path: str, seconds: float) -> pd.DataFrame:
    """Utterances of a recording, one every few seconds."""
    starts = np.arange(0, seconds - SPOKEN_S, EVERY_S)
    nothing = dict.fromkeys(["wav", "frame_side"])
    return pd.DataFrame({"clip": path, "clip_start_s": starts, "clip_end_s": starts + SPOKEN_S, **nothing})
