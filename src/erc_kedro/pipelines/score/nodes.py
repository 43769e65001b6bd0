"""Nodes of the score pipeline."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc_kedro.errors import PlainError
from erc_kedro.parameters import ScoreParameters

if TYPE_CHECKING:
    from erc_kedro.scoring.confidence import Threshold

logger = logging.getLogger(__name__)


def score_recordings(
    where: Any,
    name: Any,
    parameters: ScoreParameters,
    models: Path,
    folder: Path,
    cache: Path,
) -> dict[str, Any]:
    """Scores recordings, and says what came of them.

    Args:
        where: recordings, a text or a list of texts, as ``recordings.find`` takes them.
        name: of the model: corpus/experiment below ``models``, the folder of a bundle, or an MLflow model.
        folder: of all models' results.
        cache: of features.

    Returns:
        what was scored by which model, and the counts.
    """
    from erc_kedro import files, recordings, scoring, tracking
    from erc_kedro.escaping import line
    from erc_kedro.recordings import labels
    from erc_kedro.scoring.card import LAW, trained_on
    from erc_kedro.timelines import scored

    if not where or not name:
        raise PlainError(
            "say what to score, and with which model: --params=recordings=PATH,model=meld/full (a file, a "
            "folder, a pattern, or a CSV of recordings; docs/scoring.md)"
        )
    logger.info(LAW)
    # Read once, however many recordings there are.
    parameters = parameters.model_copy(update={"labels": labels.mapping(parameters.labels)})
    found = recordings.find(where, parameters)
    model = scoring.load(bundle_of(name, models), parameters.allow)
    logger.info(trained_on(model.card.model_dump()))
    lost = [name for name in model.card.modalities if name not in model.extraction.modalities]
    if lost:
        logger.warning(
            "its %s features were made by others, and no recording has such: it knows less here than on "
            "validation",
            " and ".join(lost),
        )
    # No corpus has a hyphen in its name, so that a_b/c and a/b_c have a folder each.
    own = folder / model.card.name.replace("/", "-")
    with files.held([own]):
        done = scored.score_all(found, model, parameters, own, cache)
        page = scored.write_index(done, own)
    run = tracking.current()
    total = scored.totals(done)
    run.tags({"model": model.card.name, "model_digest": model.card.digest})
    run.metrics(total)
    if parameters.keep == "all":
        for one in done:
            if one.folder is not None:
                tracking.keep(run, one.facts["recording"], one.folder)
    failed = [one for one in done if one.folder is None]
    new = sum(one.new for one in done)
    logger.info(
        "%d recordings scored, %d were done before, %d failed",
        new,
        len(done) - new - len(failed),
        len(failed),
    )
    for reason, count in Counter(one.facts["error"]["reason"] for one in failed).most_common():
        first = next(one.facts for one in failed if one.facts["error"]["reason"] == reason)
        logger.warning(
            "%d failed as %s, such as %s: %s",
            count,
            reason,
            line(first["recording"], 100),
            line(first["error"]["detail"], 400),
        )
    logger.info(
        "%d utterances: %d decided, %d unsure (%.0f %%), %d empty, %d far from training",
        total["utterances"],
        total["decided"],
        total["unsure"],
        100 * total["unsure"] / max(total["utterances"], 1),
        total["empty"],
        total["far_from_training"],
    )
    _say_what_decided_is(model.threshold(parameters.accuracy), parameters.accuracy)
    _say_what_is_odd([one.facts for one in done])
    if "weighted_f1" in total:
        logger.info(
            "against the labels of %d utterances: accuracy %.4f, weighted F1 %.4f",
            total["labelled"],
            total["accuracy"],
            total["weighted_f1"],
        )
    logger.info("Open %s", page)
    return {"model": model.card.name, "digest": model.card.digest, "page": str(page), **total}


def _say_what_decided_is(threshold: "Threshold", accuracy: float) -> None:
    if threshold.value is None:
        logger.warning(
            "nothing is decided: on validation no confidence was right as often as score.accuracy asks (%g)",
            accuracy,
        )
        return
    logger.info(
        "decided is a confidence of %.2f or more: on validation %.0f %% of utterances had it, and %.0f %% of "
        "those were right",
        threshold.value,
        100 * threshold.answered,
        100 * threshold.accuracy,
    )


def _say_what_is_odd(done: Sequence[dict[str, Any]]) -> None:
    """Says what parameters can mend, or makes results wrong; the pages have all remarks."""
    from erc_kedro.escaping import line

    for kind in ("shifted", "in_silence", "channels_unused", "frame_side_unused", "unknown_label"):
        odd = [(one, remark) for one in done for remark in one.get("remarks", []) if remark["kind"] == kind]
        if odd:
            first, remark = odd[0]
            logger.warning(
                "%d recordings with %s, such as %s: %s",
                len(odd),
                kind,
                line(first["recording"], 100),
                line(remark["detail"], 300),
            )


def bundle_of(name: str, models: Path) -> str | Path:
    """The bundle that a name stands for: corpus/experiment, a folder, or an MLflow model.

    Raises:
        PlainError: there is none; naming those that there are.
    """
    if name.startswith("models:"):
        return name
    tried = [models / name / "bundle", Path(name), Path(name) / "bundle"]
    for path in tried:
        if (path / "bundle.json").is_file():
            return path
    there = sorted(f"{path.parts[-4]}/{path.parts[-3]}" for path in models.glob("*/*/bundle/bundle.json"))
    known = f"there are {', '.join(there)}" if there else "`kedro run --pipeline=train` makes one"
    raise PlainError(f"model: {name} is no trained model; {known}")
