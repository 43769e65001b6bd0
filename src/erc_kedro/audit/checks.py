"""Whether training may go on: what audits and records forbid, raised as one error."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from erc_kedro.audit.encoders import text_errors
from erc_kedro.audit.provenance import is_complete, provenance_errors
from erc_kedro.errors import PlainError
from erc_kedro.folds import views
from erc_kedro.schemas import MODALITIES


class AuditError(PlainError, ValueError):
    """A corpus on which no result could be believed."""


def refuse(audit: Mapping[str, Any]) -> None:
    """Raise AuditError with all errors of an audit, of a corpus or of features, if there are any."""
    if audit["errors"]:
        name = audit.get("name", "Features")
        raise AuditError(f"{name}: {' '.join(audit['errors'])} Fix this, then run again.")


def refuse_training(audit: Mapping[str, Any]) -> None:
    """``refuse`` what nothing can be learned from, too."""
    refuse({**audit, "errors": [*audit["errors"], *audit.get("not_learnable", [])]})


def check_before_training(
    name: str,
    audit: Mapping[str, Any],
    features_audit: Mapping[str, Any],
    features: Mapping[str, pd.DataFrame],
    utterances: pd.DataFrame,
    corpus: str,
    causal: bool,
    modalities: Iterable[str] = MODALITIES,
) -> list[str]:
    """Raise AuditError unless a model of this name may be trained.

    Refused are the errors of either audit, features of unknown or other provenance than ``features_audit``
    records, and what ``text_errors`` finds.

    Args:
        features: by modality, the tables that are trained on.
        modalities: that the model reads.

    Returns:
        what must be said beside the model's scores (sentences): features that changed after they were made,
        and those that seem to know the labels of training.
    """
    refuse_training(audit)
    refuse_training(features_audit)
    records = features_audit.get("provenance") or {}
    errors, cautions = provenance_errors(records, features, utterances)
    if is_complete(records.get("text")):
        found = (
            text_errors(records["text"], view.utterances, corpus, causal, view.name)
            for view in views(utterances)
        )
        errors += dict.fromkeys(error for of_fold in found for error in of_fold)
    refuse({"name": f"{corpus} {name}", "errors": errors})
    fitted = (features_audit.get("fitted") or {}).get("warnings") or {}
    return cautions + [fitted[modality] for modality in modalities if modality in fitted]
