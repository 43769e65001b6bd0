"""Published test weighted F1 (× 100), and by which split each was selected.

Collected for this project's protocol; a score selected on test is optimistic and not comparable.
"""

from typing import NamedTuple


class Anchor(NamedTuple):
    """One published model: scores × 100, None where there is none."""

    model: str
    iemocap: float | None
    meld: float | None
    selection: str
    note: str


ANCHORS = (
    Anchor("ECERC", 71.8, 66.5, "validation", "mean of 3 seeds"),
    Anchor("SACL-LSTM", 69.2, 66.5, "validation", "text only, mean of 5 seeds"),
    Anchor("EmoBERTa-large", 68.6, 65.6, "validation", "text only, mean of 5 seeds"),
    Anchor("TelME", None, 67.4, "validation", "1 seed"),
    Anchor("SDT, re-run", 68.8, 65.1, "validation", "re-run with selection on validation"),
    Anchor("M3Net, re-run", 67.7, 64.8, "validation", "re-run with selection on validation"),
    Anchor("SDT", 74.1, 66.6, "test", "as published"),
    Anchor("M3Net", 72.5, 67.1, "test", "as published"),
    Anchor("MMGCN", 66.2, 58.7, "test", "as published"),
    Anchor("DialogueRNN", 62.8, 57.0, "test", "as published"),
)


class Published(NamedTuple):
    """What a baseline's paper prints for all modalities, beside our own run of it: scores × 100."""

    experiment: str
    model: str
    iemocap: float | None
    meld: float | None
    selection: str
    source: str


PUBLISHED = (
    Published(
        "bc_lstm",
        "bc-LSTM",
        55.0,
        56.4,
        "test for IEMOCAP, validation for MELD",
        "as a survey lists them after Majumder et al., AAAI 2019, and Poria et al., ACL 2019; not checked "
        "against their tables",
    ),
    Published(
        "dialogue_rnn",
        "DialogueRNN",
        62.8,
        57.0,
        "test",
        "Majumder et al., AAAI 2019, and Poria et al., ACL 2019; both from text alone",
    ),
    Published("mmgcn", "MMGCN", 66.2, 58.7, "test", "Hu et al., ACL 2021"),
    Published(
        "sdt",
        "SDT",
        74.1,
        66.6,
        "test; a re-run with selection on validation reaches 68.8 and 65.1",
        "Ma et al., IEEE TMM 2023",
    ),
)
