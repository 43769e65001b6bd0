"""A timeline says who felt what, how sure that is, and why there is nothing where there is nothing."""

import numpy as np
import pandas as pd
import pytest

from erc_kedro import schemas
from erc_kedro.evaluation.calibration import temperature_scaled
from erc_kedro.scoring import served
from erc_kedro.tracking.refusal import Refusal
from tests.conftest import CLASSES
from tests.scoring.test_bundle import own

COLUMNS = [f"p_{label}" for label in CLASSES]


@pytest.fixture
def dialogue(trained):
    rows = trained.recorded()
    longest = rows.groupby("dialogue_id").size().idxmax()
    return rows[rows["dialogue_id"] == longest].reset_index(drop=True)


@pytest.fixture
def features(trained, dialogue):
    return own(trained.features, dialogue)


def test_probabilities_are_the_mean_of_the_calibrated_seeds(trained, model, dialogue, features):
    made = model.timeline(dialogue, features, 0.5)
    each = [
        temperature_scaled(p, seed.temperature)
        for p, seed in zip(trained.expected(dialogue), model.card.seeds, strict=True)
    ]
    assert made[COLUMNS].to_numpy() == pytest.approx(np.mean(each, axis=0), abs=1e-6)
    assert made[COLUMNS].sum(axis=1).to_numpy() == pytest.approx(1)
    assert made["emotion"].tolist() == [CLASSES[at] for at in made[COLUMNS].to_numpy().argmax(1)]
    assert made["confidence"].tolist() == made[COLUMNS].max(axis=1).tolist()
    others = np.array([[CLASSES[at] for at in p.argmax(1)] for p in each]) != made["emotion"].to_numpy()
    assert made["disagreement"].tolist() == others.mean(0).tolist()
    assert (made["runner_up"] != made["emotion"]).all()
    schemas.timeline.validate(made)


def test_what_is_less_sure_than_asked_is_unsure(model, dialogue, features):
    least = model.threshold(0.8).value
    made = model.timeline(dialogue, features, 0.8)
    assert set(made["status"]) == {"decided", "unsure"}
    assert ((made["confidence"] >= least) == (made["status"] == "decided")).all()
    # No confidence reaches what none of validation was.
    assert model.threshold(1.0).value is None
    assert set(model.timeline(dialogue, features, 1.0)["status"]) == {"unsure"}


def test_an_utterance_of_which_there_is_nothing_has_no_emotion(model, dialogue, features):
    gone = {
        name: table.assign(present=[False, *table["present"][1:]], reason=["silent", *table["reason"][1:]])
        for name, table in features.items()
    }
    first = model.timeline(dialogue, gone, 0.5).iloc[0]
    assert first["status"] == "empty"
    assert first[["emotion", "confidence", "runner_up", "disagreement", *COLUMNS]].isna().all()
    assert first["audio_reason"] == "silent"
    rest = model.timeline(dialogue, gone, 0.5).iloc[1:]
    assert rest["emotion"].notna().all()


def test_features_unlike_training_are_far_from_it(model, dialogue, features):
    draw = np.random.default_rng(0)
    strange = [draw.normal(size=5).astype(np.float32) * 50 for _ in range(len(dialogue))]
    made = model.timeline(dialogue, {**features, "audio": features["audio"].assign(vector=strange)}, 0.5)
    usual = model.timeline(dialogue, features, 0.5)
    assert made["audio_distance"].mean() > usual["audio_distance"].mean() + 0.3
    assert made["text_distance"].tolist() == usual["text_distance"].tolist()


def test_a_plain_table_is_answered_in_its_order(model):
    table = pd.DataFrame(
        {
            "dialogue_id": ["b", "a", "b", "a"],
            "speaker": ["x", "y", "z", "x"],
            "text": ["i love it", "oh no", "what is this", ""],
        }
    )
    made = model.score(table)
    assert made["recording"].tolist() == table["dialogue_id"].tolist()
    assert made["text"].tolist() == table["text"].tolist()
    assert made["text_reason"].tolist() == ["ok", "ok", "ok", "no_text"]
    # Rows belong together by their dialogue, wherever they stand.
    together = model.score(table.iloc[[0, 2, 1, 3]])
    key = ["recording", "position"]
    pd.testing.assert_frame_equal(
        made.sort_values(key).reset_index(drop=True), together.sort_values(key).reset_index(drop=True)
    )


@pytest.mark.parametrize("dtypes", ["category", "string", "numpy_nullable", "pyarrow", "object"])
def test_whatever_a_table_s_cells_are_kept_as_the_answer_is_the_same(dtypes, model):
    table = pd.DataFrame(
        {
            "dialogue_id": [7, 7, 8],
            "position": [1, 0, 0],
            "speaker": "x",
            "text": ["oh no", "i love it", "yes"],
        }
    )
    expected = model.score(table)
    assert expected["recording"].tolist() == ["7", "7", "8"]
    assert expected["position"].tolist() == [1, 0, 0]
    if dtypes in ("numpy_nullable", "pyarrow"):
        other = table.convert_dtypes(dtype_backend=dtypes)
    else:
        other = table.astype({"text": dtypes, "speaker": dtypes})
    # An index says nothing, whatever is in it.
    pd.testing.assert_frame_equal(model.score(other.set_axis([0, 0, None])), expected)


def test_a_column_that_is_there_twice_is_refused(model):
    table = pd.DataFrame([["d", "a", "i", "j"]], columns=["dialogue_id", "speaker", "text", "text"])
    with pytest.raises(ValueError, match="column text is there twice"):
        model.score(table)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"speaker": None}, "column speaker is missing"),
        ({"emotion": "joy"}, "column emotion is not known"),
        ({"speaker": ["a", ""]}, "row 1, column speaker"),
        ({"text": ["a", 1.5]}, "row 1, column text"),
        ({"start_s": [0.0, 2.0], "end_s": [1.0, 1.0]}, "row 1"),
        ({"start_s": ["0", "1"]}, "row 0, column start_s"),
        ({"position": [1, 1]}, "position"),
        ({"channel": ["left", "middle"]}, "channel"),
        ({"speaker": ["a", "  "]}, "row 1, column speaker"),
        ({"start_s": [0.0, 2.0], "end_s": [1.0, np.inf]}, "row 1, column end_s"),
        ({"text": pd.Series(["a", "\ud800"], dtype=object)}, "row 1, column text"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_a_sentence(change, said, model):
    table = pd.DataFrame({"dialogue_id": "d", "speaker": ["a", "b"], "text": ["i", "you"]}).assign(**change)
    table = table.drop(columns=[name for name, cells in change.items() if cells is None])
    with pytest.raises(ValueError, match=said):
        model.score(table)


def test_a_server_refuses_a_dialogue_that_its_memory_would_not_hold(model, monkeypatch):
    monkeypatch.setattr(served, "LONGEST_DIALOGUE", 2)
    table = pd.DataFrame({"dialogue_id": ["d", "e", "d", "e"], "speaker": "a", "text": "oh no"})
    assert len(served.Served(model).predict(table)) == 4
    with pytest.raises(Refusal, match=r"dialogue 'd': 3 utterances are more than 2"):
        served.Served(model).predict(table.assign(dialogue_id=["d", "e", "d", "d"]))
