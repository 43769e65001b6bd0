"""Which labels of several corpora mean the same: a file that says where it has that from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from erc_kedro.errors import PlainError
from erc_kedro.escaping import line
from erc_kedro.sentences import few


class LabelMapError(PlainError, ValueError):
    """A map of labels that cannot be used; the message names the file and the label."""


@dataclass(frozen=True)
class LabelMap:
    """What the labels of some corpora are in shared words.

    Attributes:
        path: of the file.
        source: where the mapping comes from, in the file's own words.
        labels: corpus to its label to the shared one; None for a label that is left out.
    """

    path: str
    source: str
    labels: Mapping[str, Mapping[str, str | None]]

    def of(self, corpus: str, labels: Sequence[str]) -> dict[str, str | None]:
        """A corpus's labels, each in the shared words.

        Args:
            labels: the closed set that the corpus has.

        Raises:
            LabelMapError: the file lacks the corpus or one of its labels, or has one that the corpus lacks.
        """
        where = f"{self.path}: labels.{corpus}"
        if corpus not in self.labels:
            raise LabelMapError(f"{where} is not there; the file has {few(self.labels)}")
        words = self.labels[corpus]
        missing = [label for label in labels if label not in words]
        if missing:
            raise LabelMapError(
                f"{where} lacks {few(missing)}; write `{line(missing[0], 40)}: SHARED`, or "
                f"`{line(missing[0], 40)}: null` to leave it out"
            )
        unknown = [label for label in words if label not in labels]
        if unknown:
            raise LabelMapError(
                f"{where} has {few(unknown)}, but the labels of {corpus} are {few(labels, 20)}"
            )
        return {label: words[label] for label in labels}

    def classes(self, target: Sequence[str], to: str, sources: Iterable[str]) -> list[str]:
        """The shared labels, in the order of the target's own.

        Args:
            target: the target's labels; to: its name; sources: the names of the corpora learned from.

        Raises:
            LabelMapError: only the target or only the sources have one, or there are not two.
        """
        own = self.of(to, target)
        known = list(dict.fromkeys(shared for shared in own.values() if shared is not None))
        taught = {shared for name in sources for shared in self.labels[name].values() if shared is not None}
        for shared in known:
            if shared not in taught:
                raise LabelMapError(
                    f"{self.path}: {line(shared, 40)} is a label of {to} alone, and nobody would teach it; "
                    "write null there, or give a label of the source that means the same"
                )
        for shared in sorted(taught - {*known}):
            raise LabelMapError(
                f"{self.path}: {line(shared, 40)} is no label of {to}; write null for it in others, or "
                f"give a label of {to} that means the same"
            )
        if len(known) < 2:
            raise LabelMapError(f"{self.path}: {to} has {len(known)} shared labels; two at least are needed")
        return known


def read(path: str) -> LabelMap:
    """A map of labels from its YAML file: ``source``, a text, and ``labels``, by corpus.

    Raises:
        LabelMapError: there is no such file, or it holds something else.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        # Unlike YAML's own, this reader refuses a label that is there twice.
        found = OmegaConf.to_container(OmegaConf.load(Path(path)))
    except (OSError, UnicodeError, YAMLError, OmegaConfBaseException) as error:
        raise LabelMapError(f"labels: {path} cannot be read as YAML ({line(error, 200)})") from error
    if not isinstance(found, dict) or {*found} != {"source", "labels"}:
        raise LabelMapError(f"labels: {path} has to hold `source: …` and `labels: …`, and nothing else")
    if not isinstance(found["source"], str) or not found["source"].strip():
        raise LabelMapError(f"labels: {path}: source has to say where the mapping comes from")
    labels = found["labels"]
    if not isinstance(labels, dict):
        raise LabelMapError(f"labels: {path}: labels has to hold the corpora, each with its labels")
    for corpus, words in labels.items():
        for label, shared in _pairs(path, corpus, words):
            if not isinstance(label, str) or not (
                shared is None or (isinstance(shared, str) and shared.strip())
            ):
                raise LabelMapError(
                    f"labels: {path}: labels.{corpus}: `{line(label, 40)}: {line(shared, 40)}` has to be a "
                    "label and a shared one, or null; quote what YAML takes for something else"
                )
    return LabelMap(path, " ".join(found["source"].split()), labels)


def _pairs(path: str, corpus: Any, words: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(corpus, str) or not isinstance(words, dict):
        raise LabelMapError(
            f"labels: {path}: labels.{line(corpus, 40)} has to hold lines such as `joy: happy`"
        )
    return words.items()
