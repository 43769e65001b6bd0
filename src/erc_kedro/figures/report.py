"""The report: one HTML page over all corpora that opens offline, and its headline as Markdown.

Scores are shown × 100 with one decimal, as papers print them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import isnan
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from erc_kedro.evaluation.audit import CLIP_COLUMNS, clip_cells
from erc_kedro.evaluation.intervals import bootstrap_interval
from erc_kedro.evaluation.metrics import confusion, per_class, summary
from erc_kedro.figures.anchors import ANCHORS
from erc_kedro.figures.curves import learning_curves
from erc_kedro.figures.scores import (
    HEAD_NAMES,
    comparison_figure,
    confusion_figure,
    heads_figure,
    per_class_figure,
)
from erc_kedro.figures.style import TEMPLATE
from erc_kedro.schemas import HEADS, SPLITS

PREDICTION = "tav"
# How the headline prints each metric, in this order.
HEADLINE = {
    "accuracy": "Accuracy",
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro F1",
    "uar": "Unweighted average recall (UAR)",
    "ece": "Calibration error (ECE, lower is better)",
}
FACTS = ("command", "experiment", "revision", "created", "versions", "parameters")
# What the features' audit counts over the vectors that are present.
CHECKS = {
    "not_finite": "not finite",
    "all_zero": "all zeros",
    "constant_dimensions": "constant numbers",
    "identical_across_splits": "identical to another split's",
    "identical_with_same_text": "of these, same text",
    "repeated": "identical, other text",
}
NONE = "–"


@dataclass(frozen=True)
class CorpusSection:
    """All that the report says of one corpus; what is None leaves a sentence in its place.

    Attributes:
        name: the corpus's namespace, as in ``kedro run --namespaces=<name>``.
        card: facts of the corpus: ``name`` (as printed), ``protocol``, ``synthetic`` (bool),
            ``labels``, ``notes`` (sentences), ``fingerprint``; each may be missing.
        predictions: seed, utterance_id, split, head, label, ``p_<class>`` (``schemas.predictions``).
        metrics: the long metrics table (``schemas.metrics``).
        history: seed, epoch, train_loss, val_weighted_f1, selected, optionally val_loss.
        audit: the audit of the utterances, ``evaluation.audit``.
        features_audit: the audit of the features, ``evaluation.audit``.
        utterances: the utterance table (``schemas.utterances``); the interval needs its dialogues.
    """

    name: str
    card: Mapping[str, Any] = field(default_factory=dict)
    predictions: pd.DataFrame | None = None
    metrics: pd.DataFrame | None = None
    history: pd.DataFrame | None = None
    audit: Mapping[str, Any] | None = None
    features_audit: Mapping[str, Any] | None = None
    utterances: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """The name as printed, wherever it is printed: a synthetic corpus never passes for a real one."""
        name = str(self.card.get("name") or self.name)
        return f"{name} (synthetic)" if self.synthetic else name

    @property
    def synthetic(self) -> bool:
        """Whether a program made the corpus up."""
        return bool(self.card.get("synthetic"))


def headline_table(sections: Iterable[CorpusSection]) -> pd.DataFrame:
    """The trimodal head's headline scores, in 0 to 1.

    Returns:
        One row a corpus, split (val, test) and headline metric, with columns corpus, split, metric,
        mean, std (over seeds; NaN for one), seeds, low, high (the 95 % bootstrap interval over
        dialogues of the test weighted F1; NaN elsewhere and where predictions or utterances are
        missing). A corpus without metrics has no rows.
    """
    parts = []
    for section in sections:
        if section.metrics is None:
            continue
        rows = summary(section.metrics)
        rows = rows[
            (rows["head"] == PREDICTION) & rows["metric"].isin(HEADLINE) & rows["split"].isin(("val", "test"))
        ]
        rows = rows.drop(columns="head").assign(low=float("nan"), high=float("nan"))
        rows.insert(0, "corpus", section.title)
        interval = _interval(section)
        rows.loc[(rows["split"] == "test") & (rows["metric"] == "weighted_f1"), ["low", "high"]] = interval
        parts.append(rows)
    columns = ["corpus", "split", "metric", "mean", "std", "seeds", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def headline_markdown(sections: Iterable[CorpusSection]) -> str:
    """The headline as a Markdown table, one row a corpus, for a README or a paper."""
    sections = list(sections)
    header = [
        "corpus",
        "protocol",
        "seeds",
        "accuracy",
        "weighted F1",
        "95 % interval",
        "macro F1",
        "UAR",
        "ECE",
        "weighted F1, validation",
    ]
    lines = ["| " + " | ".join(header) + " |", "|---|---|" + "---:|" * (len(header) - 2)]
    for section in sections:
        scores = _headline(section, headline_table([section]))
        cells = [
            section.title,
            str(section.card.get("protocol") or NONE),
            scores["seeds"],
            scores["accuracy"],
            scores["weighted_f1"],
            scores["interval"],
            scores["macro_f1"],
            scores["uar"],
            scores["ece"],
            scores["val_weighted_f1"],
        ]
        lines.append("| " + " | ".join(map(markdown_cell, cells)) + " |")
    caption = (
        "Scores × 100 on test, mean ± standard deviation over seeds; interval by bootstrap over dialogues; "
        "epochs chosen by validation weighted F1."
    )
    made_up = [markdown_cell(section.title) for section in sections if section.synthetic]
    if made_up:
        caption = f"**SYNTHETIC DATA, not a result: {', '.join(made_up)}.** " + caption
    return "\n".join([caption, "", *lines, ""])


def render_report(sections: Iterable[CorpusSection], facts: Mapping[str, Any] | None = None) -> str:
    """The whole page as HTML, with plotly.js, style and data inside it.

    Args:
        sections: one a corpus, in the order to show them.
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
    return _template().render(
        title=f"SYNTHETIC DATA · {title}" if synthetic else title,
        synthetic=synthetic,
        headline_rows=HEADLINE,
        checks=CHECKS,
        clip_columns=CLIP_COLUMNS,
        corpora=[
            _view(section, number, table)
            for number, (section, table) in enumerate(zip(sections, tables, strict=True), 1)
        ],
        comparison=_embed(comparison_figure(compared), "comparison") if len(compared) else None,
        anchors=ANCHORS,
        anchored=[s.title for s in sections if not s.synthetic and s.name.lower() in ("iemocap", "meld")],
        facts=facts,
        parameters=json.dumps(facts["parameters"], indent=2, default=str, ensure_ascii=False),
        plotlyjs=Markup(get_plotlyjs()),
    )


