"""Tables of scores: the headline, experiments, emotions, confidence, parts of the test split."""

from collections.abc import Iterable

import pandas as pd

from erc_kedro.report.labels import HEADLINE, SLICES, head_label, slice_title
from erc_kedro.report.published import ANCHORS
from erc_kedro.report.section import CorpusSection, Table
from erc_kedro.schemas import HEADS
from erc_kedro.sentences import unused_name

_HEADLINE_TITLE = "Scores × 100: means ± standard deviations over seeds; 95 % interval over"
_COMPARED = (
    *("experiment", "seeds", "accuracy", "accuracy_std", "uar", "uar_std", "weighted_f1", "weighted_f1_std"),
    *("low", "high", "macro_f1", "macro_f1_std", "val_weighted_f1", "difference", "difference_low"),
    *("difference_high", "effect", "p", "p_corrected", "modalities", "settings", "note"),
)


def headline_table(sections: Iterable[CorpusSection]) -> pd.DataFrame:
    """The trimodal head's headline scores of several corpora.

    Returns:
        ``evaluation.results.headline`` of each corpus but for its units, the corpus named in a first column
        ``corpus``. A corpus without metrics has no rows.
    """
    parts = []
    for section in sections:
        if "headline" in section.results:
            parts.append(section.results["headline"].copy())
            parts[-1].insert(0, "corpus", section.title)
    columns = ["corpus", "split", "metric", "mean", "std", "seeds", "low", "high"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def side_by_side(sections: Iterable[CorpusSection]) -> Table:
    """The headline of all corpora, a row a corpus, split and metric."""
    sections = list(sections)
    table = headline_table(sections)
    table = table.assign(metric=table["metric"].map(HEADLINE))
    table = table.rename(columns={"mean": "score", "std": "score_std"})
    over = list(dict.fromkeys(section.over for section in sections))
    if len(over) > 1:
        over = [f"{section.over} ({section.title})" for section in sections]
    title = f"{_HEADLINE_TITLE} {', '.join(over)}"
    notes = [
        f"{section.title}: {note}"
        for section in sections
        for note in (section.few, section.scaling_note)
        if note
    ]
    return Table(" ".join([f"{title}." if notes else title, *notes]), table)


def published() -> Table:
    """Published weighted F1 and by which split each was selected."""
    table = pd.DataFrame(ANCHORS).assign(iemocap=lambda t: t["iemocap"] / 100, meld=lambda t: t["meld"] / 100)
    return Table("Published weighted F1 × 100 on test, and the split that the model was selected by", table)


def score_tables(section: CorpusSection) -> dict[str, Table]:
    """The tables of one corpus's scores, by name."""
    return {**_of_training(section), **_of_predictions(section), **_of_slices(section)}


def _of_training(section: CorpusSection) -> dict[str, Table]:
    made = {}
    headline = side_by_side([section])
    if len(headline.frame):
        columns = ["split", "metric", "score", "score_std", "low", "high", "seeds"]
        made["headline"] = Table(headline.title, headline.frame[columns])
    history = section.history
    if history is not None and history["selected"].astype(bool).any():
        by = ["seed", "fold"] if "fold" in history else ["seed"]
        chosen = history[history["selected"].astype(bool)].sort_values(by)
        made["selection"] = Table(
            "The epoch that was kept (counted from 0) and its validation weighted F1 × 100",
            chosen[[*by, "epoch", "val_weighted_f1"]].reset_index(drop=True),
        )
    if "summary" in section.results:
        test = section.results["summary"].query("split == 'test' and metric == 'weighted_f1'")
        test = test.set_index("head").reindex([head for head in HEADS if head in set(test["head"])])
        if len(test):
            made["heads"] = Table(
                "Weighted F1 × 100 of the heads of one network, on test",
                pd.DataFrame(
                    {
                        "head": [head_label(head) for head in test.index],
                        "weighted_f1": test["mean"].to_numpy(),
                        "weighted_f1_std": test["std"].to_numpy(),
                    }
                ),
            )
    if section.comparison is not None:
        columns = [*_COMPARED]
        columns[-3:-3] = [name for name in map(str, section.comparison) if "without_majority" in name]
        made["comparison"] = Table(
            "Experiments on test × 100; difference in weighted F1 to the reference, Cohen's d over seeds; "
            f"both 95 % intervals and a paired permutation test (corrected by Holm) are over {section.over}",
            section.comparison.reindex(columns=columns).fillna(
                {"modalities": "", "settings": "", "note": ""}
            ),
        )
    return made


def _of_predictions(section: CorpusSection) -> dict[str, Table]:
    if section.predictions is None or not section.scored:
        return {}
    results, first = section.results, int(section.predictions["seed"].min())
    made = {}
    for name, which in (
        ("classes", "means over seeds; support counts the utterances of one seed"),
        ("classes_one_seed", f"of seed {first}"),
    ):
        table = results[name].rename(columns={"class": "emotion"})
        made[name] = Table(f"Emotions on test × 100: {which}", table)
    for name, which in (("confusion", "summed over seeds"), ("confusion_one_seed", f"of seed {first}")):
        made |= _confusion(name, results[name], which)
    made["calibration"] = Table(
        "Calibration on test, before and after a temperature fitted on validation; ECE × 100",
        results["calibration"],
    )
    made["selective"] = Table("The most confident share of test utterances alone × 100", results["selective"])
    made["errors"] = Table(
        "The ten most confident errors of each emotion on test, by mean probability over seeds (× 100); "
        "own: that of the true emotion",
        results["errors"],
    )
    return made


def _confusion(name: str, counts: pd.DataFrame, which: str) -> dict[str, Table]:
    """Counts [C, C], rows the truth, and the same as shares of each row."""
    truth = unused_name("truth", counts.columns)
    shares = counts.div(counts.sum(axis=1).where(lambda total: total > 0), axis=0)

    def table(frame: pd.DataFrame, what: str, kind: str) -> Table:
        frame = frame.rename_axis(None, axis=1)
        frame.insert(0, truth, frame.index.astype(object))
        title = f"Confusion on test, {what}, {which}: rows the truth, columns the prediction"
        return Table(title, frame.reset_index(drop=True), kind)  # type: ignore[arg-type]

    return {
        name: table(counts, "counts", "counts"),
        f"{name}_rows": table(shares, "% of each true emotion", "shares"),
    }


def _of_slices(section: CorpusSection) -> dict[str, Table]:
    groups = section.description.get("groups") or {}
    return {
        name: Table(f"{slice_title(name, groups)}: scores × 100 on test", section.results[name])
        for name in SLICES
        if name in section.results
    }
