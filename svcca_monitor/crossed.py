"""The formulas: similarities as functions of ``Uₓᴴ U_y`` and of the singular values.

Every function takes the cross product of two orthonormal bases, shape (k_x, k_y) with neither zero,
and both subspaces.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from .canonical import clipped
from .subspace import Array, Subspace

# Correlations closer than this are one correlation: the rounding of bases kept in float32 moves
# equal correlations apart by some 1e-8, and turns their variates among themselves.
TIE = 1e-7
# Eigenvalues are known to 1e-15 or so: the root of one above this to 1e-10.
SMALLEST_SQUARE = 1e-10
# Sums over kernels whose largest eigenvalue is 1 that differ from 0 by no more than rounding.
NOTHING = 1e-10


def mean_correlation(cross: Array, x: Subspace, y: Subspace) -> float:
    """Mean of the canonical correlations."""
    small = cross if cross.shape[0] <= cross.shape[1] else cross.conj().T
    # Their squares are the eigenvalues of the product with itself, which are had twice as fast …
    squares = np.linalg.eigvalsh(small @ small.conj().T)
    if squares[0] < SMALLEST_SQUARE:  # … but near 0 their roots are not worth much.
        return float(np.mean(clipped(np.linalg.svd(cross, compute_uv=False))))
    return float(np.mean(clipped(np.sqrt(squares))))


def mean_squared_correlation(cross: Array, x: Subspace, y: Subspace) -> float:
    """Mean of the squared canonical correlations, without computing them."""
    return min(1.0, _sum_of_squares(cross) / min(cross.shape))


def projection_weighted(
    cross: Array, x: Subspace, y: Subspace, *, symmetric: bool = False
) -> float:
    """Correlations weighted by how much of the neurons of x each variate accounts for."""
    u, correlations, vh = np.linalg.svd(cross, full_matrices=False)
    value = _weighted_mean(correlations, u, x)
    if symmetric:
        value = (value + _weighted_mean(correlations, vh.conj().T, y)) / 2
    return value


def kernel_alignment(cross: Array, x: Subspace, y: Subspace) -> float:
    """Cosine of the two centred linear kernels."""
    sx, sy = _relative(x), _relative(y)
    aligned = _sum_of_squares(sx[:, None] * cross * sy)
    return min(1.0, float(aligned / (np.linalg.norm(sx**2) * np.linalg.norm(sy**2))))


def procrustes_cosine(cross: Array, x: Subspace, y: Subspace) -> float:
    """Cosine of the two sets of activations after the best rotation."""
    sx, sy = _relative(x), _relative(y)
    nuclear = np.sum(np.linalg.svd(sx[:, None] * cross * sy, compute_uv=False))
    return min(1.0, float(nuclear / (np.linalg.norm(sx) * np.linalg.norm(sy))))


def debiased_kernel_alignment(cross: Array, x: Subspace, y: Subspace) -> float:
    """Alignment with the unbiased estimator of HSIC (Song et al. 2012): 0 on average at chance."""
    norms = _hsic(*_gram_sums(None, x, x)), _hsic(*_gram_sums(None, y, y))
    if not min(norms) > NOTHING:
        return float("nan")  # so little is shared with itself that the estimate is below 0
    return min(1.0, _hsic(*_gram_sums(cross, x, y)) / float(np.sqrt(norms[0] * norms[1])))


def similarity_of_dissimilarities(cross: Array, x: Subspace, y: Subspace) -> float:
    """Pearson correlation of the off-diagonal entries of both centred kernels; 0 if negative."""
    n = x.n_samples
    covariance, variance_x, variance_y = (
        product - trace_a * trace_b / (n * (n - 1))
        for product, trace_a, trace_b, _, _ in (
            _gram_sums(cross, x, y),
            _gram_sums(None, x, x),
            _gram_sums(None, y, y),
        )
    )
    if min(variance_x, variance_y) <= NOTHING:
        return float("nan")  # two samples have one distance: nothing to correlate
    return float(np.clip(covariance / np.sqrt(variance_x * variance_y), 0.0, 1.0))


def partial_least_squares(cross: Array, x: Subspace, y: Subspace) -> float:
    """Correlation along the directions of most covariance, weighted by covariance."""
    sx, sy = _relative(x), _relative(y)
    u, covariances, vh = np.linalg.svd(sx[:, None] * cross * sy, full_matrices=False)
    if not covariances[0]:
        return 0.0
    for start, stop in _ties(covariances / covariances[0]):
        # Within a tie any common rotation is as good: the principal axes of both together.
        left, right = sx[:, None] * u[:, start:stop], sy[:, None] * vh[start:stop].conj().T
        both = left.conj().T @ left / np.sum(sx**2) + right.conj().T @ right / np.sum(sy**2)
        _, axes = np.linalg.eigh(both)
        u[:, start:stop] = u[:, start:stop] @ axes
        vh[start:stop] = axes.conj().T @ vh[start:stop]
    spread = np.linalg.norm(sx[:, None] * u, axis=0) * np.linalg.norm(sy * vh, axis=1)
    return min(1.0, float(np.sum(covariances**2 / spread) / covariances.sum()))


def _gram_sums(
    cross: Array | None, x: Subspace, y: Subspace
) -> tuple[float, float, float, float, int]:
    """Of the centred Gram matrices K and L without their diagonals, in units of their largest σ².

    Returns Σ K̃L̃ over pairs, tr K, tr L, Σ KᵢᵢLᵢᵢ and n. The rows of K sum to 0, so that those of
    K̃ sum to -Kᵢᵢ. Without `cross`, both are the same layer.
    """
    kx, ky = (_relative(s) ** 2 for s in (x, y))
    if cross is None:
        product = float(np.sum(kx**2))
    else:
        product = float(np.sum(kx[:, None] * np.abs(cross) ** 2 * ky))
    shared = float(x.gram_diagonal @ y.gram_diagonal)
    return product - shared, float(kx.sum()), float(ky.sum()), shared, x.n_samples


def _hsic(product: float, trace_x: float, trace_y: float, shared: float, n: int) -> float:
    """Unbiased HSIC of two kernels, times n (n - 3); nan for fewer than four samples."""
    if n < 4:
        return float("nan")
    return product + trace_x * trace_y / ((n - 1) * (n - 2)) - 2 * shared / (n - 2)


def _sum_of_squares(a: Array) -> float:
    return float(np.vdot(a, a).real)


def _relative(s: Subspace) -> Array:
    # Relative to the largest: squares of tiny or huge activations would leave float64.
    return s.singular_values / s.singular_values[0]


def _weighted_mean(correlations: Array, rotation: Array, x: Subspace) -> float:
    neurons = _relative(x)[:, None] * x.loadings.conj().T  # z in the basis of x
    # ⟨hᵢ, zⱼ⟩ for all i, j: row i is the part of the neurons that variate i accounts for.
    parts = rotation.conj().T @ neurons
    for start, stop in _ties(correlations):
        # Within a tie any rotation of the variates is canonical: take the principal axes of x.
        # Where correlations are 0, all that correlates with nothing in y is one tie.
        correlated = rotation[:, :start]
        none = correlations[start] <= TIE
        tied = neurons - correlated @ parts[:start] if none else parts[start:stop]
        _, size, axes = np.linalg.svd(tied, full_matrices=False)
        parts[start:stop] = (size[:, None] * axes)[: stop - start]
    weights = np.abs(parts).sum(axis=1)
    return min(1.0, float(weights @ clipped(correlations) / weights.sum()))


def _ties(correlations: Array) -> list[tuple[int, int]]:
    """Index ranges of correlations that leave their variates free to turn."""
    edges = np.flatnonzero(np.abs(np.diff(correlations)) > TIE) + 1
    bounds = [0, *edges.tolist(), len(correlations)]
    return [(a, b) for a, b in pairwise(bounds) if b - a > 1 or correlations[a] <= TIE]
