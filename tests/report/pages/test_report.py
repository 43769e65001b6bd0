"""The page: its numbers against scikit-learn, its gaps as sentences, and nothing from outside."""

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score

from erc_kedro.evaluation.intervals import score_interval
from erc_kedro.evaluation.metrics import class_columns, metrics_table
from erc_kedro.pipelines.reporting.nodes import evaluate_results
from erc_kedro.report.pages.model_card import model_card
from erc_kedro.report.pages.report import headline_markdown, render_report
from erc_kedro.report.plots.drawn import figures_of
from erc_kedro.report.section import CorpusSection
from erc_kedro.report.tables import tables_of
from erc_kedro.report.tables.printed import score
from erc_kedro.report.tables.scores import headline_table, side_by_side
from tests.report.sections import CLASSES, EVIL, FACTS, Page, changed, rendered, section, words


@pytest.fixture(scope="module")
def whole():
    return section()


@pytest.fixture(scope="module")
def html(whole):
    return rendered([whole, section("iemocap", notes=[EVIL])], FACTS)


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
    low, high = score_interval(test, whole.utterances.set_index("utterance_id")["dialogue_id"])
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
    headings = {
        attributes["id"] for tag, attributes in page.tags if tag in ("h2", "h3") and "id" in attributes
    }
    assert links == headings
    assert len(links) > 20
    charts = {attributes["data-chart"] for _, attributes in page.tags if "data-chart" in attributes}
    assert charts <= set(ids)
    assert len(charts) == 1 + 2 * 13


def test_text_is_escaped_wherever_it_comes_from():
    corpus = section(classes=["joy", "anger", EVIL], name=EVIL, notes=[EVIL], protocol=EVIL)
    page = rendered([corpus], FACTS | {"experiment": EVIL, "parameters": {EVIL: EVIL}})
    assert EVIL not in page
    assert "<script>alert" not in page
    assert EVIL in Page(page).words


def test_a_synthetic_corpus_is_called_so_in_the_title():
    sections = [section(synthetic=True), section("iemocap")]
    page = rendered(sections, FACTS)
    assert re.search(r"<title>SYNTHETIC DATA", page)
    assert re.search(r"<h1>SYNTHETIC DATA", page)
    words = Page(page).words
    assert "This is not a result." in words
    assert "They do not apply to MELD (synthetic)" in words
    assert "They apply to IEMOCAP," in words
    own = [section(protocol="manifest")]
    assert "They do not apply here" in Page(rendered(own)).words
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
    said = words([changed(whole, **{part: None})], FACTS)
    assert f"kedro run --pipeline={pipeline} --namespaces=meld makes it" in said


def test_nothing_at_all_still_makes_a_page():
    page = Page(rendered([CorpusSection("mine")]))
    assert "No metrics of mine yet" in page.words
    assert "They do not apply here" in page.words
    assert "The command was not recorded" in page.words
    with pytest.raises(ValueError, match="at least one corpus"):
        render_report([], [])


def test_one_seed_and_no_labels_are_said():
    said = words([section(seeds=1)])
    assert "one seed proves little" in said
    corpus = section()
    predictions = corpus.predictions.copy()
    predictions.loc[predictions["split"] == "test", "label"] = None
    corpus = changed(corpus, predictions=predictions, metrics=metrics_table(predictions))
    said = words([corpus])
    assert "has no labelled test utterances" in said
    assert "nothing to count" in said


def test_a_class_absent_from_test_is_a_dash():
    corpus = section(classes=[*CLASSES, "fear"])
    predictions = corpus.predictions.assign(p_fear=np.float32(0))
    corpus = changed(corpus, predictions=predictions, metrics=metrics_table(predictions))
    assert Page(rendered([corpus])).row("fear") == ["fear", "–", "–", "–", "0"]


def test_equal_input_makes_equal_pages(whole, html):
    assert rendered([whole, section("iemocap", notes=[EVIL])], FACTS) == html


def test_headline_as_a_table_and_as_markdown(whole):
    other = section("a|b", seeds=1)
    table = headline_table([whole, other, CorpusSection("none")])
    assert table.groupby("corpus")["seeds"].first().to_dict() == {"MELD": 3, "A|B": 1}
    row = table.query("corpus == 'MELD' and split == 'test' and metric == 'weighted_f1'").iloc[0]
    assert row["low"] < row["mean"] < row["high"]
    lines = headline_markdown([whole, other, CorpusSection("none")]).strip().splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines[2:]]
    assert {len(line) for line in cells} == {11}
    assert score(row["mean"], row["std"]) in lines[4]
    assert "| 6 dialogues |" in lines[4]
    assert "**MELD: Test has only 6 dialogues:" in lines[0]
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
    table = tables_of(whole)["gates"].frame.set_index("part")
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
    figure = figures_of(whole)["selective"]
    table = tables_of(whole)["selective"].frame
    assert np.asarray(figure.data[1].y, float) == pytest.approx(100 * table["weighted_f1"].to_numpy())
    best = figures_of(whole)["experiments"].data[0]
    expected = whole.comparison.sort_values("weighted_f1", ascending=False)
    assert list(best.y) == expected["experiment"].tolist()
    assert np.asarray(best.x, float) == pytest.approx(100 * expected["weighted_f1"].to_numpy())
    heat = figures_of(whole)["fusion"].data[0]
    assert np.asarray(heat.z, float) == pytest.approx(
        tables_of(whole)["fusion"].frame.drop(columns="part").to_numpy(float)
    )


