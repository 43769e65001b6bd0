"""A folder of recordings is scored once, whatever is wrong with some, and forgotten on demand."""

import json
import shutil
import sqlite3

import pandas as pd
import pytest

from erc_kedro import recordings, scoring
from erc_kedro.errors import PlainError
from erc_kedro.extractors import text
from erc_kedro.extractors.base import UnreachableError
from erc_kedro.timelines import forgetting, scored
from tests.defaults import ScoreParameters
from tests.scoring.conftest import train

ASKED = ScoreParameters(accuracy=0.4)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return scoring.load(train(tmp_path_factory.mktemp("trained"), 12).bundle)


@pytest.fixture
def calls(tmp_path):
    """Three chats, of which one is no text."""
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "first.txt").write_text("Ada: i love it\nBen: oh no\nAda: what is this\n")
    (folder / "second.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ada>i hate you\n")
    (folder / "broken.json").write_text('{"segments": [')
    return folder


def run(calls, model, tmp_path, parameters=ASKED):
    out = tmp_path / "out"
    done = scored.score_all(
        recordings.find(str(calls), parameters), model, parameters, out, tmp_path / "cache"
    )
    scored.write_index(done, out)
    return {one.facts["recording"]: one for one in done}, out


def test_what_is_broken_is_listed_and_stops_nothing(calls, model, tmp_path):
    done, out = run(calls, model, tmp_path)
    assert {name for name, one in done.items() if one.folder is None} == {"broken"}
    assert done["broken"].facts["error"]["reason"]
    assert set(pd.read_parquet(out / "first" / scored.TIMELINE)["recording"]) == {"first"}
    index = pd.read_csv(out / "index.csv", dtype=str).set_index("recording")
    # A count stays whole where another recording has none.
    assert index.loc["first", "utterances"] == "3"
    assert index.loc["broken", "reason"] == done["broken"].facts["error"]["reason"]
    page = (out / "index.html").read_text()
    assert "first/page.html" in page
    assert "broken" in page
    total = scored.totals(list(done.values()))
    assert (total["recordings"], total["failed"], total["utterances"]) == (3, 1, 4)


def test_what_failed_stays_listed_until_it_is_scored(calls, model, tmp_path):
    run(calls, model, tmp_path)
    _, out = run(calls / "second.vtt", model, tmp_path)
    index = pd.read_parquet(out / scored.INDEX).set_index("recording")
    assert sorted(index.index) == ["broken", "first", "second"]
    assert index.at["broken", "reason"]
    assert "broken" in (out / "index.html").read_text()
    (calls / "broken.json").write_text('{"segments": [{"text": "oh no", "start": 0, "end": 1}]}')
    run(calls, model, tmp_path)
    index = pd.read_parquet(out / scored.INDEX).set_index("recording")
    assert sorted(index.index) == ["broken", "first", "second"]
    assert index.at["broken", "reason"] == ""


def test_what_is_done_and_unchanged_is_not_done_again(calls, model, tmp_path, monkeypatch):
    before, out = run(calls, model, tmp_path)
    asked = []
    real = text.extract

    def counted(utterances, *args):
        asked.extend(utterances["dialogue_id"].unique())
        return real(utterances, *args)

    monkeypatch.setattr(text, "extract", counted)
    stamp = (out / "first" / scored.FACTS).stat().st_mtime_ns
    again, _ = run(calls, model, tmp_path)
    assert asked == []
    assert not any(one.new for one in again.values())
    assert (out / "first" / scored.FACTS).stat().st_mtime_ns == stamp
    (calls / "second.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ada>i love you\n")
    run(calls, model, tmp_path)
    assert asked == ["second"]
    # Another accuracy decides otherwise.
    run(calls, model, tmp_path, ScoreParameters(accuracy=0.9))
    assert sorted(asked) == ["first", "second", "second"]
    assert before["first"].facts["accuracy"] == 0.4


def test_one_that_makes_an_extractor_fail_fails_alone(calls, model, tmp_path, monkeypatch):
    real = text.extract

    def choosy(utterances, *args):
        if "second" in set(utterances["dialogue_id"]):
            raise ValueError("not this one")
        return real(utterances, *args)

    monkeypatch.setattr(text, "extract", choosy)
    done, _ = run(calls, model, tmp_path)
    assert done["first"].folder is not None
    assert done["second"].facts["error"] == {"reason": "failed", "detail": "ValueError: not this one"}


