"""The page: its numbers against scikit-learn, its gaps as sentences, and nothing from outside."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_score

from erc_kedro.evaluation.audit import audit_corpus, audit_features
from erc_kedro.evaluation.intervals import bootstrap_interval
from erc_kedro.evaluation.metrics import class_columns, metrics_table
from erc_kedro.figures.report import CorpusSection, headline_markdown, headline_table, render_report, score
from erc_kedro.schemas import HEADS

CLASSES = ["joy", "anger", "neutral"]
EVIL = "<script>alert('x')</script>"


def section(name="meld", seeds=3, classes=CLASSES, **card):
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
            "speaker": "A",
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
    card = {"name": name.upper(), "protocol": "official", "synthetic": False, "labels": classes, **card}
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
    return CorpusSection(
        name,
        card,
        predictions,
        metrics_table(predictions),
        history,
        audit_corpus(utterances, card, irregularities),
        audit_features({"audio": features}, utterances),
        utterances,
    )


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


@pytest.fixture(scope="module")
def whole():
    return section()


@pytest.fixture(scope="module")
def html(whole):
    return render_report([whole, section("iemocap", notes=[EVIL])], FACTS)


def by_seed(predictions, head="tav", split="test"):
    columns = class_columns(predictions)
    rows = predictions[(predictions["head"] == head) & (predictions["split"] == split)]
    for _, run in rows[rows["label"].notna()].groupby("seed"):
        names = np.array([column[2:] for column in columns])
        yield run["label"].to_numpy(object).astype(str), names[run[columns].to_numpy().argmax(axis=1)]


def printed(values):
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}"


def test_headline_is_scikit_learns(whole, html):
    page = Page(html)
    scores = [f1_score(*pair, average="weighted") for pair in by_seed(whole.predictions)]
    assert page.row("Weighted F1")[1] == printed(scores)
    assert page.row("Macro F1")[1] == printed(
        [f1_score(*pair, average="macro") for pair in by_seed(whole.predictions)]
    )
    validation = [f1_score(*pair, average="weighted") for pair in by_seed(whole.predictions, split="val")]
    rows = [row for row in page.rows if row and row[0] == "Weighted F1" and len(row) == 3]
    assert rows[1][1] == printed(validation)
    test = whole.predictions.query("split == 'test' and head == 'tav'")
    low, high = bootstrap_interval(test, whole.utterances.set_index("utterance_id")["dialogue_id"])
    assert page.row("95 % interval of weighted F1")[1] == f"{100 * low:.1f} to {100 * high:.1f}"
    assert page.row("Seeds")[1:3] == ["3", "3"]


def test_classes_and_heads_are_scikit_learns(whole, html):
    page = Page(html)
    pairs = list(by_seed(whole.predictions))
    for number, name in enumerate(CLASSES):
        precision = [precision_score(*pair, labels=CLASSES, average=None)[number] for pair in pairs]
        f1 = [f1_score(*pair, labels=CLASSES, average=None)[number] for pair in pairs]
        row = page.row(name)
        assert row[1] == f"{100 * np.mean(precision):.1f}"
        assert row[3] == printed(f1)
        assert row[4] == str((pairs[0][0] == name).sum())
    text = [f1_score(*pair, average="weighted") for pair in by_seed(whole.predictions, head="t")]
    assert page.row("text (t)")[1] == printed(text)


def test_audit_is_shown(whole, html):
    page = Page(html)
    counts = whole.utterances.groupby(["label", "split"]).size()
    expected = [str(counts["joy"][split]) for split in ("train", "val", "test")]
    assert expected in [row[1:4] for row in page.rows if row and row[0] == "joy"]
    assert page.row("numbering gap")[1] == "2"
    assert page.row("audio")[1:] == ["54 of 60", "27 of 30", "54 of 60", "no_media 15"]
    assert "have no label" in page.words


def test_it_says_how_it_came_about(html):
    words = Page(html).words
    for part in ("abc1234", "gated", "2.13.0", '"seeds"', "is scored once", "kedro run --params"):
        assert part in words
    assert Page(html).row("Epoch, counted from 0")[1:] == ["2", "2", "2"]


def test_nothing_comes_from_outside(html):
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base")
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith("#")
    style = html[html.index("<style>") : html.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    assert sum("plotly.js v" in script[:500] for script in page.scripts) == 1


def test_contents_lead_somewhere(html):
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for tag, attributes in page.tags if tag == "a"}
    assert links <= set(ids)
    assert len(links) == 2 + 2 * 6
    charts = {attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes}
    assert charts <= set(ids)
    assert len(charts) == 1 + 2 * 4


def test_text_is_escaped_wherever_it_comes_from():
    corpus = section(classes=["joy", "anger", EVIL], name=EVIL, notes=[EVIL], protocol=EVIL)
    page = render_report([corpus], FACTS | {"experiment": EVIL, "parameters": {EVIL: EVIL}})
    assert EVIL not in page
    assert "<script>alert" not in page
    assert EVIL in Page(page).words


def test_a_synthetic_corpus_is_called_so_in_the_title():
    sections = [section(synthetic=True), section("iemocap")]
    page = render_report(sections, FACTS)
    assert re.search(r"<title>SYNTHETIC DATA", page)
    assert re.search(r"<h1>SYNTHETIC DATA", page)
    words = Page(page).words
    assert "This is not a result." in words
    assert "They do not apply to MELD (synthetic)" in words
    assert "They apply to IEMOCAP," in words
    assert headline_markdown(sections).startswith("**SYNTHETIC DATA, not a result: MELD (synthetic).**")


def test_real_corpora_are_not_called_synthetic(html):
    assert "SYNTHETIC" not in html[html.index("<body") :].split("<script")[0]
    assert "<title>Emotion" in html


@pytest.mark.parametrize(
    ("part", "pipeline"),
    [
        ("predictions", "train"),
        ("metrics", "train"),
        ("history", "train"),
        ("audit", "ingestion"),
        ("utterances", "ingestion"),
        ("features_audit", "features"),
    ],
)
def test_a_missing_part_leaves_its_command(whole, part, pipeline):
    words = Page(render_report([replace(whole, **{part: None})], FACTS)).words
    assert f"kedro run --pipeline={pipeline} --namespaces=meld makes it" in words


def test_nothing_at_all_still_makes_a_page():
    page = Page(render_report([CorpusSection("mine")]))
    assert "No metrics of mine yet" in page.words
    assert "They do not apply here" in page.words
    assert "The command was not recorded" in page.words
    with pytest.raises(ValueError, match="at least one corpus"):
        render_report([])


def test_one_seed_and_no_labels_are_said():
    words = Page(render_report([section(seeds=1)])).words
    assert "one seed proves little" in words
    corpus = section()
    predictions = corpus.predictions.copy()
    predictions.loc[predictions["split"] == "test", "label"] = None
    corpus = replace(corpus, predictions=predictions, metrics=metrics_table(predictions))
    words = Page(render_report([corpus])).words
    assert "has no labelled test utterances" in words
    assert "nothing to count" in words


def test_a_class_absent_from_test_is_a_dash():
    corpus = section(classes=[*CLASSES, "fear"])
    predictions = corpus.predictions.assign(p_fear=np.float32(0))
    corpus = replace(corpus, predictions=predictions, metrics=metrics_table(predictions))
    assert Page(render_report([corpus])).row("fear") == ["fear", "–", "–", "–", "0"]


def test_equal_input_makes_equal_pages(whole, html):
    assert render_report([whole, section("iemocap", notes=[EVIL])], FACTS) == html


def test_headline_as_a_table_and_as_markdown(whole):
    other = section("a|b", seeds=1)
    table = headline_table([whole, other, CorpusSection("none")])
    assert table.groupby("corpus")["seeds"].first().to_dict() == {"MELD": 3, "A|B": 1}
    row = table.query("corpus == 'MELD' and split == 'test' and metric == 'weighted_f1'").iloc[0]
    assert row["low"] < row["mean"] < row["high"]
    lines = headline_markdown([whole, other, CorpusSection("none")]).strip().splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2:]]
    assert {len(line) for line in cells} == {10}
    assert score(row["mean"], row["std"]) in lines[4]
    assert "A\\|B" in lines[5]
    assert headline_table([]).empty
