"""What both pages share: templates, data within a page, addresses, and what a browser may do with it."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from erc_kedro import templates

template = partial(templates.template, "erc_kedro.timelines.pages")


def parts(scripts: Sequence[str]) -> dict[str, Markup]:
    """The page's ``style``, its ``script``, and the ``policy`` that lets a browser run these two alone.

    Nothing is fetched but the media file beside the page, or one that somebody chooses; whatever else would
    run or load anything is refused by the browser, even if it got past escaping.
    """
    style, script = _file("style.css"), "\n".join(map(_file, scripts))
    policy = (
        "default-src 'none'; "
        f"script-src {_digest(script)}; style-src {_digest(style)}; media-src 'self' file: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}


@cache
def _file(name: str) -> str:
    return (resources.files("erc_kedro.timelines.pages") / "templates" / name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def model_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the model; None is what is not."""
    known = dict.fromkeys(("name", "labels", "modalities", "seeds", "validation"))
    return {**known, **(facts.get("model") or {})}


def inline(data: Any) -> Markup:
    """Data as JSON that may stand in a page: a "<" in a text could otherwise close the script around it."""
    # In ASCII, so that no character is there that nobody sees.
    return Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c"))


def address(path: Path | str, folder: Path) -> str:
    """A file's address for a page in that folder: relative, unless it lies on another drive."""
    # Symbolic links stay: a browser follows the path as it is written.
    path, start = os.path.abspath(path), os.path.abspath(folder)
    try:
        relative = os.path.relpath(path, start)
    except ValueError:
        return Path(path).as_uri()
    return quote(Path(relative).as_posix(), errors="surrogateescape")
