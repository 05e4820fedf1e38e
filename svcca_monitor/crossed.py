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


def mean_correlation(cross: Array, x: Subspace, y: Subspace) -> float:
    """Mean of the canonical correlations."""
    return float(np.mean(clipped(np.linalg.svd(cross, compute_uv=False))))


def mean_squared_correlation(cross: Array, x: Subspace, y: Subspace) -> float:
    """Mean of the squared canonical correlations, without computing them."""
    return min(1.0, float(np.sum(np.abs(cross) ** 2)) / min(cross.shape))


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
    aligned = np.sum(np.abs(sx[:, None] * cross * sy) ** 2)
    return min(1.0, float(aligned / (np.linalg.norm(sx**2) * np.linalg.norm(sy**2))))


def procrustes_cosine(cross: Array, x: Subspace, y: Subspace) -> float:
    """Cosine of the two sets of activations after the best rotation."""
    sx, sy = _relative(x), _relative(y)
    nuclear = np.sum(np.linalg.svd(sx[:, None] * cross * sy, compute_uv=False))
    return min(1.0, float(nuclear / (np.linalg.norm(sx) * np.linalg.norm(sy))))


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
