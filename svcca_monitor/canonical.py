"""Canonical correlation analysis of two sets of activations (Hotelling 1936)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .subspace import Array, Subspace, as_subspace, require_same_probe


@dataclass(frozen=True, eq=False)
class CCAResult:
    """Canonical variates of two sets of activations, in canonical order.

    Index k is the k-th canonical pair in every array: row k of `x_variates` correlates with
    row k of `y_variates` at `correlations[k]` and with every other row at 0.

    Attributes:
        correlations: Descending, in [0, 1], shape (k,).
        x_variates: Unit (sample) variance and zero mean, shape (k, n_samples).
        y_variates: The same for y.
        x_weights: Neurons to variates, shape (k, n_x_features):
            ``x_variates = x_weights @ (x - x.mean(axis=0)).T``. Dead neurons have weight 0.
        y_weights: The same for y.
    """

    correlations: Array
    x_variates: Array
    y_variates: Array
    x_weights: Array
    y_weights: Array

    @property
    def mean(self) -> float:
        """Mean correlation; nan if there is none."""
        return float(np.mean(self.correlations)) if len(self.correlations) else float("nan")


def canonical_correlations(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    *,
    explained_variance: float | None = None,
    rtol: float | None = None,
) -> Array:
    """Canonical correlations between two sets of activations.

    The singular values of Uₓᴴ U_y for orthonormal bases of both centred column spaces; never
    through a covariance, whose inverse would square the condition number.

    Args:
        x: Activations of shape (n_samples, n_features), or their `Subspace`.
        y: The same for the other layer: row i of both is probe example i.
        explained_variance: First keep the fewest directions that reach this share of the variance.
        rtol: Relative tolerance for the numerical rank, see `Subspace.from_activations`.

    Returns:
        Correlations of shape (min(rank_x, rank_y),), descending, in [0, 1]. Empty if a layer
        is constant.

    Raises:
        ValueError: If the arrays are not finite matrices with equally many samples.
    """
    sx, sy = _pair(x, y, explained_variance, rtol)
    return clipped(np.linalg.svd(sx.basis.conj().T @ sy.basis, compute_uv=False))


def cca(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    *,
    explained_variance: float | None = None,
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
    sx, sy = _pair(x, y, explained_variance, rtol)
    u, correlations, vh = np.linalg.svd(sx.basis.conj().T @ sy.basis, full_matrices=False)
    x_variates, x_weights = _variates(sx, u)
    y_variates, y_weights = _variates(sy, vh.conj().T)
    return CCAResult(clipped(correlations), x_variates, y_variates, x_weights, y_weights)


def clipped(correlations: Array) -> Array:
    """Correlations are cosines: what exceeds 1 is rounding."""
    return np.minimum(correlations, 1.0)


def _pair(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    explained_variance: float | None,
    rtol: float | None,
) -> tuple[Subspace, Subspace]:
    sx, sy = as_subspace(x, "x", rtol), as_subspace(y, "y", rtol)
    require_same_probe(sx, sy)
    return (
        sx.truncate(explained_variance=explained_variance),
        sy.truncate(explained_variance=explained_variance),
    )


def _variates(s: Subspace, rotation: Array) -> tuple[Array, Array]:
    """Variates and weights of the directions `basis @ rotation`, both with k rows."""
    scale = np.sqrt(s.n_samples - 1)
    variates = (s.basis @ rotation) * scale
    # (X - mean) V / S is the basis, so V / S takes centred activations there.
    weights = (s.loadings / s.singular_values) @ rotation * scale
    return variates.T, weights.T
