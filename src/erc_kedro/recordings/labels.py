"""A transcript's labels in the model's words."""

from pathlib import Path

import yaml

from erc_kedro.recordings.base import RecordingError

_MOST_BYTES = 1 << 20


def mapping(labels: dict[str, str] | str) -> dict[str, str]:
    """The mapping of ``score.labels``, read if it is the path of a YAML file.

    Raises:
        RecordingError: the file is not there, or holds no mapping of texts to texts.
    """
    if isinstance(labels, dict):
        return labels
    path = Path(labels).expanduser()
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RecordingError("labels", f"score.labels: {path} is larger than a mapping of labels is")
        found = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise RecordingError("labels", f"score.labels: {path} cannot be read ({error})") from error
    plain = isinstance(found, dict) and all(isinstance(word, str) for pair in found.items() for word in pair)
    if not plain:
        raise RecordingError(
            "labels", f"score.labels: {path} has to hold lines such as `happy: joy`; quote what is no text"
        )
    return dict(found)


def mapped(label: str | None, words: dict[str, str]) -> str | None:
    """A label in the model's words; as it is where the mapping does not have it, in any case."""
    if label is None or label in words:
        return None if label is None else words[label]
    return {word.casefold(): to for word, to in words.items()}.get(label.casefold(), label)
