"""The benchmarks run and yield figures that can be; how fast they are is no test's business."""

import json
import time
from importlib import import_module

import numpy as np
import pytest

from benchmarks import (
    child,
    corpora,
    coverage,
    extraction,
    finetuning,
    machine,
    page,
    peers,
    reports,
    scoring,
    shapes,
    speed,
)
from erc_kedro import recordings
from erc_kedro.training.batches import dialogue_batches
from tests import tiny
from tests.defaults import ScoreParameters, TrainParameters
from tests.finetuning.corpus import toy

TINY = shapes.SHAPES["meld"].times(0.02)


@pytest.mark.parametrize("name", shapes.SHAPES)
def test_a_corpus_has_its_shape(name):
    shape = shapes.SHAPES[name].times(0.25)
    data = corpora.make(shape)
    length = data.length[data.split == "train"]
    assert (len(length), length.sum(), length.max()) == (shape.dialogues, shape.utterances, shape.longest)
    assert data.dimensions == list(shape.dimensions)
    assert int(data.speaker.max()) < shape.speakers
    assert set(corpora.make(shapes.equal_dialogues(16, 64)).length) == {16, 2}


def test_speed_and_memory(monkeypatch):
    # A product of its real size takes seconds.
    rate = machine.matmul_rate
    monkeypatch.setattr(machine, "matmul_rate", lambda threads: rate(threads, size=64, repeats=2))
    train = speed.train(TINY, threads=1, epochs=2, most=1)
    infer = speed.infer(TINY, threads=1, repeats=1, singles=10)
    for figures in (train, infer):
        assert min(figures["matmul_gflops"]) > 0
        assert figures["utterances_per_s"] > 0
        assert figures["memory"]["peak"] > figures["memory"]["features"] > 0
    assert len(train["utterances_per_s_each"]) == 2
    assert infer["latency_ms"]["longest"]["utterances"] == TINY.longest


def test_counted_arithmetic_is_what_it_is_by_hand():
    figures = speed.work(TINY)
    assert figures["flops"] == pytest.approx(figures["flops_by_hand"], rel=0.01)
    assert 0 < figures["padding"] < figures["padding_predict"] < 1


def test_an_epoch_cut_short_counts_what_it_trained():
    data, parameters = corpora.make(TINY), TrainParameters()
    whole = [
        int(data.length[which].sum())
        for which in dialogue_batches(data, "train", parameters.batch_utterances, np.random.default_rng(0))
    ]
    with speed.first_batches(1) as trained:
        kept = list(
            speed.loop.dialogue_batches(data, "train", parameters.batch_utterances, np.random.default_rng(0))
        )
    assert (len(kept), trained) == (1, whole[:1])
    assert speed.loop.dialogue_batches is dialogue_batches


def test_peers_and_their_page():
    figures = {"meld": peers.peers(TINY, threads=1, rounds=1, most=1)}
    assert figures["meld"][peers.OURS]["ours_is_times"] == 1
    host = {"cores": 1, "processor": "p", "load_before": 0.0, "python": "3", "torch": "2"}
    result = {"quick": True, "finished": "now", "took_s": 1, "machine": host, "figures": figures}
    written = page.page(json.loads(json.dumps({"peers": result})))
    assert all(name in written for name in peers.PEERS)


def test_every_task_is_there():
    for where in child.TASKS.values():
        module, name = where.split(":")
        assert callable(getattr(import_module(module), name))


def test_extraction_and_its_page(tmp_path):
    folder = str(tmp_path)
    figures = {
        "clips": extraction.clips(folder, "clip", 2, (640, 360), 0.8),
        "small": extraction.clips(folder, "small", 4, (320, 240), 0.4),
        "workers": 2,
        "compare": extraction.compare(folder, 2, 1),
        "cached": [extraction.cached(folder, str(tmp_path / "cache"), 4, 1, 2)] * 2,
        "memory": [{"clips": 2, "before": 1.0, "parent": 2.0, "worker": 1.0}],
    }
    assert len({path.read_bytes() for path in tmp_path.glob("*.mp4")}) == 6
    assert all(seconds > 0 for seconds in figures["compare"]["cpu_s_per_clip"].values())
    run = extraction.speed(folder, "visual", 1, 2, 1)
    assert run["clips_per_s"] > 0
    two = {"workers": 2, "start": run["cold"], "clips_per_s": None}
    figures["speed"] = [{**run, "what": what} for what in ("text", "audio", "visual")] + [{**run, **two}]
    host = {"cores": 1, "processor": "p", "load_before": 0.0, "python": "3", "torch": "2"}
    result = {"quick": True, "finished": "now", "took_s": 1, "machine": host, "figures": figures}
    written = page.page(json.loads(json.dumps({"extraction": result})))
    assert "the straightforward way" in written


