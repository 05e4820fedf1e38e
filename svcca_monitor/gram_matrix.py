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

# Products of so many blocks are summed in single precision: sums of more round by more than these.
PARTS = 8
SYRK = {"d": "dsyrk", "f": "ssyrk"}


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
    def of(cls, x: Array, eps: float, *, single: bool = False) -> Gram:
        """Of checked activations, some columns at a time.

        With `single`, products are in single precision, which their sums may leave, and are summed
        in double.
        """
        matrix = _square(len(x), np.dtype(np.complex128 if x.dtype.kind == "c" else np.float64))
        total = _InSingle(matrix) if single else _InDouble(matrix)
        means, squares = [], []
        for block in blocks(x):
            part, mean = centre(block)
            total.add(part)
            means.append(mean)
            squares.append(np.einsum("ij,ij->j", part, part.conj()).real)
            del part  # not beside the next one
        total.close()
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


class _InDouble:
    """Adds products to a matrix."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix

    def add(self, part: Array) -> None:
        add_product(self._matrix, part)

    def close(self) -> None:
        """All are there."""


class _InSingle:
    """The same in single precision."""

    def __init__(self, matrix: Array) -> None:
        self._matrix = matrix
        self._sums = _square(len(matrix), np.dtype(np.float32))
        self._parts = 0

    def add(self, part: Array) -> None:
        with np.errstate(over="ignore"):
            add_product(self._sums, part.astype(np.float32))
        self._parts += 1
        if self._parts % PARTS == 0:
            self.close()

    def close(self) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            self._matrix += self._sums
        self._sums[:] = 0


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
    trans, size = (b"T", p) if x.flags.c_contiguous else (b"N", n)
    one = matrix.dtype.type(1)
    blas(SYRK[matrix.dtype.char], b"L", trans, n, p, one, x, size, one, matrix, n)
