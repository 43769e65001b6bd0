"""A page as a browser reads it: its elements, texts and data, and what is wrong with it."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

from tests import hostile

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff]")
_VOID = ("meta", "input", "br")
_EXPECTED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "div", "p", "h1", "h2"),
    *("ul", "ol", "li", "dl", "dt", "dd", "bdi", "span", "i", "strong", "kbd", "label", "select", "option"),
    *(
        "button",
        "input",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "a",
        "br",
        "canvas",
    ),
    *("audio", "video", "noscript", "script"),
}


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        data: what its script is given, or None.
        policy: the directives of its content security policy.
        rows: the transcript's rows, each with the texts of its elements by their class.
        wrong: elements and attributes that no template of ours makes, and other violations.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.addresses: list[tuple[str, str]] = []
        self.rows: list[dict[str, str]] = []
        self.wrong = [f"control character {found[0]!r}" for found in _HIDDEN.finditer(html)]
        self.policy: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self._blocks: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        self.wrong += [f"{tag} is not closed" for tag, _ in self._open]
        self.data = next((json.loads(text) for tag, text in self._blocks if tag == "data"), None)
        for tag in ("script", "style"):
            sources = [text for name, text in self._blocks if name == tag]
            digests = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in sources}
            if self.policy.get(f"{tag}-src") != " ".join(f"'sha256-{one}'" for one in digests):
                self.wrong.append(f"the policy does not name the page's own {tag}, and it alone")

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag not in _EXPECTED:
            self.wrong.append(f"element {tag}")
        for name, value in attributes:
            if name.startswith("on") or name == "style" or hostile.MARK in name:
                self.wrong.append(f"attribute {name}={value!r:.80} of {tag}")
            if name in ("href", "src", "action", "srcset", "poster", "data"):
                self.addresses.append((tag, value or ""))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(part.strip().split(" ", 1) for part in str(given["content"]).split(";"))
        if tag == "li" and "row" in (given.get("class") or "").split():
            self.rows.append({})
        if tag not in _VOID:
            self._open.append((tag, given.get("id") or given.get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop()[0] != tag:
            self.wrong.append(f"{tag} is closed but was not open")

    def handle_data(self, text: str) -> None:
        tag, name = self._open[-1] if self._open else ("", "")
        if tag in ("script", "style"):
            self._blocks.append(("data" if name == "data" else tag, text))
            return
        self.texts.append(text)
        if self.rows and ("ol", "rows") in self._open:
            for _, inside in self._open[-3:]:
                if inside in ("at", "who", "text", "mood", "soft"):
                    self.rows[-1][inside] = self.rows[-1].get(inside, "") + text