def _view(section: CorpusSection, number: int, headline: pd.DataFrame) -> dict[str, Any]:
    """What the template needs of one corpus: texts, rows of cells and embedded figures."""
    key = f"corpus-{number}"
    metrics, predictions, history = section.metrics, section.predictions, section.history
    view: dict[str, Any] = {
        "id": key,
        "name": section.name,
        "title": section.title,
        "card": {**dict.fromkeys(("protocol", "labels", "notes", "fingerprint")), **section.card},
        "synthetic": section.synthetic,
        "scores": _headline(section, headline),
        "has_metrics": metrics is not None,
        "has_predictions": predictions is not None,
        "has_history": history is not None and len(history) > 0,
        "has_audit": section.audit is not None,
        "has_features_audit": section.features_audit is not None,
        "sizes": _sizes(section.utterances),
        "counts": _counts(section),
        "audit": _findings(section.audit),
        "irregularities": _irregularities(section.audit),
        "features_audit": _findings(section.features_audit),
        "coverage": _coverage(section.features_audit),
        "clips": _clips(section.features_audit),
        "classes": [],
        "heads": [],
        "chosen": [],
        "figures": dict.fromkeys(("confusion", "classes", "heads", "curves")),
    }
    figures = view["figures"]
    if predictions is not None:
        classes = per_class(predictions, "test", PREDICTION)
        view["classes"] = [
            {
                "class": row["class"],
                "precision": score(row["precision"]),
                "recall": score(row["recall"]),
                "f1": score(row["f1"], row["f1_std"]),
                "support": f"{row['support']:,}",
            }
            for row in classes.to_dict("records")
        ]
        if view["classes"]:
            figures["confusion"] = _embed(
                confusion_figure(confusion(predictions, "test", PREDICTION)), f"{key}-confusion"
            )
    if metrics is not None:
        test = summary(metrics[(metrics["split"] == "test") & (metrics["metric"] == "weighted_f1")])
        scored = {row["head"]: row for row in test.to_dict("records")}
        view["heads"] = [
            {
                "head": head,
                "name": HEAD_NAMES[head],
                "f1": score(scored[head]["mean"], scored[head]["std"]),
            }
            for head in HEADS
            if head in scored
        ]
        if view["heads"]:
            figures["heads"] = _embed(heads_figure(metrics), f"{key}-heads")
        if PREDICTION in scored:
            figures["classes"] = _embed(per_class_figure(metrics), f"{key}-classes")
    if view["has_history"]:
        assert history is not None
        figures["curves"] = _embed(learning_curves(history), f"{key}-curves")
        chosen = history[history["selected"].astype(bool)].sort_values("seed")
        view["chosen"] = [
            {"seed": row["seed"], "epoch": row["epoch"], "f1": score(row["val_weighted_f1"])}
            for row in chosen.to_dict("records")
        ]
    return view


