"""What is scored: recordings with their transcripts, found and read, with what is odd in them counted."""

from erc_kedro.recordings.base import Recording, RecordingError, Source
from erc_kedro.recordings.finding import find
from erc_kedro.recordings.reading import read

__all__ = ["Recording", "RecordingError", "Source", "find", "read"]
