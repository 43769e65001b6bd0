"""A small corpus in the form that users bring, as hostile as can be; and what to look for in what is written.

Nothing of it is anybody's: names, sentences and files are made here, from a seed.
"""

import csv
import io
import json
import os
import re
import unicodedata
import wave
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd

# Everything that would be opened, run, followed or obeyed names this.
MARK = "PWNED"

PAYLOADS = (
    # HTML and JavaScript.
    f"<script>document.title='{MARK}'</script>",
    f"<img src=x onerror=\"document.title='{MARK}'\">",
    f"</script></title></textarea><svg/onload=document.title='{MARK}'>",
    f"{{{{7*7}}}}{{% import os %}}${{{MARK}}}%{{x}}",
    f"<a href='javascript:document.title=`{MARK}`'>here</a>",
    # Markdown.
    f"[here](http://evil.example/{MARK}) ![it](http://evil.example/{MARK}.png)",
    f"http://evil.example/{MARK} www.evil.example {MARK}@evil.example <http://evil.example>",
    f"# {MARK}\n\n| a | b |\n|---|---|\n```\n- [ ] {MARK}\n[x]: http://evil.example",
    f"`{MARK}` ``` | pipe \\| **bold** __bold__ ~~gone~~ $x$",
    # Spreadsheets.
    f'=HYPERLINK("http://evil.example/{MARK}";"here")',
    f"=cmd|' /C {MARK}'!A0",
    f"+1+{MARK}",
    f"-2+3+{MARK}",
    f"@SUM({MARK})",
    f"\t={MARK}",
    f"\r={MARK}",
    f"＝1+{MARK}",
    f" \ufeff=1+{MARK}",
    # LaTeX.
    rf"\input{{/etc/passwd}} \immediate\write18{{{MARK}}} \catcode`\%=12",
    rf"}}\end{{tabular}} & # _ ^ ~ % $ {{ \\ \def\toprule{{{MARK}}}",
    "[-1cm] *[9cm]",
    # Terminals and the direction of writing.
    f"\x1b[31m{MARK}\x1b[2J\x1b]0;{MARK}\x07\x9b31m",
    f"a\0b\x08\x7f{MARK}",
    f"\u202etxt.{MARK}\u202c\u2066x\u2069\u2028y",
    # Scripts, signs and forms.
    "😀👩‍👩‍👧 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "שלום عالم",
    "你好 привет ŋ «ß» ½",
    "Zoe\u0308",
    "  spaces at both ends  ",
    "quote \" and ' and “ and ;,",
    "l" * 10_000,
    # Paths, and words that are something else to some program.
    "../../../" + MARK,
    "/etc/" + MARK,
    "..\\..\\" + MARK,
    "CON",
    "1e5",
    "true",
    "-0.5",
    "0x10",
    "undefined",
)
# As labels, of which there must be few: one of each kind.
LABELS = (
    *(PAYLOADS[at] for at in (1, 5, 9, 18, 21, 30, 36)),
    "<b>=1|`[x](y)\\%&_\u202e\x1b[1m</b>",
)


def corpus(folder: Path, url: str, seed: int = 0) -> Path:
    """Writes the corpus and returns its manifest.

    Args:
        folder: an empty folder.
        url: of a server that must not be asked.
    """
    draw = np.random.default_rng(seed)
    media = [*_sounds(folder / "media", draw), *_broken(folder / "media", url)]
    names = [str(path.relative_to(folder)) for path in media]
    names += [
        "a\0b.wav",
        "x" * 5000,
        "y/" * 2000,
        "../../../etc/passwd",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/mem",
    ]
    names += [
        url,
        f"concat:{names[0]}|{names[1]}",
        "-i",
        "%03d.wav",
        "pipe:0",
        f"{MARK}\x1b[2J\u202e.wav",
        "media",
    ]
    rows = []
    for number in range(40):
        dialogue = f"{PAYLOADS[number]} {number}"
        for position in range(3):
            payload = PAYLOADS[int(draw.integers(len(PAYLOADS)))]
            label = int(draw.integers(len(LABELS)))
            rows.append(
                {
                    "dialogue_id": dialogue,
                    "position": position,
                    "utterance_id": f"{PAYLOADS[(number + position) % len(PAYLOADS)]} {number} {position}",
                    "speaker": PAYLOADS[(7 * number + position) % len(PAYLOADS)],
                    "text": f"{payload} {label} said so",
                    "label": ["nan", "null", LABELS[label]][2 if number % 13 else position],
                    "split": ("train", "train", "val", "test")[number % 4],
                    "group": PAYLOADS[(7 * number + position) % len(PAYLOADS)],
                    f"{PAYLOADS[5]} \x1b": 1,
                }
            )
    table = pd.DataFrame(rows)
    table["wav"] = [names[at] if at < len(names) else None for at in range(len(table))]
    # Some are the picture of something, too, and the whole ones are heard in every split.
    table["clip"] = [names[at - 60] if 60 <= at < 60 + len(names) else None for at in range(len(table))]
    table.to_parquet(folder / "hostile.parquet")
    return folder / "hostile.parquet"


def _sounds(folder: Path, draw: np.random.Generator) -> list[Path]:
    """Sounds in which there is something, under names that are something else to other programs."""
    folder.mkdir(parents=True)
    paths = []
    for number, payload in enumerate(
        ("-vn", "$(touch PWNED)", "%d", "a;b&c", "\x1b[31m", "=1+1", "<b>", "[x](y)") * 3
    ):
        path = folder / f"{payload.replace('/', '_')} {number}.wav"
        sound = 0.3 * np.sin(np.arange(6400) * 2 * np.pi * (100 + 15 * number) / 16_000)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(((sound + draw.normal(0, 0.01, 6400)) * 32767).astype("<i2").tobytes())
        paths.append(path)
    return paths


