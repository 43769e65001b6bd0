"""What `kedro run --pipeline=reporting` leaves, whatever is on disk."""

import json
import shutil

import numpy as np
import pandas as pd
import plotly.io
import pytest
from sklearn.metrics import f1_score

from erc_kedro.pipelines.reporting.nodes import FIGURES, gather_results

DATA = "data/demo"
CORPORA = ("meld", "iemocap")


def reports(project):
    return project.folder / DATA / "08_reporting"


def corpora_runs(project):
    client = project.client()
    runs = client.search_runs(["1"], "tags.level = 'corpus'")
    return {run.data.tags["corpus"]: run for run in runs}


@pytest.mark.parametrize("corpus", CORPORA)
def test_networks_are_inspected_and_the_score_without_loss_is_that_of_the_predictions(demo, corpus):
    folder = demo.folder / DATA / "07_model_output" / corpus / "full"
    degraded, predictions = (pd.read_parquet(folder / f"{n}.parquet") for n in ("degraded", "predictions"))
    classes = [column for column in predictions if column.startswith("p_")]
    test = predictions.query("split == 'test' and head == 'tav'")
    guess = test[classes].idxmax(axis=1).str.removeprefix("p_")
    known = test.assign(predicted=guess).set_index(["seed", "utterance_id"])["predicted"]
    for modality in ("text", "audio", "visual"):
        whole = degraded.query("kind == 'missing' and amount == 0")
        whole = whole[whole["modality"] == modality]
        found = whole.set_index(["seed", "utterance_id"])["predicted"]
        assert (found.reindex(known.index) == known).all()
    assert set(pd.read_parquet(folder / "contributions.parquet")["kind"]) >= {"gate", "fusion"}
    # The tiny IEMOCAP has too few test utterances for a map.
    assert bool(len(pd.read_parquet(folder / "layout.parquet"))) == (corpus == "meld")


def test_tables_of_two_trainings_are_not_shown_together(demo, caplog):
    """A run that is killed between two of its tables leaves the new one beside the old one."""
    data = demo.folder / DATA
    folder = data / "07_model_output/meld/full"
    utterances = pd.read_parquet(data / "03_primary/meld/utterances.parquet")
    description = json.loads((data / "03_primary/meld/description.json").read_text())
    training = json.loads((folder / "training.json").read_text())
    tables = {
        name: pd.read_parquet(folder / f"{name}.parquet") for name in ("predictions", "metrics", "history")
    }
    empty = pd.DataFrame()

    def gathered(predictions, metrics, history):
        return gather_results(
            utterances, description, None, None, predictions, metrics, history, training, None, None, None,
            empty, empty, empty, data / "06_models/meld/full",
        )  # fmt: skip

    whole = gathered(**tables)
    assert whole.predictions is not None
    assert whole.metrics is not None
    old = tables["metrics"].assign(value=tables["metrics"]["value"] * 0.9)
    mixed = gathered(**{**tables, "metrics": old})
    assert (mixed.predictions, mixed.metrics, mixed.training) == (None, None, {})
    assert "two trainings" in mixed.description["notes"][-1]
    assert "kedro run --pipeline=train" in caplog.text


def test_tables_are_kept_as_csv_markdown_and_latex(demo):
    folder = reports(demo) / "full" / "tables"
    names = {path.stem for path in folder.iterdir()}
    assert {path.suffix for path in folder.iterdir()} == {".csv", ".md", ".tex"}
    assert len(list(folder.iterdir())) == 3 * len(names)
    for corpus in CORPORA:
        for name in ("headline", "classes", "confusion", "heads", "shift", "group", "calibration", "gates"):
            assert f"{corpus}_{name}" in names
    predictions = pd.read_parquet(demo.folder / DATA / "07_model_output/meld/full/predictions.parquet")
    classes = [column for column in predictions if column.startswith("p_")]
    rows = predictions.query("split == 'test' and head == 'tav' and label.notna()")
    rows = rows.assign(predicted=rows[classes].idxmax(axis=1).str.removeprefix("p_"))
    scores = [
        f1_score(run["label"], run["predicted"], average="weighted", zero_division=0)
        for _, run in rows.groupby("seed")
    ]
    table = pd.read_csv(folder / "meld_headline.csv").set_index(["split", "metric"])
    assert table.loc[("test", "Weighted F1"), "score"] == pytest.approx(np.mean(scores))
    assert table.loc[("test", "Weighted F1"), "score_std"] == pytest.approx(np.std(scores, ddof=1))


def test_every_figure_is_plotly_s_and_kept_with_the_run(demo):
    client = demo.client()
    walk = next(run for run in client.search_runs(["1"]) if run.info.run_name == "kedro run")
    kept = {file.path for file in client.list_artifacts(walk.info.run_id, "figures")}
    for corpus in CORPORA:
        for name in FIGURES:
            figure = plotly.io.from_json((reports(demo) / "full" / f"{corpus}_{name}.json").read_text())
            assert len(figure.data) or figure.layout.annotations
            assert f"figures/{corpus}_{name}.json" in kept


