"""What a modality adds is printed with its sign, its interval and the experiment that lacks it."""

import pandas as pd

from erc_kedro.report.pages.modalities import modalities_markdown


def table(note=""):
    rows = [
        ("test", "added", "visual", "only_text", 0.60, 0.64, -0.04, -0.06, -0.01, 0.004, 0.008, ""),
        ("test", "alone", "text", "only_text", 0.60, 0.64, -0.04, -0.06, -0.01, 0.004, 0.008, ""),
        ("test", "shown", "visual", "shown_text", 0.60, 0.5, 0.1, 0.05, 0.15, 0.0001, 0.0002, ""),
        ("val", "subset", "", "only_text", 0.60, 0.64, -0.04, -0.06, -0.01, 0.004, 0.008, note),
    ]
    names = "split comparison modality experiment reference_score score difference difference_low"
    return pd.DataFrame(rows, columns=[*names.split(), "difference_high", "p", "p_corrected", "note"])


def test_a_row_says_which_experiment_lacks_the_modality_and_by_how_much_all_are_above_it():
    page = "\n".join(modalities_markdown(table(), "full"))
    row = next(line for line in page.splitlines() if "not shown it when it predicts" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "visual"
    assert cells[2:7] == [r"shown_text", "60.0", "50.0", "+10.0", "+5.0 to +15.0"]
    assert (
        "| visual | trained without it | only_text | 60.0 | 64.0 | -4.0 | -6.0 to -1.0 | .004 | .008 |"
        in page
    )
    # Two experiments stand in three rows.
    assert "corrected for 2 comparisons" in page


def test_what_validation_prefers_is_said_in_bold_and_its_rows_are_not_printed():
    page = "\n".join(modalities_markdown(table("On validation full is below only_text [x](y)."), "full"))
    assert page.splitlines()[-1].startswith("**On validation full is below only")
    assert "[x](y)" not in page
    assert page.count("| only") == 2


def test_without_rows_nothing_is_said():
    assert modalities_markdown(table().head(0), "full") == []
