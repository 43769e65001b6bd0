"""What must hold from the tables of a corpus to its predictions, over random corpora and settings.

Text is encoded by the features node, audio and visual vectors are joined by it, and all are scaled,
batched and predicted as the train node does.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from erc_kedro.corpora import published
from erc_kedro.corpora.tables import utterance_table
from erc_kedro.models.architectures import build
from erc_kedro.parameters import ARCHITECTURES, ModelParameters, TrainParameters
from erc_kedro.pipelines.features.nodes import clip_features, text_features
from erc_kedro.schemas import MODALITIES, heads_of
from erc_kedro.training import checkpoint
from erc_kedro.training.batches import assemble
from erc_kedro.training.loop import load_network, predict, train_model
from tests import defaults, tiny
from tests.conftest import examples

CLASSES = ("calm", "glad", "cross")
SPEAKERS = ("ada", "ben", "cy")
repeatable = settings(
    max_examples=examples(20), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
scalings = st.dictionaries(
    st.sampled_from(MODALITIES), st.sampled_from(["train", "speaker", "speaker_past", "none"])
)


@pytest.fixture(scope="module", autouse=True)
def reads_here():
    """Hundreds of corpora are read in this process: one of its own a file would take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "read_apart", published.read)
        yield


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("encoder") / "tiny", layers=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("corpus")


def turn(draw: np.random.Generator, dialogue: int, position: int, split: str) -> dict:
    return {
        "utterance_id": f"d{dialogue}_u{position}",
        "dialogue_id": f"d{dialogue}",
        "position": position,
        "speaker": str(draw.choice(SPEAKERS)),
        "text": " ".join(draw.choice(tiny.WORDS[:11], draw.integers(1, 5))),
        "label": str(draw.choice(CLASSES)) if draw.random() < 0.9 or position == 0 else None,
        "split": split,
    }


