"""How far an utterance's features lie from those that a model was trained on."""

from collections.abc import Mapping

import numpy as np

from erc_kedro.training.scaling import Statistics

# Directions in which training's own spread is measured; all others share one spread.
_DIRECTIONS = 64
# Beyond this share of validation's utterances, one is far from training.
FAR = 0.99


class Distance:
    """A Gaussian over training's standardised features, by probabilistic PCA.

    Tipping and Bishop, J. R. Stat. Soc. B 61 (1999): training's own variance along its first directions, one
    variance for the rest. The distance is Mahalanobis's in that Gaussian.

    Attributes:
        directions: float32 [K, D], orthonormal.
        variances: float32 [K]; rest: float32 [], the variance of every other direction.
    """

    def __init__(self, statistics: Statistics, arrays: Mapping[str, np.ndarray]) -> None:
        """Of the arrays that :meth:`fitted` gave."""
        self._statistics = statistics
        self.arrays = dict(arrays)

    @classmethod
    def fitted(cls, x: np.ndarray, statistics: Statistics) -> "Distance":
        """That of training's features [N, D]."""
        from sklearn.decomposition import PCA

        z = statistics.standardised(x).astype(np.float64)
        if len(z) == 1:
            # One utterance has no spread, and PCA refuses it; twice the same has none either.
            z = np.repeat(z, 2, axis=0)
        count = min(_DIRECTIONS, *z.shape)
        solver = "covariance_eigh" if z.shape[1] <= 4096 else "auto"
        # Shares of a variance that is none, which nothing reads.
        with np.errstate(invalid="ignore"):
            pca = PCA(count, svd_solver=solver, random_state=0).fit(z)
        # A direction that training hardly leaves must not make every other recording endlessly far.
        least = max(float(z.var(0).mean()) * 1e-3, 1e-12)
        rest = float(pca.noise_variance_) if count < min(z.shape) else least
        arrays = {
            "middle": pca.mean_,
            "directions": pca.components_,
            "variances": np.maximum(pca.explained_variance_, least),
            "rest": np.array(max(rest, least)),
        }
        return cls(statistics, {name: value.astype(np.float32) for name, value in arrays.items()})

    def of(self, x: np.ndarray) -> np.ndarray:
        """Distances [N] of features [N, D], float64, by the root of the mean square over features."""
        z = self._statistics.standardised(x).astype(np.float64) - self.arrays["middle"]
        along = z @ self.arrays["directions"].T
        squares = np.square(along) / self.arrays["variances"]
        rest = np.maximum(np.square(z).sum(1) - np.square(along).sum(1), 0) / self.arrays["rest"]
        return np.sqrt((squares.sum(1) + rest) / z.shape[1])


def share_nearer(distances: np.ndarray, of_validation: np.ndarray) -> np.ndarray:
    """The share of validation's distances (sorted [V]) that each distance exceeds: float64 [N].

    It is counted over V + 1, for a distance beyond all of a few says little (Vovk's conformal p-value).
    """
    return np.searchsorted(of_validation, distances, side="left") / (len(of_validation) + 1)
