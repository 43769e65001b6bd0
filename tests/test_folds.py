"""Each dialogue is test once, and what is pooled is what was predicted."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from erc_kedro.evaluation.comparison import digest
from erc_kedro.evaluation.metrics import metrics_table
from erc_kedro.folds import is_folded, pooled, pooled_rows, views
from tests.conftest import CLASSES, examples, make_corpus


def with_folds(names, dialogues=24):
    table, _ = make_corpus(dialogues)
    number = table["dialogue_id"].factorize()[0]
    return table.assign(fold=pd.Series(names, dtype="str").to_numpy()[number % len(names)])


@settings(deadline=None, max_examples=examples(20))
@given(st.integers(3, 24), st.booleans())
def test_every_utterance_is_tested_once_and_in_one_role_of_each_fold(count, unlabelled):
    names = [f"s{number}" for number in range(count)] + ([None] if unlabelled else [])
    table = with_folds(names)
    found = views(table)
    assert [view.name for view in found] == [f"s{number}" for number in range(count)]
    tested = pd.concat([view.utterances[view.utterances["split"] == "test"] for view in found])
    assert sorted(tested["utterance_id"]) == sorted(table.loc[table["fold"].notna(), "utterance_id"])
    for view in found:
        rows = view.utterances
        assert list(rows["utterance_id"]) == list(table["utterance_id"])
        assert set(rows["split"]) == {"train", "val", "test"}
        assert set(rows.loc[rows["split"] == "test", "fold"]) == {view.name}
        # A fold is in one role, and what has none trains.
        assert (rows.groupby("fold")["split"].nunique() == 1).all()
        assert (rows.loc[rows["fold"].isna(), "split"] == "train").all()
    chosen = [set(v.utterances.loc[v.utterances["split"] == "val", "fold"]) for v in found]
    # A tenth of the folds validate, one at least, and each does.
    assert {len(folds) for folds in chosen} == {max(1, round(count / 10))}
    assert set.union(*chosen) == {view.name for view in found}


def test_fixed_splits_are_one_view():
    table, _ = make_corpus()
    (only,) = views(table)
    assert (only.name, only.folder) == ("", ".")
    assert only.utterances is table
    assert pooled(table) is table
    assert not is_folded(table.assign(fold=None))


def test_pooled_scores_are_those_of_the_concatenation():
    table = with_folds(["1", "2", "3", "10"])
    draw = np.random.default_rng(0)
    parts = []
    for view in views(table):
        p = draw.dirichlet(np.ones(3), len(table)).astype(np.float32)
        rows = view.utterances[["utterance_id", "split", "label"]].assign(seed=0, head="tav")
        parts.append(rows.assign(**{f"p_{name}": p[:, i] for i, name in enumerate(CLASSES)}))
    every = pooled_rows(parts)
    scores = metrics_table(every).set_index(["split", "metric"])["value"]
    for split in ("test", "val"):
        own = pd.concat([part[part["split"] == split] for part in parts])
        assert sorted(own["utterance_id"]) == sorted(table["utterance_id"])
        guess = np.array(CLASSES)[own[[f"p_{name}" for name in CLASSES]].to_numpy().argmax(1)]
        assert scores[split, "accuracy"] == accuracy_score(own["label"], guess)
        expected = f1_score(own["label"], guess, average="weighted")
        assert np.isclose(scores[split, "weighted_f1"], expected, atol=1e-12)
    assert "train" not in set(every["split"])
    # Predictions of other folds are of other data.
    assert digest(table) != digest(table.assign(fold=table["fold"].replace({"1": "2", "2": "1"})))


def test_an_utterance_that_validates_in_several_folds_is_pooled_once():
    table = with_folds([f"s{number}" for number in range(24)])
    every = pooled_rows([view.utterances for view in views(table)])
    counts = every.groupby(["utterance_id", "split"]).size()
    assert (counts == 1).all()
    assert len(every) == 2 * len(table)
