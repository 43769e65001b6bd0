"""Folds of a corpus: no speaker in two, no dialogue apart, and what cannot be made is said."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from erc_kedro import schemas
from erc_kedro.corpora import Corpus, CorpusError
from erc_kedro.corpora.folding import folded
from erc_kedro.corpora.tables import irregularity_table, utterance_table
from erc_kedro.folds import views
from tests.conftest import examples
from tests.defaults import ProtocolParameters


def corpus(rows, **groupings):
    """Of (dialogue, speaker, label) rows."""
    table = utterance_table(
        [
            {
                "utterance_id": f"u{number}",
                "dialogue_id": dialogue,
                "position": sum(other[0] == dialogue for other in rows[:number]),
                "speaker": speaker,
                "text": "words",
                "label": label,
                "split": "train",
            }
            for number, (dialogue, speaker, label) in enumerate(rows)
        ]
    )
    values = {name: {f"u{n}": value for n, value in enumerate(column)} for name, column in groupings.items()}
    return Corpus(table, ("a", "b"), irregularity_table([]), {"name": "Talk", "protocol": "own"}, {}, values)


@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_speaker_has_two_roles_where_one_is_left_out(data):
    speakers = st.sampled_from([f"s{n}" for n in range(12)])
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from([f"d{n}" for n in range(12)]), speakers, st.sampled_from(["a", "b"])),
            min_size=1,
            max_size=25,
        )
    )
    sites = data.draw(st.lists(st.sampled_from("wxyz"), min_size=len(rows), max_size=len(rows)))
    by = data.draw(st.sampled_from(["speaker", "dialogue", "site"]))
    given_corpus = corpus(rows, site=sites)
    try:
        made = folded(given_corpus, ProtocolParameters(leave_one_out=by))
    except CorpusError:
        # Too few speakers stand apart; said in the cases below.
        return
    for view in views(made.utterances):
        roles = view.utterances
        assert (roles.groupby("speaker")["split"].nunique() == 1).all()
        assert (roles.groupby("dialogue_id")["split"].nunique() == 1).all()
        if by == "site":
            assert (roles.groupby(pd.Series(sites))["split"].nunique() == 1).all()
    assert made.facts["folds"]["shared_speakers"] == 0
    schemas.utterances.validate(made.utterances)


@settings(deadline=None, max_examples=examples(30), suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(3, 6), st.integers(6, 14), st.integers(0, 3))
def test_dealt_folds_hold_whole_dialogues_and_are_dealt_alike_again(count, dialogues, unlabelled):
    rows = [(f"d{n}", f"s{n % 2}", "ab"[n % 2]) for n in range(dialogues) for _ in range(3)]
    rows += [(f"n{n}", "s0", None) for n in range(unlabelled)]
    made = folded(corpus(rows), ProtocolParameters(folds=count))
    again = folded(corpus(rows), ProtocolParameters(folds=count))
    pd.testing.assert_frame_equal(made.utterances, again.utterances)
    by_dialogue = made.utterances.groupby("dialogue_id")["fold"].agg(["nunique", "count"])
    assert (by_dialogue["nunique"] <= 1).all()
    # Nothing is tested of a dialogue that nobody labelled.
    assert (by_dialogue["count"] == 0).sum() == unlabelled
    assert made.utterances["fold"].dropna().nunique() == count
    assert "speakers are in several folds" in made.facts["notes"][-1]


def test_folds_by_a_column_keep_its_values_together():
    rows = [(f"d{n}", "s", "ab"[n % 2]) for n in range(12)]
    sites = [f"site{n // 2}" for n in range(12)]
    made = folded(corpus(rows, site=sites), ProtocolParameters(folds=3, by="site")).utterances
    assert (made.groupby(pd.Series(sites))["fold"].nunique() == 1).all()
    assert made["fold"].nunique() == 3


def test_a_fold_is_called_what_is_left_out():
    rows = [(f"d{n}", f"s{n}", "a") for n in range(4)]
    made = folded(
        corpus(rows, site=["Köln / 1", "Köln ? 1", "Ulm", "ulm"]), ProtocolParameters(leave_one_out="site")
    )
    assert sorted(made.utterances["fold"]) == ["Köln_1", "Köln_1_2", "Ulm", "ulm_2"]
    assert made.facts["protocol"] == "own, one site left out at a time"
    assert made.utterances["split"].tolist() == ["test", "val", "train", "train"]


def test_listeners_who_are_not_labelled_join_no_folds():
    rows = [
        (f"d{n}", speaker, label) for n in range(3) for speaker, label in ((f"s{n}", "a"), ("host", None))
    ]
    made = folded(corpus(rows), ProtocolParameters(leave_one_out="speaker")).utterances
    assert made["fold"].nunique() == 3


@pytest.mark.parametrize(
    ("protocol", "said"),
    [
        (
            {"leave_one_out": "session"},
            "no column 'session' to make folds by; there are dialogue, speaker, site",
        ),
        ({"leave_one_out": "speaker"}, "'s' speaks in 4 of 4|speaker gives 1 fold, and 3 are needed"),
        ({"leave_one_out": "dialogue"}, "'s' speaks in 4 of 4, and no speaker may be in two; name speakers"),
        ({"folds": 5}, "dialogue gives 4 folds, and 5 are needed; make folds by another column, or fewer"),
        ({"leave_one_out": "site"}, "1 labelled utterances have no site, such as u3; fill the column site"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(protocol, said):
    rows = [(f"d{n}", "s", "a") for n in range(4)]
    given_corpus = corpus(rows, site=["x", "y", "z"])
    with pytest.raises(CorpusError, match=said):
        folded(given_corpus, ProtocolParameters(**protocol))


def test_the_refusal_blames_what_joins_the_folds():
    apart = [(f"d{n}", f"s{n}", "a") for n in range(4)]
    together = {"d0": "one", "d1": "one", "d2": "two", "d3": "two"}
    for protocol in ({"folds": 3}, {"leave_one_out": "dialogue"}):
        with pytest.raises(CorpusError, match="since dialogues that hold the same recording lie in one"):
            folded(corpus(apart), ProtocolParameters(**protocol), together)
    mixed = corpus([(f"d{n // 3}", f"s{n // 3}", "a") for n in range(9)], site=["x", "y", "z"] * 3)
    with pytest.raises(CorpusError, match=r"dialogues are whole: dialogue 'd\d' has 3 of 3 values of site"):
        folded(mixed, ProtocolParameters(leave_one_out="site"))


def test_both_ways_at_once_are_refused():
    with pytest.raises(ValueError, match="two ways to make folds"):
        ProtocolParameters(leave_one_out="speaker", folds=5)
