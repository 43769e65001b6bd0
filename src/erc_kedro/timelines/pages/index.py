"""The page over all recordings: what was scored, how sure it is, what failed and why."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from erc_kedro.escaping import line
from erc_kedro.timelines.pages.look import LONGEST, clock, looks, percent
from erc_kedro.timelines.pages.page import model_facts, parts, template
from erc_kedro.timelines.pages.summaries import COUNTS, reason


def index_page(recordings: Sequence[Mapping[str, Any]]) -> str:
    """The page as HTML, with style and script inside it.

    Args:
        recordings: of each the facts that its own page has, and ``page``, its path from the index, or None;
            ``error``, its ``reason`` and ``detail``, or None; ``emotions``, as ``summaries.shares`` returns
            them, where it was scored. One that failed needs no more than ``recording`` and ``error``.
    """
    scored = [one for one in recordings if not one.get("error")]
    failed = [one for one in recordings if one.get("error")]
    model = model_facts(next((one for one in recordings if one.get("model")), {}))
    labels = list(model["labels"] or [])
    shown = [
        {"name": line(label, LONGEST), **look} for label, look in zip(labels, looks(labels), strict=True)
    ]
    rows = [_row(one, dict(zip(labels, shown, strict=True))) for one in scored]
    return template("index.html.jinja").render(
        **parts(("index.js",)),
        model=model,
        notes=_shared_notes(scored),
        labels=shown,
        rows=rows,
        totals={
            "seconds": sum(row["seconds"] or 0 for row in rows),
            **{name: sum(row[name] for row in rows) for name in COUNTS},
        },
        failed=[
            {
                "name": one.get("recording") or "",
                "media": one.get("media") or one.get("transcript") or "",
                "reason": reason(str(one["error"].get("reason") or "unknown")),
                "detail": one["error"].get("detail") or "",
            }
            for one in failed
        ],
        clock=clock,
        percent=percent,
    )


def _row(facts: Mapping[str, Any], look_of: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    counts = facts.get("counts") or {}
    emotions = facts.get("emotions") or {}
    bar = [
        {"look": look, "unsure": status == "unsure", "share": share}
        for status in ("decided", "unsure")
        for label, look in look_of.items()
        if (share := (emotions.get(status) or {}).get(label))
    ]
    page = facts.get("page")
    return {
        "name": facts.get("recording") or "",
        # Begun so that no name is another machine's.
        "page": "./" + quote(str(page).replace("\\", "/"), errors="surrogateescape") if page else None,
        "seconds": facts.get("seconds"),
        "speakers": list(facts.get("speakers") or []),
        "bar": bar,
        "nothing": emotions.get("empty") or 0.0,
        "remarks": list(facts.get("remarks") or []),
        **{name: int(counts.get(name) or 0) for name in COUNTS},
    }


def _shared_notes(recordings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The sentences that stand on every recording's page, in their order."""
    notes = [list(one.get("notes") or []) for one in recordings]
    return [note for note in notes[0] if all(note in others for others in notes[1:])] if notes else []
