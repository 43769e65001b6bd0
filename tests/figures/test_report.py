"""The page: its numbers against scikit-learn, its gaps as sentences, and nothing from outside."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, precision_score

from erc_kedro.audit.corpus import audit_corpus
from erc_kedro.audit.features import audit_features
from erc_kedro.audit.provenance import provenance
from erc_kedro.evaluation.comparison import comparison_table
from erc_kedro.evaluation.intervals import bootstrap_interval
from erc_kedro.evaluation.metrics import class_columns, metrics_table
from erc_kedro.figures.model_card import model_card
from erc_kedro.figures.report import headline_markdown, render_report
from erc_kedro.figures.section import CorpusSection
from erc_kedro.figures.tables import headline_table, score, side_by_side
from erc_kedro.schemas import HEADS

CLASSES = ["joy", "anger", "neutral"]
WEIGHTS = {
    "gate": ("audio>text", "text>audio"),
    "balance": ("ta", "tv", "av"),
    "product": ("ta", "tv", "av"),
    "fusion": ("ta", "tv", "av", "t", "a", "v"),
}
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
        utterances.set_index("utterance_id")["dialogue_id"],
        ["full", "other"],
        "full",
        draws=50,
    )
    return CorpusSection(
        name,
        card,
        predictions,
        metrics_table(predictions),
        history,
        audit_corpus(utterances, card, irregularities),
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
    assert [row for row in Page(html).rows if row[1:] == ["2", "45.7"]] == 2 * [
        [s, "2", "45.7"] for s in "012"
    ]


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
    assert len(links) == 2 + 2 * 11
    charts = {attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes}
    assert charts <= set(ids)
    assert len(charts) == 1 + 2 * 13


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
    own = [section(protocol="manifest")]
    assert "They do not apply here" in Page(render_report(own)).words
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
        ("comparison", "compare"),
        ("contributions", "train"),
        ("degraded", "train"),
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


def test_every_part_is_scikit_learn_s(whole, html):
    page = Page(html)
    of = whole.utterances.set_index("utterance_id")["speaker"]
    rows = whole.predictions.query("head == 'tav' and split == 'test' and label.notna()")
    scores = []
    for _, run in rows[rows["utterance_id"].map(of) == "A"].groupby("seed"):
        names = np.array(CLASSES)[run[class_columns(run)].to_numpy().argmax(axis=1)]
        scores.append(f1_score(run["label"], names, average="weighted"))
    own = [row for row in page.rows if row and row[0] == "A" and len(row) == 4]
    assert own[0][3] == printed(scores)


def test_weights_by_emotion_are_means_over_utterances_then_seeds(whole):
    table = whole.tables["gates"].frame.set_index("part")
    label = whole.utterances.set_index("utterance_id")["label"]
    rows = whole.contributions.query("kind == 'gate' and part == 'text>audio'")
    rows = rows[rows["utterance_id"].map(label) == "anger"]
    assert table.loc["text>audio", "anger"] == pytest.approx(rows.groupby("seed")["weight"].mean().mean())
    assert list(table.columns) == [*CLASSES, "all"]


def test_a_lost_modality_is_scored_by_scikit_learn(whole, html):
    rows = whole.degraded.query("kind == 'missing' and amount == 1.0 and label.notna()")
    scores = [f1_score(r["label"], r["predicted"], average="weighted") for _, r in rows.groupby("seed")]
    row = next(r for r in Page(html).rows if r[:3] == ["missing", "text", "1"])
    assert row[4] == printed(scores)


def test_figures_hold_the_numbers_of_their_tables(whole):
    figure = whole.figures["selective"]
    table = whole.tables["selective"].frame
    assert np.asarray(figure.data[1].y, float) == pytest.approx(100 * table["weighted_f1"].to_numpy())
    best = whole.figures["experiments"].data[0]
    expected = whole.comparison.sort_values("weighted_f1", ascending=False)
    assert list(best.y) == expected["experiment"].tolist()
    assert np.asarray(best.x, float) == pytest.approx(100 * expected["weighted_f1"].to_numpy())
    heat = whole.figures["fusion"].data[0]
    assert np.asarray(heat.z, float) == pytest.approx(
        whole.tables["fusion"].frame.drop(columns="part").to_numpy(float)
    )


def test_one_seed_has_one_confusion_and_many_have_two(whole, html):
    one = Page(render_report([section(seeds=1)]))
    assert "The same of one seed, the first." not in one.words
    assert "The same of one seed, the first." in Page(html).words
    first = whole.predictions.query("seed == 0 and head == 'tav' and split == 'test' and label.notna()")
    assert whole.tables["confusion_one_seed"].frame[CLASSES].to_numpy().sum() == len(first)
    assert whole.tables["confusion"].frame[CLASSES].to_numpy().sum() == 3 * len(first)


def test_networks_without_gates_are_said_to_have_none(whole):
    bare = replace(whole, contributions=whole.contributions.iloc[:0], layout=whole.layout.iloc[:0])
    words = Page(render_report([bare])).words
    assert "This architecture has neither gates nor fusion weights." in words
    concat = whole.contributions[whole.contributions["kind"] == "gate"]
    words = Page(render_report([replace(whole, contributions=concat)])).words
    assert "Fusion is not gated in this experiment" in words


def test_validation_without_labels_leaves_a_sentence(whole):
    predictions = whole.predictions.copy()
    predictions.loc[predictions["split"] == "val", "label"] = None
    words = Page(render_report([replace(whole, predictions=predictions)])).words
    assert "Validation has no labelled utterance, so no temperature could be fitted." in words


def test_an_older_comparison_without_effects_is_still_shown(whole):
    old = whole.comparison.drop(columns=["effect", "difference_low", "difference_high"])
    page = Page(render_report([replace(whole, comparison=old)]))
    row = page.row("other")
    assert row[3] == score(*whole.comparison.loc[1, ["weighted_f1", "weighted_f1_std"]])


def test_commands_name_what_they_need(whole):
    options = " --env=demo --params=experiment=no_gates"
    bare = CorpusSection("meld", options=options)
    assert (
        f"kedro run --pipeline=train --namespaces=meld{options} makes it" in Page(render_report([bare])).words
    )
    for name, figure in bare.figures.items():
        said = figure.layout.annotations[0].text
        assert said.endswith(f"--namespaces=meld{options}"), name


def test_modalities_that_nobody_has_are_said_to_be_absent(whole):
    extractors = {"text": {"name": "t"}, "audio": {"name": "none"}, "visual": {"name": "none"}}
    only_text = replace(whole, training={**whole.training, "extractors": extractors})
    words = Page(render_report([only_text])).words
    assert "Nobody has audio and visual features here" in words
    assert "<dt>Features, visual</dt><dd>none</dd>" in render_report([only_text])
    assert "Nobody has" not in Page(render_report([whole])).words


def test_few_test_dialogues_are_said_to_prove_little(whole):
    assert "has only 6 test dialogues" in Page(render_report([whole])).words
    assert "no paired test can find p below 0.0312" in Page(render_report([whole])).words


def test_what_scaling_reads_of_test_is_said_beside_the_headline(whole):
    parameters = {"model": {"architecture": "gated_fusion"}, "scaling": {"audio": "speaker"}}
    scaled = replace(whole, training={**whole.training, "parameters": parameters})
    said = "reads no label, but all that the speaker says there, test and later utterances included"
    page = render_report([scaled], FACTS)
    assert said in page.split("<h2")[1]
    assert said in headline_markdown([scaled])
    assert said in side_by_side([scaled]).title
    assert said not in render_report([whole], FACTS)


def test_test_utterances_of_one_class_are_said_beside_their_scores(whole, html):
    said = "All labelled test utterances are joy: test scores say nothing of telling classes apart."
    only = whole.predictions.assign(
        label=whole.predictions["label"].where(
            (whole.predictions["split"] != "test") | (whole.predictions["label"] == "joy")
        )
    )
    one = replace(whole, predictions=only)
    page = render_report([one], FACTS)
    assert f"MELD: {said}" in page
    assert page.index(said) < page.index("How the model was chosen")
    for shown in (headline_markdown([one]), model_card(one, FACTS)):
        assert said in shown
    for shown in (html, headline_markdown([whole]), model_card(whole, FACTS)):
        assert "telling classes apart" not in shown
