"""Recordings scored: processor time, utterances a second, memory in the length of a recording, and the start.

Every function without an underscore runs in its own process.
"""

import math
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks import extraction
from tests.defaults import AudioParameters, ScoreParameters, TextParameters, TrainParameters, VisualParameters

# What is encoded once and repeated, and an utterance's length and distance to the next, in seconds.
LOOP_S, SPOKEN_S, EVERY_S = 30.0, 2.6, 3.0
LABELS = ("calm", "glad", "cross")
MODALITIES = ("text", "audio", "visual")


def recording(
    folder: str, name: str, seconds: float, size: tuple[int, int] | None, speakers: list[str]
) -> dict[str, Any]:
    """Makes a recording and its transcript, whose speakers take turns.

    Args:
        size: width and height of the frames; None for sound alone.
    """
    where = Path(folder)
    part = where / "parts" / f"{'x'.join(map(str, size or (320, 240)))}.mp4"
    if not part.exists():
        part.parent.mkdir(exist_ok=True)
        extraction._encode(part, 1, size or (320, 240), LOOP_S)
    path = where / f"{name}.{'mp4' if size else 'm4a'}"
    _repeat(part, path, max(1, round(seconds / LOOP_S)), sound_alone=size is None)
    utterances = _transcript(where / f"{name}.vtt", seconds, speakers)
    return {"seconds": seconds, "utterances": utterances, "mb": path.stat().st_size / 1e6}


def _repeat(part: Path, path: Path, times: int, sound_alone: bool) -> None:
    """Copies a file's packets again and again, without encoding anything anew."""
    with av.open(str(path), "w", format="mp4") as made:
        streams: dict[int, Any] = {}
        ends: dict[int, int] = {}
        for at in range(times):
            with av.open(str(part)) as source:
                wanted = [s for s in source.streams if s.type == "audio" or not sound_alone]
                # All of them before the first packet: with that, the header is written.
                streams = streams or {s.index: made.add_stream_from_template(s) for s in wanted}
                for packet in source.demux(wanted):
                    index, later = packet.stream_index, round(at * LOOP_S / packet.time_base)
                    # Blocks of sound reach beyond the part's end; the next one's first are left out.
                    if packet.dts is None or packet.dts + later < ends.get(index, -math.inf):
                        continue
                    packet.dts += later
                    packet.pts = packet.dts if packet.pts is None else packet.pts + later
                    ends[index] = packet.dts + (packet.duration or 0)
                    packet.stream = streams[index]
                    made.mux(packet)


def _transcript(path: Path, seconds: float, speakers: list[str]) -> int:
    starts = np.arange(0, seconds - SPOKEN_S, EVERY_S)
    cues = [
        f"{_clock(start)} --> {_clock(start + SPOKEN_S)}\n<v {speakers[at % len(speakers)]}>{line.text}\n"
        for at, (start, line) in enumerate(zip(starts, extraction._lines(len(starts)), strict=True))
    ]
    path.write_text("\n".join(["WEBVTT\n", *cues]), "utf-8")
    return len(starts)


def _clock(seconds: float) -> str:
    milliseconds = round(1000 * seconds)
    return f"{milliseconds // 3_600_000:02}:{milliseconds // 60_000 % 60:02}:{milliseconds / 1000 % 60:06.3f}"


def bundle(folder: str) -> dict[str, Any]:
    """Trains a model of the default parameters on random features for an epoch, and writes its bundle."""
    import pandas as pd

    from erc_kedro import extractors, scoring
    from erc_kedro.extractors import runner
    from erc_kedro.training.batches import assemble
    from erc_kedro.training.seeds import train_seeds

    asked: dict[str, Any] = {
        "text": TextParameters(),
        "audio": extractors.resolved(AudioParameters()),
        "visual": VisualParameters(),
    }
    made = runner.metadata(extraction._settings("all", 1))
    made["text"] = extractors.build("text", asked["text"], training=[]).metadata
    utterances = _corpus()
    draw = np.random.default_rng(0)
    features = {
        name: pd.DataFrame(
            {
                "utterance_id": utterances["utterance_id"],
                "vector": list(draw.standard_normal((len(utterances), made[name].dimension), np.float32)),
                "present": True,
                "reason": "ok",
            }
        )
        for name in MODALITIES
    }
    records = {
        name: {
            "extractor": {
                **{field: getattr(made[name], field) for field in ("name", "version", "licence")},
                "settings": asked[name].model_dump(mode="json"),
            },
            "encoder": None,
        }
        for name in MODALITIES
    }
    parameters = TrainParameters(epochs=1)
    data = assemble(utterances, features, LABELS, parameters.scaling)
    models = Path(folder) / "random" / "full"
    trained = [*train_seeds(data, parameters, models, "random")]
    description = {"protocol": "random", "synthetic": True, "labels": [*LABELS], "languages": ["en"]}
    facts = dict.fromkeys(("data_fingerprint", "code_version", "git_revision"), "")
    predictions = pd.concat([one.predictions for one in trained], ignore_index=True)
    scoring.export(models, description, utterances, features, data, parameters, records, predictions, facts)
    return {"seeds": len(trained)}


def _corpus() -> Any:
    from erc_kedro.corpora.tables import utterance_table

    rows = [
        {
            "utterance_id": f"d{dialogue}_{at}",
            "dialogue_id": f"d{dialogue}",
            "position": at,
            "speaker": ("Ann", "Ben")[at % 2],
            "text": "so it goes",
            "label": LABELS[(dialogue + at) % len(LABELS)],
            "split": ("train", "train", "val", "test")[dialogue % 4],
        }
        for dialogue in range(24)
        for at in range(6)
    ]
    return utterance_table(rows)


def score(folder: str, name: str, seconds: float) -> dict[str, Any]:
    """A recording, or a transcript, scored in this one process: results and pages as ``score`` writes them.

    Args:
        folder: of the bundle and the recordings.
        name: of a file in it.
        seconds: of the recording.
    """
    import psutil
    import torch

    from benchmarks import machine
    from erc_kedro import recordings, scoring
    from erc_kedro.timelines import scored

    torch.set_num_threads(1)
    parameters = ScoreParameters(runner={"n_jobs": 1}, keep="nothing")
    model = scoring.load(Path(folder) / "random" / "full" / "bundle")
    ready = {"wall_s": time.time() - psutil.Process().create_time(), "cpu_s": time.process_time()}
    before = machine.resident()
    machine.reset_peak()
    found = recordings.find(str(Path(folder) / name), parameters)
    with tempfile.TemporaryDirectory() as results:
        started, begun = time.process_time(), time.perf_counter()
        [one] = scored.score_all(found, model, parameters, Path(results), Path(results))
        scored.write_index([one], Path(results))
        cpu, wall = time.process_time() - started, time.perf_counter() - begun
        if one.folder is None:
            raise RuntimeError(f"{name} was not scored: {one.facts['error']}")
        mb = sum(path.stat().st_size for path in one.folder.rglob("*") if path.is_file()) / 1e6
    utterances = one.facts["counts"]["utterances"]
    return {
        "name": name,
        "seconds": seconds,
        "utterances": utterances,
        "results_mb": mb,
        "ready": ready,
        "cpu_s": cpu,
        "processor_share": cpu / wall,
        "cpu_s_per_s": cpu / seconds,
        "utterances_per_s": utterances / cpu,
        "memory": {"before": before, "peak": machine.peak()},
    }
