"""The page over all recordings loses none, and says of each that failed why."""

import pytest

from erc_kedro.timelines.pages import index_page, shares
from tests import hostile
from tests.timelines.pages.read import Page
from tests.timelines.pages.timelines import facts, timeline


def scored(name="call", **others):
    return {
        **facts(recording=name, emotions=shares(timeline()), page=f"{name}/page.html", error=None),
        **others,
    }


def failed(name="broken", reason="no_audio", detail="There is no sound in it."):
    return {"recording": name, "page": None, "error": {"reason": reason, "detail": detail}}


def test_scored_and_failed_recordings_are_counted_and_named():
    made = Page(index_page([scored("one", seconds=60.0), failed(), scored("two", seconds=30.0)]))
    assert made.wrong == []
    assert [to for tag, to in made.addresses if tag == "a"] == [
        "#failed",
        "./one/page.html",
        "./two/page.html",
    ]
    assert (
        "2 recordings scored , 1:30.0 in all; 40 utterances, of which 14 unsure and 12 unlike"
        in made.text.replace("scored,", "scored ,")
    )
    assert "broken the file has no sound There is no sound in it." in made.text


def test_notes_that_all_recordings_share_stand_on_top():
    law, own = facts()["notes"][1], "This one is in German."
    made = Page(index_page([scored("one"), scored("two", notes=[law, own])]))
    assert law in made.text
    assert own not in made.text
    assert facts()["notes"][0] not in made.text


def test_nothing_scored_is_said():
    made = Page(index_page([failed()]))
    assert made.wrong == []
    assert "No recording was scored." in made.text
    assert Page(index_page([])).wrong == []


@pytest.mark.parametrize("payload", hostile.PAYLOADS)
def test_hostile_names_and_reasons_command_nothing(payload):
    one = scored(payload, transcript=payload, speakers=[payload])
    one["model"] = {**one["model"], "labels": [payload], "name": payload}
    made = Page(index_page([one, failed(payload, payload, payload)]))
    assert made.wrong == []
    assert all(to.startswith(("./", "#")) for _, to in made.addresses)
