"""A recording's page holds its timeline as it is, opens offline, and obeys nobody."""

import io
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest

from erc_kedro.escaping import csv_text, visible
from erc_kedro.timelines.pages import recording_page
from tests import hostile
from tests.timelines.pages.read import Page
from tests.timelines.pages.timelines import LABELS, facts, timeline

HERE = Path("/project/scored/meld-full/call")


def page(table=None, **known):
    return Page(recording_page(timeline() if table is None else table, facts(**known), HERE))


@pytest.fixture(scope="module")
def whole():
    return page()


def test_the_data_are_the_timeline_and_gaps_stay_empty(whole):
    table, data = timeline(), whole.data
    assert data["start"] == table["start_s"].tolist()
    assert data["end"] == table["end_s"].tolist()
    assert [data["lanes"][at] for at in data["lane"]] == table["speaker"].tolist()
    names = [label["name"] for label in data["labels"]]
    for label, column in zip(names, data["p"], strict=True):
        expected = table[f"p_{label}"]
        np.testing.assert_allclose(np.array(column, float), expected, atol=5e-4)
        assert [value is None for value in column] == expected.isna().tolist()
    emotions = [None if at < 0 else names[at] for at in data["emotion"]]
    assert emotions == [None if pd.isna(value) else value for value in table["emotion"]]
    assert data["unsure"] == (table["status"] == "unsure").astype(int).tolist()
    empty = (table["status"] == "empty").tolist().index(True)
    assert data["emotion"][empty] == -1
    assert {column[empty] for column in data["p"]} == {None}


def test_every_row_says_who_said_what_with_which_emotion_and_how_sure(whole):
    table = timeline()
    assert [row["text"] for row in whole.rows] == table["text"].tolist()
    assert [row["who"] for row in whole.rows] == table["speaker"].tolist()
    for row, said in zip(table.to_dict("records"), whole.rows, strict=True):
        mood = " ".join(said["mood"].split())
        if row["status"] == "empty":
            assert mood == "nothing to go by"
            assert "neutral" not in mood
            continue
        assert row["emotion"] in mood
        assert f"{100 * row['confidence']:.0f} %" in mood
        assert ("unsure" in mood) == (row["status"] == "unsure")
        assert f"or {row['runner_up']}" in said["soft"]
        assert ("seeds differ" in said["soft"]) == (row["disagreement"] > 0)
        assert ("unlike training" in said["soft"]) == bool(row["far_from_training"])
        assert ("no face is seen" in said["soft"]) == (row["visual_reason"] == "no_face")


def test_the_sentences_on_what_it_learned_and_what_is_forbidden_come_first(whole):
    first, second = facts()["notes"]
    assert whole.text.index(first) < whole.text.index(second) < whole.text.index("utterances of 2 speakers")


def test_what_decided_means_is_said(whole):
    assert (
        "at least 71 %: on validation 80 % of those were right, and 43 % of utterances had one" in whole.text
    )
    without = page(threshold=None, answered=0.0).text
    assert "Decided means" not in without
    assert "None is decided: on validation no probability was high enough for 80 % to be right" in without


@pytest.mark.parametrize("video", [True, False])
def test_the_player_opens_the_local_file_by_a_relative_path(video):
    made = page(media=Path("/project/calls/a b?#%é.mp4"), video=video)
    element = "video" if video else "audio"
    [(tag, source)] = [(tag, to) for tag, to in made.addresses if tag in ("audio", "video")]
    assert (tag, unquote(source)) == (element, "../../../calls/a b?#%é.mp4")
    assert not {"?", "#", " "} & set(source)
    assert made.wrong == []


def test_without_media_there_is_no_player(whole):
    assert [tag for tag, _ in whole.addresses] == ["a"]
    assert "no media file" in whole.text
    assert whole.data["manifest"]["clip"] == ""


def test_a_chat_goes_by_position():
    table = timeline(start_s=np.nan, end_s=np.nan)
    made = page(table)
    assert not made.data["timed"]
    assert set(made.data["start"]) == {None}
    assert [row["at"] for row in made.rows] == [str(at + 1) for at in range(len(table))]
    assert "By position" in made.text
    assert "Speaking time" not in made.text


def test_nothing_can_be_loaded_or_run_but_what_is_in_the_page():
    made = page(media="/project/call.wav")
    assert made.policy["default-src"] == "'none'"
    assert made.policy["media-src"] == "'self' file: blob:"
    assert all(not to.startswith(("http", "//", "data:", "javascript:")) for _, to in made.addresses)
    assert made.wrong == []


