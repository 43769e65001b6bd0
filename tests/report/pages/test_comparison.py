"""The comparison's page says what is compared, how, and where it is made up."""

import re

import numpy as np
import pandas as pd
import pytest

from erc_kedro.report.pages.comparison import comparison_markdown


def table():
    rows = [
        ("meld", "full", "text", 5, 0.6, 0.01, np.nan, np.nan, np.nan, ""),
        ("meld", "dialogue_rnn", "text", 5, 0.58, 0.02, -0.02, 0.0004, 0.0008, ""),
        ("meld", "only_audio", "", 0, np.nan, np.nan, np.nan, np.nan, np.nan, "not trained: none"),
        ("mine", "full", "text, audio", 1, 0.7, np.nan, np.nan, np.nan, np.nan, ""),
    ]
    names = "corpus experiment modalities seeds weighted_f1 weighted_f1_std difference p p_corrected note"
    made = pd.DataFrame(rows, columns=names.split())
    for score in ("accuracy", "macro_f1", "uar"):
        made[score], made[f"{score}_std"] = made["weighted_f1"], made["weighted_f1_std"]
    made["low"], made["high"] = made["weighted_f1"] - 0.03, made["weighted_f1"] + 0.03
    made["difference_low"], made["difference_high"] = made["difference"] - 0.01, made["difference"] + 0.01
    made["effect"] = 50 * made["difference"]
    made["val_weighted_f1"] = made["weighted_f1"]
    made["settings"] = ""
    made["made_of"] = ["text: MiniLM (a)", "text: tfidf (b)", "", "text: x; y.csv (c); audio: z (d)"]
    made["settings"] = ""
    made["unit"], made["units"] = "dialogue", np.where(made["corpus"] == "meld", 280, 8)
    made["verdict"] = made["experiment"] + " is as it is."
    return made


def summaries():
    by_speaker = {"key": "k", "parameters": {"scaling": {"audio": "speaker"}}}
    by_training = {"key": "l", "parameters": {"scaling": {}}}
    experiments = {"full": by_speaker, "dialogue_rnn": by_training}
    return {
        "meld": {"title": "MELD", "protocol": "official", "synthetic": False, "experiments": experiments},
        "mine": {"title": "Mine | <b>", "protocol": "own", "synthetic": True},
    }


def section(page, title):
    return page.split(f"## {title}")[1].split("\n## ")[0]


def test_scores_tests_and_published_figures_stand_in_one_row():
    page = comparison_markdown(table(), summaries(), "full")
    row = next(line for line in page.splitlines() if line.startswith("| dialogue_rnn"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[2:7] == ["5", "58.0 ± 2.0", "58.0 ± 2.0", "58.0 ± 2.0", "55.0 to 61.0"]
    assert cells[9:14] == ["-2.0", "-3.0 to -1.0", "-1.0", "&lt;.001", "&lt;.001"]
    assert cells[14] == "57.0"
    assert "DialogueRNN" in page
    assert "selected on test" in page


def test_every_row_has_as_many_cells_as_the_header():
    tables = re.findall(r"(?:^\|.*\n)+", comparison_markdown(table(), summaries(), "full"), re.MULTILINE)
    assert len(tables) == 4
    for lines in tables:
        assert len({line.replace("\\|", "").count("|") for line in lines.splitlines()}) == 1


def test_what_the_rows_are_made_of_stands_once_for_all_that_share_it():
    shared = table()
    shared.loc[1, "made_of"] = shared.loc[0, "made_of"]
    page = comparison_markdown(shared, summaries(), "full")
    assert "| full, dialogue_rnn | MiniLM (a) | – | – |" in section(page, "MELD")
    assert "| full | x; y.csv (c) | z (d) | – |" in section(page, "Mine")


def test_synthetic_corpora_are_marked_and_real_ones_are_not():
    page = comparison_markdown(table(), summaries(), "full")
    assert "SYNTHETIC" in section(page, "Mine")
    assert "SYNTHETIC" not in section(page, "MELD")


@pytest.mark.parametrize("other", [{"synthetic": True}, {"protocol": "manifest"}])
def test_only_the_release_itself_is_set_beside_published_figures(other):
    not_it = {**summaries(), "meld": {**summaries()["meld"], **other}}
    assert "| 57.0 |" in comparison_markdown(table(), summaries(), "full")
    assert "| 57.0 |" not in comparison_markdown(table(), not_it, "full")


def test_names_cannot_break_the_table():
    assert "## Mine \\| &lt;b>" in comparison_markdown(table(), summaries(), "full")


def test_cautions_that_quote_data_make_no_link():
    facts = {
        **summaries(),
        "meld": {**summaries()["meld"], "cautions": ["All are [x](http://y.example) \x1b[2J."]},
    }
    page = comparison_markdown(table(), facts, "full")
    assert r"**All are \[x\](http\://y.example) ␛\[2J.**" in page


def test_each_experiment_has_its_verdict_and_each_corpus_its_units():
    page = comparison_markdown(table(), summaries(), "full")
    assert "- dialogue_rnn is as it is." in section(page, "MELD")
    assert "| 95 % interval over 280 dialogues |" in section(page, "MELD")
    assert "Test has only" not in section(page, "MELD")
    assert "**Test has only 8 dialogues: intervals over fewer than 15" in section(page, "Mine")


def test_scores_without_the_majority_class_are_of_the_corpora_that_have_them():
    scores = table()
    for name in ("micro_f1_without_majority", "macro_f1_without_majority"):
        scores[name] = np.where(scores["corpus"] == "mine", 0.4567, np.nan)
        scores[f"{name}_std"] = np.nan
    page = comparison_markdown(scores, summaries(), "full")
    assert "| micro F1 without the majority class |" in section(page, "Mine")
    assert section(page, "Mine").count("| 45.7 | 45.7 |") == 1
    assert "without the majority" not in section(page, "MELD")


def test_what_scaling_reads_of_test_is_said_under_the_scores():
    page = comparison_markdown(table(), summaries(), "full")
    assert "`full`: Each speaker's audio features are scaled" in section(page, "MELD")
    assert "scaled" not in section(page, "Mine")


def test_an_experiment_without_the_scaled_modality_is_not_said_to_read_it():
    scaling = {"audio": "speaker"}
    experiments = {
        "full": {"scaling": scaling, "model": {"modalities": ["text", "audio", "visual"]}},
        "logistic_regression": {"scaling": scaling, "model": {"modalities": ["text"]}},
        "shown_text": {"scaling": scaling, "withhold": ["audio", "visual"]},
        "majority": {"scaling": scaling, "model": {"architecture": "majority"}},
    }
    facts = {name: {"key": name, "parameters": parameters} for name, parameters in experiments.items()}
    known = summaries()
    known["meld"]["experiments"] = facts
    assert "`full`: Each speaker's" in section(comparison_markdown(table(), known, "full"), "MELD")
    # The corpus has no voices at all.
    for one in facts.values():
        one["shown"] = ["text"]
    assert "Each speaker's" not in comparison_markdown(table(), known, "full")