def _broken(folder: Path, url: str) -> list[Path]:
    """What is called media and is none, or is more than it seems."""
    whole = (folder / "=1+1 5.wav").read_bytes()
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}/{MARK}.ts\n#EXT-X-ENDLIST\n"
    contents = {
        "empty.wav": b"",
        "cut.wav": whole[:200],
        "huge.wav": whole[:40] + (0x7FFFFFF0).to_bytes(4, "little") + whole[44:3000],
        "one_hertz.wav": whole[:24] + (1).to_bytes(4, "little") + whole[28:],
        "eight.wav": whole[:22] + (8).to_bytes(2, "little") + whole[24:],
        "zeros.wav": whole + bytes(1_000_000),
        "list.m3u8": playlist.encode(),
        "list.wav": playlist.encode(),
        "concat.mp4": f"ffconcat version 1.0\nfile '{url}/{MARK}.mp4'\nfile /etc/passwd\n".encode(),
        "sdp.mp4": f"v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\na=control:{url}\n".encode(),
        "svg.mp4": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}/{MARK}.png"/></svg>'.encode(),
        "noise.mp4": np.random.default_rng(1).bytes(20_000),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "zip.wav", "w") as archive:
        archive.writestr("../../../PWNED", MARK)
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    os.symlink("loop.wav", folder / "loop.wav")
    os.symlink("/dev/zero", folder / "device.wav")
    os.symlink("/etc/passwd", folder / "passwd.wav")
    special = ("zip.wav", "folder.wav", "pipe.wav", "loop.wav", "device.wav", "passwd.wav")
    return [folder / name for name in (*contents, *special)]


# What goes out.

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff]")
_COMMANDS = {
    *("begin", "end", "caption", "label", "small", "setlength", "tabcolsep", "expandafter", "providecommand"),
    *("csname", "endcsname", "hline", "toprule", "midrule", "bottomrule", "textbackslash", "textasciicircum"),
    *("textasciitilde", "textless", "textgreater", "pm", "times", "ifdefined", "Uchar", "else", "fi"),
}


def violations(path: Path, own: str = "") -> list[str]:
    """What is wrong with a written file: elements, links, formulas and commands that data made.

    Args:
        own: what a page holds of other people's code, which is not looked at.
    """
    text = path.read_bytes().decode("utf-8").replace(own, "") if own else path.read_bytes().decode("utf-8")
    found = [f"control character {match[0]!r} at {match.start()}" for match in _HIDDEN.finditer(text)][:3]
    check = {".html": _in_html, ".md": _in_markdown, ".csv": _in_csv, ".tex": _in_latex, ".json": _in_json}
    return [f"{path}: {what}" for what in [*found, *check[path.suffix](text)]]


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("img", "iframe", "object", "embed", "svg", "base", "link", "form", "b", "meta"):
            named = dict(attributes)
            if not (
                tag == "meta" and set(named) <= {"charset", "name", "content"} and "http-equiv" not in named
            ):
                self.found.append(f"element {tag}")
        for name, value in attributes:
            address = name in ("href", "src", "action") and not (value or "").startswith("#")
            if name.startswith("on") or address or MARK in name:
                self.found.append(f"attribute {name}={value!r:.80} of {tag}")


def _in_html(text: str) -> Iterator[str]:
    elements = _Elements()
    elements.feed(text)
    yield from elements.found


def _in_markdown(text: str) -> Iterator[str]:
    from markdown_it import MarkdownIt

    forbidden = ("link_open", "image", "html_inline", "html_block", "s_open", "fence")
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text):
        for one in (token, *(token.children or ())):
            if one.type in forbidden:
                yield f"{one.type} {one.content!r:.80}"
    # What GitHub would make a link of.
    for match in re.finditer(r"\bhttps?://|\bwww\.|\w@\w", re.sub(r"`[^`\n]*`", "", text)):
        yield f"an address at {match.start()}: {text[match.start() : match.start() + 40]!r}"


def _in_csv(text: str) -> Iterator[str]:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if len({len(row) for row in rows}) > 1:
        yield "rows of different widths"
    for cell in (cell for row in rows for cell in row):
        seen = "".join(c for c in cell if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
        first = unicodedata.normalize("NFKC", seen[:1])[:1]
        number = re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", cell, re.I)
        if (first in ("=", "+", "-", "@") or cell[:1] in ("\t", "\r", "\n")) and not number:
            yield f"a formula {cell!r:.80}"


def _in_latex(text: str) -> Iterator[str]:
    for command in sorted(set(re.findall(r"\\([A-Za-z@]+)", text)) - _COMMANDS):
        yield f"command \\{command}"
    if text.count(r"\begin{tabular}") != 1 or text.count(r"\end{tabular}") != 1:
        yield "several tables, or none"
    for row in re.findall(r"\\(?:top|mid)rule\n(.*?)\n\\(?:mid|bottom)rule", text, re.S):
        widths = {len(re.findall(r"(?<!\\)&", line)) for line in row.split("\n")}
        if len(widths) > 1:
            yield f"rows of different widths {widths}"
    if re.search(r"(?<!\\)[%#]|\\\\\n\s*[\[*]|\^\^", text):
        yield "a comment, a parameter or an option of a row's end"


def _in_json(text: str) -> Iterator[str]:
    json.loads(text)
    yield from ()