def test_hostile_names_labels_and_texts_command_nothing():
    payloads = pd.Series(hostile.PAYLOADS)
    labels = tuple(hostile.LABELS)
    table = timeline(len(payloads), labels, speaker=payloads, text=payloads)
    table["label"] = table["emotion"]
    known = facts(labels, media=f"/recordings/{hostile.PAYLOADS[0]}.mp4", transcript=hostile.PAYLOADS[1])
    known["recording"], known["language"], known["format"] = hostile.PAYLOADS[2], '"><script>', "<b>"
    known["notes"] = [hostile.PAYLOADS[4]]
    known["remarks"] = [{"kind": hostile.PAYLOADS[0], "count": 1, "detail": hostile.PAYLOADS[5]}]
    known["scaling"] = {"<b>": "<script>"}
    known["model"]["name"] = hostile.PAYLOADS[1]
    made = Page(recording_page(table, known, HERE))
    assert made.wrong == []
    assert [row["text"] for row in made.rows] == [visible(text.replace("\r", "\n")) for text in payloads]
    assert [tag for tag, _ in made.addresses] == ["a", "audio"]


def test_corrections_are_saved_without_formulas():
    payloads = pd.Series(hostile.PAYLOADS)
    table = timeline(len(payloads), tuple(hostile.LABELS), speaker=payloads, text=payloads)
    table["label"] = table["emotion"].where(table.index % 2 == 0)
    made = page(table, media="/project/=call.wav", recording="=1+1")
    manifest = made.data["manifest"]
    cells = {
        "speaker": [manifest["speaker"].get(str(at), row["who"]) for at, row in enumerate(made.rows)],
        "text": [manifest["text"].get(str(at), row["text"]) for at, row in enumerate(made.rows)],
        "label": [manifest["annotated"].get(str(at), "") for at in range(len(table))],
    }
    safe = csv_text(table[["speaker", "text", "label"]])
    expected = pd.read_csv(io.StringIO(safe), dtype=str, keep_default_na=False)
    assert cells == expected.to_dict("list")
    assert manifest["dialogue_id"] == "'=1+1"
    assert manifest["labels"] == [
        csv_text(pd.DataFrame({name: []})).strip().strip('"').replace('""', '"') for name in hostile.LABELS
    ]


def test_corrections_of_another_transcript_have_another_key(whole):
    assert page(timeline()).data["key"] == whole.data["key"]
    assert page(timeline(text="Something else.")).data["key"] != whole.data["key"]
    assert page(model={**facts()["model"], "name": "meld/text"}).data["key"] != whole.data["key"]


def test_what_was_not_heard_or_seen_is_counted(whole):
    table = timeline()
    faceless = int((table["visual_reason"] == "no_face").sum())
    assert f"visual , {faceless} utterances: no face is seen" in whole.text
    text_only = page(timeline(visual_reason="not_used", audio_reason="not_used"), model={**facts()["model"]})
    assert "the model does not read it" in text_only.text


def test_a_modality_that_is_nowhere_is_said_once():
    table = timeline()
    table["visual_reason"] = "not_used"
    made = page(table)
    assert "visual , all utterances: the model does not read it" in made.text
    assert not any("the model does not read it" in row.get("soft", "") for row in made.rows)


def test_many_speakers_share_the_last_lane_and_keep_their_names():
    names = [f"speaker {at % 40}" for at in range(90)]
    made = page(timeline(90, speaker=names))
    assert len(made.data["lanes"]) == 24
    assert made.data["lanes"][-1] == "others"
    assert max(made.data["lane"]) == 23
    assert [row["who"] for row in made.rows] == names


def test_annotated_rows_say_whether_they_agree_and_scores_are_shown():
    table = timeline()
    table["label"] = [LABELS[at % 7] for at in range(len(table))]
    made = page(table, scores={"utterances": 20, "accuracy": 0.5, "weighted_f1": None})
    assert "Against the 20 annotated utterances: accuracy 50.0, weighted F1 – (× 100)" in made.text
    for row, said in zip(table.to_dict("records"), made.rows, strict=True):
        agrees = "as annotated" if row["label"] == row["emotion"] else f"annotated as {row['label']}"
        assert agrees in said["soft"]


def test_remarks_of_the_transcript_are_shown(whole):
    assert "overlap (3): Turns that begin before another has ended." in whole.text
    assert "Ann and Bob speak at once at 0:03 and 0:12." in whole.text
    assert "Nothing was odd." in page(remarks=[]).text


def test_a_page_needs_no_fact_but_its_timeline():
    made = Page(recording_page(timeline(), {}, HERE))
    assert made.wrong == []
    assert len(made.rows) == 20
