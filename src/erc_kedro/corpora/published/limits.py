"""How much a file of features may hold."""

from pathlib import Path

from erc_kedro.corpora import CorpusError

# The most that a file may hold once read: 14,000 utterances with 75,000 numbers each.
_MOST_BYTES = 2**32
# And what a smaller file may: no features are so much smaller packed than they are.
_MOST_BYTES_OF_A_SMALL_FILE, _MOST_PACKED = 2**28, 32


def allowed_bytes(path: Path) -> int:
    """The bytes that a file's content may take; ones that are refused are more than features are."""
    return min(_MOST_BYTES, _MOST_BYTES_OF_A_SMALL_FILE + _MOST_PACKED * path.stat().st_size)


def refuse_beyond(path: Path, declared: int, verb: str = "says that it holds") -> None:
    """Refuse a file that has, or says that it holds, more bytes than are allowed."""
    if declared > allowed_bytes(path):
        raise CorpusError(
            f"{path}: it {verb} {declared:,} bytes, and {allowed_bytes(path):,} are allowed for a file of "
            f"{path.stat().st_size:,}. Write it again with one vector an utterance, unpacked, and without "
            "what is no feature of this modality"
        )
