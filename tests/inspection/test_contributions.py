"""Gates and fusion weights reach the table under the right utterance and name."""

import numpy as np
import pytest
import torch

from erc_kedro import schemas
from erc_kedro.inspection.contributions import contributions
from erc_kedro.models.network import GatedFusionNetwork
from erc_kedro.training.batches import assemble, batch_of
from tests.conftest import CLASSES, make_corpus
from tests.defaults import ModelParameters

MODEL = ModelParameters(hidden=16, attention_heads=2)


@pytest.fixture
def data():
    utterances, features = make_corpus()
    features["audio"].loc[::4, "present"] = False
    gone = utterances["dialogue_id"].isin(["d0", "d5"])
    features["visual"].loc[gone.to_numpy(), "present"] = False
    return assemble(utterances, features, CLASSES)


def network(**switches):
    torch.manual_seed(0)
    parameters = ModelParameters(**{**MODEL.model_dump(), **switches})
    return GatedFusionNetwork(parameters, [6, 5, 4], 3).eval()


def test_each_weight_is_the_mean_over_channels_of_its_utterance(data):
    net = network()
    table = contributions(net, data, size=7)
    schemas.contributions.validate(table.assign(seed=0)[["seed", *table.columns]])
    assert len(table) == len(data.utterance_id) * (6 + 3 + 3 + 6)
    wide = table.pivot(index="utterance_id", columns=["kind", "part"], values="weight")
    for dialogue in range(len(data.start)):
        batch = batch_of(data, [dialogue])
        output = net(batch)
        names = data.utterance_id[batch.row[0].numpy()]
        fusion = wide.loc[names, "fusion"][["ta", "tv", "av", "t", "a", "v"]].fillna(0).to_numpy()
        np.testing.assert_allclose(fusion.T, output.weights[:, 0].mean(-1).detach(), atol=1e-5)
        gate = wide.loc[names, ("gate", "text>visual")].to_numpy()
        np.testing.assert_allclose(gate, output.gates[4, 0].mean(-1).detach(), atol=1e-5)


def test_what_rests_on_an_absent_modality_has_no_weight(data):
    wide = (
        contributions(network(), data)
        .pivot(index="utterance_id", columns=["kind", "part"], values="weight")
        .loc[data.utterance_id]
    )
    text, audio, visual = data.present[:-1].numpy().T
    assert (wide["fusion", "a"].notna() == audio).all()
    assert (wide["fusion", "av"].notna() == (audio | visual)).all()
    assert (wide["balance", "ta"].notna() == (text & audio)).all()
    silent = wide.index.str.startswith(("d0_", "d5_"))
    assert (wide["gate", "visual>text"].isna() == silent).all()


@pytest.mark.parametrize(
    ("switch", "gone"),
    [({"gates": False}, {"gate"}), ({"fusion": "concat"}, {"balance", "product", "fusion"})],
)
def test_parts_that_are_switched_off_have_no_rows(data, switch, gone):
    kinds = set(contributions(network(**switch), data)["kind"])
    assert kinds == {"gate", "balance", "product", "fusion"} - gone
