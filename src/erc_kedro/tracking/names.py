"""What MLflow calls metrics and parameters, and what a run says of where it came from."""

import hashlib
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What follows the name of a mean in that of its deviation over seeds.
DEVIATION = ".std"
NAME_LENGTH = 250 - len(DEVIATION)
# Characters other than letters, digits and _-. /; what would read as an escape or a deviation; and slashes
# and full stops by which MLflow, which takes names for paths, would find two names in one place.
_NOT_ACCEPTED = re.compile(r"[^\w\-. /]|-(?=u[0-9A-F])|\.(?=std\Z)|/(?=\.{0,2}(?:/|\Z))|\A/|\A\.(?=\.|/|\Z)")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if hasattr(value, "model_dump"):
            value = value.model_dump(mode="json")
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def git_revision(folder: Path) -> str:
    """The commit of a checkout, with ``+changes`` where files differ from it; ``unknown`` elsewhere."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
            timeout=10,
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def logged_name(key: str) -> str:
    """The name under which MLflow keeps a metric or parameter; no two keys share one.

    Most keys are their own names. What MLflow does not accept is written ``-uHEX-`` after its code point, as
    are a hyphen that would look like the start of that and a full stop before a last ``std``. What is too
    long is cut, and ends with ``-u`` and a hash.
    """
    name = _NOT_ACCEPTED.sub(lambda match: f"-u{ord(match[0]):X}-", key)
    if len(name) <= NAME_LENGTH:
        return name
    digest = hashlib.sha256(key.encode()).hexdigest()[:16].upper()
    return f"{name[: NAME_LENGTH - 18]}-u{digest}"