def random_corpus(
    draw: np.random.Generator, longest: int = 9
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Utterances, and audio and visual vectors [5] and [3] of any size, some of them absent."""
    splits = ["train", "train", "val", "test", *draw.choice(["train", "val", "test"], draw.integers(0, 4))]
    rows = [
        turn(draw, dialogue, position, split)
        for dialogue, split in enumerate(splits)
        for position in range(draw.integers(1, longest))
    ]
    table = utterance_table(rows)
    audio, visual = (random_vectors(draw, table, dimension) for dimension in (5, 3))
    audio["vector"] *= 10.0 ** draw.integers(-12, 7)
    return table, {"audio": audio, "visual": visual}


def random_vectors(
    draw: np.random.Generator,
    table: pd.DataFrame,
    dimension: int,
    shares: tuple[float, ...] = (1.0, 0.6, 0.0),
) -> pd.DataFrame:
    vectors = draw.normal(size=(len(table), dimension)) + draw.normal(size=dimension)
    present = draw.random(len(table)) < draw.choice(shares)
    return pd.DataFrame(
        {
            "utterance_id": table["utterance_id"],
            "vector": list(vectors.astype(np.float32)),
            "present": present,
            "reason": np.where(present, "ok", "no_media"),
        }
    )


def changed(draw, table, features, where):
    """The corpus with other words, voices, faces and labels where a mask says so."""
    table, features = table.copy(), {name: one.copy() for name, one in features.items()}
    other = pd.DataFrame([turn(draw, 0, 1, "train") for _ in range(len(table))])
    for column in ("speaker", "text", "label"):
        table[column] = table[column].mask(where, other[column])
    for one in features.values():
        moved = [
            vector * -3 + 2 if moves else vector for vector, moves in zip(one["vector"], where, strict=True)
        ]
        one["vector"] = moved
        one["present"] = np.where(where, draw.random(len(table)) < 0.7, one["present"])
        one["reason"] = np.where(one["present"], "ok", "no_media")
    return table, features


def extracted(table, features, folder, parameters):
    """All three modalities as the nodes of the features pipeline leave them."""
    description = {"labels": list(CLASSES), "raw": str(folder / "corpus")}
    published = {}
    for modality, one in features.items():
        path = folder / f"{modality}.parquet"
        kept = one[one["present"]]
        # A file holds someone at least.
        (kept if len(kept) else one.head(1)).drop(columns=["present", "reason"]).to_parquet(path)
        published[modality] = {"path": str(path)}
    asked = defaults.FeatureParameters(text=parameters, **published)
    text, _, _ = text_features(table, description, folder / "cache", folder / "none", asked)
    audio, _, visual, _, _ = clip_features(table, description, folder / "cache", asked)
    return {"text": text, "audio": audio, "visual": visual}


def random_network(model: ModelParameters, data, seed: int):
    """Weights far from their small initial values, as training leaves them."""
    torch.manual_seed(seed)
    network = build(model, data.dimensions, len(CLASSES))
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.2 * torch.randn_like(weight)
    return network


def probabilities(predictions: pd.DataFrame) -> pd.DataFrame:
    columns = [f"p_{name}" for name in CLASSES]
    return predictions.set_index(["utterance_id", "head"])[columns].sort_index()


models = st.builds(
    defaults.ModelParameters,
    hidden=st.just(16),
    attention_heads=st.just(2),
    context_encoder=st.sampled_from(["transformer", "gru"]),
    speaker_track=st.booleans(),
    gates=st.booleans(),
    guide=st.booleans(),
    modalities=st.lists(st.sampled_from(MODALITIES), min_size=1, unique=True),
)
shown = {"context": st.integers(0, 3), "speaker_names": st.sampled_from([True, False, "letters"])}
texts = st.one_of(
    st.fixed_dictionaries(
        {
            **shown,
            "pooling": st.sampled_from(["mean", "own", "last_four"]),
            "max_tokens": st.sampled_from([12, 64]),
        }
    ),
    st.fixed_dictionaries(
        {
            **shown,
            "pooling": st.sampled_from(["own", "mask", ["own", "mask"]]),
            "question": st.sampled_from(["is it {mask} ?", "{mask}"]),
            "max_tokens": st.sampled_from([16, 64]),
        }
    ),
)


@repeatable
@given(seed=st.integers(0, 10**6), model=models, scaling=scalings, text=texts)
def test_what_comes_later_changes_no_prediction_of_a_causal_model(
    encoder, folder, seed, model, scaling, text
):
    """Nor what is said in another dialogue of validation or test."""
    draw = np.random.default_rng(seed)
    table, features = random_corpus(draw)
    parameters = defaults.TrainParameters(model=model.model_copy(update={"causal": True}), scaling=scaling)
    asked = defaults.FeatureParameters(text={"encoder": str(encoder), **text}).text
    # Training's statistics scale everything, and training is over when a causal model is used.
    used = table[table["split"] != "train"]
    at = used.iloc[draw.integers(len(used))]
    later = (table["dialogue_id"] == at["dialogue_id"]) & (table["position"] > at["position"])
    elsewhere = (table["dialogue_id"] != at["dialogue_id"]) & (table["split"] != "train")

    def predicted(table, features):
        made = extracted(table, features, folder, asked)
        data = assemble(table, made, CLASSES, parameters.scaling)
        every = probabilities(predict(random_network(parameters.model, data, seed), data))
        own = (table["dialogue_id"] == at["dialogue_id"]) & (table["position"] <= at["position"])
        return every.loc[table.loc[own, "utterance_id"]]

    event(f"scaling by speaker: {'speaker' in scaling.values()}")
    before = predicted(table, features)
    after = predicted(*changed(draw, table, features, later | elsewhere))
    np.testing.assert_allclose(after, before, atol=2e-5)


architectures = st.sampled_from(sorted(ARCHITECTURES))


def trained_with(architecture, scaling, **changes) -> TrainParameters:
    model = {"architecture": architecture, "hidden": 8, "attention_heads": 2, **changes.pop("model", {})}
    options = {"epochs": 1, "patience": 1, "warmup_epochs": 0, "batch_utterances": 16, **changes}
    return defaults.TrainParameters(model=model, scaling=scaling, **options)


def assembled(table, features, scaling):
    text = random_vectors(np.random.default_rng(len(table)), table, 4, shares=(1.0, 0.9))
    return assemble(table, {"text": text, **features}, CLASSES, scaling)


@repeatable
@given(seed=st.integers(0, 10**6), architecture=architectures, scaling=scalings)
def test_a_test_dialogue_moves_no_weight_and_no_other_dialogue_s_prediction(seed, architecture, scaling):
    """Save those of the same speaker in test, where scaling by speaker is chosen."""
    draw = np.random.default_rng(seed)
    table, features = random_corpus(draw, longest=7)
    parameters = trained_with(architecture, scaling)
    mine = table["dialogue_id"] == draw.choice(table.loc[table["split"] == "test", "dialogue_id"].unique())
    other_table, other_features = changed(draw, table, features, mine)
    # Who speaks where is known to the scaling of both.
    other_table["speaker"] = table["speaker"]
    moved = mine
    if "speaker" in scaling.values():
        moved = mine | ((table["split"] == "test") & table["speaker"].isin(table.loc[mine, "speaker"]))
        moved = table["dialogue_id"].isin(table.loc[moved, "dialogue_id"])

    results = []
    for rows, vectors in ((table, features), (other_table, other_features)):
        data = assembled(rows, vectors, parameters.scaling)
        with tempfile.TemporaryDirectory() as folder:
            made = train_model(data, parameters, 0, Path(folder))
            weights = load_network(Path(folder)).state_dict()
        results.append((probabilities(made.predictions), weights))
    (before, weights), (after, other_weights) = results
    assert weights.keys() == other_weights.keys()
    for name, weight in weights.items():
        assert torch.equal(weight, other_weights[name]), name
    kept = table.loc[~moved, "utterance_id"]
    np.testing.assert_allclose(after.loc[kept], before.loc[kept], atol=2e-5)


def variants(parameters: TrainParameters, draw: np.random.Generator) -> TrainParameters:
    """The parameters with one or two small changes, of which some mean nothing on some corpora."""
    order = [str(name) for name in draw.permutation(MODALITIES)]
    choices = [
        {"model": {"modalities": order[: draw.integers(1, 4)]}},
        {"model": {"modalities": order}},
        {"withhold": order[: draw.integers(0, 3)]},
        {"seeds": 3, "jobs": 2},
        {"epochs": 2},
        {"model": {"dropout": 0.2}},
        {"model": {"speaker_track": False}},
    ]
    made = parameters.model_dump()
    for which in draw.choice(len(choices), 2, replace=False):
        for name, value in choices[which].items():
            made[name] = {**made[name], **value} if isinstance(value, dict) else value
    return TrainParameters.model_validate(made)


@repeatable
@given(seed=st.integers(0, 10**6), architecture=architectures)
def test_equal_keys_are_equal_predictions_of_exchangeable_weights(seed, architecture):
    draw = np.random.default_rng(seed)
    table, features = random_corpus(draw, longest=6)
    data = assembled(table, features, {})
    base = trained_with(architecture, {})
    others: dict[str, list[TrainParameters]] = {}
    for number in range(9):
        # What leaves nothing to be seen is refused.
        with contextlib.suppress(ValueError):
            made = variants(base, draw) if number else base
            same = others.setdefault(checkpoint.training_key(data, made, 0), [])
            same += [made] * (made not in same)
    pairs = [same[:2] for same in others.values() if len(same) > 1]
    assume(pairs)
    pair = pairs[draw.integers(len(pairs))]
    event(architecture)
    with tempfile.TemporaryDirectory() as folder:
        one, two = (
            train_model(data, parameters, 0, Path(folder) / str(at)) for at, parameters in enumerate(pair)
        )
        pd.testing.assert_frame_equal(one.predictions, two.predictions)
        # What the one left is what the other is used with.
        shown = data.only(pair[1].shown)
        again = predict(load_network(one.folder), shown, heads=heads_of(shown.modalities))
        np.testing.assert_allclose(probabilities(again), probabilities(two.predictions), atol=1e-6)
