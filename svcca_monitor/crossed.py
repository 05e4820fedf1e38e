"""The formulas: similarities as functions of ``Uₓᴴ U_y`` and of the singular values.

Every function takes the cross product of two orthonormal bases, shape (k_x, k_y) with neither zero,
and both subspaces.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .canonical import SMALLEST_SQUARE, clipped, correlations_between
from .eigensystem import eigensystem
from .kernels import Formula, Sums
from .subspace import Array, Subspace

# Correlations closer than this are one correlation: the rounding of bases kept in float32 moves
# equal correlations apart by some 1e-8, and turns their variates among themselves.
TIE = 1e-7
# What single precision leaves in a product of bases between two canonical directions (1e-8 in the
# mean, 2e-7 at most), and how far PWCCA may move by it; products of more than this share of the
# directions are made again as a whole.
LEFT, MOVED, SHARE = 3e-8, 3e-7, 0.25


def mean_correlation(cross: Array, x: Subspace, y: Subspace) -> float:
    """Mean of the canonical correlations."""
    return float(np.mean(correlations_between(cross)))


def mean_correlation_of_rests(cross: Array, x: Subspace, y: Subspace) -> float:
    """The same from ``Rₓᴴ R_y``, where the columns of R complete a basis.

    Spaces that hold more than half of all directions each meet at the angles of their orthogonal
    complements, and are one in all others (Knyazev & Argentati 2002, SIAM J. Sci. Comput. 23:2008,
    theorem 2.7).
    """
    return 1.0 - float(np.sum(1.0 - correlations_between(cross))) / (x.n_samples - max(cross.shape))


def mean_squared_correlation_of_rests(cross: Array, x: Subspace, y: Subspace) -> float:
    """As `mean_correlation_of_rests`, of their squares."""
    lost = max(0.0, min(cross.shape) - _sum_of_squares(cross))
    return 1.0 - lost / (x.n_samples - max(cross.shape))


def mean_squared_correlation(cross: Array, x: Subspace, y: Subspace) -> float:
    """Mean of the squared canonical correlations, without computing them."""
    return min(1.0, _sum_of_squares(cross) / min(cross.shape))


def projection_weighted(
    cross: Array, x: Subspace, y: Subspace, *, symmetric: bool = False
) -> float:
    """Correlations weighted by how much of the neurons of x each variate accounts for."""
    correlations, left, right = _canonical(cross)
    value = _weighted_mean(correlations, left(), x, y)
    if symmetric:
        value = (value + _weighted_mean(correlations, right(), y, x)) / 2
    return value


def _canonical(cross: Array) -> tuple[Array, Callable[[], Array], Callable[[], Array]]:
    """Singular values, and what gives the left and the right vectors, both as columns.

    Those of the larger side cost one more product, which is made when they are asked for.
    """
    if cross.shape[0] > cross.shape[1]:
        correlations, right, left = _canonical(cross.conj().T)
        return correlations, left, right
    system = eigensystem(cross @ cross.conj().T)
    if system.values[-1] < SMALLEST_SQUARE:
        u, correlations, vh = np.linalg.svd(cross, full_matrices=False)
        return correlations, lambda: u, lambda: vh.conj().T
    correlations, u = np.sqrt(system.values), system.vectors(0, len(cross))
    return correlations, lambda: u, lambda: cross.conj().T @ (u / correlations)


def of_kernels(formula: Formula) -> Callable[[Array, Subspace, Subspace], float]:
    """A formula for two kernels, as a function of the cross product."""

    def of_cross(cross: Array, x: Subspace, y: Subspace) -> float:
        return formula(_sums(cross, x, y), _sums(None, x, x), _sums(None, y, y))

    return of_cross


def procrustes_cosine(cross: Array, x: Subspace, y: Subspace) -> float:
    """Cosine of the two sets of activations after the best rotation."""
    sx, sy = _relative(x), _relative(y)
    nuclear = np.sum(np.linalg.svd(sx[:, None] * cross * sy, compute_uv=False))
    return min(1.0, float(nuclear / (np.linalg.norm(sx) * np.linalg.norm(sy))))


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


def _sums(cross: Array | None, x: Subspace, y: Subspace) -> Sums:
    """In units of the largest σ² of each. Without `cross`, both are the same layer."""
    kx, ky = (_relative(s) ** 2 for s in (x, y))
    if cross is None:
        product = float(np.sum(kx**2))
    else:
        product = float(np.sum(kx[:, None] * np.abs(cross) ** 2 * ky))
    shared = float(x.gram_diagonal @ y.gram_diagonal)
    return Sums(product, float(kx.sum()), float(ky.sum()), shared, x.n_samples)


def _sum_of_squares(a: Array) -> float:
    return float(np.vdot(a, a).real)


def _relative(s: Subspace) -> Array:
    # Relative to the largest: squares of tiny or huge activations would leave float64.
    return s.singular_values / s.singular_values[0]


def _weighted_mean(correlations: Array, rotation: Array, x: Subspace, y: Subspace) -> float:
    neurons = x.neurons  # z in the basis of x
    # ⟨hᵢ, zⱼ⟩ for all i, j: row i is the part of the neurons that variate i accounts for.
    parts = rotation.conj().T @ neurons
    weights = np.abs(parts).sum(axis=1)
    if x.coarse and y.coarse:
        close = _not_told_apart(correlations, weights)
        if np.count_nonzero(close) > SHARE * len(close):
            correlations, left, _ = _canonical(x.basis.conj().T @ y.basis)
            rotation = left()
            parts = rotation.conj().T @ neurons
            weights = np.abs(parts).sum(axis=1)
        elif close.any():
            turn, found = _told_apart(rotation[:, close], x, y)
            correlations, rotation = correlations.copy(), rotation.copy()
            correlations[close], rotation[:, close] = found, rotation[:, close] @ turn
            parts[close] = turn.conj().T @ parts[close]
            weights[close] = np.abs(parts[close]).sum(axis=1)
    for start, stop in _ties(correlations):
        # Within a tie any rotation of the variates is canonical: take the principal axes of x.
        # Where correlations are 0, all that correlates with nothing in y is one tie.
        correlated = rotation[:, :start]
        none = correlations[start] <= TIE
        tied = neurons - correlated @ parts[:start] if none else parts[start:stop]
        _, size, axes = np.linalg.svd(tied, full_matrices=False)
        turned = (size[:, None] * axes)[: stop - start]
        weights[start:stop] = np.abs(turned).sum(axis=1)
    return min(1.0, float(weights @ clipped(correlations) / weights.sum()))


def _not_told_apart(correlations: Array, weights: Array) -> Array:
    """Directions whose weights hang on the rounding of the product, by a bound of first order.

    Of two directions it turns each by LEFT over the distance of their correlations into the other,
    which moves their weights by no more than that times both, and their mean by that times how far
    they are from it.
    """
    weights = weights / weights.sum()
    reach = 3 * TIE + LEFT / MOVED * weights * np.abs(correlations - weights @ correlations)
    order = np.argsort(correlations - reach)
    low, high = ((correlations + sign * reach)[order] for sign in (-1, 1))
    apart = low[1:] > np.maximum.accumulate(high)[:-1]
    close = np.empty(len(order), bool)
    close[order] = ~(np.r_[True, apart] & np.r_[apart, True])
    return close


def _told_apart(directions: Array, x: Subspace, y: Subspace) -> tuple[Array, Array]:
    """What turns orthonormal directions in the basis of x to canonical ones, and correlations."""
    seen = y.basis.conj().T @ (x.basis @ directions)
    squares, turn = np.linalg.eigh(seen.conj().T @ seen)
    return turn[:, ::-1], np.sqrt(np.maximum(squares[::-1], 0.0))


def _ties(correlations: Array) -> list[tuple[int, int]]:
    """Index ranges of correlations that leave their variates free to turn."""
    edges = np.flatnonzero(np.abs(np.diff(correlations)) > TIE) + 1
    bounds = [0, *edges.tolist(), len(correlations)]
    return [(a, b) for a, b in pairwise(bounds) if b - a > 1 or correlations[a] <= TIE]
