"""Every table of the report, as numbers and as printed in HTML, Markdown, CSV and LaTeX."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from erc_kedro.audit.clips import CLIP_COLUMNS, clip_cells
from erc_kedro.escaping import LONGEST, csv_text, latex, line, markdown
from erc_kedro.evaluation.calibration import calibration_table, selective_table
from erc_kedro.evaluation.intervals import bootstrap_interval
from erc_kedro.evaluation.metrics import confusion, per_class, summary
from erc_kedro.evaluation.slices import confident_errors, degradation_scores, slice_scores, slicings
from erc_kedro.figures.anchors import ANCHORS
from erc_kedro.figures.section import PREDICTION, CorpusSection, Table
from erc_kedro.schemas import HEADS, SPLITS

NONE = "–"
# How the headline prints each metric, in this order.
HEADLINE = {
    "accuracy": "Accuracy",
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro F1",
    "uar": "Unweighted average recall (UAR)",
    "ece": "Calibration error (ECE, lower is better)",
}
HEAD_NAMES = {
    "t": "text",
    "a": "audio",
    "v": "visual",
    "ta": "text + audio",
    "tv": "text + visual",
    "av": "audio + visual",
    "tav": "all three",
}
# What the features' audit counts over the vectors that are present.
CHECKS = {
    "not_finite": "not finite",
    "all_zero": "all zeros",
    "constant_dimensions": "constant numbers",
    "identical_across_splits": "identical to another split's",
    "identical_with_same_text": "of these, same text",
    "repeated": "identical, other text",
}
KINDS = {"gate": "gates", "balance": "pairs", "product": "products", "fusion": "fusion"}
SLICES = {
    "shift": "Emotion shifts",
    "position": "Place in the dialogue",
    "length": "Words in the utterance",
    "group": "Groups of speakers",
    "speaker": "Speakers",
}
_HEADLINE_TITLE = "Scores × 100: means ± standard deviations over seeds; interval by bootstrap over dialogues"
_HEADINGS = {
    "weighted_f1": "weighted F1",
    "macro_f1": "macro F1",
    "val_weighted_f1": "weighted F1, validation",
    "f1": "F1",
    "uar": "UAR",
    "ece": "ECE",
    "ece_tempered": "ECE, tempered",
    "nll": "NLL",
    "nll_tempered": "NLL, tempered",
    "low": "95 % interval",
    "difference_low": "95 % interval of the difference",
    "p_corrected": "p, corrected",
    "effect": "effect size d",
}
# Without booktabs, its rules are plain ones.
_RULES = [
    rf"\expandafter\providecommand\csname {name}rule\endcsname{{\hline}}" for name in ("top", "mid", "bottom")
]
# Printed as they are, not × 100.
_PLAIN = ("temperature", "nll", "nll_tempered", "effect", "amount", "epoch")


def tables_of(section: CorpusSection) -> dict[str, Table]:
    """Every table that this corpus has the data for, by name."""
    return {
        **_scores(section),
        **_parts(section),
        **_networks(section),
        **_data(section),
    }


def headline_table(sections: Iterable[CorpusSection]) -> pd.DataFrame:
    """The trimodal head's headline scores, in 0 to 1.

    Returns:
        One row a corpus, split (val, test) and headline metric, with columns corpus, split, metric,
        mean, std (over seeds; NaN for one), seeds, low, high (the 95 % bootstrap interval over
        dialogues of the test weighted F1; NaN elsewhere and where predictions or utterances are
        missing). A corpus without metrics has no rows.
    """
    parts = [section.headline for section in sections if section.metrics is not None]
    columns = ["corpus", "split", "metric", "mean", "std", "seeds", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def headline_of(section: CorpusSection) -> pd.DataFrame:
    """The rows of one corpus, which has metrics."""
    assert section.metrics is not None
    rows = summary(section.metrics)
    rows = rows[
        (rows["head"] == PREDICTION) & rows["metric"].isin(HEADLINE) & rows["split"].isin(("val", "test"))
    ]
    rows = rows.drop(columns="head").assign(low=float("nan"), high=float("nan"))
    rows.insert(0, "corpus", section.title)
    tested = (rows["split"] == "test") & (rows["metric"] == "weighted_f1")
    rows.loc[tested, ["low", "high"]] = _interval(section)
    return rows


def side_by_side(sections: Iterable[CorpusSection]) -> Table:
    """The headline of all corpora, a row a corpus, split and metric."""
    sections = list(sections)
    table = headline_table(sections)
    table = table.assign(metric=table["metric"].map(HEADLINE))
    table = table.rename(columns={"mean": "score", "std": "score_std"})
    notes = [f"{section.title}: {section.scaling_note}" for section in sections if section.scaling_note]
    return Table(" ".join([f"{_HEADLINE_TITLE}." if notes else _HEADLINE_TITLE, *notes]), table)


def published() -> Table:
    """Published weighted F1 and by which split each was selected."""
    table = pd.DataFrame(ANCHORS).assign(iemocap=lambda t: t["iemocap"] / 100, meld=lambda t: t["meld"] / 100)
    return Table("Published weighted F1 × 100 on test, and the split that the model was selected by", table)


def printed(table: Table) -> pd.DataFrame:
    """The table's cells as printed: scores × 100 with one decimal, ``mean ± deviation``, ``low to high``.

    A text is one line, cut where it is long.
    """
    frame = table.frame
    if table.kind != "scores":
        # By place, since the data may call two columns the same.
        columns = [frame.iloc[:, at] for at in range(frame.shape[1])]
        cells = [[_number(value, table.kind) for value in column] for column in columns]
        headings = [line(name, LONGEST) for name in frame.columns]
        return pd.DataFrame(list(zip(*cells, strict=True)), columns=headings, dtype=object)
    shown = {}
    for column in _kept(frame):
        other = frame.get(f"{column}_std")
        if column.endswith("low"):
            other = frame[f"{column[:-3]}high"]
        pairs = zip(frame[column], [None] * len(frame) if other is None else other, strict=True)
        shown[_HEADINGS.get(column, column.replace("_", " "))] = [cell(column, *pair) for pair in pairs]
    return pd.DataFrame(shown, index=frame.index, dtype=object)


def files(name: str, table: Table) -> dict[str, str]:
    """The table as files: numbers as CSV; as printed, Markdown and LaTeX (booktabs)."""
    shown = printed(table)
    source = _kept(table.frame) if table.kind == "scores" else range(table.frame.shape[1])
    numeric = [
        pd.api.types.is_numeric_dtype(table.frame[at] if isinstance(at, str) else table.frame.iloc[:, at])
        for at in source
    ]
    lines = ["| " + " | ".join(map(markdown, row)) + " |" for row in [shown.columns, *shown.to_numpy()]]
    lines.insert(1, "|" + "".join("---:|" if right else "---|" for right in numeric))
    places = [
        "r" if right else "p{6cm}" if shown.iloc[:, at].astype(str).str.len().max() > 40 else "l"
        for at, right in enumerate(numeric)
    ]
    rows = [" & ".join(map(latex, row)) + r" \\" for row in [shown.columns, *shown.to_numpy()]]
    return {
        f"{name}.csv": csv_text(table.frame),
        f"{name}.md": "\n".join([markdown(table.title), "", *lines, ""]),
        f"{name}.tex": "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{latex(table.title)}}}",
                rf"\label{{tab:{name}}}",
                *_RULES,
                *([r"\small", r"\setlength{\tabcolsep}{3pt}"] if len(numeric) > 8 else []),
                rf"\begin{{tabular}}{{{''.join(places)}}}",
                r"\toprule",
                rows[0],
                r"\midrule",
                *rows[1:],
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        ),
    }


def files_of(section: CorpusSection) -> dict[str, str]:
    """Every table of a corpus as files, which go their own ways: each with scores says what scaling reads."""
    made: dict[str, str] = {}
    note, of_data = section.scaling_note, _data(section)
    for name, table in section.tables.items():
        if note and name not in of_data and note not in table.title:
            table = replace(table, title=f"{table.title}. {note}")
        made |= files(f"{section.name}_{name}", table)
    return made


def score(mean: float, std: float = float("nan")) -> str:
    """A score in 0 to 1 as printed: × 100, one decimal, with its standard deviation if there is one."""
    if isnan(mean):
        return NONE
    return f"{100 * mean:.1f}" if isnan(std) else f"{100 * mean:.1f} ± {100 * std:.1f}"


def probability(p: float) -> str:
    """A p-value as printed."""
    if pd.isna(p):
        return NONE
    return "<.001" if p < 0.001 else f"{p:.3f}".lstrip("0") if p < 1 else "1"


def _scores(section: CorpusSection) -> dict[str, Table]:
    made = {}
    metrics, predictions, history = section.metrics, section.predictions, section.history
    headline = side_by_side([section])
    if len(headline.frame):
        columns = ["split", "metric", "score", "score_std", "low", "high", "seeds"]
        made["headline"] = Table(headline.title, headline.frame[columns])
    if history is not None and history["selected"].astype(bool).any():
        chosen = history[history["selected"].astype(bool)].sort_values("seed")
        made["selection"] = Table(
            "The epoch that was kept (counted from 0) and its validation weighted F1 × 100",
            chosen[["seed", "epoch", "val_weighted_f1"]].reset_index(drop=True),
        )
    if metrics is not None:
        test = summary(metrics[(metrics["split"] == "test") & (metrics["metric"] == "weighted_f1")])
        test = test.set_index("head").reindex([head for head in HEADS if head in set(test["head"])])
        if len(test):
            made["heads"] = Table(
                "Weighted F1 × 100 of the heads of one network, on test",
                pd.DataFrame(
                    {
                        "head": [f"{HEAD_NAMES[head]} ({head})" for head in test.index],
                        "weighted_f1": test["mean"].to_numpy(),
                        "weighted_f1_std": test["std"].to_numpy(),
                    }
                ),
            )
    if section.comparison is not None:
        columns = [
            "experiment",
            "seeds",
            *(f"{name}{end}" for name in ("accuracy", "weighted_f1") for end in ("", "_std")),
            *("low", "high", "macro_f1", "macro_f1_std", "val_weighted_f1"),
            *(
                "difference",
                "difference_low",
                "difference_high",
                "effect",
                "p",
                "p_corrected",
                "modalities",
                "note",
            ),
        ]
        made["comparison"] = Table(
            "Experiments on test × 100; difference in weighted F1 to the reference, its bootstrap interval, "
            "Cohen's d over seeds, and a paired permutation test over dialogues (p corrected by Holm)",
            section.comparison.reindex(columns=columns).fillna({"modalities": "", "note": ""}),
        )
    if predictions is not None and section.scored:
        first = int(predictions["seed"].min())
        one_seed = predictions[predictions["seed"] == first]
        for name, rows, which in (
            ("classes", predictions, "means over seeds; support counts the utterances of one seed"),
            ("classes_one_seed", one_seed, f"of seed {first}"),
        ):
            made[name] = Table(
                f"Emotions on test × 100: {which}",
                per_class(rows, "test", PREDICTION).rename(columns={"class": "emotion"}),
            )
        for name, rows, which in (
            ("confusion", predictions, "summed over seeds"),
            ("confusion_one_seed", one_seed, f"of seed {first}"),
        ):
            counts = confusion(rows, "test", PREDICTION)
            truth = _free("truth", counts.columns)
            shares = counts.div(counts.sum(axis=1).where(lambda total: total > 0), axis=0)
            for end, frame, what, kind in (
                ("", counts, "counts", "counts"),
                ("_rows", shares, "% of each true emotion", "shares"),
            ):
                frame = frame.rename_axis(None, axis=1)
                frame.insert(0, truth, frame.index.astype(object))
                made[f"{name}{end}"] = Table(
                    f"Confusion on test, {what}, {which}: rows the truth, columns the prediction",
                    frame.reset_index(drop=True),
                    kind,  # type: ignore[arg-type]
                )
        made["calibration"] = Table(
            "Calibration on test, before and after a temperature fitted on validation; ECE × 100",
            calibration_table(predictions),
        )
        made["selective"] = Table(
            "The most confident share of test utterances alone × 100", selective_table(predictions)
        )
        errors = confident_errors(predictions)
        if section.utterances is not None:
            said = section.utterances.set_index("utterance_id")
            errors.insert(2, "speaker", errors["utterance_id"].map(said["speaker"]))
            errors.insert(3, "text", errors["utterance_id"].map(said["text"]))
        made["errors"] = Table(
            "The ten most confident errors of each emotion on test, by mean probability over seeds (× 100); "
            "own: that of the true emotion",
            errors,
        )
    return made


def _parts(section: CorpusSection) -> dict[str, Table]:
    if section.predictions is None or section.utterances is None or not section.scored:
        return {}
    groups = section.card.get("groups") or {}
    made = {}
    for name, part_of in slicings(section.utterances, groups.get("of")).items():
        title = SLICES[name]
        if name == "group":
            title = f"By {groups.get('name', 'group')}"
        scores = slice_scores(section.predictions, part_of)
        if len(scores):
            made[name] = Table(f"{title}: scores × 100 on test", scores)
    return made


def _networks(section: CorpusSection) -> dict[str, Table]:
    made = {}
    if section.contributions is not None and section.utterances is not None:
        for kind, name in KINDS.items():
            frame = weights_by_emotion(section, kind)
            if len(frame):
                made[name] = Table(_WEIGHT_TITLES[kind], frame, "weights")
    if section.degraded is not None:
        scores = degradation_scores(section.degraded)
        if len(scores):
            made["degraded"] = Table(
                "One modality missing (amount: share of test utterances) or noisy (amount: deviations of its "
                "training features), scores × 100 on test",
                scores,
            )
    return made


_WEIGHT_TITLES = {
    "gate": "Mean gate by true emotion, test: how far the first modality strengthens the second (0 to 1)",
    "balance": "Mean balance of each pair by true emotion, test: the first member's share (0 to 1)",
    "product": "Mean share of each pair's guided product by true emotion, test (0 to 1)",
    "fusion": "Mean fusion weight by true emotion, test: each representation's share of the whole",
}


def weights_by_emotion(section: CorpusSection, kind: str) -> pd.DataFrame:
    """Mean weight of each part over test utterances of each true emotion, and over all of them.

    Means are over utterances first and then over seeds.

    Returns:
        Columns part, one a label, all (in brackets where a label is called so). No rows where the
        networks have no such weights.
    """
    assert section.contributions is not None
    assert section.utterances is not None
    label = section.utterances.query("split == 'test'").set_index("utterance_id")["label"]
    rows = section.contributions[
        (section.contributions["kind"] == kind) & section.contributions["utterance_id"].isin(label.index)
    ]
    if rows["weight"].notna().sum() == 0:
        return pd.DataFrame(columns=["part"])
    parts = list(rows["part"].unique())
    names = list(section.card.get("labels") or label.dropna().unique())
    by_seed = rows.assign(label=rows["utterance_id"].map(label))
    table = (
        by_seed.groupby(["part", "label", "seed"])["weight"]
        .mean()
        .groupby(["part", "label"])
        .mean()
        .unstack()
    )
    table = table.reindex(index=parts, columns=names).astype(float)
    every = by_seed.groupby(["part", "seed"])["weight"].mean().groupby("part").mean()
    # What rests on a modality that nobody has is no part of it.
    table = table.assign(**{_free("all", names): every}).dropna(how="all").rename_axis(None, axis=1)
    table.insert(0, _free("part", table.columns), table.index.astype(object))
    return table.reset_index(drop=True)


def _data(section: CorpusSection) -> dict[str, Table]:
    made = {}
    if section.utterances is not None:
        made["counts"] = Table("Utterances by label and split", _counts(section), "counts")
    irregularities = _irregularities(section.audit)
    if len(irregularities):
        made["irregularities"] = Table("Irregularities of the release by kind", irregularities)
    coverage = _coverage(section.features_audit)
    if len(coverage):
        made["coverage"] = Table("Utterances whose features are there, and why they are not", coverage)
        made["checks"] = Table("Odd vectors among those that are there", _checks(section.features_audit))
    clips = (section.features_audit or {}).get("clips")
    if clips:
        made["clips"] = Table(
            "What became of the clips, by utterance",
            pd.DataFrame(
                [[split, *clip_cells(facts)] for split, facts in clips["splits"].items()],
                columns=["split", *CLIP_COLUMNS.values()],
            ),
        )
    return made


def _counts(section: CorpusSection) -> pd.DataFrame:
    assert section.utterances is not None
    label = section.utterances["label"].astype(object)
    label = label.where(label.notna(), _free("no label", {*label.dropna(), "no label"}))
    table = pd.crosstab(label, section.utterances["split"]).reindex(columns=list(SPLITS), fill_value=0)
    known = [name for name in section.card.get("labels") or [] if name in table.index]
    table = table.loc[known + [name for name in table.index if name not in known]]
    every = _free("all", table.index)
    table.loc[every] = table.sum()
    table = table.assign(all=table.sum(axis=1)).rename_axis(None, axis=1)
    table.insert(0, "label", table.index.astype(object))
    return table.reset_index(drop=True)


def _irregularities(audit: Mapping[str, Any] | None) -> pd.DataFrame:
    """One row a kind, the most frequent first, with its meaning and one example."""
    kinds = (audit or {}).get("irregularities") or []
    rows = []
    for group in sorted(kinds, key=lambda group: -group["count"]):
        examples = group.get("examples") or []
        example = f"{examples[0]['where']}: {examples[0]['detail']}" if examples else ""
        kind = str(group["kind"]).replace("_", " ")
        rows.append((kind, group["count"], group.get("meaning") or "", example))
    return pd.DataFrame(rows, columns=["kind", "count", "meaning", "example"])


def _coverage(audit: Mapping[str, Any] | None) -> pd.DataFrame:
    """One row a modality: how many of each split are present, and why others are not."""
    rows = []
    for modality, by_split in ((audit or {}).get("counts") or {}).items():
        absent: Counter[str] = Counter()
        present = []
        for split in SPLITS:
            reasons = by_split.get(split) or {}
            present.append(f"{reasons.get('ok', 0):,} of {sum(reasons.values()):,}")
            absent.update({reason: count for reason, count in reasons.items() if reason != "ok"})
        why = ", ".join(f"{reason} {count:,}" for reason, count in absent.most_common()) or NONE
        rows.append((modality, *present, why))
    return pd.DataFrame(rows, columns=["modality", *SPLITS, "why absent"])


def _checks(audit: Mapping[str, Any] | None) -> pd.DataFrame:
    facts = (audit or {}).get("modalities") or {}
    rows = [
        (modality, *(facts.get(modality, {}).get(check) for check in CHECKS))
        for modality in (audit or {}).get("counts") or {}
    ]
    return pd.DataFrame(rows, columns=["modality", *CHECKS.values()]).astype(
        dict.fromkeys(CHECKS.values(), "Int64")
    )


def _interval(section: CorpusSection) -> tuple[float, float]:
    if section.utterances is None or not section.scored:
        return float("nan"), float("nan")
    assert section.predictions is not None
    rows = section.predictions.query("split == 'test' and head == @PREDICTION and label.notna()")
    return bootstrap_interval(rows, section.utterances.set_index("utterance_id")["dialogue_id"])


def cell(column: str, value: Any, other: Any = None) -> str:
    """A number as a table of scores prints it.

    Args:
        column: its name, which says what it is.
        other: its deviation over seeds, or the upper end of the interval that it begins.
    """
    if value is None or pd.isna(value):
        return NONE
    if isinstance(value, str):
        return line(value, LONGEST)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return str(value) if column in ("seed", "epoch") else f"{value:,}"
    if column in ("p", "p_corrected"):
        return probability(value)
    if column in _PLAIN:
        return f"{value:.2f}".rstrip("0").rstrip(".") if column == "amount" else f"{value:.2f}"
    if column == "coverage":
        return f"{100 * value:.0f}"
    if column.endswith("low"):
        sign = "+" if column == "difference_low" else ""
        return f"{_percent(value):{sign}.1f} to {_percent(other):{sign}.1f}"
    if column == "difference":
        return f"{_percent(value):+.1f}"
    return score(value, float("nan") if other is None else other)


def _percent(value: float) -> float:
    # Rounded first, and without the sign of a nought.
    return round(100 * value, 1) + 0.0


def _number(value: Any, kind: str) -> str:
    if value is None or pd.isna(value):
        return NONE
    if isinstance(value, str):
        return line(value, LONGEST)
    return {"counts": f"{value:,}", "shares": f"{100 * value:.1f}", "weights": f"{value:.2f}"}[kind]


def _kept(frame: pd.DataFrame) -> list[str]:
    """The columns that are printed in one of their own: no deviation, no upper end."""
    names = list(frame.columns)
    return [
        name
        for name in names
        if not name.endswith("_std") and not (name.endswith("high") and f"{name[:-4]}low" in names)
    ]


def _free(name: str, taken: Iterable[Any]) -> str:
    """A heading that none of the data's own names is."""
    taken = set(taken)
    while name in taken:
        name = f"({name})"
    return name