def score(mean: float, std: float = float("nan")) -> str:
    """A score in 0 to 1 as printed: × 100, one decimal, with its standard deviation if there is one."""
    if isnan(mean):
        return NONE
    return f"{100 * mean:.1f}" if isnan(std) else f"{100 * mean:.1f} ± {100 * std:.1f}"


def _interval(section: CorpusSection) -> tuple[float, float]:
    if section.predictions is None or section.utterances is None:
        return float("nan"), float("nan")
    rows = section.predictions.query("split == 'test' and head == @PREDICTION and label.notna()")
    if rows.empty:
        return float("nan"), float("nan")
    return bootstrap_interval(rows, section.utterances.set_index("utterance_id")["dialogue_id"])


def _headline(section: CorpusSection, table: pd.DataFrame) -> dict[str, str]:
    """The cells of one corpus's headline table as printed, a dash where there is nothing to print."""
    cells = dict.fromkeys([*HEADLINE, "interval", "val_weighted_f1", "seeds"], NONE)
    rows: list[dict[Any, Any]] = table.to_dict("records")
    for row in rows:
        printed = score(row["mean"], row["std"])
        if row["split"] == "test":
            cells[row["metric"]] = printed
            if not isnan(row["low"]):
                cells["interval"] = f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
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


def _counts(section: CorpusSection) -> list[list[str]]:
    """Utterances per label and split: rows of cells, the totals last."""
    if section.utterances is None:
        return []
    label = section.utterances["label"].astype(object)
    label = label.where(label.notna(), "(no label)")
    table = pd.crosstab(label, section.utterances["split"]).reindex(columns=list(SPLITS), fill_value=0)
    known = [name for name in section.card.get("labels") or [] if name in table.index]
    table = table.loc[known + [name for name in table.index if name not in known]]
    table.loc["all"] = table.sum()
    table["all"] = table.sum(axis=1)
    return [
        [str(name), *(f"{count:,}" for count in row)]
        for name, row in zip(table.index, table.to_numpy(), strict=True)
    ]


def _findings(audit: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """An audit's errors and warnings as sentences."""
    return {kind: [str(item) for item in (audit or {}).get(kind) or []] for kind in ("errors", "warnings")}


def _irregularities(audit: Mapping[str, Any] | None) -> list[dict[str, str]]:
    """One row a kind, the most frequent first, with its meaning and one example."""
    kinds = (audit or {}).get("irregularities") or []
    rows = []
    for group in sorted(kinds, key=lambda group: -group["count"]):
        examples = group.get("examples") or []
        example = f"{examples[0]['where']}: {examples[0]['detail']}" if examples else ""
        rows.append(
            {
                "kind": str(group["kind"]).replace("_", " "),
                "count": f"{group['count']:,}",
                "meaning": group.get("meaning") or "",
                "example": example,
            }
        )
    return rows


def _coverage(audit: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """One row a modality: how many of each split are present, why others are not, and odd vectors."""
    audit = audit or {}
    rows = []
    for modality, by_split in (audit.get("counts") or {}).items():
        absent: Counter[str] = Counter()
        present = []
        for split in SPLITS:
            reasons = by_split.get(split) or {}
            present.append(f"{reasons.get('ok', 0):,} of {sum(reasons.values()):,}")
            absent.update({reason: count for reason, count in reasons.items() if reason != "ok"})
        facts = (audit.get("modalities") or {}).get(modality) or {}
        rows.append(
            {
                "modality": modality,
                "present": present,
                "absent": ", ".join(f"{reason} {count:,}" for reason, count in absent.most_common()) or NONE,
                "checks": [f"{facts[check]:,}" if check in facts else NONE for check in CHECKS],
            }
        )
    return rows


def _clips(audit: Mapping[str, Any] | None) -> dict[str, Any]:
    """What became of the clips, a row a split; empty where nothing was extracted from clips."""
    found = (audit or {}).get("clips")
    if not found:
        return {}
    return {
        "splits": [[split, *clip_cells(facts)] for split, facts in found["splits"].items()],
        "errors": ", ".join(f"{kind} in {count:,}" for kind, count in found["errors"].items()),
    }


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("erc_kedro.figures"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _embed(figure: go.Figure, identity: str) -> dict[str, Any]:
    """The figure as the page holds it: an id, its height in pixels and its inline JSON."""
    # A "<" in a label could otherwise close the script element that holds the data.
    data = figure.to_json().replace("<", "\\u003c")
    return {"id": identity, "height": figure.layout.height or TEMPLATE.layout.height, "json": Markup(data)}


def markdown_cell(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.split())
