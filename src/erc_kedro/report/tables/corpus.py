"""Tables of a corpus and its features, as their audits counted them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from erc_kedro.audit.clips import CLIP_COLUMNS, clip_cells
from erc_kedro.report.labels import CHECKS, NONE
from erc_kedro.report.section import CorpusSection, Table
from erc_kedro.schemas import SPLITS


def corpus_tables(section: CorpusSection) -> dict[str, Table]:
    """The tables of one corpus's data, by name."""
    made = {}
    if "counts" in section.results:
        made["counts"] = Table("Utterances by label and split", section.results["counts"], "counts")
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
