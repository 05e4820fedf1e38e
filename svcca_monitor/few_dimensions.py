"""Mean canonical correlation of independent normal views of few dimensions.

Their principal angles φ have the joint density ∏ sin^(q-p) φᵢ cos^(m-p-q) φᵢ ∏ |sin² φᵢ - sin² φⱼ|,
for p ≤ q dimensions, p + q ≤ m and m = n_samples - 1, with sin φ for the correlations; for complex
data sin^(2(q-p)+1), cos^(2(m-p-q)+1) and the squares of the differences (Muirhead 1982, Aspects of
Multivariate Statistical Theory, §11.3; James 1964, Ann. Math. Statist. 35:475).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[Any]

# Midpoints between the smallest and the largest angle: relative error below 1e-5.
ANGLES = 2000
# Beyond the edges of Wachter's law, in units of 1/√m: angles there have a density of e⁻⁴⁰.
MARGIN = 9.0


@lru_cache(maxsize=1024)
def mean_correlation(n_samples: int, dims_x: int, dims_y: int, *, of_complex: bool) -> float:
    """In closed form for one dimension, for more by quadrature of the density of one angle."""
    m, p, q = n_samples - 1, *sorted((dims_x, dims_y))
    if p == 1:  # a square has the law Beta(q/2, (m - q)/2), twice both for complex data
        half = np.array([q, m]) if of_complex else np.array([q, m]) / 2
        logs = gammaln(half + 0.5) - gammaln(half)
        return float(np.exp(logs[0] - logs[1]))
    # Views that fill more than the space meet in p + q - m directions; the other correlations are
    # those of their orthogonal complements.
    shared = max(0, p + q - m)
    if not shared:
        return _sum(m, p, q, of_complex) / p
    return (shared + _sum(m, m - q, m - p, of_complex)) / p


def _sum(m: int, p: int, q: int, of_complex: bool) -> float:
    """Mean sum of p correlations, for p ≤ q and p + q ≤ m."""
    if p <= 0:
        return 0.0
    centre, spread = np.sqrt([q * (m - p), p * (m - q)]) / m
    first = max(0.0, np.arcsin(centre - spread) - MARGIN / np.sqrt(m))
    last = min(np.pi / 2, np.arcsin(min(1.0, centre + spread)) + MARGIN / np.sqrt(m))
    angles = first + (last - first) * (np.arange(ANGLES) + 0.5) / ANGLES
    powers = np.array([q - p, m - p - q]) + (0.5 if of_complex else 0.0)
    logs = powers @ np.log([np.sin(angles), np.cos(angles)])
    functions = _orthonormal(np.exp(logs - logs.max()), np.sin(angles) ** 2, p)
    weighted = np.sin(angles)[:, None] * functions
    if of_complex:  # a determinantal process: the density is the sum of their squares
        return float(np.sum(weighted * functions))
    # The ordered integral of a determinant is a Pfaffian of double integrals (de Bruijn 1955, J.
    # Indian Math. Soc. 19:133); its logarithmic derivative is the mean of the sum.
    pairs = functions.T @ _signed(functions)
    change = weighted.T @ _signed(functions) + functions.T @ _signed(weighted)
    if p % 2:
        pairs, change = _bordered(pairs, functions), _bordered(change, weighted)
    return float(np.trace(np.linalg.solve(pairs, change))) / 2


def _orthonormal(weight: Array, x: Array, count: int) -> Array:
    """The weight times polynomials in x of rising degree, orthonormal on the grid."""
    x = x - x.mean()
    functions, new = np.zeros((len(x), count)), weight
    for i in range(count):
        for _ in range(2):  # once more, for what rounding left of the others
            new = new - functions[:, :i] @ (functions[:, :i].T @ new)
        functions[:, i] = new / np.linalg.norm(new)
        new = x * functions[:, i]
    return functions


def _signed(f: Array) -> Array:
    """The sum of f over smaller angles, minus that over larger ones."""
    return 2 * np.cumsum(f, axis=0) - f - f.sum(axis=0)


def _bordered(pairs: Array, functions: Array) -> Array:
    sums = functions.sum(axis=0)[:, None]
    return np.block([[pairs, sums], [-sums.T, np.zeros((1, 1))]])