def test_one_seed_has_one_confusion_and_many_have_two(whole, html):
    one = Page(rendered([section(seeds=1)]))
    assert "The same of one seed, the first." not in one.words
    assert "The same of one seed, the first." in Page(html).words
    first = whole.predictions.query("seed == 0 and head == 'tav' and split == 'test' and label.notna()")
    assert tables_of(whole)["confusion_one_seed"].frame[CLASSES].to_numpy().sum() == len(first)
    assert tables_of(whole)["confusion"].frame[CLASSES].to_numpy().sum() == 3 * len(first)


def test_networks_without_gates_are_said_to_have_none(whole):
    bare = changed(whole, contributions=whole.contributions.iloc[:0], layout=whole.layout.iloc[:0])
    said = words([bare])
    assert "This architecture has neither gates nor fusion weights." in said
    concat = whole.contributions[whole.contributions["kind"] == "gate"]
    said = words([changed(whole, contributions=concat)])
    assert "Fusion is not gated in this experiment" in said


def test_validation_without_labels_leaves_a_sentence(whole):
    predictions = whole.predictions.copy()
    predictions.loc[predictions["split"] == "val", "label"] = None
    said = words([changed(whole, predictions=predictions)])
    assert "Validation has no labelled utterance, so no temperature could be fitted." in said


def test_an_older_comparison_without_effects_is_still_shown(whole):
    old = whole.comparison.drop(
        columns=["effect", "difference_low", "difference_high", "unit", "units", "verdict"]
    )
    page = Page(rendered([replace(whole, comparison=old)]))
    row = page.row("other")
    assert row[4] == score(*whole.comparison.loc[1, ["weighted_f1", "weighted_f1_std"]])


def test_commands_name_what_they_need(whole):
    options = " --env=demo --params=experiment=no_gates"
    bare = CorpusSection("meld", options=options)
    assert f"kedro run --pipeline=train --namespaces=meld{options} makes it" in words([bare])
    for name, figure in figures_of(bare).items():
        said = figure.layout.annotations[0].text
        assert said.endswith(f"--namespaces=meld{options}"), name


def test_modalities_that_nobody_has_are_said_to_be_absent(whole):
    extractors = {"text": {"name": "t"}, "audio": {"name": "none"}, "visual": {"name": "none"}}
    only_text = replace(whole, training={**whole.training, "extractors": extractors})
    said = words([only_text])
    assert "Nobody has audio and visual features here" in said
    assert "<dt>Features, visual</dt><dd>none</dd>" in rendered([only_text])
    assert "Nobody has" not in words([whole])


def test_few_test_dialogues_are_said_to_prove_little(whole):
    assert "Test has only 6 dialogues" in words([whole])
    assert "no paired test can find p below .031" in words([whole])
    card = model_card(whole, FACTS)
    assert "95 % interval over 6 dialogues" in card
    assert "Test has only 6 dialogues" in card


def test_what_is_shown_of_each_experiment_is_a_sentence(whole):
    said = words([whole])
    assert "full is what the others are tested against." in said
    assert re.search(r"other is .* points? (above|below) full \(95 % interval [^)]*, p [^)]*\)", said)
    assert "6 dialogues are too few to say." in said


def test_corpora_of_other_units_name_each_of_them(whole):
    clips = section("clips")
    clips.utterances["dialogue_id"], clips.utterances["position"] = clips.utterances["utterance_id"], 0
    clips = evaluate_results(clips)
    assert "over 6 dialogues (MELD), 2 speakers (CLIPS). MELD: Test" in side_by_side([whole, clips]).title
    assert "Test has only 2 speakers" in side_by_side([whole, clips]).title
    assert Page(rendered([whole, clips])).row("Interval over")[1:] == ["6 dialogues", "2 speakers"]


def test_scores_without_the_majority_class_are_shown_where_the_corpus_has_them(whole):
    metrics = metrics_table(whole.predictions, "neutral")
    other = evaluate_results(replace(whole, metrics=metrics))
    pairs = list(by_seed(whole.predictions))
    expected = printed([f1_score(*pair, labels=["joy", "anger"], average="micro") for pair in pairs])
    row = Page(rendered([whole, other])).row("Micro F1 without the majority class")
    assert row[1:] == ["–", expected]
    assert "without the majority class" not in words([whole])


def test_what_scaling_reads_of_test_is_said_beside_the_headline(whole):
    parameters = {"model": {"architecture": "gated_fusion"}, "scaling": {"audio": "speaker"}}
    scaled = replace(whole, training={**whole.training, "parameters": parameters})
    said = "reads no label, but all that the speaker says there, test and later utterances included"
    page = rendered([scaled], FACTS)
    assert said in page.split("<h2")[1]
    assert said in headline_markdown([scaled])
    assert said in side_by_side([scaled]).title
    assert said not in rendered([whole], FACTS)


def test_test_utterances_of_one_class_are_said_beside_their_scores(whole, html):
    said = "All labelled test utterances are joy: test scores say nothing of telling classes apart."
    only = whole.predictions.assign(
        label=whole.predictions["label"].where(
            (whole.predictions["split"] != "test") | (whole.predictions["label"] == "joy")
        )
    )
    one = changed(whole, predictions=only)
    page = rendered([one], FACTS)
    assert f"MELD: {said}" in page
    assert page.index(said) < page.index("How the model was chosen")
    for shown in (headline_markdown([one]), model_card(one, FACTS)):
        assert said in shown
    for shown in (html, headline_markdown([whole]), model_card(whole, FACTS)):
        assert "telling classes apart" not in shown
