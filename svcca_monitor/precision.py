"""Single precision for products of layers that came in it: twice as fast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Below this many floating-point operations in all, what single precision saves is not worth the
# digits: small grids and single pairs of layers have them all.
WORTH_IT = 2e9
# Sums over few samples round as few numbers do: below this effective number, as of a layer that is
# active on some samples only, they are off by more than 1e-6 now and then. So are sums over all
# samples of which most are next to nothing beside the others, and lose their digits: below this
# share.
SAMPLES, SHARE = 200, 0.35
# Samples that are turned at a time: blocks that stay near the processor take half the time.
BLOCK = 64


class Coarse(Protocol):
    """Anything made of activations."""

    @property
    def coarse(self) -> bool:
        """Whether these came in single precision or lower."""


def product_dtype(
    dtype: np.dtype[Any], layers: Iterable[Coarse], operations: float, *, in_double: bool
) -> np.dtype[Any]:
    """`dtype`, or its single precision where that serves for products of these layers.

    Rounded factors move a similarity by some 1e-8, rounded sums over samples by some 1e-7, as the
    rounding of the activations themselves may; by more if large sums are subtracted.

    Args:
        dtype: What the layers are held in.
        layers: All that take part.
        operations: Floating-point operations of all products.
        in_double: Whether the measure needs double precision.
    """
    if in_double or not worth_it(operations) or not all(layer.coarse for layer in layers):
        return dtype
    return in_single(dtype)


def worth_it(operations: float) -> bool:
    """Whether single precision may save a part of so many floating-point operations."""
    return operations >= WORTH_IT


def in_single(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The single precision of a dtype."""
    return np.dtype(np.complex64 if dtype.kind == "c" else np.float32)


def dominated(squares: Array, *, share: float = 0.0) -> bool:
    """Whether few of the samples make up a layer: by the participation ratio of squared norms.

    Args:
        squares: Of the norms of the samples.
        share: Which part of them are few, however many they are.
    """
    largest = squares.max() or 1.0
    shares = squares / largest  # squares of squares would leave the range
    least = max(SAMPLES, share * len(squares))
    return bool(shares.sum() ** 2 < least * (shares**2).sum())


def rounded(basis: Array, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """A basis in this dtype, ready for products with others that went through here.

    In single precision the samples are `turned`.

    Args:
        basis: Shape (n_samples, k).
        dtype: Double or single precision.
        out: Where to put it, of that dtype; if left out, it is made, or the basis itself serves.
    """
    if dtype not in (np.float64, np.complex128):
        return turned(basis, dtype, out)
    if out is None:
        return basis.astype(dtype, copy=False)
    out[:] = basis
    return out


def turned(x: Array, dtype: np.dtype[Any], out: Array | None = None) -> Array:
    """The samples, turned in pairs: each pair by an angle of its own, the same in all layers.

    This leaves sums over samples as they are, of XᴴY as of products of kernels. Without it, samples
    that collapsed to a few points have few different numbers, and so do their products: a sum of
    equal numbers rounds the same way at every step, by up to 4e-6 in single precision, against
    2e-7 of others.

    Args:
        x: Shape (n_samples, k).
        dtype: Of the result.
        out: Where to put it, of that dtype; `x` itself may serve. If left out, it is made.
    """
    out = np.empty(x.shape, dtype) if out is None else out
    half = len(x) // 2
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (half, 1))
    cosines, sines = (f(angles).astype(out.real.dtype) for f in (np.cos, np.sin))
    for start in range(0, half, BLOCK):
        stop = min(start + BLOCK, half)
        cos, sin = cosines[start:stop], sines[start:stop]
        first, second = (x[a + start : a + stop].astype(dtype) for a in (0, half))
        out[start:stop] = cos * first - sin * second
        out[half + start : half + stop] = sin * first + cos * second
    out[2 * half :] = x[2 * half :]
    return out
