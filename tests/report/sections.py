"""A corpus's section made of random results, and the page of it as a reader sees it."""

from copy import deepcopy
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd

from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.audit.features import audit_features
from erc_kedro.audit.provenance import provenance
from erc_kedro.evaluation.comparison import comparison_table
from erc_kedro.evaluation.metrics import metrics_table
from erc_kedro.evaluation.units import units_of
from erc_kedro.pipelines.reporting.nodes import evaluate_results
from erc_kedro.report.pages.report import render_report
from erc_kedro.report.plots.drawn import figures_of
from erc_kedro.report.section import CorpusSection
from erc_kedro.schemas import HEADS

CLASSES = ["joy", "anger", "neutral"]
WEIGHTS = {
    "gate": ("audio>text", "text>audio"),
    "balance": ("ta", "tv", "av"),
    "product": ("ta", "tv", "av"),
    "fusion": ("ta", "tv", "av", "t", "a", "v"),
}
EVIL = "<script>alert('x')</script>"


_made: dict[str, CorpusSection] = {}


def section(name="meld", seeds=3, classes=CLASSES, **description):
    """A section whose tables may be changed; what is random in it and its description are always the same."""
    key = repr((name, seeds, classes, description))
    if key not in _made:
        _made[key] = _section(name, seeds, classes, description)
    return deepcopy(_made[key])


def _section(name, seeds, classes, description):
    rng = np.random.default_rng(8)
    splits = np.repeat(["train", "val", "test"], [60, 30, 60])
    count = len(splits)
    labels = rng.choice(classes[:3], count).astype(object)
    labels[::17] = None
    utterances = pd.DataFrame(
        {
            "utterance_id": [f"u{n}" for n in range(count)],
            "dialogue_id": [f"d{n // 10}" for n in range(count)],
            "position": np.arange(count) % 10,
            "speaker": rng.choice(["A", "B"], count),
            "text": [f"sentence {n}" for n in range(count)],
            "label": pd.array(labels, dtype="str"),
            "split": splits,
        }
    ).assign(start_s=np.nan, end_s=np.nan, clip=None, clip_start_s=np.nan, clip_end_s=np.nan, wav=None)
    utterances["frame_side"] = None
    tables = []
    for seed in range(seeds):
        for head in HEADS:
            chances = rng.dirichlet([1] * len(classes), count).astype("float32")
            table = pd.DataFrame(chances, columns=[f"p_{name}" for name in classes])
            table = table.assign(seed=seed, head=head)
            tables.append(pd.concat([table, utterances[["utterance_id", "label", "split"]]], axis=1))
    predictions = pd.concat(tables, ignore_index=True)
    history = pd.DataFrame(
        {
            "seed": np.repeat(np.arange(seeds), 3),
            "epoch": np.tile([1, 2, 3], seeds),
            "train_loss": 1.0,
            "val_weighted_f1": 0.4567,
            "selected": np.tile([False, True, False], seeds),
        }
    )
    description = {
        "name": name.upper(),
        "protocol": "official",
        "synthetic": False,
        "labels": classes,
        **description,
    }
    irregularities = pd.DataFrame(
        [("numbering_gap", "row 3", EVIL), ("numbering_gap", "row 9", "")],
        columns=["kind", "where", "detail"],
    )
    present = np.arange(count) % 10 != 0
    features = pd.DataFrame(
        {
            "utterance_id": utterances["utterance_id"],
            "vector": list(rng.normal(size=(count, 3)).astype("float32")),
            "present": present,
            "reason": np.where(present, "ok", "no_media"),
        }
    )
    test = utterances[utterances["split"] == "test"]
    every = test["utterance_id"].to_numpy()
    parts = [(kind, part) for kind, names in WEIGHTS.items() for part in names]
    contributions = pd.concat(
        pd.DataFrame({"seed": seed, "utterance_id": every, "kind": kind, "part": part}).assign(
            weight=rng.random(len(test)).astype("float32")
        )
        for seed in range(seeds)
        for kind, part in parts
    )
    degraded = pd.concat(
        pd.DataFrame(
            {
                "seed": seed,
                "kind": kind,
                "modality": "text",
                "amount": amount,
                "utterance_id": every,
                "label": test["label"].to_numpy(object),
                "predicted": rng.choice(classes, len(test)),
            }
        )
        for seed in range(seeds)
        for kind, amount in (("missing", 0.0), ("missing", 1.0), ("noise", 2.0))
    )
    places = test[test["label"].notna()]
    layout = pd.concat(
        pd.DataFrame({"utterance_id": places["utterance_id"], "head": head, "label": places["label"]}).assign(
            x=rng.random(len(places)), y=rng.random(len(places))
        )
        for head in ("tav", "t")
    )
    compared = pd.concat([predictions.assign(experiment=e) for e in ("full", "other")])
    flip = compared["experiment"] == "other"
    columns = [f"p_{name}" for name in classes]
    compared.loc[flip, columns] = compared.loc[flip, columns].to_numpy()[:, ::-1]
    comparison = comparison_table(
        compared[compared["head"] == "tav"],
        units_of(utterances),
        ["full", "other"],
        "full",
        draws=50,
    )
    return evaluate_results(
        CorpusSection(
            name,
            description,
            predictions,
            metrics_table(predictions),
            history,
            audit_corpus(utterances, description, irregularities),
            audit_features(
                {"audio": features}, utterances, {"audio": provenance(features, utterances, {"name": "made"})}
            ),
            utterances,
            contributions,
            degraded,
            layout,
            comparison,
            {
                "git_revision": "def5678",
                "command": "kedro run --pipeline=train",
                "parameters": {"model": {"architecture": "gated_fusion"}},
            },
        )
    )


def changed(section, **parts):
    """The section with other parts, and all that is computed of them."""
    return evaluate_results(replace(section, **parts))


def rendered(sections, facts=None):
    """The page over sections, with their figures."""
    return render_report(sections, [figures_of(section) for section in sections], facts)


_drawn = []


def words(sections, facts=None):
    """What the page over sections says. Its figures are another section's, drawn once for all."""
    if not _drawn:
        _drawn.append(figures_of(section()))
    return Page(render_report(sections, _drawn * len(sections), facts)).words


FACTS = {
    "command": f"kedro run --params=x={EVIL}",
    "experiment": "gated",
    "revision": "abc1234",
    "created": "today",
    "versions": {"torch": "2.13.0"},
    "parameters": {"train": {"seeds": [0, 1]}},
}


class Page(HTMLParser):
    """The page's cells, its text, and what it refers to; script contents are kept apart."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.scripts, self.rows = [], [], [], []
        self._script = self._cell = False
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._script = tag == "script"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag == "script":
            self._script = False
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._script:
            self.scripts.append(data)
            return
        self.text.append(data)
        if self._cell:
            self.rows[-1][-1] += data

    def row(self, name):
        """The stripped cells of the first row that starts so."""
        for row in self.rows:
            cells = [" ".join(cell.split()) for cell in row]
            if cells and cells[0] == name:
                return cells
        raise AssertionError(f"no row {name}")

    @property
    def words(self):
        return " ".join("".join(self.text).split())
