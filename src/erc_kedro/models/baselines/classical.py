"""What a model must beat: the most frequent class, and logistic regression on single utterances."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from erc_kedro.models.base import ClosedForm
from erc_kedro.models.baselines.base import used
from erc_kedro.models.batch import Batch, Output
from erc_kedro.parameters import ModelParameters

# Inverse strengths of regularisation among which validation chooses, the strongest first. Of many features
# and few utterances, more than a thousand to some hundreds, the strong ones win.
STRENGTHS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


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
    """Multinomial logistic regression on the modalities of one utterance side by side, without its dialogue.

    An absent modality is zero, which is its mean where it is scaled: an utterance that lacks all of them is
    given the intercept alone.
    """

    def __init__(self, parameters: ModelParameters, dimensions: list[int], classes: int) -> None:
        super().__init__(parameters, dimensions, classes)
        self.map = nn.Linear(sum(used(self.used, dimensions)), classes).requires_grad_(False)

    def forward(self, batch: Batch) -> Output:
        return Output(self.map(self._beside(batch))[None])

    def _beside(self, batch: Batch) -> Tensor:
        """[B, L, D], D being the sum of those that are used."""
        return torch.cat(used(self.used, self.features(batch)), -1)

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
        # From strong to weak, each beginning where the one before ended: 8 strengths of 5000 x 1500 take 2 to
        # 10 s on one core, by how alike the features are, and a quarter to a third more without.
        model = Regression(max_iter=2000, warm_start=True)
        for strength in STRENGTHS:
            model.set_params(C=strength).fit(x.numpy(), y.numpy())
            score = f1_score(val_y, model.predict(val_x.numpy()), average="weighted", zero_division=0)
            if score > best:
                best = score
                weight, bias = torch.tensor(model.coef_), torch.tensor(model.intercept_)
                if len(shown) == 2:
                    # Of two classes scikit-learn keeps the second one's advantage.
                    weight, bias = torch.cat([0 * weight, weight]), torch.cat([0 * bias, bias])
                self.map.weight[shown] = weight.float()
                self.map.bias[shown] = bias.float()
        return float(F.cross_entropy(self.map(x), y))

    def _labelled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        rows = (batch.label >= 0) & batch.valid
        return self._beside(batch)[rows], batch.label[rows]
