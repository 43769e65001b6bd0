"""DialogueRNN (Majumder et al., AAAI 2019): recurrent states of dialogue, party and emotion."""

import torch
from torch import Tensor, nn

from erc_kedro.models.base import Network
from erc_kedro.models.baselines.base import Projection, used
from erc_kedro.models.batch import Batch, Output
from erc_kedro.models.layers import GroupedLinear
from erc_kedro.parameters import ModelParameters


class DialogueRnn(Network):
    """BiDialogueRNN+Att, the paper's best: both directions, then attention over all emotion states.

    All states have d units. Differences from the paper: modalities are projected before they are
    concatenated; queries of the first attention have a bias; dropout falls on inputs and on emotion
    states, not within the recurrence.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        size = parameters.hidden
        dimensions = used(self.used, dimensions)
        self.inputs = Projection(dimensions, size, parameters.dropout)
        self.parties = PartyStates(len(dimensions) * size, size)
        self.emotions = nn.ModuleList(nn.GRU(size, size, batch_first=True) for _ in range(2))
        self.match = nn.Linear(2 * size, 2 * size)
        self.dropout = nn.Dropout(parameters.dropout)
        self.head = nn.Sequential(
            nn.Linear(2 * size, 2 * size),
            nn.ReLU(),
            nn.Dropout(parameters.dropout),
            nn.Linear(2 * size, classes),
        )

    def forward(self, batch: Batch) -> Output:
        valid = batch.valid
        step = torch.arange(valid.shape[1], device=valid.device)
        # Where each step lies when a dialogue is reversed within its own length; its own inverse.
        mirror = torch.where(valid, valid.sum(1, keepdim=True) - 1 - step, step)
        u = self.inputs(used(self.used, self.features(batch)))
        q = self.parties(
            torch.stack([u, u.take_along_dim(mirror[..., None], 1)]),
            torch.stack([batch.speaker, batch.speaker.take_along_dim(mirror, 1)]),
        )
        # The emotion GRU gives nothing back to the other two, so it can follow their loop.
        forth, back = (gru(states)[0] for gru, states in zip(self.emotions, q, strict=True))
        e = self.dropout(torch.cat([forth, back.take_along_dim(mirror[..., None], 1)], -1))
        scores = self.match(e) @ e.mT
        # Finite, so that an empty dialogue has no NaN.
        scores = scores.masked_fill(~valid[:, None], torch.finfo(e.dtype).min)
        return Output(self.head(scores.softmax(-1) @ e)[None])


class PartyStates(nn.Module):
    """Global and party GRUs of two directions side by side, each over utterances in its own order.

    At step t, of which s is the speaker, with everything per direction:

        c_t = attention of u_t over g_1 .. g_(t-1), zero at first
        q_s = GRU_P(q_s, u_t + c_t), and g_t = GRU_G(g_(t-1), u_t + the former q_s), + being concatenation

    Listeners keep their state, as in the paper's main model. Padding lies behind a dialogue in both
    directions, so that no real step can see it.
    """

    def __init__(self, inputs: int, size: int) -> None:
        super().__init__()
        self.size = size
        # A GRU's map of concatenated inputs is a sum of maps; that of u_t needs no loop.
        self.utterance = GroupedLinear(2, inputs, 7 * size)
        self.party = GroupedLinear(2, size, 6 * size)
        self.context = GroupedLinear(2, size, 3 * size)
        self.dialogue = GroupedLinear(2, size, 3 * size)

    def forward(self, u: Tensor, speaker: Tensor) -> Tensor:
        """u [2, B, L, D], speaker [2, B, L] -> the speaker's state after each utterance [2, B, L, d]."""
        two, batch, length, _ = u.shape
        gates = 3 * self.size
        maps = self.utterance(u.flatten(1, 2)).view(two, batch, length, -1).unbind(2)
        turns = speaker[..., None, None].expand(-1, -1, -1, 1, self.size).unbind(2)
        parties = u.new_zeros(two, batch, int(speaker.max()) + 1, self.size)
        g = u.new_zeros(two, batch, self.size)
        past = u.new_zeros(two, batch, 0, self.size)
        states = []
        for from_u, turn in zip(maps, turns, strict=True):
            u_party, u_dialogue, query = from_u.split([gates, gates, self.size], -1)
            q = parties.gather(2, turn)[:, :, 0]
            q_party, q_dialogue = self.party(q).split(gates, -1)
            c = ((query[:, :, None] @ past.mT).softmax(-1) @ past)[:, :, 0]
            g = _gru(u_dialogue + q_dialogue, self.dialogue(g), g)
            q = _gru(u_party + self.context(c), q_party, q)
            parties = parties.scatter(2, turn, q[:, :, None])
            past = torch.cat([past, g[:, :, None]], 2)
            states.append(q)
        return torch.stack(states, 2)


def _gru(inputs: Tensor, recurrent: Tensor, state: Tensor) -> Tensor:
    """A GRU's step from the maps of its inputs and of its state [..., 3 d]: reset, update, candidate."""
    size = state.shape[-1]
    gates_in, candidate_in = inputs.split([2 * size, size], -1)
    gates, candidate = recurrent.split([2 * size, size], -1)
    reset, update = (gates_in + gates).sigmoid().chunk(2, -1)
    return torch.lerp((candidate_in + reset * candidate).tanh(), state, update)
