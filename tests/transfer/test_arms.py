"""Whatever corpora come, no test utterance of the target has another role in any network of a transfer."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from erc_kedro.schemas import MODALITIES
from erc_kedro.training.batches import training_statistics
from erc_kedro.transfer.arms import Together, arms_of, drawable, roles
from tests.conftest import examples
from tests.defaults import TrainParameters
from tests.transfer.made import corpus, in_folds

DIALOGUES = (2, 3, 5)
repeatable = settings(max_examples=examples(8), deadline=None, derandomize=True)


@st.composite
def pairs(draw):
    target = corpus("clips", draw(st.integers(8, 20)), draw(st.integers(0, 99)))
    source = corpus("talks", draw(st.integers(8, 20)), draw(st.integers(0, 99)))
    folds = draw(st.sampled_from([0, 3]))
    return (in_folds(target, folds) if folds else target), source


def together(target, source, scaling=None):
    return Together.of(target, [source], ["text", "audio"], ["calm", "glad"], scaling or {})


@repeatable
@given(pairs(), st.integers(0, 5))
def test_no_tested_utterance_is_trained_on_or_selects(pair, seed):
    target, source = pair
    both = together(target, source)
    tested_of = {}
    for arm in arms_of(target, [source], DIALOGUES):
        tested = []
        for view in both.views(arm):
            table = both.table(arm, view, seed)
            assert not table["utterance_id"].duplicated().any()
            of = table.set_index("utterance_id")["split"]
            asked = view.utterances.loc[view.utterances["split"] == "test", "utterance_id"]
            # In the test role are the target's test utterances, all of them, and nobody else.
            assert {*of[of == "test"].index} == {*asked}
            assert not {*of[of != "test"].index} & {*asked}
            tested += asked.tolist()
        # Each is tested once.
        assert len(tested) == len({*tested})
        tested_of[arm.name] = {*tested}
    assert len({frozenset(names) for names in tested_of.values()}) == 1


@repeatable
@given(pairs(), st.integers(0, 5))
def test_arms_get_what_the_table_says(pair, seed):
    target, source = pair
    both = together(target, source)
    for arm in arms_of(target, [source], DIALOGUES):
        for view in both.views(arm):
            of = roles(arm, view.utterances, [source], seed)
            mine = {
                role: {n for n, r in of.items() if r == role and n.startswith("clips/")}
                for role in ("train", "val")
            }
            its = {
                role: {n for n, r in of.items() if r == role and n.startswith("talks/")}
                for role in ("train", "val")
            }
            assert bool(its["train"]) == (arm.name in ("zero_shot", "joint"))
            assert bool(its["val"]) == (arm.name == "zero_shot")
            if arm.name == "zero_shot":
                assert not mine["train"] | mine["val"]
            if arm.dialogues is not None:
                drawn = min(arm.dialogues, len(drawable(view.utterances)))
                assert len(mine["train"]) == drawn
                assert mine["train"] <= {*drawable(view.utterances)}
                assert not mine["val"]


def test_draws_are_by_seed_the_same_from_any_weights_and_within_larger_ones():
    target, source = corpus("clips", 40), corpus("talks", 12)

    def drawn(name, seed):
        arm = next(arm for arm in arms_of(target, [source], DIALOGUES) if arm.name == name)
        of = roles(arm, target.utterances, [source], seed)
        return {name: role for name, role in of.items() if role != "test"}

    for seed in range(3):
        assert drawn("fine_tuned_5", seed) == drawn("alone_5", seed)
        assert {*drawn("alone_2", seed)} < {*drawn("alone_5", seed)}
    assert len({frozenset(drawn("alone_5", seed)) for seed in range(5)}) > 1


def test_fine_tuning_reads_the_scale_of_its_first_weights():
    target, source = corpus("clips", 16), corpus("talks", 16, seed=3)
    for table in target.features.values():
        table["vector"] = [vector + np.float32(7) for vector in table["vector"]]
    both = together(target, source)
    arms = {arm.name: arm for arm in arms_of(target, [source], [2])}
    view = both.views(arms["alone_2"])[0]
    tuned, alone = (both.data(arms[name], view, 0) for name in ("fine_tuned_2", "alone_2"))
    zero = both.data(arms["zero_shot"], both.views(arms["zero_shot"])[0], 0)

    def mean(data):
        return float(data.features[0][data.rows("test")].mean())

    assert mean(tuned) == mean(zero)
    assert mean(zero) > 3
    assert abs(mean(alone)) < 2
    learned = training_statistics(source.utterances, source.features)
    assert learned["text"] is not None


def test_what_is_not_shared_is_absent_and_what_is_too_much_is_said():
    target, source = corpus("clips", 16), corpus("talks", 16)
    both = together(target, source)
    arms = arms_of(target, [source], [2, 99])
    data = both.data(arms[0], both.views(arms[0])[0], 0)
    assert data.modalities == ["text", "audio"]
    assert dict(zip(MODALITIES, data.dimensions, strict=True)) == {"text": 6, "audio": 5, "visual": 1}
    there = len(drawable(target.utterances))
    notes = both.untrainable(arms, TrainParameters())
    assert {*notes} == {"fine_tuned_99", "alone_99"}
    assert f"Clips has {there} training dialogues" in notes["alone_99"]
    closed = both.untrainable(arms, TrainParameters(model={"architecture": "logistic_regression"}))
    assert "starts from no weights" in closed["fine_tuned_2"]
    assert "target_alone" not in closed
