"""The report: one HTML page over all corpora that opens offline, and its headline as Markdown.

Scores are shown × 100 with one decimal, as papers print them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from math import isnan
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from erc_kedro.escaping import LONGEST, line, markdown, markdown_table
from erc_kedro.evaluation.metrics import SCORES
from erc_kedro.report.labels import HEADLINE, NONE
from erc_kedro.report.pages.conversations import conversations
from erc_kedro.report.pages.page import embedded, inline, shown, template
from erc_kedro.report.plots.scores import comparison_figure
from erc_kedro.report.plots.style import PALETTE
from erc_kedro.report.published import ANCHORS
from erc_kedro.report.section import CorpusSection
from erc_kedro.report.tables import tables_of
from erc_kedro.report.tables.printed import cell, score
from erc_kedro.report.tables.scores import headline_table
from erc_kedro.schemas import SPLITS

# How a corpus's networks came about.
TRAINED = ("command", "git_revision", "data_fingerprint", "code_version", "extractors")
FACTS = ("command", "experiment", "revision", "created", "versions", "parameters")
# What stands under each heading of the headline in Markdown.
_COLUMNS = {
    "seeds": "seeds",
    "accuracy (WA)": "accuracy",
    "UAR (UA)": "uar",
    "weighted F1": "weighted_f1",
    "95 % interval": "interval",
    "interval over": "over",
    "macro F1": "macro_f1",
    "ECE": "ece",
    "weighted F1, validation": "val_weighted_f1",
}


def headline_markdown(sections: Iterable[CorpusSection]) -> str:
    """The headline as a Markdown table, one row a corpus, for a README or a paper."""
    sections = list(sections)
    rows = []
    for section in sections:
        scores = _headline(section, headline_table([section]))
        protocol = str(section.description.get("protocol") or NONE)
        rows.append([section.title, protocol, *(scores[name] for name in _COLUMNS.values())])
    table = markdown_table(["corpus", "protocol", *_COLUMNS], rows, [False, False, *(True for _ in _COLUMNS)])
    caption = (
        "Scores × 100 on test, mean ± standard deviation over seeds; epochs chosen by validation weighted F1."
    )
    made_up = [markdown(section.title) for section in sections if section.synthetic]
    if made_up:
        caption = f"**SYNTHETIC DATA, not a result: {', '.join(made_up)}.** " + caption
    for section in sections:
        if section.few:
            caption += f" **{markdown(section.title)}: {section.few}**"
        if section.scaling_note:
            caption += f" {markdown(section.title)}: {section.scaling_note}"
        if section.caution:
            caption += f" {markdown(f'{section.title}: {section.caution}')}"
    return f"{caption}\n\n{table}"


def render_report(
    sections: Iterable[CorpusSection],
    figures: Iterable[Mapping[str, go.Figure]],
    facts: Mapping[str, Any] | None = None,
) -> str:
    """The whole page as HTML, with plotly.js, style and data inside it.

    Args:
        sections: one a corpus, in the order to show them.
        figures: the figures of each (``plots.drawn``).
        facts: how the results came about: ``command`` (the exact one), ``experiment``, ``revision``
            (git), ``created``, ``versions`` (package to version), ``parameters`` (nested); what is
            missing is said to be missing.

    Raises:
        ValueError: for no section.
    """
    sections = list(sections)
    if not sections:
        raise ValueError("a report needs at least one corpus")
    synthetic = [section.title for section in sections if section.synthetic]
    title = "Emotion recognition in conversations: " + ", ".join(section.title for section in sections)
    # One table a section, since two sections may be printed under one name.
    tables = [headline_table([section]) for section in sections]
    compared = pd.concat(tables).query("split == 'test' and metric == 'weighted_f1' and mean.notna()")
    facts = {**dict.fromkeys(FACTS), **(facts or {})}
    return template("report.html.jinja").render(
        title=f"SYNTHETIC DATA · {title}" if synthetic else title,
        synthetic=synthetic,
        headline_rows={
            name: printed
            for name, printed in HEADLINE.items()
            if name in SCORES or any(name in set(table["metric"]) for table in tables)
        },
        corpora=[
            _view(section, number, table, drawn)
            for number, (section, table, drawn) in enumerate(zip(sections, tables, figures, strict=True), 1)
        ],
        comparison=embedded(comparison_figure(compared), "comparison") if len(compared) else None,
        anchors=ANCHORS,
        anchored=[s.title for s in sections if s.release],
        facts=facts,
        palette=Markup(json.dumps(PALETTE)),
        parameters=json.dumps(facts["parameters"], indent=2, default=str, ensure_ascii=False),
        plotlyjs=Markup(get_plotlyjs()),
    )


def _view(
    section: CorpusSection, number: int, headline: pd.DataFrame, figures: Mapping[str, go.Figure]
) -> dict[str, Any]:
    """What the template needs of one corpus: texts, printed tables and embedded figures."""
    key = f"corpus-{number}"
    talk = conversations(section)
    return {
        "id": key,
        "name": section.name,
        "title": section.title,
        "options": section.options,
        "absent": section.absent,
        "scaling_note": section.scaling_note,
        "over": section.over,
        "few": section.few,
        "verdicts": _verdicts(section.comparison),
        "caution": section.caution,
        "description": {
            **dict.fromkeys(("protocol", "notes", "fingerprint")),
            **section.description,
            "labels": [line(name, LONGEST) for name in section.description.get("labels") or []],
        },
        "synthetic": section.synthetic,
        "scores": _headline(section, headline),
        "seeds": section.predictions["seed"].nunique() if section.predictions is not None else 0,
        "has_metrics": section.metrics is not None,
        "has_predictions": section.predictions is not None,
        "has_history": section.history is not None and len(section.history) > 0,
        "has_comparison": section.comparison is not None,
        "has_utterances": section.utterances is not None,
        "has_degraded": section.degraded is not None,
        "has_networks": section.contributions is not None,
        "has_audit": section.audit is not None,
        "has_features_audit": section.features_audit is not None,
        "has_groups": bool((section.description.get("groups") or {}).get("of")),
        "scored": section.scored,
        "sizes": _sizes(section.utterances),
        "audit": _findings(section.audit),
        "features_audit": _findings(section.features_audit),
        "clip_errors": _clip_errors(section.features_audit),
        "training": section.training and {**dict.fromkeys(TRAINED), **section.training},
        "tables": defaultdict(
            lambda: None,
            {name: shown(table) for name, table in tables_of(section).items()},
        ),
        "figures": {name: embedded(figure, f"{key}-figure-{name}") for name, figure in figures.items()},
        "viewer": talk and inline(json.dumps(talk, ensure_ascii=False, separators=(",", ":"))),
        "left_out": talk["left_out"] if talk else 0,
    }


def _headline(section: CorpusSection, table: pd.DataFrame) -> dict[str, str]:
    """The cells of one corpus's headline table as printed, a dash where there is nothing to print."""
    cells = dict.fromkeys([*HEADLINE, "interval", "over", "val_weighted_f1", "seeds"], NONE)
    rows: list[dict[Any, Any]] = table.to_dict("records")
    for row in rows:
        printed = score(row["mean"], row["std"])
        if row["split"] == "test":
            cells[row["metric"]] = printed
            if not isnan(row["low"]):
                cells |= {"interval": cell("low", row["low"], row["high"]), "over": section.over}
        elif row["metric"] == "weighted_f1":
            cells["val_weighted_f1"] = printed
    if section.metrics is not None:
        cells["seeds"] = str(section.metrics["seed"].nunique())
    return cells


def _sizes(utterances: pd.DataFrame | None) -> dict[str, str]:
    """How many utterances and dialogues each split has, as printed; a dash where that is unknown."""
    sizes = dict.fromkeys(SPLITS, NONE)
    if utterances is not None:
        for split, rows in utterances.groupby("split"):
            sizes[str(split)] = f"{len(rows):,} in {rows['dialogue_id'].nunique():,} dialogues"
    return sizes


def _verdicts(comparison: pd.DataFrame | None) -> list[str]:
    # A comparison of an earlier version has none.
    return [] if comparison is None or "verdict" not in comparison else [*map(str, comparison["verdict"])]


def _findings(audit: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """An audit's errors and warnings as sentences."""
    kinds = {"errors": ("errors",), "warnings": ("not_learnable", "warnings")}
    found = audit or {}
    return {name: [str(item) for kind in of for item in found.get(kind) or []] for name, of in kinds.items()}


def _clip_errors(audit: Mapping[str, Any] | None) -> str:
    clips = (audit or {}).get("clips") or {}
    return ", ".join(f"{kind} in {count:,}" for kind, count in (clips.get("errors") or {}).items())