def test_a_model_card_lies_beside_every_logged_model(demo):
    client = demo.client()
    seeds = client.search_runs(["1"], "tags.level = 'seed'")
    assert len(seeds) == 4
    for run in seeds:
        kept = {file.path for file in client.list_artifacts(run.info.run_id, "model")}
        assert {"model/model_card.md", "model/model.safetensors"} <= kept
    card = (reports(demo) / "full" / "model_cards" / "meld.md").read_text()
    assert "SYNTHETIC DATA" in card
    assert "Do not let these models decide about people" in card
    assert "By role" in card


def test_the_latest_runs_are_on_a_page_of_their_own(demo):
    page = (reports(demo) / "runs" / "runs.html").read_text()
    table = pd.read_csv(reports(demo) / "runs" / "tables" / "runs.csv")
    assert sorted(table["corpus"]) == sorted(CORPORA)
    for corpus, run in corpora_runs(demo).items():
        row = table.set_index("corpus").loc[corpus]
        assert row["run"] == run.info.run_id[:8]
        assert row["weighted_f1"] == pytest.approx(run.data.metrics["test.weighted_f1"])
        assert run.info.run_id[:8] in page
    assert "No runs were chosen" in page


@pytest.fixture(scope="module")
def two(copy_of_demo):
    """A project with two experiments on MELD, each tracked."""
    project = copy_of_demo()
    for experiment in ("full", "no_gates"):
        project.kedro(
            "run", "--env=demo", "--pipeline=train", "--namespaces=meld", f"--params=experiment={experiment}"
        )
    return project


def test_chosen_runs_are_compared_in_their_order(two):
    runs = two.client().search_runs(["1"], "tags.level = 'corpus'")
    ids = {run.data.tags["experiment"]: run.info.run_id for run in runs}
    root = next(r for r in runs if r.data.tags["experiment"] == "full").data.tags["mlflow.rootRunId"]
    command = ("run", "--env=demo", "--pipeline=reporting", "--nodes=compare_runs")
    two.kedro(*command, f"--params=runs=[{ids['no_gates']},{root[:12]}]")
    table = pd.read_csv(reports(two) / "runs" / "tables" / "runs.csv")
    assert table["experiment"].tolist() == ["no_gates", "full"]
    assert table["p"].isna().tolist() == [True, False]
    assert "train.model.gates" in (reports(two) / "runs" / "runs.html").read_text()
    two.kedro(*command, "--params=runs=[meld full]")
    assert pd.read_csv(reports(two) / "runs" / "tables" / "runs.csv")["experiment"].tolist() == ["full"]


def test_a_run_that_is_not_there_is_named(two):
    words = ("--env=demo", "--pipeline=reporting", "--nodes=compare_runs", "--params=runs=[nobody]")
    printed = two.kedro("run", *words, succeeds=False)
    assert "no MLflow run is called 'nobody'; the latest are" in printed
    assert "Traceback" not in printed


def test_without_networks_or_gates_the_report_says_so(two):
    words = ("--namespaces=meld", "--params=experiment=bc_lstm,seeds=1")
    two.kedro("run", "--env=demo", "--pipeline=train", *words)
    # Namespaces leave out the pages that read all corpora.
    two.kedro("run", "--env=demo", "--pipeline=reporting", "--params=experiment=bc_lstm")
    page = (reports(two) / "bc_lstm" / "report.html").read_text()
    assert "This architecture has neither gates nor fusion weights." in page
    assert "one seed proves little" in page
    # One seed's network is gone: the others' means would pass for those of all.
    for corpus in CORPORA:
        shutil.rmtree(two.folder / DATA / "06_models" / corpus / "full" / "seed1")
    printed = two.kedro("run", "--env=demo", "--pipeline=reporting")
    assert "is not inspected" in printed
    assert "seed1: no network that can be read" in printed
    page = (reports(two) / "full" / "report.html").read_text()
    assert "No gates and weights saved" in page
    assert "Not tried: the trained networks of these predictions are not there" in page


def test_a_report_of_nothing_is_a_page_of_commands(project):
    project.kedro("run", "--env=demo", "--pipeline=reporting")
    page = (reports(project) / "full" / "report.html").read_text()
    assert "No metrics of meld yet" in page
    assert "kedro run --pipeline=train --namespaces=iemocap" in page
    assert "No run of a corpus is tracked yet" in (reports(project) / "runs" / "runs.html").read_text()
    figure = json.loads((reports(project) / "full" / "meld_gates.json").read_text())
    assert figure["data"] == []
    assert "kedro run" in figure["layout"]["annotations"][0]["text"]
