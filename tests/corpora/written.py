"""Manifests, written line by line or byte by byte."""

from pathlib import Path

from erc_kedro.corpora import Corpus

HEADER = "dialogue_id,position,speaker,text,label,split"
RUSSIAN, CHINESE, JAPANESE = "Мне очень грустно", "对不起我很难过", "ごめんなさい、悲しいです"


def write(folder: Path, *rows: str, header: str = HEADER, end: str = "\n") -> Path:
    return save(folder, end.join([header, *rows, ""]).encode())


def save(folder: Path, content: bytes, name: str = "own.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def texts(corpus: Corpus) -> list[str]:
    return corpus.utterances["text"].tolist()
