"""Factors of a wide layer from a Gram matrix in single precision, mended where it shows.

Products in single precision take half the time. What they are off by turns directions into each
other, by so much over the distance of their eigenvalues (Stewart & Sun 1990, Matrix Perturbation
Theory, chapter V). Among those that are kept, as among those that are left out, no function of the
span sees it; across the cut it is seen. Next to the cut, where eigenvalues are close, directions
are told anew from the layer itself in double precision (Rayleigh & Ritz), which also says what the
others are off by.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .cuts import Cut
from .eigensystem import eigensystem
from .factors import GRAM_NOISE, GRAM_REACH, Array, Factors, loadings_of_samples
from .gram_matrix import Gram
from .rounding import blocks

# Directions that are told anew on either side of the cut. Layers of fewer samples than this many
# times as much are done as soon in double precision.
NEAR, WORTH_IT = 16, 32
# Squared norms of samples within these leave single precision neither themselves nor by products
# of next to nothing.
LEAST, MOST = 1e-24, 1e36
# What is mixed across the cut may move a mean over the kept directions by so much, as a standard
# deviation for the worst of partners: three of them, of both layers of a pair, stay below 1e-6.
MIXED = 2e-7
# Shares of the variance are off by less.
SHARE = 2e-7


def by_single_gram(x: Array, eps: float, cut: Cut) -> tuple[Factors, int] | None:
    """Factors that hold for the directions that the cut keeps, and how many these are.

    Kept directions of nearly the same variance may be mixed.

    Args:
        x: Checked activations, which came in single precision or less.
        eps: Their rounding unit.
        cut: By a share of the variance, or to a number of directions.

    Returns:
        None if this is no faster, or could show.
    """
    n, p = x.shape
    if x.dtype.kind == "c" or not NEAR * WORTH_IT <= n < p or cut.criterion != "variance":
        return None
    gram = Gram.of(x, eps, single=True)
    if not LEAST < gram.matrix.diagonal().max() < MOST:
        return None
    system = eigensystem(gram.matrix, few=True)
    values = system.values.copy()
    least = max(gram.noise() ** 2, GRAM_NOISE**2 * values[0])
    k = _kept(values, least, cut)
    if not k:
        return None
    first, last = max(0, k - NEAR), min(n, k + NEAR)
    vectors = system.vectors(0, last)
    near = vectors[:, first:].copy()
    told = _products(x, near)
    off = float(np.sqrt(np.mean((told - np.diag(values[first:last])) ** 2)))
    if not off * _reach(values, k, first, last) <= MIXED * k:
        return None
    values[first:last], turned = (found[..., ::-1] for found in np.linalg.eigh(told))
    vectors[:, first:] = near @ turned
    # Where there is nothing, noise has eigenvalues up to 2 √n of its size (Wigner 1958).
    shown = values[values > max(least, 3 * n**0.5 * off)]
    spectrum = np.sqrt(np.sort(shown)[::-1])

    def basis(k: int) -> Array:
        return np.ascontiguousarray(vectors[:, :k])

    return Factors(
        spectrum,
        gram.mean,
        basis,
        lambda k: loadings_of_samples(x, basis(k) / spectrum[:k]),
        rest=lambda k: np.hstack([vectors[:, k:], system.vectors(last, n)]),
    ), k


def _kept(values: Array, least: float, cut: Cut) -> int:
    """How many directions are kept; 0 if all that show are, or that is too close to tell."""
    shown = values[values > least]
    spectrum = np.sqrt(shown)
    k = cut.count(spectrum)
    if not 0 < k < len(shown) or values[k - 1] < GRAM_REACH**2 * values[0]:
        return 0
    share = cut.explained_variance
    if share is not None and share < 1.0:
        # What came out negative was next to nothing; as much has come out positive.
        slack = SHARE - 2 * values[values < 0].sum() / shown.sum()
        bounds = max(share - slack, share / 2), min(share + slack, 1.0)
        if len({replace(cut, explained_variance=bound).count(spectrum) for bound in bounds}) > 1:
            return 0
    return k


def _products(x: Array, vectors: Array) -> Array:
    """VᵀXXᵀV of the centred layer in double precision, shape (k, k)."""
    centred = vectors - vectors.mean(axis=0)  # so that the layer itself need not be
    parts = (block.astype(np.float64).T @ centred for block in blocks(x))
    return sum((part.T @ part for part in parts), np.zeros(2 * vectors.shape[1:]))


def _reach(values: Array, k: int, first: int, last: int) -> float:
    """What noise is multiplied by where it mixes directions across the cut, not both of them near.

    Partners are the worst: they agree with just what is mixed in.
    """
    with np.errstate(divide="ignore"):
        kept, left_out = 1 / (values[:first] - values[k]), 1 / (values[k - 1] - values[last:])
    return float(np.hypot(np.linalg.norm(kept), np.linalg.norm(left_out)))