def test_workers_that_nobody_reaches_end_the_run_and_blame_no_recording(calls, model, tmp_path, monkeypatch):
    asked = []

    def unreachable(*given):
        asked.append(given)
        raise UnreachableError("runner.address: no Dask scheduler answers")

    monkeypatch.setattr(text, "extract", unreachable)
    with pytest.raises(PlainError, match=r"runner\.address"):
        run(calls, model, tmp_path)
    assert len(asked) == 1


@pytest.mark.parametrize("keep", ["nothing", "features", "all"])
def test_what_is_derived_is_kept_as_far_as_asked(keep, calls, model, tmp_path):
    _, out = run(calls, model, tmp_path, ScoreParameters(accuracy=0.4, keep=keep))
    assert (tmp_path / "cache").exists() == (keep != "nothing")
    assert (out / "first" / "features_text.parquet").exists() == (keep == "all")


def test_a_forgotten_recording_leaves_nothing(calls, model, tmp_path):
    _, out = run(calls, model, tmp_path)
    folder = tmp_path / "all"
    folder.mkdir()
    shutil.move(out, folder / "model")
    removed = forgetting.forget("first", folder, tmp_path / "cache")
    assert any("entries" in one for one in removed)
    # Not even the name of its lock.
    assert not [path for path in folder.rglob("*") if "first" in path.name]
    assert (folder / "model" / "second").exists()
    assert "first/page.html" not in (folder / "model" / "index.html").read_text()
    with sqlite3.connect(tmp_path / "cache" / "features.sqlite") as store:
        assert store.execute("SELECT count(*) FROM results").fetchone() == (1,)
    assert forgetting.forget("first", folder, tmp_path / "cache") == []
    # Those which failed are named on the index, and nowhere else.
    assert forgetting.names(folder) == ["broken", "second"]
    assert len(forgetting.forget("broken", folder, tmp_path / "cache")) == 1
    assert "broken" not in (folder / "model" / "index.html").read_text()
    forgetting.forget("second", folder, tmp_path / "cache")
    assert forgetting.names(folder) == []
    assert list(pd.read_csv(folder / "model" / "index.csv")["recording"]) == []


def test_what_killed_runs_left_of_a_recording_is_neither_listed_nor_kept(calls, model, tmp_path):
    _, out = run(calls, model, tmp_path)
    left = out / ".first.0a1b2c3d-99-0.part"
    shutil.copytree(out / "first", left)
    scored.write_index([], out)
    assert sorted(pd.read_parquet(out / "index.parquet")["recording"]) == ["broken", "first", "second"]
    assert forgetting.names(out.parent) == ["broken", "first", "second"]
    forgetting.forget("first", out.parent, tmp_path / "cache")
    assert not left.exists()


def test_a_recording_that_has_two_names_is_not_half_forgotten_in_silence(calls, model, tmp_path, caplog):
    """Beside another of its name it is called by its folder, too."""
    (calls / "sub").mkdir()
    (calls / "sub" / "first.txt").write_text("Ada: yes\nBen: no\n")
    run(calls, model, tmp_path)
    _, out = run(calls / "first.txt", model, tmp_path)
    forgetting.forget("second", out.parent, tmp_path / "cache")
    assert "too; --params" not in caplog.text
    forgetting.forget("first", out.parent, tmp_path / "cache")
    assert "the same recording was scored as calls_first, too" in caplog.text


def cached(tmp_path):
    with sqlite3.connect(tmp_path / "cache" / "features.sqlite") as store:
        return store.execute("SELECT count(*) FROM results").fetchone()[0]


def test_what_an_earlier_transcript_left_in_the_cache_is_forgotten_too(calls, model, tmp_path):
    run(calls, model, tmp_path)
    (calls / "first.txt").write_text("Ada: yes yes\nBen: no no\n")
    _, out = run(calls, model, tmp_path)
    assert cached(tmp_path) == 6
    forgetting.forget("first", out.parent, tmp_path / "cache")
    # That of the second recording.
    assert cached(tmp_path) == 1


def test_keeping_nothing_empties_the_cache_of_what_was_kept_before(calls, model, tmp_path):
    run(calls, model, tmp_path)
    assert cached(tmp_path) == 4
    run(calls, model, tmp_path, ScoreParameters(accuracy=0.4, keep="nothing"))
    assert cached(tmp_path) == 0


