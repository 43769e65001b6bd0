"""A registered model answers tables over HTTP as it does here, and refuses in one sentence."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from erc_kedro import tracking
from erc_kedro.scoring import served
from erc_kedro.scoring.confidence import ACCURACY
from erc_kedro.scoring.tables import utterances_of
from erc_kedro.tracking import models
from erc_kedro.tracking.runs import VARIABLE
from tests.tracking.conftest import make_bundle

LABELS = ["glad 😀", "cross"]
TABLE = pd.DataFrame(
    [
        ("b", "Ann", "so there", 1),
        ("a", "Bo", "", 0),
        ("b", "Cy", 'no "way", <b>', 0),
        ("a", "Bo", "well…", 1),
    ],
    columns=["dialogue_id", "speaker", "text", "position"],
)


class Stub:
    """Answers what a model might, by the length of what was said; an empty text is an empty answer."""

    clips: list[str | None]

    def features(self, utterances):
        return SimpleNamespace(tables={})

    def timeline(self, utterances, features, accuracy):
        made = utterances.copy()
        self.clips = [
            None if missing else clip for clip, missing in zip(made["clip"], made["clip"].isna(), strict=True)
        ]
        if "fail" in set(made["text"]):
            raise RuntimeError(f"a secret of /home/somebody in {made}")
        p = 1 / (3 + made["text"].str.len())
        there = made["text"] != ""
        made["emotion"] = pd.Series(np.where(there, LABELS[1], None), dtype="str")
        made["p_glad 😀"], made["p_cross"] = p.where(there), (1 - p).where(there)
        return made[["utterance_id", "position", "start_s", "emotion", "p_glad 😀", "p_cross"]]


@pytest.fixture(scope="module")
def stub():
    return Stub()


@pytest.fixture(scope="module")
def loaded(store, stub, tmp_path_factory):
    """The champion, as MLflow loads it from a store."""
    import mlflow

    folder = tmp_path_factory.mktemp("served")
    shutil.copy(store, folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setattr(served, "load", lambda path, allow: stub if (path / "bundle.json").is_file() else None)
        run = tracking.start(uri, "e", "train", {}, {})
        assert tracking.register(run, make_bundle(folder / "bundle", labels=LABELS)) == "erc-meld/1"
        tracking.finish("FINISHED")
        yield mlflow.pyfunc.load_model("models:/erc-meld@champion")


@pytest.fixture(scope="module")
def server(loaded):
    from mlflow.pyfunc import scoring_server

    with pytest.MonkeyPatch.context() as patch:
        # It says to the whole process that it serves.
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        yield TestClient(scoring_server.init(loaded))


def asked(server, body):
    return server.post("/invocations", json=body)


def records(table):
    return json.loads(table.to_json(orient="records"))


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records"])
def test_a_server_answers_as_here_to_the_last_digit_in_the_table_s_order(server, stub, form):
    body = json.loads(TABLE.to_json(orient=form.removeprefix("dataframe_"), index=False))
    answer = asked(server, {form: body})
    assert answer.status_code == 200
    # Strictly: no NaN, which is no JSON.
    rows = json.loads(answer.text, parse_constant=pytest.fail)["predictions"]
    here = stub.timeline(utterances_of(TABLE), {}, ACCURACY)
    assert [row["utterance_id"] for row in rows] == ["b_1", "a_0", "b_0", "a_1"]
    assert [row["p_glad 😀"] for row in rows] == [None if p != p else p for p in here["p_glad 😀"]]
    assert [row["emotion"] for row in rows] == ["cross", None, "cross", "cross"]
    assert [row["start_s"] for row in rows] == [None] * 4


def test_mlflow_s_own_reader_gives_the_same(loaded, stub):
    made = loaded.predict(TABLE)
    here = stub.timeline(utterances_of(TABLE), {}, ACCURACY)
    np.testing.assert_array_equal(made["p_cross"].astype(float), here["p_cross"])
    # Probabilities stay numbers where none is missing.
    assert loaded.predict(TABLE[TABLE["text"] != ""])["p_cross"].dtype == "float64"


def test_the_example_is_answered(server):
    answer = asked(server, {"dataframe_split": models.example().to_dict(orient="split")})
    assert [row["utterance_id"] for row in answer.json()["predictions"]] == [
        "call_0",
        "call_1",
        "call_2",
        "visit_0",
    ]


def test_cells_may_be_empty_and_columns_unknown(server):
    rows = records(TABLE.assign(clip=None, start_s=None, end_s=[None] * 4, channel=np.nan, mood="good"))
    assert asked(server, {"dataframe_records": rows}).status_code == 200


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"text": 5.5}, "row 0, column text: 5.5 is no text"),
        ({"text": ["a"]}, r"row 0, column text: ['a'] is no text"),
        ({"speaker": None}, "row 0, column speaker: the cell is empty; fill it"),
        ({"position": 0}, "column position: every utterance of a dialogue needs its own"),
        (
            {"start_s": 2.0, "end_s": 1.0},
            "row 0: start_s and end_s must both be there, from 0, the end after the start",
        ),
        ({"frame_side": "up"}, "frame_side"),
        ({"text": "x" * 30_000}, "row 0, column text: 30000 characters are more than 20000; split it"),
    ],
)
def test_what_is_wrong_is_one_sentence_for_the_client(server, change, said):
    rows = records(TABLE)
    rows[0] |= change
    answer = asked(server, {"dataframe_records": rows})
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert "so there" not in answer.text
    assert "stack_trace" not in answer.json()
    assert "\n" not in answer.json()["message"]


@pytest.mark.parametrize("change", ["missing", "type"])
def test_a_column_that_is_missing_or_of_another_type_is_the_client_s_error(server, change):
    rows = records(TABLE.drop(columns="text") if change == "missing" else TABLE.assign(position="first"))
    answer = asked(server, {"dataframe_records": rows})
    assert answer.status_code == 400
    assert ("missing inputs ['text']" if change == "missing" else "position") in answer.json()["message"]
    assert "Traceback" not in answer.text


def test_a_table_of_any_length_is_no_way_to_fill_the_memory(server):
    rows = [{"dialogue_id": "a", "speaker": "b", "text": "c"}] * 20_001
    answer = asked(server, {"dataframe_records": rows})
    assert (answer.status_code, "20001 utterances are more than 20000" in answer.text) == (400, True)


def test_a_model_that_fails_tells_the_log_and_not_the_client(server, caplog):
    answer = asked(server, {"dataframe_records": records(TABLE.assign(text="fail"))})
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert "the server's log says why" in answer.json()["message"]
    assert "a secret of /home/somebody" in caplog.text


@pytest.fixture
def media(tmp_path, monkeypatch):
    folder = tmp_path / "media"
    (folder / "inner").mkdir(parents=True)
    for name in ("clip.mp4", "inner/clip.mp4"):
        (folder / name).touch()
    (tmp_path / "secret.mp4").touch()
    (folder / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    monkeypatch.setenv("ERC_SCORE_MEDIA", str(folder))
    return folder


def with_clip(server, clip):
    return asked(server, {"dataframe_records": records(TABLE.assign(clip=[None, clip, "", None]))})


def test_a_server_opens_no_clip_until_it_is_told_where_clips_are(server, monkeypatch):
    monkeypatch.delenv("ERC_SCORE_MEDIA", raising=False)
    answer = with_clip(server, "clip.mp4")
    assert answer.status_code == 400
    assert "row 1, column clip: this server opens no media; " in answer.json()["message"]
    assert "ERC_SCORE_MEDIA=FOLDER" in answer.json()["message"]


@pytest.mark.parametrize("clip", ["clip.mp4", "inner/../inner/clip.mp4", "{media}/clip.mp4"])
def test_a_clip_below_the_folder_is_scored(server, stub, media, clip):
    assert with_clip(server, clip.format(media=media)).status_code == 200
    assert stub.clips == [None, str((media / clip.format(media=media)).resolve()), None, None]


@pytest.mark.parametrize(
    "clip",
    ["../secret.mp4", "{media}/../secret.mp4", "/etc/passwd", "link.mp4", "a\0b", "/", ".."],
)
def test_a_clip_elsewhere_is_refused_whether_it_is_there_or_not(server, media, clip):
    answer = with_clip(server, clip.format(media=media))
    assert answer.status_code == 400
    assert answer.json()["message"] == (
        "row 1, column clip: no path below the folder that ERC_SCORE_MEDIA names on the server"
    )
