"""Factors of a wide layer from a Gram matrix in single precision, mended where it shows.

Products in single precision take half the time. What they are off by turns directions into each
other, by so much over the distance of their eigenvalues (Stewart & Sun 1990, Matrix Perturbation
Theory, chapter V). Among those that are kept, as among those that are left out, no function of the
span sees it; across the cut it is seen. Next to the cut, where eigenvalues are close, directions
are told anew from the layer itself in double precision (Rayleigh & Ritz). That also says what the
others are off by where all samples are alike; where some are larger, a product of the layer with a
few sums of directions does.
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
# Sums of directions with random signs by which noise is measured.
PROBES = 4


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
    reach = _reach(values, k, first, last)
    if not np.isfinite(reach):
        return None
    vectors = system.vectors(0, last)
    near = vectors[:, first:].copy()
    told, images = _products(x, near, _probes(vectors, values, k, first))
    off = float(np.sqrt(np.mean((told - np.diag(values[first:last])) ** 2)))
    values[first:last], turned = (found[..., ::-1] for found in np.linalg.eigh(told))
    vectors[:, first:] = near @ turned
    if not max(off * reach, _seen(images, vectors, k)) <= MIXED * k:
        return None
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


def _reach(values: Array, k: int, first: int, last: int) -> float:
    """What noise is multiplied by where it mixes directions across the cut, not both of them near.

    Partners are the worst: they agree with just what is mixed in.
    """
    with np.errstate(divide="ignore"):
        kept, left_out = 1 / (values[:first] - values[k]), 1 / (values[k - 1] - values[last:])
    return float(np.hypot(np.linalg.norm(kept), np.linalg.norm(left_out)))


def _probes(vectors: Array, values: Array, k: int, first: int) -> Array:
    """Sums of kept directions with random signs, over the distances that matter to `_reach`.

    Those of the ones far from the cut, then those of the near ones: (n_samples, 2 PROBES).
    """
    others = values[vectors.shape[1] :].max(initial=-np.inf)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (k, PROBES)) / PROBES**0.5
    far = vectors[:, :first] @ (signs[:first] / (values[:first, None] - values[k]))
    near = vectors[:, first:k] @ (signs[first:] / (values[first:k, None] - others))
    return np.hstack([far, near])


def _products(x: Array, near: Array, probes: Array) -> tuple[Array, Array]:
    """VᵀKV of the directions and KQ of the probes, for K = XXᵀ of the centred layer.

    In double precision.
    """
    given = np.hstack([near, probes])
    given -= given.mean(axis=0)  # so that the layer itself need not be
    told, images = np.zeros(2 * near.shape[1:]), np.zeros(probes.shape)
    for block in blocks(x):
        part = block.astype(np.float64)
        of_near, of_probes = np.hsplit(part.T @ given, near.shape[1:])
        told += of_near.T @ of_near
        images += part @ of_probes
    return told, images - images.mean(axis=0)


def _seen(images: Array, vectors: Array, k: int) -> float:
    """What noise mixes across the cut, as `_reach` has it, but from images of the probes.

    They go beyond what is known of the layer as far as noise takes its directions there, on average
    over the signs: each one counts, whatever samples it lives on.
    """
    images = images.copy()
    far, near = np.hsplit(images, 2)  # views
    for columns, known in ((far, vectors[:, :k]), (near, vectors)):
        columns -= known @ (known.T @ columns)
    squares = np.einsum("ij,ij->i", images, images)
    # A partner agrees with one direction for each, and may choose those of the noisiest samples.
    noisiest = squares @ squares / (squares.sum() or 1.0)
    return float(np.sqrt(noisiest * len(images) / (len(images) - k)))
