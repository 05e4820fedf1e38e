"""Linear algebra of many small matrices, stacked along the first axis."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from .factors import thin_svd
from .parallel import in_parallel
from .subspace import Array

# A basis from XᴴX is off by some eps · condition²: above this condition the data are factorised.
GRAM_CONDITION = 1e3
# A column made in single precision is off by some 1e-7 times the norm of its weights for columns of
# size 1: by 8e-7 up to here.
SINGLE_REACH = 8.0
# Layers whose weights are within this and its inverse have numbers that fit single precision.
SMALLEST = 1e-10
# Sums of single-precision products are carried on in double after this many: error below 3e-7.
SINGLE_SUM = 128
# Matrices a thread takes at a time, and operations of a decomposition over those of a product.
PART, OPERATIONS = 16, 10.0


def factorise(blocks: Array, dtype: np.dtype[Any]) -> tuple[Array, Array, Array]:
    """Thin SVD of stacked blocks: left vectors, singular values, right vectors as columns.

    Args:
        blocks: Shape (F, m, n).
        dtype: Of the left vectors, which are what takes the memory.
    """
    k = min(blocks.shape[1:])
    basis = np.empty((*blocks.shape[:2], k), dtype)

    def work(at: slice) -> tuple[Array, Array]:
        basis[at], values, loadings = _factorise(blocks[at])
        return values, loadings

    values, loadings = _in_parts(work, blocks)
    return basis, values, loadings


def orthonormalise(
    blocks: Array, dtype: np.dtype[Any], *, noise: float, share: float
) -> tuple[Array, Array, Array]:
    """Bases of stacked blocks in no order, what takes the blocks there, and their ranks.

    Args:
        blocks: Shape (F, m, n).
        dtype: Of the bases.
        noise: Directions are left out up to this singular value,
        share: and up to this share of the largest.

    Returns:
        Bases of shape (F, m, k), weights (F, n, k) with bases = blocks @ weights, and (F,): how
        many columns count.
    """
    k = min(blocks.shape[1:])
    basis = np.empty((*blocks.shape[:2], k), dtype)

    def work(at: slice) -> tuple[Array, Array]:
        part = blocks[at]
        weights, size = _inverse_roots(part, noise, share)
        rank, safe = np.full(len(part), k), size > 0
        kind = dtype if size.max() < SINGLE_REACH else blocks.dtype
        if safe.any():
            unit = np.abs(weights).max(axis=(1, 2), keepdims=True)
            ordinary = (unit[safe] > SMALLEST) & (unit[safe] < 1 / SMALLEST)
            x, w = (part, weights) if ordinary.all() else (part * unit, weights / unit)
            basis[at] = x.astype(kind, copy=False) @ w.astype(kind, copy=False)
        if not safe.all():
            basis[at][~safe], values, loadings = _factorise(part[~safe])
            weights[~safe], rank[~safe] = scaled_loadings(values, loadings, noise, share)
        return weights, rank

    weights, ranks = _in_parts(work, blocks)
    return basis, weights, ranks


def scaled_loadings(
    values: Array, loadings: Array, noise: float, share: float
) -> tuple[Array, Array]:
    """Loadings over singular values, 0 for directions that do not count, and how many do."""
    kept = values > np.maximum(noise, share * values[:, :1])
    return loadings / np.where(kept, values, np.inf)[:, None], np.count_nonzero(kept, axis=1)


def _inverse_roots(blocks: Array, noise: float, share: float) -> tuple[Array, Array]:
    """Weights to orthonormal columns by CholeskyQR of columns of equal size.

    And the largest norm of such weights of a column to each; 0 where they do not serve, as columns
    are close to dependent or a direction might not count.
    """
    n_blocks, m, n = blocks.shape
    none = np.zeros((n_blocks, n, min(m, n)), blocks.dtype), np.zeros(n_blocks)
    if m <= n:
        return none
    gram = adjoint_product(blocks, blocks)
    sizes = np.sqrt(np.diagonal(gram, axis1=1, axis2=2).real)
    if not sizes.all():
        return none
    try:
        roots = np.linalg.cholesky(gram / sizes[:, None] / sizes[:, :, None])
    except np.linalg.LinAlgError:  # of one of them
        return none
    inverses = np.linalg.inv(roots).conj().mT
    size = np.linalg.norm(inverses, axis=(1, 2))
    # Any basis is as good, but columns of numbers of one size would add up with errors of one sign.
    weights = inverses @ _turn(n) / sizes[:, :, None]
    smallest = 1 / np.linalg.norm(weights, axis=(1, 2))  # no singular value is less
    least = np.maximum(noise, share * np.linalg.norm(sizes, axis=1))
    return weights, np.where((size < GRAM_CONDITION) & (smallest > least), size / np.sqrt(n), 0.0)


@lru_cache
def _turn(n: int) -> Array:
    """Some orthogonal matrix."""
    return np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]


def in_parts(function: Callable[..., tuple[Array, ...]], *stacks: Array) -> tuple[Array, ...]:
    """What a function finds for stacked blocks, in threads that take some of the blocks each.

    The threads of BLAS would meet at every single block, which are small.
    """
    return _in_parts(lambda at: function(*(s[at] for s in stacks)), stacks[0])


def _in_parts(work: Callable[[slice], tuple[Array, ...]], blocks: Array) -> tuple[Array, ...]:
    parts = [slice(start, start + PART) for start in range(0, len(blocks), PART)]
    costs = [OPERATIONS * blocks[:PART].size * blocks.shape[-1]] * len(parts)
    return tuple(map(np.concatenate, zip(*in_parallel(work, parts, costs), strict=True)))


def _factorise(blocks: Array) -> tuple[Array, Array, Array]:
    if blocks.shape[1] <= blocks.shape[2]:
        return _by_svd(blocks)
    squares, vectors = np.linalg.eigh(adjoint_product(blocks, blocks))
    squares, loadings = squares[:, ::-1], vectors[:, :, ::-1].copy()
    values = np.sqrt(np.maximum(squares, np.finfo(float).tiny))
    basis = blocks @ (loadings / values[:, None])
    unsafe = squares[:, -1] * GRAM_CONDITION**2 <= squares[:, 0]
    if unsafe.any():
        basis[unsafe], values[unsafe], loadings[unsafe] = _by_svd(blocks[unsafe])
    return basis, values, loadings


def _by_svd(blocks: Array) -> tuple[Array, Array, Array]:
    u, values, vh = map(np.stack, zip(*map(thin_svd, blocks), strict=True))
    return u, values, vh.conj().mT


def adjoint_product(a: Array, b: Array) -> Array:
    """Stacked products aᴴ b in real arithmetic: no conjugate copy, half the work if b is a."""
    a, b = a.view(a.real.dtype), b.view(b.real.dtype)
    step = a.shape[1] if a.dtype == np.float64 else SINGLE_SUM
    rows = [slice(start, start + step) for start in range(0, a.shape[1], step)]
    ab = sum((a[:, at].mT @ b[:, at] for at in rows), start=np.zeros(1))
    parts = ab[:, ::2, ::2] + ab[:, 1::2, 1::2], ab[:, ::2, 1::2] - ab[:, 1::2, ::2]
    return parts[0] + 1j * parts[1]
