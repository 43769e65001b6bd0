"""Every table of the report: results with the titles and headings that they are printed under."""

from erc_kedro.report.section import CorpusSection, Table
from erc_kedro.report.tables.corpus import corpus_tables
from erc_kedro.report.tables.networks import network_tables
from erc_kedro.report.tables.scores import score_tables


def tables_of(section: CorpusSection) -> dict[str, Table]:
    """Every table that this corpus has the data for, by name."""
    return {**score_tables(section), **network_tables(section), **corpus_tables(section)}
