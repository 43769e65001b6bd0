"""What a person opens: a page a recording, and one over all of them. Both work offline, from a folder."""

from erc_kedro.timelines.pages.index import index_page
from erc_kedro.timelines.pages.recording import recording_page
from erc_kedro.timelines.pages.summaries import COUNTS, counts, shares

__all__ = ["COUNTS", "counts", "index_page", "recording_page", "shares"]
