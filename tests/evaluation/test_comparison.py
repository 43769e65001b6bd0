"""Paired tests say what enumeration says, and are corrected for their number."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from erc_kedro import schemas
from erc_kedro.evaluation.comparison import comparison_table, digest, holm, paired_test
from erc_kedro.evaluation.intervals import metric_from_counts, score_interval
from erc_kedro.evaluation.units import Units, units_of
from tests.conftest import examples

CLASSES = ("calm", "cross", "glad")


def predicted(seeds, dialogues, right, experiment="x", start=0):
    """Predictions in which a share ``right`` of utterances is right, one dialogue after another."""
    draw = np.random.default_rng(start)
    labels = np.random.default_rng(7).integers(0, 3, (dialogues, 6))
    rows = []
    for seed in range(seeds):
        for split in ("val", "test"):
            for d, u in product(range(dialogues), range(6)):
                truth = labels[d, u]
                guess = truth if draw.random() < right else draw.integers(3)
                p = np.full(3, 0.1)
                p[guess] = 0.8
                rows.append((experiment, seed, f"{split}_d{d}_u{u}", split, "tav", CLASSES[truth], *p))
    columns = ["experiment", "seed", "utterance_id", "split", "head", "label", *(f"p_{c}" for c in CLASSES)]
    return pd.DataFrame(rows, columns=columns).astype({f"p_{c}": "float32" for c in CLASSES})


def dialogues(predictions):
    ids = predictions["utterance_id"].drop_duplicates()
    return Units("dialogue", pd.Series(ids.str.rsplit("_", n=1).str[0].to_numpy(), index=ids.to_numpy()))


def random_counts(seed, dialogues=6, seeds=2, size=3):
    draw = np.random.default_rng(seed)
    support = draw.integers(1, 4, (dialogues, size))
    return [
        np.stack(
            [[[draw.multinomial(n, [1 / size] * size) for n in row] for row in support] for _ in range(seeds)]
        )
        for _ in range(2)
    ]


def test_the_p_value_is_what_all_exchanges_give():
    first, second = random_counts(3)
    observed, p = paired_test(first, second, draws=20_000)

    def mean(counts):
        return metric_from_counts(counts.sum(axis=1), "weighted_f1").mean()

    assert observed == pytest.approx(mean(first) - mean(second))
    extreme = 0
    for exchanged in product((False, True), repeat=6):
        swap = np.array(exchanged)[None, :, None, None]
        a, b = np.where(swap, second, first), np.where(swap, first, second)
        extreme += abs(mean(a) - mean(b)) >= abs(observed) - 1e-12
    assert p == pytest.approx(extreme / 64)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.sampled_from(["weighted_f1", "macro_f1"]))
@settings(deadline=None, max_examples=examples(25))
def test_few_dialogues_are_exchanged_in_every_way(start, dialogues, metric):
    first, second = random_counts(start, dialogues)

    def mean(counts):
        return metric_from_counts(counts.sum(axis=1), metric).mean()

    observed, extreme = abs(mean(first) - mean(second)), 0
    for exchanged in product((False, True), repeat=dialogues):
        swap = np.array(exchanged)[None, :, None, None]
        a, b = np.where(swap, second, first), np.where(swap, first, second)
        extreme += abs(mean(a) - mean(b)) >= observed - 1e-12
    _, p = paired_test(first, second, metric, draws=2**dialogues)
    assert p == extreme / 2**dialogues >= 2 / 2**dialogues
    _, drawn = paired_test(first, second, metric, draws=2**dialogues - 1)
    # Drawn exchanges count what was observed, too, and so are never certain of a difference.
    assert 1 / 2**dialogues <= drawn <= 1


def test_one_dialogue_is_not_tested():
    first, second = random_counts(0, dialogues=1)
    assert np.isnan(paired_test(first, second)[1])


def test_a_model_does_not_differ_from_itself():
    first, _ = random_counts(0)
    assert paired_test(first, first, draws=200) == (0.0, 1.0)


def test_exchanging_the_models_turns_the_sign_and_nothing_else():
    first, second = random_counts(1)
    forth, back = paired_test(first, second, draws=2000), paired_test(second, first, draws=2000)
    assert forth[0] == pytest.approx(-back[0])
    assert forth[1] == pytest.approx(back[1], abs=0.05)


def test_chance_alone_is_called_significant_as_often_as_promised():
    p = [
        paired_test(*random_counts(seed, dialogues=30, seeds=1), draws=300, seed=seed)[1]
        for seed in range(200)
    ]
    assert 0.01 <= np.mean(np.array(p) <= 0.05) <= 0.1


def test_other_dialogues_cannot_be_paired():
    first, second = random_counts(0)
    second[:, 0] += 1
    with pytest.raises(ValueError, match="same seeds, units and labels"):
        paired_test(first, second)


def test_holm_by_hand():
    # Sorted: .005 * 4 = .02, .01 * 3 = .03, .03 * 2 = .06, .04 * 1 = .04 -> .06 (never below the one before).
    assert holm([0.01, 0.04, float("nan"), 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, float("nan"), 0.06, 0.02], nan_ok=True
    )
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def test_the_table_has_a_row_an_experiment_and_holds_its_schema():
    full = predicted(3, 20, 0.9, "full")
    worse = predicted(3, 20, 0.4, "worse", start=1)
    alike = full.assign(experiment="alike")
    every = pd.concat([worse, full, alike])
    names = ["full", "worse", "alike", "untrained"]
    table = comparison_table(every, dialogues(every), names, "full", draws=500)
    schemas.comparison.validate(table)
    assert table["experiment"].tolist() == names
    table = table.set_index("experiment")
    own = full[full["split"] == "test"]
    guess = np.array(CLASSES)[own[[f"p_{c}" for c in CLASSES]].to_numpy().argmax(1)]
    expected = [
        f1_score(rows["label"], guess[own["seed"] == seed], average="weighted")
        for seed, rows in own.groupby("seed")
    ]
    assert table.loc["full", "weighted_f1"] == pytest.approx(np.mean(expected))
    assert table.loc["full", "weighted_f1_std"] == pytest.approx(np.std(expected, ddof=1))
    assert table.loc["full", "low"] < np.mean(expected) < table.loc["full", "high"]
    assert table["units"].tolist() == [20, 20, 20, 0]
    assert set(table["unit"]) == {"dialogue"}
    assert "points below full (95 % interval -" in table.loc["worse", "verdict"]
    assert table.loc["worse", "verdict"].endswith("corrected for 2 comparisons): it is shown to be worse.")
    assert table.loc["alike", "verdict"].endswith(
        "p 1 uncorrected, 1 corrected for 2 comparisons): no difference is shown."
    )
    assert table.loc["untrained", "verdict"] == "untrained has no score on test."
    assert np.isnan(table.loc["full", "p"])
    assert table.loc["worse", "p"] == pytest.approx(1 / 501)
    assert table.loc["worse", "p_corrected"] == pytest.approx(2 / 501)
    assert table.loc["worse", "difference"] == pytest.approx(
        table.loc["worse", "weighted_f1"] - table.loc["full", "weighted_f1"]
    )
    assert table.loc["alike", ["difference", "p", "p_corrected"]].tolist() == [0.0, 1.0, 1.0]
    assert table.loc["untrained", "seeds"] == 0
    assert np.isnan(table.loc["untrained", "weighted_f1"])


def test_experiments_with_other_numbers_of_seeds_are_paired_on_those_they_share():
    full = predicted(3, 10, 0.9, "full")
    one = full[full["seed"] == 0].assign(experiment="one")
    every = pd.concat([full, one])
    table = comparison_table(every, dialogues(every), ["full", "one"], "full", draws=200)
    assert table["difference"].tolist()[1] == 0.0


def test_an_experiment_that_comes_to_the_same_is_no_further_comparison():
    full = predicted(2, 10, 0.9, "full")
    worse = predicted(2, 10, 0.5, "worse", start=1)
    every = pd.concat(
        [full, worse, full.assign(experiment="full_again"), worse.assign(experiment="worse_again")]
    )
    same_as = {"full_again": "full", "worse_again": "worse"}
    names = ["full", "worse", *same_as]
    table = comparison_table(every, dialogues(every), names, "full", 200, same_as).set_index("experiment")
    assert table.loc["worse", "p_corrected"] == table.loc["worse", "p"]
    tests = ["difference", "p", "p_corrected"]
    assert table.loc["worse_again", tests].tolist() == table.loc["worse", tests].tolist()
    assert table.loc["full_again", tests].isna().all()
    assert table.loc["full_again", "verdict"].startswith("full_again and full are the same model")
    assert table.loc["full_again", "weighted_f1"] == table.loc["full", "weighted_f1"]


def test_speakers_of_clips_are_what_is_drawn_and_exchanged():
    full, worse = predicted(1, 20, 0.9, "full"), predicted(1, 20, 0.4, "worse", start=1)
    every = pd.concat([full, worse])
    ids = every["utterance_id"].drop_duplicates().to_numpy()
    speakers = [f"speaker {n % 5}" for n in range(len(ids))]
    clips = pd.DataFrame({"utterance_id": ids, "dialogue_id": ids, "speaker": speakers})
    table = comparison_table(every, units_of(clips), ["full", "worse"], "full")
    assert table["unit"].tolist() == ["speaker"] * 2
    assert table["units"].tolist() == [5, 5]
    # All five exchanged, or none.
    assert table.loc[1, "p"] == 2 / 2**5
    assert table.loc[1, "verdict"].endswith(": 5 speakers are too few to say.")
    low, high = score_interval(full[full["split"] == "test"], dict(zip(ids, speakers, strict=True)))
    assert table.loc[0, ["low", "high"]].tolist() == [low, high]


def test_scores_without_the_majority_class_are_there_on_demand():
    full = predicted(2, 10, 0.7, "full")
    table = comparison_table(full, dialogues(full), ["full"], "full", majority="calm")
    schemas.comparison.validate(table)
    own = full[full["split"] == "test"]
    guess = np.array(CLASSES)[own[[f"p_{c}" for c in CLASSES]].to_numpy().argmax(1)]
    expected = [
        f1_score(rows["label"], guess[own["seed"] == seed], labels=["cross", "glad"], average="micro")
        for seed, rows in own.groupby("seed")
    ]
    assert table.loc[0, "micro_f1_without_majority"] == pytest.approx(np.mean(expected))
    assert "micro_f1_without_majority" not in comparison_table(full, dialogues(full), ["full"], "full")


def seeds_of(name, *seeds):
    rng = np.random.default_rng(11)
    tables = []
    for seed in range(6):
        chances = rng.dirichlet([1, 1], 40).astype("float32")
        table = pd.DataFrame(chances, columns=["p_a", "p_b"])
        table = table.assign(seed=seed, utterance_id=[f"u{n}" for n in range(40)], split="test", head="tav")
        tables.append(table.assign(label=["a", "b"] * 20, experiment=name))
    return pd.concat([table for table in tables if table["seed"].iloc[0] in seeds])


def test_only_shared_seeds_are_compared():
    both = pd.concat([seeds_of("x", 0, 1, 2, 3, 4), seeds_of("y", 3, 4), seeds_of("z", 5)])
    units = Units("dialogue", pd.Series({f"u{n}": f"d{n // 4}" for n in range(40)}))
    table = comparison_table(both, units, ["x", "y", "z"], "x", draws=50).set_index("experiment")
    # The same predictions, of two of the five seeds.
    assert table.loc["y", "difference"] == pytest.approx(0)
    assert table.loc["y", "note"] == "tested on 2 seeds, which x has, too"
    assert np.isnan(table.loc["z", "p"])
    assert table.loc["z", "note"] == "not tested: no seed that x has, too"
    assert table.loc["x", "note"] == ""


def test_effect_sizes_are_cohen_s_and_interval_and_difference_agree():
    from erc_kedro.evaluation.comparison import difference_interval, effect_size
    from erc_kedro.evaluation.intervals import metric_from_counts, unit_counts

    dialogue_of = {f"u{n}": f"d{n // 4}" for n in range(40)}
    first = unit_counts(seeds_of("x", 0, 1, 2), dialogue_of)
    second = unit_counts(seeds_of("y", 3, 4, 5), dialogue_of)
    a, b = (metric_from_counts(counts.sum(axis=1), "weighted_f1") for counts in (first, second))
    pooled = np.sqrt((a.std(ddof=1) ** 2 + b.std(ddof=1) ** 2) / 2)
    assert effect_size(first, second) == pytest.approx((a.mean() - b.mean()) / pooled)
    low, high = difference_interval(first, second)
    assert low < a.mean() - b.mean() < high
    assert difference_interval(first, first) == (0, 0)
    # Deterministic models: their seeds differ by rounding at most.
    same = np.repeat(first[:1], 3, axis=0)
    assert np.isnan(effect_size(same, np.repeat(second[:1], 3, axis=0)))
    # Two seeds have a deviation that says nothing.
    assert np.isnan(effect_size(first[:2], second[:2]))


def test_a_digest_tells_labels_and_splits_apart_but_not_order():
    table = pd.DataFrame({"utterance_id": ["a", "b"], "label": ["x", None], "split": "test", "text": "t"})
    same = digest(table)
    assert digest(table.iloc[::-1].assign(text="other")) == same
    assert digest(table.assign(label=["x", "y"])) != same
    assert digest(table.assign(split=["test", "val"])) != same
