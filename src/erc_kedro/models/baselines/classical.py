"""What a model must beat: the most frequent class, and logistic regression on single utterances' text."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc_kedro.models.base import ClosedForm
from erc_kedro.models.batch import Batch, Output
from erc_kedro.parameters import ModelParameters

# Strengths of regularisation among which validation chooses.
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3)


class Majority(ClosedForm):
    """The shares of the classes among training utterances, for every utterance."""

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        self.log_share = nn.Parameter(torch.zeros(classes), requires_grad=False)

    def forward(self, batch: Batch) -> Output:
        return Output(self.log_share.expand(1, *batch.valid.shape, -1))

    def solve(self, train: Batch, val: Batch) -> float:
        label = train.label[train.label >= 0]
        # One more of each, so that a class that training never shows has a finite logarithm.
        share = torch.bincount(label, minlength=len(self.log_share)).float() + 1
        self.log_share.copy_((share / share.sum()).log())
        return float(F.cross_entropy(self.log_share.expand(len(label), -1), label))


class LogisticRegression(ClosedForm):
    """Multinomial logistic regression on the text vector of one utterance, without its dialogue.

    An utterance without text is given the intercept alone.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        self.map = nn.Linear(dimensions[0], classes).requires_grad_(False)

    def forward(self, batch: Batch) -> Output:
        return Output(self.map(self.features(batch)[0])[None])

    def solve(self, train: Batch, val: Batch) -> float:
        from sklearn.linear_model import LogisticRegression as Regression
        from sklearn.metrics import f1_score

        (x, y), (val_x, val_y) = self._labelled(train), self._labelled(val)
        # A class that training never shows stays as good as impossible.
        self.map.weight.zero_()
        self.map.bias.fill_(-30.0)
        shown = y.unique()
        if len(shown) == 1:
            self.map.bias[shown] = 0.0
            return float(F.cross_entropy(self.map(x), y))
        best = -1.0
        for strength in STRENGTHS:
            model = Regression(C=strength, max_iter=2000).fit(x.numpy(), y.numpy())
            score = f1_score(val_y, model.predict(val_x.numpy()), average="weighted", zero_division=0)
            if score > best:
                best = score
                weight, bias = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
                if len(shown) == 2:
                    # Of two classes scikit-learn keeps the second one's advantage.
                    weight, bias = torch.cat([0 * weight, weight]), torch.cat([0 * bias, bias])
                self.map.weight[shown] = weight.float()
                self.map.bias[shown] = bias.float()
        return float(F.cross_entropy(self.map(x), y))

    def _labelled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        rows = (batch.label >= 0) & batch.valid
        return self.features(batch)[0][rows], batch.label[rows]
