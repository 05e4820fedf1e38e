"""Canonical correlation analysis of two sets of activations (Hotelling 1936)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arguments import require_share, require_whole
from .subspace import Array, Subspace, as_subspace, require_same_probe

# Eigenvalues are known to 1e-15 or so: the root of one above this to 1e-10.
SMALLEST_SQUARE = 1e-10


@dataclass(frozen=True, eq=False)
class CCAResult:
    """Canonical variates of two sets of activations, in canonical order.

    Index k is the k-th canonical pair in every array: row k of `x_variates` correlates with
    row k of `y_variates` at `correlations[k]` and with every other row at 0.

    Attributes:
        correlations: Descending, in [0, 1], shape (k,).
        x_variates: Unit (sample) variance and zero mean, shape (k, n_samples). With a ridge the
            variance is below 1.
        y_variates: The same for y.
        x_weights: Neurons to variates, shape (k, n_x_features):
            ``x_variates = x_weights @ (x - x.mean(axis=0)).T``. Neurons left out have weight 0.
        y_weights: The same for y.
        x_rank: Dimensions of x that took part.
        y_rank: The same for y.
    """

    correlations: Array
    x_variates: Array
    y_variates: Array
    x_weights: Array
    y_weights: Array
    x_rank: int
    y_rank: int

    @property
    def mean(self) -> float:
        """Mean correlation; nan if there is none."""
        return float(np.mean(self.correlations)) if len(self.correlations) else float("nan")

    def top_mean(self, k: int) -> float:
        """Mean of the k largest correlations, or of all if there are fewer."""
        require_whole("k", k, least=1)
        return float(np.mean(self.correlations[:k])) if len(self.correlations) else float("nan")

    def mass_mean(self, threshold: float = 0.98) -> float:
        """Mean of the leading correlations that hold a share `threshold` of their sum."""
        require_share("threshold", threshold, within="(0, 1]")
        total = self.correlations.sum()
        if not total:
            return self.mean
        share = np.cumsum(self.correlations) / total
        # The sum of all may miss 1 by a rounding: then all are needed.
        return self.top_mean(min(int(np.searchsorted(share, threshold)) + 1, len(share)))

    def significant_directions(self, level: float = 0.05) -> int:
        """How many pairs correlate beyond chance, by Bartlett's test (Bartlett 1947).

        Tests that all correlations from the k-th on are 0, for k = 0, 1, …, until that cannot be
        rejected. The statistic is Bartlett's -Σ log(1 - ρ²), its law the gamma law of its exact
        mean and variance for normal activations: his χ² is the limit for many samples, and takes
        chance for directions where both layers together have nearly as many dimensions.

        Args:
            level: Probability of taking chance for a direction, in (0, 1).

        Raises:
            ValueError: If `level` is no share, or the dimensions of both layers together are not
                fewer than the samples: then some correlations are 1 whatever the layers are.
        """
        require_share("level", level, within="(0, 1)")
        n, (p, q) = self.x_variates.shape[1], sorted((self.x_rank, self.y_rank))
        if p + q >= n:
            raise ValueError(
                f"Bartlett's test needs more samples than both layers have dimensions together: "
                f"{n} for {p} and {q} are too few. Take more probe examples, or fewer directions "
                "by `cca(…, explained_variance=…)`."
            )
        with np.errstate(divide="ignore"):  # a correlation of 1 is beyond any level
            logs = -np.log1p(-(self.correlations**2))
        # A complex number is two real ones. (If one side is complex, the variates of both are.)
        parts = 2 if np.iscomplexobj(self.x_variates) else 1
        for k in range(len(logs)):
            if _tail(logs[k:].sum(), p - k, q - k, n - 1 - k, parts) >= level:
                return k
        return len(logs)


def _tail(total: float, p: int, q: int, freedom: int, parts: int) -> float:
    """Probability that -Σ log(1 - ρ²) of independent normal views is at least `total`.

    The product of 1 - ρ² is Wilks' Λ, a product of p independent beta variables (Anderson 2003,
    An Introduction to Multivariate Statistical Analysis, §8.4).

    Args:
        total: The sum.
        p: Dimensions of the smaller view.
        q: Dimensions of the larger view.
        freedom: Dimensions of the centred samples, at least p + q.
        parts: Real numbers in one number of a view: 2 if it is complex.
    """
    from scipy.special import digamma, gammaincc, polygamma

    rest = parts / 2 * (freedom - q - np.arange(p))
    whole = rest + parts / 2 * q
    mean = float(np.sum(digamma(whole) - digamma(rest)))
    variance = float(np.sum(polygamma(1, rest) - polygamma(1, whole)))
    return float(gammaincc(mean**2 / variance, total * mean / variance))


def canonical_correlations(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    *,
    explained_variance: float | None = None,
    ridge: float = 0.0,
    rtol: float | None = None,
) -> Array:
    """Canonical correlations between two sets of activations.

    The singular values of Uₓᴴ U_y for orthonormal bases of both centred column spaces; never
    through a covariance, whose inverse would square the condition number.

    Args:
        x: Activations of shape (n_samples, n_features), or their `Subspace`.
        y: The same for the other layer: row i of both is probe example i.
        explained_variance: First keep the fewest directions that reach this share of the variance.
        ridge: Relative to the largest variance of a neuron of each layer: neurons with less than
            this share of it are left out, and this share of it is added to the variance of the
            others (the `epsilon` of the code published with Raghu et al. 2017).
        rtol: Relative tolerance for the numerical rank, see `Subspace.from_activations`.

    Returns:
        Correlations of shape (min(rank_x, rank_y),), descending, in [0, 1]. Empty if a layer
        is constant.

    Raises:
        ValueError: If the arrays are not finite matrices with equally many samples, or an
            option is out of range.
    """
    sx, sy = _pair(x, y, explained_variance, ridge, rtol)
    return clipped(np.linalg.svd(_shrunk_cross(sx, sy), compute_uv=False))


def cca(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    *,
    explained_variance: float | None = None,
    ridge: float = 0.0,
    rtol: float | None = None,
) -> CCAResult:
    """Canonical correlations with their variates and weights.

    Arguments and errors are those of `canonical_correlations`.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(100, 3))
        >>> result = cca(x, x @ rng.normal(size=(3, 3)) + 5.0)
        >>> result.correlations.round(6).tolist(), result.x_variates.shape
        ([1.0, 1.0, 1.0], (3, 100))
    """
    sx, sy = _pair(x, y, explained_variance, ridge, rtol, of_neurons=True)
    u, correlations, vh = np.linalg.svd(_shrunk_cross(sx, sy), full_matrices=False)
    x_variates, x_weights = _variates(sx, u)
    y_variates, y_weights = _variates(sy, vh.conj().T)
    return CCAResult(
        clipped(correlations),
        x_variates,
        y_variates,
        x_weights,
        y_weights,
        sx.directions.rank,
        sy.directions.rank,
    )


def correlations_between(cross: Array, ranks: Array | None = None) -> Array:
    """Singular values of ``Uₓᴴ U_y``, descending; of one such product, or of stacked ones.

    Args:
        cross: In double precision, shape (…, k_x, k_y).
        ranks: How many are wanted of each product, shape (…); the others are not to be relied on.

    Returns:
        Shape (…, min(k_x, k_y)), at most 1.
    """
    if not min(cross.shape[-2:]):
        return np.empty((*cross.shape[:-2], 0))
    small = cross if cross.shape[-2] <= cross.shape[-1] else cross.mT
    # Their squares are the eigenvalues of the product with itself, which are had twice as fast …
    squares = np.linalg.eigvalsh(small @ small.conj().mT)[..., ::-1]
    values = np.sqrt(np.maximum(squares, 0.0))
    last = squares[..., -1]
    if ranks is not None:
        at = np.maximum(ranks, 1)[..., None] - 1
        last = np.take_along_axis(squares, at, axis=-1)[..., 0]
    rough = last < SMALLEST_SQUARE  # … but near 0 their roots are not worth much.
    if rough.any():
        values[rough] = np.linalg.svd(cross[rough], compute_uv=False)
    return clipped(values)


def clipped(correlations: Array) -> Array:
    """Correlations are cosines: what exceeds 1 is rounding."""
    return np.minimum(correlations, 1.0)


@dataclass(frozen=True, eq=False)
class _Side:
    """One layer: the directions that take part, and how far a ridge shrinks each."""

    directions: Subspace
    shrinkage: Array


def _pair(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    explained_variance: float | None,
    ridge: float,
    rtol: float | None,
    *,
    of_neurons: bool = False,
) -> tuple[_Side, _Side]:
    require_share("ridge", ridge, within="[0, 1)", meaning="is a share of the largest variance")
    sx, sy = as_subspace(x, "x", rtol), as_subspace(y, "y", rtol)
    require_same_probe(sx, sy)
    if of_neurons or ridge:
        sx.require_loadings("x")
        sy.require_loadings("y")
    return (
        _ridged(sx.truncate(explained_variance=explained_variance), ridge),
        _ridged(sy.truncate(explained_variance=explained_variance), ridge),
    )


def _ridged(s: Subspace, ridge: float) -> _Side:
    if not ridge or not s.rank:
        return _Side(s, np.ones(s.rank))
    # Relative to the largest: squares of tiny or huge activations would leave float64.
    unit = s.singular_values[0]
    scatter = np.sum(np.abs(s.loadings * (s.singular_values / unit)) ** 2, axis=1)
    added = ridge * scatter.max()
    s = s.keep_features(scatter >= added)
    return _Side(s, s.singular_values / np.hypot(s.singular_values, np.sqrt(added) * unit))


def _shrunk_cross(x: _Side, y: _Side) -> Array:
    cross = x.directions.basis.conj().T @ y.directions.basis
    return x.shrinkage[:, None] * cross * y.shrinkage


def _variates(side: _Side, rotation: Array) -> tuple[Array, Array]:
    """Variates and weights of the directions `basis @ rotation`, both with k rows."""
    s = side.directions
    turned = side.shrinkage[:, None] * rotation * np.sqrt(s.n_samples - 1)
    # (X - mean) V / S is the basis, so V / S takes centred activations there.
    return (s.basis @ turned).T, ((s.loadings / s.singular_values) @ turned).T