def test_processor_time_of_workers_counts(tmp_path):
    extraction.clips(str(tmp_path), "small", 2, (320, 240), 0.4)
    extract = extraction._Extraction("visual", 2)
    own = time.process_time()
    _, both = extraction._used(extract, sorted(tmp_path.glob("*.mp4")), tmp_path / "cache")
    assert both > 2 * (time.process_time() - own)


@pytest.mark.parametrize("size", [(160, 120), None])
def test_a_recording_of_repeated_packets_is_as_long_as_asked(tmp_path, monkeypatch, size):
    monkeypatch.setattr(scoring, "LOOP_S", 2.0)
    made = scoring.recording(str(tmp_path), "call", 16.0, size, ["Ann", "Ben"])
    assert made["utterances"] == 5
    [source] = recordings.find(str(tmp_path / f"call.{'mp4' if size else 'm4a'}"), ScoreParameters())
    read = recordings.read(source, ScoreParameters())
    assert read.facts["seconds"] == pytest.approx(16.0, abs=0.1)
    assert read.facts["video"] == (size is not None)
    assert read.utterances["speaker"].tolist() == ["Ann", "Ben", "Ann", "Ben", "Ann"]
    assert read.utterances["clip_start_s"].tolist() == [0.0, 3.0, 6.0, 9.0, 12.0]


def test_the_page_of_scoring_says_how_memory_grew():
    def run(seconds, peak):
        return {
            "seconds": seconds,
            "utterances": 9,
            "cpu_s_per_s": 0.1,
            "utterances_per_s": 7.0,
            "processor_share": 1.0,
            "ready": {"wall_s": 2.0, "cpu_s": 1.0},
            "results_mb": 1.0,
            "memory": {"before": 90.0, "peak": peak},
        }

    runs = {"short": run(60.0, 100.0), "long": run(7200.0, 110.0), "text": run(7200.0, 95.0)}
    host = {"cores": 1, "processor": "p", "load_before": 0.0, "python": "3", "torch": "2"}
    figures = {"size": [1280, 720], "runs": runs}
    result = {"quick": True, "finished": "now", "took_s": 1, "machine": host, "figures": figures}
    written = page.page({"scoring": result})
    assert "120 times as long a recording has 1.10 times the peak of memory." in written
    assert "its transcript alone" in written


def test_a_full_report_has_a_size_and_both_corpora(monkeypatch, tmp_path):
    monkeypatch.setattr(reports, "RESULTS", tmp_path)
    figures = reports.measure(experiments=3, seeds=2, shrink=20)
    text = (tmp_path / "report.html").read_text()
    assert figures["page_mb"] == pytest.approx(len(text.encode()) / 1e6)
    assert figures["page_mb"] > figures["figures_mb"] > 0
    assert "MELD (synthetic)" in text
    assert "experiment2" in text


def test_the_steps_of_fine_tuning_are_timed_beside_a_straightforward_loop(tmp_path):
    folder = tmp_path / "03_primary" / "meld"
    folder.mkdir(parents=True)
    toy(300).to_parquet(folder / "utterances.parquet")
    encoder = tiny.bert(tmp_path / "bert", layers=1)
    table = finetuning.speed(tmp_path, "meld", {"encoder": str(encoder), **finetuning.ASKED}, rounds=1)
    assert list(table.index) == ["straightforward", "the loop", "shared windows"]
    assert table.loc["straightforward", "ratio"] == 1
    assert (table["utterances/s"] > 0).all()


@pytest.mark.parametrize("choice", finetuning.CHOICES)
def test_every_choice_of_fine_tuning_is_one_that_can_be_made(choice):
    made = finetuning.parameters("meld", **finetuning.CHOICES[choice])
    assert (made.folds, made.jobs) == (0, 1)


def test_intervals_of_few_dialogues_hold_the_true_value_more_often_than_a_bootstrap_s():
    figures = coverage.coverage("meld", units=6, repeats=300, bootstrapped=100, draws=200)
    found = {(row["what"], row["method"]): row for row in figures["rows"]}
    for what in ("score", "difference"):
        # The same draws each time.
        assert found[what, "ours"]["covers"] >= 0.92
        assert found[what, "percentile"]["covers"] < 0.92
        assert found[what, "ours"]["longest"] <= 1
    asked = {"population": "meld", "units": 6}
    rows = [
        {**asked, "metric": m, **r} for m in ("weighted_f1", "accuracy", "macro_f1") for r in figures["rows"]
    ]
    host = {"cores": 1, "processor": "p", "load_before": 0.0, "python": "3", "torch": "2"}
    result = {"quick": False, "finished": "now", "took_s": 1.0, "machine": host}
    result["figures"] = {"repeats": 300, "bootstrapped": 100, "draws": 200, "rows": rows}
    table = page.part("coverage", result)
    assert f"| meld | 6 | score | {found['score', 'percentile']['covers']:.3f} |".replace("0.", ".") in table
