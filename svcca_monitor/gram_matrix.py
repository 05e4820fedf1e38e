"""The matrix of products of all samples, made of some features at a time, in its own place."""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .lapack import blas
from .rounding import blocks, centre, noise_of_columns

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Gram:
    """``XXᴴ`` of centred features; that of more features is the sum.

    Attributes:
        matrix: Shape (n_samples, n_samples), double precision; the upper triangle counts.
        mean: Of each feature, shape (n_features,).
        squares: Of the norm of each centred feature, shape (n_features,).
        eps: Rounding unit of what was stored.
    """

    matrix: Array
    mean: Array
    squares: Array
    eps: float

    @classmethod
    def of(cls, x: Array, eps: float) -> Gram:
        """Of checked activations, some columns at a time."""
        matrix = _square(len(x), np.dtype(np.complex128 if x.dtype.kind == "c" else np.float64))
        means, squares = [], []
        for block in blocks(x):
            part, mean = centre(block)
            add_product(matrix, part)
            means.append(mean)
            squares.append(np.einsum("ij,ij->j", part, part.conj()).real)
            del part  # not beside the next one
        return cls(matrix, np.concatenate(means), np.concatenate(squares), eps)

    def __add__(self, other: Gram) -> Gram:
        return Gram(
            self.matrix + other.matrix,
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.squares, other.squares]),
            max(self.eps, other.eps),
        )

    def noise(self) -> float:
        """Below this a singular value cannot be told from the rounding of what was stored."""
        return noise_of_columns(self.stored, len(self.matrix), self.eps)

    @property
    def stored(self) -> Array:
        """Norms of the features, means included."""
        return np.sqrt(self.squares + len(self.matrix) * np.abs(self.mean) ** 2)


def _square(n: int, dtype: np.dtype[Any]) -> Array:
    """Zeros from the system, which has them back at once: an allocator may keep what is freed."""
    size = n * n * dtype.itemsize
    if sys.platform == "win32":
        room = mmap.mmap(-1, size)
    else:  # what is shared with processes that are forked has small pages too
        room = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if sys.platform == "linux":
        with suppress(OSError):  # of a kernel without large pages
            room.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(room, dtype).reshape(n, n)


def add_product(matrix: Array, x: Array) -> None:
    """Add XXᴴ to the upper triangle, at least, of a Gram matrix."""
    if x.dtype.kind == "c":
        matrix += x @ x.conj().T
        return
    # In place: the product would be as large again. Fortran takes rows for columns.
    n, p = x.shape
    how = (b"T", n, p, 1.0, x, p) if x.flags.c_contiguous else (b"N", n, p, 1.0, x, n)
    blas("dsyrk", b"L", *how, 1.0, matrix, n)
