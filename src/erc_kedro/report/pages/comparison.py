"""The comparison of experiments as a page of Markdown."""

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.escaping import code, markdown, markdown_table
from erc_kedro.evaluation.units import counted, few_units
from erc_kedro.report.labels import HEADINGS, NONE
from erc_kedro.report.pages.modalities import modalities_markdown
from erc_kedro.report.published import PUBLISHED
from erc_kedro.report.scaling import scaling_note
from erc_kedro.report.tables.printed import cell, score
from erc_kedro.schemas import MODALITIES
from erc_kedro.sentences import probability

_TEXT = ("experiment", "modalities", "settings", "note")
# Scores of corpora whose papers leave the majority class out.
_WITHOUT = ("micro_f1_without_majority", "macro_f1_without_majority")


def comparison_markdown(
    table: pd.DataFrame,
    summaries: Mapping[str, Mapping[str, Any]],
    reference: str,
    modalities: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """One section a corpus, one row an experiment.

    Args:
        table: ``schemas.comparison`` with a column ``corpus``.
        summaries: by corpus: its ``title``, ``protocol``, whether it is ``synthetic``, its ``cautions``
            (sentences), the settings of its ``search``, and its ``experiments``: by name their
            ``parameters``, the modalities that are ``shown``, and their ``key``, None where none was trained.
        reference: the experiment that the others were tested against.
        modalities: by corpus ``schemas.compared_modalities``.
    """
    lines = ["# Experiments compared", ""]
    for corpus, rows in table.groupby("corpus", sort=False):
        summary = summaries[str(corpus)]
        lines += [f"## {markdown(summary['title'])}, {markdown(summary['protocol'])}", ""]
        if summary["synthetic"]:
            lines += ["**SYNTHETIC DATA, not a result.**", ""]
        released = not summary["synthetic"] and summary["protocol"] != "manifest"
        count, unit = int(rows["units"].max()), str(rows["unit"].iloc[0])
        over = counted(count, unit)
        without = [name for name in _WITHOUT if name in rows and rows[name].notna().any()]
        cells = [_cells(row, over, without, released) for row in rows.to_dict("records")]
        lines += [
            "Scores × 100 on test, mean ± standard deviation over seeds; WA is accuracy, UA is the mean "
            "recall of the classes; epochs chosen by validation weighted F1. Difference in weighted F1 to "
            f"{code(reference)}, Cohen's d over three seeds or more, the p-value of a paired permutation "
            "test, and the same corrected for the number of comparisons (Holm). Intervals and the test are "
            f"over the {over} of test.",
            "",
            markdown_table(
                list(cells[0]),
                [list(row.values()) for row in cells],
                [name not in _TEXT for name in cells[0]],
            ),
            *(f"- {markdown(verdict)}" for verdict in rows["verdict"]),
            "",
        ]
        if few := few_units(count, unit):
            lines += [f"**{few}**", ""]
        lines += _made_of(rows)
        if settings := summary.get("search"):
            lines += [
                f"Every experiment that is trained by steps had the same small search: {len(settings)} "
                "settings, trained once a fold by a seed of its own, and the one that validation prefers is "
                "what its seeds have (`its own`: as the experiment is configured).",
                "",
            ]
        for caution in summary.get("cautions") or []:
            lines += [f"**{markdown(caution)}**", ""]
        lines += _scaling_notes(summary)
        if modalities and str(corpus) in modalities:
            lines += modalities_markdown(modalities[str(corpus)], reference)
    if table["experiment"].isin({name for name, *_ in PUBLISHED}).any():
        lines += ["Published figures and how they were selected:", ""]
        lines += [
            f"- {model}: {source}; selected on {selection}."
            for name, model, _, _, selection, source in PUBLISHED
            if name in set(table["experiment"])
        ]
        lines.append("")
    return "\n".join(lines)


def _made_of(rows: pd.DataFrame) -> list[str]:
    """What the experiments' vectors are, each combination once, in the order of the table."""
    known = rows[rows["made_of"] != ""]
    if known.empty:
        return []
    cells = []
    for made_of, names in known.groupby("made_of", sort=False)["experiment"]:
        # A file may have any name, one with a semicolon, too.
        _, *parts = re.split(rf"(?:^|; )({'|'.join(MODALITIES)}): ", str(made_of))
        said = dict(zip(parts[::2], parts[1::2], strict=True))
        cells.append([", ".join(names), *(said.get(modality, NONE) for modality in MODALITIES)])
    return [
        "What the vectors of each row were made by, and the first digits of their digest: equal digits are "
        "equal vectors.",
        "",
        markdown_table(("experiments", *MODALITIES), cells),
    ]


def _scaling_notes(summary: Mapping[str, Any]) -> list[str]:
    """What the experiments' scaling reads beside training, each sentence once."""
    experiments: Mapping[str, Any] = summary.get("experiments") or {}
    said: dict[str, list[str]] = {}
    for name, facts in experiments.items():
        absent = set(MODALITIES) - set(facts.get("shown", MODALITIES))
        if facts["key"] is not None and (note := scaling_note(facts["parameters"], absent)):
            said.setdefault(note, []).append(code(name))
    return [
        line
        for note, names in said.items()
        for line in (f"{'All' if len(names) == len(experiments) else ', '.join(names)}: {note}", "")
    ]


def _cells(row: Mapping[Any, Any], over: str, without: list[str], released: bool) -> dict[str, str]:
    """A row as printed, by heading; only one of a release has a published figure."""
    published = {name: {"iemocap": i, "meld": m} for name, _, i, m, _, _ in PUBLISHED} if released else {}
    figure = published.get(row["experiment"], {}).get(row["corpus"])
    return {
        "experiment": row["experiment"],
        "modalities": row["modalities"] or NONE,
        "seeds": str(row["seeds"]),
        HEADINGS["accuracy"]: score(row["accuracy"], row["accuracy_std"]),
        HEADINGS["uar"]: score(row["uar"], row["uar_std"]),
        "weighted F1": score(row["weighted_f1"], row["weighted_f1_std"]),
        f"95 % interval over {over}": cell("low", row["low"], row["high"]),
        "macro F1": score(row["macro_f1"], row["macro_f1_std"]),
        **{HEADINGS[name]: score(row[name], row[f"{name}_std"]) for name in without},
        "weighted F1, validation": score(row["val_weighted_f1"]),
        "difference": cell("difference", row["difference"]),
        "95 % interval of it": cell("difference_low", row["difference_low"], row["difference_high"]),
        "d": NONE if pd.isna(row["effect"]) else f"{row['effect']:+.1f}",
        "p": probability(row["p"]),
        "p, corrected": probability(row["p_corrected"]),
        "published weighted F1": NONE if figure is None else f"{figure:.1f}",
        "settings": row["settings"] or NONE,
        "note": row["note"],
    }
