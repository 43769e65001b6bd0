"""Linear probes of one modality's features, and how two splits differ under them."""

from dataclasses import dataclass

import numpy as np

# A probe reads at most so many principal components, found in so many training utterances.
_COMPONENTS, _ROWS_OF_COMPONENTS = 100, 3000
# What tells splits apart reads fewer: it has a covariance a split.
_COMPONENTS_APART = 30
# Far outliers count as far as training's own clipping lets them (training.scaling).
_MOST_DEVIATIONS = 10
_SHRINKAGE = 0.1
_FOLDS_APART = 3


@dataclass(frozen=True)
class Probed:
    """What the probes of some folds make of utterances that they did not learn from.

    Attributes:
        classes: integers [N, K]; -1 where the fold's probe learned from the utterance.
        margin: [N], how much more of log-probability the first choice has than the second; the mean over
            the folds that count.
    """

    classes: np.ndarray
    margin: np.ndarray

    def part(self, rows: np.ndarray) -> "Probed":
        """Some of its utterances, by their numbers."""
        return Probed(self.classes[rows], self.margin[rows])

    def right(self, labels: np.ndarray) -> np.ndarray:
        """The share of the folds that count that name the label; [N]."""
        return _share(self.classes == labels[:, None], self.classes >= 0)

    def agrees(self, other: "Probed") -> np.ndarray:
        """The share of the folds that count in which both name the same class; [N]."""
        return _share(self.classes == other.classes, (self.classes >= 0) & (other.classes >= 0))


def _share(counted: np.ndarray, valid: np.ndarray) -> np.ndarray:
    return (counted & valid).sum(1) / np.maximum(valid.sum(1), 1)


def folds_of(groups: np.ndarray, most: int) -> np.ndarray:
    """A fold for each row; a group's rows share one; the same groups always come to the same."""
    names, code = np.unique(groups, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(names))
    return order[code] % min(most, len(names))


def standardised(x: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Features [N, D] in deviations from the mean of their unit [N]; float32."""
    made = np.zeros(x.shape, np.float32)
    for unit in np.unique(units):
        rows = units == unit
        made[rows] = _scaled(x[rows], x[rows])
    return made


def _scaled(x: np.ndarray, of: np.ndarray) -> np.ndarray:
    mean, deviation = of.mean(0, dtype=np.float64), of.std(0, dtype=np.float64)
    # What only rounding moves is constant.
    deviation = np.where(deviation > 1e-6 * np.abs(of).max(0), deviation, np.inf)
    return np.clip((x - mean) / deviation, -_MOST_DEVIATIONS, _MOST_DEVIATIONS).astype(np.float32)


def probe(x: np.ndarray, labels: np.ndarray, training: np.ndarray, folds: np.ndarray) -> Probed:
    """Linear discriminant analysis of each fold's complement, asked about all else.

    Args:
        x: features [N, D] on one scale.
        labels: integers [N], those of training alone are read.
        training: bool [N]; folds: integers [N], read where ``training``.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x = _components(x, training, _COMPONENTS)
    names = np.unique(folds[training])
    classes, margin = np.full((len(x), len(names)), -1), np.zeros((len(x), len(names)))
    for at, name in enumerate(names):
        held_out = ~training | (folds == name)
        # One utterance has no covariance.
        known = (
            ~held_out & (np.bincount(labels[training & ~held_out], minlength=labels.max() + 1) > 1)[labels]
        )
        # The closed form: a probe has to take less time than what it is a check of.
        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=_SHRINKAGE)
        chance = model.fit(x[known], labels[known]).predict_log_proba(x[held_out])
        ordered = np.sort(chance, axis=1)
        classes[held_out, at] = model.classes_[chance.argmax(1)]
        margin[held_out, at] = ordered[:, -1] - ordered[:, -2]
    return Probed(classes, margin.sum(1) / np.maximum((classes >= 0).sum(1), 1))


def told_apart(
    x: np.ndarray, training: np.ndarray, dialogues: np.ndarray, parts: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """How well features tell test from training, and training's parts from the rest of training.

    The area under the ROC curve of a quadratic discriminant, which sees other means and other variances,
    cross-validated by dialogue: .5 is chance.

    Args:
        x: features [N, D] of training and test, as they are.
        training: bool [N]; dialogues: [N]; parts: integers [N], read where ``training``.

    Returns:
        the area for test; the least and the most for a part of training.
    """
    x = _components(_scaled(x, x[training]), training, _COMPONENTS_APART)
    own, own_dialogues, own_parts = x[training], dialogues[training], parts[training]
    among = [_area(own, own_parts == part, own_dialogues) for part in np.unique(own_parts)]
    return _area(x, ~training, dialogues), (min(among), max(among))


def _area(x: np.ndarray, apart: np.ndarray, dialogues: np.ndarray) -> float:
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score

    folds = np.zeros(len(x), int)
    for side in (apart, ~apart):
        folds[side] = folds_of(dialogues[side], _FOLDS_APART)
    scores = np.zeros(len(x))
    for fold in np.unique(folds):
        held_out = folds == fold
        model = QuadraticDiscriminantAnalysis(reg_param=_SHRINKAGE, priors=[0.5, 0.5])
        scores[held_out] = model.fit(x[~held_out], apart[~held_out]).decision_function(x[held_out])
    return float(roc_auc_score(apart, scores))


def _components(x: np.ndarray, training: np.ndarray, most: int) -> np.ndarray:
    from sklearn.decomposition import PCA

    rows = np.random.default_rng(0).permutation(np.flatnonzero(training))[:_ROWS_OF_COMPONENTS]
    # An exact one of a few features asks no more time than a random one of many.
    solver = "full" if x.shape[1] <= most else "randomized"
    found = PCA(min(most, x.shape[1], len(rows)), svd_solver=solver, random_state=0).fit(x[rows])
    return found.transform(x)


def drop(
    first: np.ndarray, first_groups: np.ndarray, second: np.ndarray, second_groups: np.ndarray
) -> tuple[float, float]:
    """How much lower the second's mean is than the first's, and how often groups alone make it so.

    Each group's mean is one draw, weighted by its size (Kish's effective number of groups); the one-sided
    p-value is Student's. The second's groups are taken to vary as much as the first's, at least.

    Args:
        first, second: values [N], [M]; first_groups, second_groups: whose they are, the first's several.
    """
    from scipy.stats import t

    mean, variance, effective, groups = _of_groups(first, first_groups)
    other, other_variance, other_effective, other_groups = _of_groups(second, second_groups)
    variance = max(variance, other_variance)
    error = np.sqrt(variance * (1 / effective + 1 / other_effective))
    value = (mean - other) / max(error, 1e-9)
    return float(mean - other), float(t.sf(value, max(groups + other_groups - 2, 1)))


def _of_groups(values: np.ndarray, groups: np.ndarray) -> tuple[float, float, float, int]:
    _, code = np.unique(groups, return_inverse=True)
    sizes = np.bincount(code)
    means, weights = np.bincount(code, weights=values) / sizes, sizes / sizes.sum()
    mean, effective = float(weights @ means), effective_number(sizes)
    if len(sizes) == 1:
        return mean, 0.0, 1.0, 1
    variance = float(weights @ (means - mean) ** 2) * effective / (effective - 1)
    return mean, variance, effective, len(sizes)


def effective_number(sizes: np.ndarray) -> float:
    """As many equal groups say as much as groups of these sizes (Kish 1965)."""
    return float(sizes.sum() ** 2 / (sizes.astype(float) ** 2).sum())
