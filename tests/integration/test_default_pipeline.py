"""From raw releases to the report, run as a user runs it, on tiny embedded corpora."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from erc_kedro.pipelines.reporting.nodes import FIGURES
from erc_kedro.schemas import HEADS

CORPORA = ("meld", "iemocap")
DATA = "data/demo"
SEEDS, EPOCHS = 2, 3


def outputs(project, corpus, experiment="full"):
    return project.folder / DATA / "07_model_output" / corpus / experiment


def predictions_of(project, corpus, experiment="full"):
    return pd.read_parquet(outputs(project, corpus, experiment) / "predictions.parquet")


def metrics_of(project, corpus, experiment="full"):
    return pd.read_parquet(outputs(project, corpus, experiment) / "metrics.parquet")


def utterances_of(project, corpus):
    return pd.read_parquet(project.folder / DATA / "03_primary" / corpus / "utterances.parquet")


def at_level(runs, level):
    return [run for run in runs if run.data.tags.get("level") == level]


# What one run leaves on disk.


def test_every_promised_file_is_there_and_no_other(demo):
    made = {name.removeprefix(f"{DATA}/") for name in demo.files() if name.startswith(DATA)}
    raw = {name for name in made if name.startswith("01_raw/")}
    cache = {name for name in made if name.startswith("04_feature/cache/")}
    # One file a table and format; which tables there are depends on the data.
    folders = ("08_reporting/full/tables/", "08_reporting/runs/tables/")
    tables = {name for name in made if name.startswith(folders)}
    promised = {"08_reporting/full/report.html", "08_reporting/full/report.md"}
    promised |= {"08_reporting/runs/runs.html"}
    for corpus in CORPORA:
        promised |= {
            *(
                f"03_primary/{corpus}/{n}"
                for n in ("utterances.parquet", "description.json", "irregularities.parquet")
            ),
            *(f"04_feature/{corpus}/{name}.parquet" for name in ("text", "audio", "visual", "clips")),
            *(f"04_feature/{corpus}/{name}_provenance.json" for name in ("text", "audio", "visual")),
            *(
                f"06_models/{corpus}/full/seed{seed}/{name}"
                for seed in range(SEEDS)
                for name in ("config.json", "model.safetensors", "predictions.parquet", "history.parquet")
            ),
            *(
                f"06_models/{corpus}/full/bundle/{name}"
                for name in ("README.md", "bundle.json", "probe.safetensors", "statistics.safetensors")
            ),
            f"06_models/{corpus}/full/bundle/validation.safetensors",
            *(f"06_models/{corpus}/full/bundle/seed{seed}.safetensors" for seed in range(SEEDS)),
            *(
                f"07_model_output/{corpus}/full/{name}"
                for name in ("predictions.parquet", "metrics.parquet", "history.parquet", "training.json")
            ),
            *(
                f"07_model_output/{corpus}/full/{name}.parquet"
                for name in ("contributions", "degraded", "layout")
            ),
            *(
                f"08_reporting/audit/{corpus}{n}"
                for n in (".json", ".md", "_features.json", "_with_features.md")
            ),
            # Without rows: the encoder is not a fine-tuned one.
            f"07_model_output/{corpus}/encoder_alone/predictions.parquet",
            *(f"08_reporting/full/{corpus}_{n}.json" for n in FIGURES),
            f"08_reporting/full/model_cards/{corpus}.md",
        }
    assert raw
    assert cache
    assert tables
    assert made - raw - cache - tables == promised


@pytest.mark.parametrize("corpus", CORPORA)
def test_predictions_hold_every_utterance_head_and_class(demo, corpus):
    table, utterances = predictions_of(demo, corpus), utterances_of(demo, corpus)
    labels = json.loads((demo.folder / DATA / "03_primary" / corpus / "description.json").read_text())[
        "labels"
    ]
    classes = [f"p_{label}" for label in labels]
    assert set(table.columns) == {"seed", "utterance_id", "split", "head", "label", *classes}
    assert set(table["head"]) == set(HEADS) == {"t", "a", "v", "ta", "tv", "av", "tav"}
    assert len(table) == len(utterances) * len(HEADS) * SEEDS
    assert not table.duplicated(["seed", "utterance_id", "head"]).any()
    assert (table[classes].sum(axis=1) - 1).abs().max() < 1e-5
    joined = table.merge(utterances, on="utterance_id", suffixes=("", "_of_corpus"))
    assert len(joined) == len(table)
    pd.testing.assert_series_equal(joined["split"], joined["split_of_corpus"], check_names=False)
    pd.testing.assert_series_equal(joined["label"], joined["label_of_corpus"], check_names=False)


@pytest.mark.parametrize("corpus", CORPORA)
def test_metrics_are_scikit_learn_s(demo, corpus):
    table, metrics = predictions_of(demo, corpus), metrics_of(demo, corpus)
    assert list(metrics.columns) == ["seed", "split", "head", "metric", "value"]
    found = metrics.set_index(["seed", "split", "head", "metric"])["value"]
    assert found.index.is_unique
    classes = [column for column in table.columns if column.startswith("p_")]
    groups = table[table["label"].notna()].groupby(["seed", "split", "head"])
    assert len(groups) == SEEDS * 3 * len(HEADS)
    for key, rows in groups:
        truth = rows["label"]
        guess = rows[classes].idxmax(axis=1).str.removeprefix("p_")
        expected = {
            "accuracy": accuracy_score(truth, guess),
            "weighted_f1": f1_score(truth, guess, average="weighted", zero_division=0),
            "macro_f1": f1_score(truth, guess, average="macro", zero_division=0),
        }
        # It warns of classes that were predicted and never true.
        seen = guess.where(guess.isin(truth), "another")
        if set(seen) <= set(truth):
            expected["uar"] = balanced_accuracy_score(truth, guess)
        names = sorted(set(truth) | set(guess))
        by_class = f1_score(truth, guess, labels=names, average=None, zero_division=0)
        expected |= {f"f1_{name}": value for name, value in zip(names, by_class, strict=True)}
        assert {name: found[(*key, name)] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize("corpus", CORPORA)
def test_weights_lie_beside_their_configuration(demo, corpus):
    for seed in range(SEEDS):
        folder = demo.folder / DATA / "06_models" / corpus / "full" / f"seed{seed}"
        config = json.loads((folder / "config.json").read_text())
        assert config["seed"] == seed
        assert config["parameters"]["model"]["hidden"] == 16
        with safe_open(folder / "model.safetensors", "pt") as weights:
            assert list(weights.keys())


def test_the_report_says_in_its_title_that_it_is_synthetic(demo):
    page = (demo.folder / DATA / "08_reporting/full/report.html").read_text()
    title = re.search("<title>(.*?)</title>", page, re.DOTALL)[1]
    assert "SYNTHETIC" in title
    assert "SYNTHETIC" in (demo.folder / DATA / "08_reporting/full/report.md").read_text()
    # It opens offline: nothing is fetched.
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.https?:", page)


@pytest.mark.parametrize("corpus", CORPORA)
def test_voice_and_face_come_from_the_clips_and_each_has_its_reason(demo, corpus):
    folder = demo.folder / DATA / "04_feature" / corpus
    clips = pd.read_parquet(folder / "clips.parquet")
    for modality in ("audio", "visual"):
        table = pd.read_parquet(folder / f"{modality}.parquet").set_index("utterance_id")
        extractor = json.loads((folder / f"{modality}_provenance.json").read_text())["extractor"]
        assert extractor["version"]
        assert extractor["licence"]
        assert table["present"].mean() > 0.85
        own = clips[clips["modality"] == modality].set_index("utterance_id")
        assert own["reason"].to_dict() == table["reason"].to_dict()
        vectors = np.stack(table["vector"].tolist())
        assert np.isfinite(vectors).all()
        assert not vectors[~table["present"]].any()
    broken = json.loads((demo.folder / DATA / "01_raw/broken.json").read_text())
    bad = set(clips.loc[clips["reason"] != "ok", "utterance_id"])
    of_meld = {name for name in broken if name.split("_")[0] in ("train", "dev", "test")}
    assert bad == (of_meld if corpus == "meld" else set())


def test_the_audit_and_the_report_count_the_clips(demo):
    page = (demo.folder / DATA / "08_reporting/audit/meld_with_features.md").read_text()
    assert "### Clips" in page
    assert "unreadable" in page
    report = (demo.folder / DATA / "08_reporting/full/report.html").read_text()
    assert "What became of the clips" in report


# What one run leaves in MLflow.


@pytest.fixture(scope="module")
def tracked(demo):
    return demo.runs()


def test_one_finished_tree_of_runs_a_kedro_run(demo, tracked):
    assert {run.info.status for run in tracked} == {"FINISHED"}
    roots = [run for run in tracked if "mlflow.parentRunId" not in run.data.tags]
    assert [run.data.tags["pipeline"] for run in roots] == ["demo", "__default__"]
    root = roots[1]
    corpora = at_level(tracked, "corpus")
    assert {run.data.tags["corpus"] for run in corpora} == set(CORPORA)
    assert {run.data.tags["mlflow.parentRunId"] for run in corpora} == {root.info.run_id}
    for corpus in corpora:
        seeds = [r for r in at_level(tracked, "seed") if r.data.tags["corpus"] == corpus.data.tags["corpus"]]
        assert sorted(run.data.params["seed"] for run in seeds) == ["0", "1"]
        assert {run.data.tags["mlflow.parentRunId"] for run in seeds} == {corpus.info.run_id}
    assert len(tracked) == 2 + len(CORPORA) * (1 + SEEDS)
    # All of both corpora's runs lie in one table.
    assert len({run.info.experiment_id for run in tracked}) == 1


def test_runs_say_what_they_were_made_from(demo, tracked):
    head = (demo.folder / ".git/HEAD").read_text().split()[-1]
    revision = (demo.folder / ".git" / head).read_text().strip()
    for run in [*at_level(tracked, "corpus"), *at_level(tracked, "seed")]:
        params = run.data.params
        training = json.loads((outputs(demo, run.data.tags["corpus"]) / "training.json").read_text())
        assert params["data_fingerprint"] == training["data_fingerprint"]
        assert re.fullmatch("[0-9a-f]{64}", params["data_fingerprint"])
        assert params["git_revision"] == revision
        assert params["train.epochs"] == str(EPOCHS)
        assert params["train.model.hidden"] == "16"
        assert params["train.loss.temperature"] == "2.0"
        assert run.data.tags["synthetic"] == "True"
    root = at_level(tracked, "run")[-1]
    assert root.data.tags["mlflow.source.git.commit"] == revision
    assert root.data.params["meld.ingestion.raw"] == "data/demo/01_raw/meld"


def test_seeds_have_curves_final_scores_and_their_model(demo, tracked):
    client = demo.client()
    for run in at_level(tracked, "seed"):
        metrics = metrics_of(demo, run.data.tags["corpus"]).query(
            "seed == @s", local_dict={"s": int(run.data.params["seed"])}
        )
        found = metrics.query("head == 'tav'").set_index(["split", "metric"])["value"]
        for split in ("val", "test"):
            for name in ("weighted_f1", "accuracy", "macro_f1"):
                assert run.data.metrics[f"{split}.{name}"] == pytest.approx(found[split, name])
        students = metrics.query("split == 'test' and metric == 'weighted_f1'").set_index("head")["value"]
        assert run.data.metrics["test.ta.weighted_f1"] == pytest.approx(students["ta"])
        for curve in ("train_loss", "val_weighted_f1"):
            steps = [point.step for point in client.get_metric_history(run.info.run_id, curve)]
            assert steps == list(range(EPOCHS))
        kept = {file.path for file in client.list_artifacts(run.info.run_id, "model")}
        assert kept >= {"model/model.safetensors", "model/config.json", "model/predictions.parquet"}
        assert run.data.tags["resumed"] == "no"


def test_corpora_have_mean_scores_predictions_and_confusion(demo, tracked, tmp_path):
    client = demo.client()
    for run in at_level(tracked, "corpus"):
        corpus = run.data.tags["corpus"]
        scores = metrics_of(demo, corpus).query(
            "split == 'test' and head == 'tav' and metric == 'weighted_f1'"
        )
        assert run.data.metrics["test.weighted_f1"] == pytest.approx(scores["value"].mean())
        assert run.data.metrics["test.weighted_f1.std"] == pytest.approx(scores["value"].std())
        folder = Path(client.download_artifacts(run.info.run_id, "test", str(tmp_path)))
        pd.testing.assert_frame_equal(
            pd.read_parquet(folder / "predictions.parquet"), predictions_of(demo, corpus)
        )
        counts = pd.read_csv(folder / "confusion_test.csv", index_col=0)
        rows = predictions_of(demo, corpus).query("split == 'test' and head == 'tav' and label.notna()")
        guess = rows[[f"p_{name}" for name in counts]].idxmax(axis=1).str.removeprefix("p_")
        assert (counts.to_numpy() == confusion_matrix(rows["label"], guess, labels=list(counts))).all()


def test_the_report_is_kept_with_its_run(demo, tracked):
    root = at_level(tracked, "run")[-1]
    assert "report.html" in {file.path for file in demo.client().list_artifacts(root.info.run_id)}


# What further runs do.


def test_an_identical_run_encodes_and_trains_nothing(demo, demo_copy):
    before = demo_copy.files()
    printed = demo_copy.kedro("run", "--env=demo")
    after = demo_copy.files()
    assert "Encoding text" not in printed
    assert "Extracting from clips" not in printed
    kept = [name for name in before if "/06_models/" in name and "/bundle/" not in name]
    assert kept
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}
    # Written again, since the code that it names may be another: the copy lies in no repository.
    bundled = [name for name in before if "/bundle/" in name and not name.endswith("/bundle.json")]
    assert bundled
    assert [before[name][1] for name in bundled] == [after[name][1] for name in bundled]
    assert after.keys() == before.keys()
    assert {run.data.tags["resumed"] for run in at_level(demo_copy.runs(), "seed")} == {"done"}
    for corpus in CORPORA:
        pd.testing.assert_frame_equal(predictions_of(demo_copy, corpus), predictions_of(demo, corpus))
        pd.testing.assert_frame_equal(metrics_of(demo_copy, corpus), metrics_of(demo, corpus))


def test_one_corpus_and_one_more_experiment_leave_the_others_alone(demo_copy):
    demo_copy.write(
        "conf/demo/experiments/text_only.yml", "text_only: {train: {model: {modalities: [text]}}}"
    )
    before = demo_copy.files()
    demo_copy.kedro(
        "run",
        "--env=demo",
        "--pipeline=train",
        "--namespaces=iemocap",
        "--params=experiment=text_only,seeds=1",
    )
    after = demo_copy.files()
    assert {name: after[name] for name in before} == before
    new = after.keys() - before.keys()
    assert new
    assert all("/iemocap/text_only/" in name for name in new), new
    training = json.loads((outputs(demo_copy, "iemocap", "text_only") / "training.json").read_text())
    assert training["parameters"]["model"]["modalities"] == ["text"]
    assert set(predictions_of(demo_copy, "iemocap", "text_only")["seed"]) == {0}
    runs = at_level(demo_copy.runs(), "corpus")
    assert [run.data.tags["corpus"] for run in runs] == ["iemocap"]
    assert runs[0].data.tags["experiment"] == "text_only"


def test_one_corpus_trained_again_leaves_the_other_alone(demo_copy):
    before = demo_copy.files()
    demo_copy.kedro(
        "run", "--env=demo", "--pipeline=train", "--namespaces=iemocap", "--params=train.epochs=1"
    )
    after = demo_copy.files()
    changed = {name for name in after if after[name] != before.get(name)}
    assert f"{DATA}/07_model_output/iemocap/full/predictions.parquet" in changed
    assert all("/iemocap/full/" in name for name in changed), changed
    assert after.keys() == before.keys()


@pytest.fixture(scope="module")
def partial(copy_of_demo):
    """A report over one corpus without outputs and one whose predictions are of an earlier version of it."""
    project = copy_of_demo()
    for path in outputs(project, "iemocap").iterdir():
        path.unlink()
    utterances = utterances_of(project, "meld")
    changed = utterances.index[utterances["split"] == "test"][0]
    others = utterances.loc[utterances["label"] != utterances.loc[changed, "label"], "label"]
    utterances.loc[changed, "label"] = others.iloc[0]
    utterances.to_parquet(project.folder / DATA / "03_primary/meld/utterances.parquet", index=False)
    return project, project.kedro("run", "--env=demo", "--pipeline=reporting")


def headline(project):
    page = (project.folder / DATA / "08_reporting/full/report.md").read_text()
    return [line for line in page.splitlines() if line.startswith("|")][2:]


def test_the_report_has_a_sentence_where_a_corpus_has_no_outputs(demo, partial):
    project, _ = partial
    page = (project.folder / DATA / "08_reporting/full/report.html").read_text()
    assert "--pipeline=train --namespaces=iemocap" in page
    assert (
        "--pipeline=train --namespaces=iemocap"
        not in (demo.folder / DATA / "08_reporting/full/report.html").read_text()
    )
    figure = (project.folder / DATA / "08_reporting/full/iemocap_confusion.json").read_text()
    assert "kedro run --pipeline=train" in figure


def test_predictions_of_another_version_of_the_corpus_are_not_reported(demo, partial):
    project, printed = partial
    sentence = "predictions on disk are of another version of this corpus"
    assert sentence in printed
    assert sentence in (project.folder / DATA / "08_reporting/full/report.html").read_text()
    assert [bool(re.search(r"\d\.\d", line)) for line in headline(demo)] == [True, True]
    assert [bool(re.search(r"\d\.\d", line)) for line in headline(project)] == [False, False]


def test_predictions_of_another_version_of_the_corpus_are_not_drawn(demo, partial):
    project, _ = partial

    def kinds(of):
        figure = json.loads((of.folder / DATA / "08_reporting/full/meld_confusion.json").read_text())
        return {trace["type"] for trace in figure["data"]}

    assert "heatmap" in kinds(demo)
    assert "heatmap" not in kinds(project)


def test_training_before_ingestion_says_what_to_run(project):
    before = project.files()
    printed = project.kedro("run", "--pipeline=train", "--namespaces=meld", succeeds=False)
    assert re.search(r"data/08_reporting/audit/meld\.json does not exist yet", printed)
    assert "kedro run --pipeline=ingestion" in printed
    assert project.files() == before
    # Refused before there is a run that could fail.
    assert project.statuses() == {}