@pytest.mark.parametrize("damage", ["[]", "{}", "{", None])
def test_results_that_were_damaged_are_made_anew(damage, calls, model, tmp_path):
    _, out = run(calls, model, tmp_path)
    if damage is None:
        (out / "first" / "page.html").unlink()
    else:
        (out / "first" / scored.FACTS).write_text(damage)
    done, _ = run(calls, model, tmp_path)
    assert {name for name, one in done.items() if one.new} == {"first"}
    assert (out / "first" / "page.html").exists()
    assert json.loads((out / "first" / scored.FACTS).read_text())["recording"] == "first"


def test_what_cannot_be_written_is_said_before_anything_is_scored(calls, model, tmp_path, monkeypatch):
    monkeypatch.setattr(scored, "_scored", lambda *asked: pytest.fail("it began"))
    (tmp_path / "out").write_text("a file, where the results are to be")
    with pytest.raises(PlainError, match="out cannot be written"):
        run(calls, model, tmp_path)


def test_names_of_any_writing_and_length_have_a_folder(calls, model, tmp_path):
    rows = [f"{name},first.txt" for name in ("漢" * 90, "𝒜" * 80, "x" * 300, "../../evil", "Gespräch 1 😀")]
    (calls / "list.csv").write_text("\n".join(["name,transcript", *rows, ""]))
    done, out = run(calls / "list.csv", model, tmp_path)
    assert len(done) == 5
    assert all((out / name / scored.PAGE).exists() for name in done)
    assert {"evil", "Gespräch_1"} < done.keys()


def test_labels_of_a_transcript_say_how_right_the_model_is(calls, model, tmp_path):
    label = model.labels[0]
    rows = [f"{at},{at + 1},Ada,i love it,{label if at else ''}" for at in range(3)]
    (calls / "third.csv").write_text("start,end,speaker,text,label\n" + "\n".join(rows) + "\n")
    done, _ = run(calls, model, tmp_path)
    scores = done["third"].facts["scores"]
    timeline = pd.read_parquet(done["third"].folder / scored.TIMELINE)
    assert scores["utterances"] == 2
    assert scores["accuracy"] == (timeline["emotion"][1:] == label).mean()
    assert scored.totals(list(done.values()))["labelled"] == 2
    assert done["first"].facts["scores"] is None


def test_labels_that_the_model_does_not_know_are_said_and_count_in_nothing(calls, model, tmp_path):
    label = model.labels[0]
    rows = [f"{at},{at + 1},Ada,i love it,{one}" for at, one in enumerate([label, "bored", "bored"])]
    (calls / "third.csv").write_text("start,end,speaker,text,label\n" + "\n".join(rows) + "\n")
    done, _ = run(calls, model, tmp_path)
    [remark] = [one for one in done["third"].facts["remarks"] if one["kind"] == "unknown_label"]
    assert remark["count"] == 2
    assert "bored" in remark["detail"]
    assert done["third"].facts["scores"]["utterances"] == 1
    mapped, _ = run(calls, model, tmp_path, ScoreParameters(accuracy=0.4, labels={"bored": label}))
    assert mapped["third"].facts["scores"]["utterances"] == 3


def test_a_recording_of_the_same_name_is_not_replaced_in_silence(calls, model, tmp_path, caplog):
    run(calls, model, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "first.txt").write_text("Ada: yes\nBen: no\n")
    run(other, model, tmp_path)
    assert "replaces the results of another recording" in caplog.text


def test_facts_are_whole_and_say_what_the_pages_show(calls, model, tmp_path):
    _, out = run(calls, model, tmp_path)
    facts = json.loads((out / "first" / scored.FACTS).read_text())
    assert facts["counts"]["utterances"] == 3
    assert facts["model"]["labels"] == model.labels
    assert any("2024/1689" in note for note in facts["notes"])


@pytest.mark.parametrize(
    ("language", "other"), [("de", True), ("en-GB", False), ("eng", False), ("EN_us", False)]
)
def test_another_language_than_training_s_is_said(language, other, calls, model, tmp_path):
    asked = ScoreParameters(accuracy=0.4, language=language)
    done, _ = run(calls, model, tmp_path, asked)
    assert any("another language" in note for note in done["first"].facts["notes"]) == other
