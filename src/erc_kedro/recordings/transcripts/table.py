"""Tables with a row a turn: CSV and TSV, whatever their delimiter, names of columns and form of times."""

import csv
from collections.abc import Sequence
from pathlib import Path

from erc_kedro.corpora import CorpusError
from erc_kedro.corpora.delimited import RawTable, csv_rows
from erc_kedro.corpora.tables import MISSING, is_invisible
from erc_kedro.recordings.base import RecordingError, Transcript, Turn
from erc_kedro.recordings.names import with_names
from erc_kedro.recordings.remarks import Remarks
from erc_kedro.recordings.times import seconds
from erc_kedro.recordings.transcripts.files import in_our_words

# What columns are called; the first that is there is used.
_NAMES = {
    "text": ("text", "utterance", "transcript", "transcription", "sentence", "content", "message"),
    "start": ("start_s", "start", "begin_s", "begin", "start_time", "begin_time", "onset", "from"),
    "end": ("end_s", "end", "stop", "end_time", "finish", "offset", "to"),
    "start_ms": ("start_ms", "begin_ms"),
    "end_ms": ("end_ms", "stop_ms"),
    "duration": ("duration_s", "duration", "dur"),
    "speaker": ("speaker", "speaker_id", "name", "who", "participant", "role"),
    # A timeline of ours has both, of which `emotion` is what a model said.
    "label": ("label", "emotion"),
}
_DELIMITERS = ",;\t|"


def header_of(lines: Sequence[str]) -> list[str]:
    """The names in a table's first line, in lower case; [] where there is none."""
    first = [line for line in lines if line.strip() and not line.lower().startswith(("sep=", '"sep='))][:1]
    return _header("".join(first))


def is_one(text: str) -> bool:
    """Whether a text begins like a table: names that are known, parted by a delimiter."""
    names = _header(text.split("\n", 1)[0])
    return len(names) > 1 and "text" in _columns(names)


def _header(line: str) -> list[str]:
    best: list[str] = []
    for delimiter in _DELIMITERS:
        try:
            cells = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            continue
        best = max(best, cells, key=len)
    # Of what opens a cell in lower case, as the reader of tables has it.
    return ["".join(char for char in cell if not is_invisible(char)).strip().lower() for cell in best]


def _columns(names: list[str]) -> dict[str, str]:
    """What a column is for, to its name."""
    made = {}
    for use, known in _NAMES.items():
        # "Start (s)" and "start time" are start_s and start_time.
        found = {_plain(name): name for name in reversed(names)}
        if (first := next((name for name in known if name in found), None)) is not None:
            made[use] = found[first]
    return made


def _plain(name: str) -> str:
    return name.replace("(", "").replace(")", "").replace("[", "").replace("]", "").replace(" ", "_")


def read(path: Path, lines: Sequence[str], encoding: str | None, remarks: Remarks) -> Transcript:
    """Reads a row a turn; which columns are used, ``_NAMES`` says.

    Args:
        lines: of the file.

    Raises:
        RecordingError: there is no column of text, or the table cannot be read as it stands.
    """
    names = header_of(lines)
    columns = _columns(names)
    if "text" not in columns:
        raise RecordingError(
            "no_text_column",
            f"{path}: no column of text; the first row has {', '.join(names)[:200] or 'nothing'}. Name "
            "columns there start, end, speaker and text",
        )
    numbered = next(columns[use] for use in ("start", "start_ms", "text") if use in columns)
    try:
        table = csv_rows(path, [columns["text"]], numbered, encoding)
    except CorpusError as error:
        raise RecordingError("unreadable_table", in_our_words(error)) from error
    for name in table.rows[0][1]:
        if name and name not in columns.values():
            remarks.add("column_not_read", name)
    milliseconds = _in_milliseconds(table, names)
    if milliseconds:
        remarks.add("milliseconds", f"{path.name}: start and end")
    turns = []
    for line, cells in table.rows:
        turn = _turn(cells, columns, milliseconds)
        if turn is None:
            remarks.add("unreadable_cue", f"row {line}")
        else:
            turns.append(turn)
    return Transcript(turns if "speaker" in columns else with_names(turns, remarks), "table")


def _in_milliseconds(table: RawTable, names: list[str]) -> bool:
    """Whether it is what Whisper writes as .tsv: start, end and text alone, in whole milliseconds."""
    if names != ["start", "end", "text"] or table.delimiter != "\t":
        return False
    cells = [row[name].strip() for _, row in table.rows for name in ("start", "end")]
    # Of seconds that happen to be whole numbers, few turns last minutes.
    return all(cell.isdigit() for cell in cells) and any(int(cell) >= 1000 for cell in cells[:2])


def _turn(cells: dict[str, str], columns: dict[str, str], milliseconds: bool) -> Turn | None:
    """A row as a turn; None where a time is none."""
    given = {use: cells[name].strip() for use, name in columns.items()}
    times: dict[str, float | None] = {}
    for use, divisor in (("start", 1), ("end", 1), ("start_ms", 1000), ("end_ms", 1000), ("duration", 1)):
        cell = given.get(use, "")
        if not cell or cell in MISSING:
            continue
        value = seconds(cell)
        if value is None:
            return None
        times.setdefault(use.removesuffix("_ms"), value / (1000 if milliseconds else divisor))
    start, end = times.get("start"), times.get("end")
    if end is None and start is not None and (lasts := times.get("duration")) is not None:
        end = start + lasts
    speaker, label = given.get("speaker", ""), given.get("label", "")
    return Turn(
        given["text"],
        "" if speaker in MISSING else speaker,
        start,
        end,
        None if label in MISSING else label or None,
    )
