"""Eigenvalues of a symmetric matrix, and only those of its eigenvectors that are wanted.

`numpy.linalg.eigh` computes all of them and holds the matrix five times. That of SciPy keeps other
threads waiting, and takes longer for some of the vectors than for all. Here the three steps of
LAPACK are called one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .lapack import INTEGER, lapack

Array = NDArray[Any]

# Smaller matrices are done before the steps have been called; of larger ones the squares of sizes
# may leave the whole numbers of SciPy's LAPACK, but not those of NumPy's.
SMALL, LARGE = 160, 40_000
# Rows that LAPACK takes at a time, and what it keeps beside them.
BLOCK, BESIDE = 64, 64 * 65
# Products of vectors that are orthogonal are no more than this.
ORTHOGONAL = 1e-10


class Eigensystem(Protocol):
    """Eigenvalues in descending order, and what gives their vectors."""

    @property
    def values(self) -> Array:
        """Shape (n,)."""

    def vectors(self, first: int, last: int) -> Array:
        """Orthonormal columns that belong to ``values[first:last]``."""


def eigensystem(matrix: Array, *, few: bool = False) -> Eigensystem:
    """Of a symmetric or Hermitian matrix in double precision.

    Args:
        matrix: Shape (n, n), C-contiguous, of which the upper triangle counts. Overwritten.
        few: Hold no more than this matrix and the vectors that are asked for, if these are fewer
            than half.

    Raises:
        LinAlgError: If LAPACK does not converge.
    """
    if matrix.dtype != np.float64 or not SMALL <= len(matrix) <= LARGE:
        values, vectors = np.linalg.eigh(matrix, "U")
        return _Whole(values[::-1], vectors[:, ::-1])
    return _Reduced.of(matrix, few)


@dataclass(frozen=True, eq=False)
class _Whole:
    values: Array
    columns: Array

    def vectors(self, first: int, last: int) -> Array:
        return self.columns[:, first:last].copy()


@dataclass(frozen=True, eq=False)
class _Reduced:
    """A = Q T Qᵀ with T tridiagonal.

    Attributes:
        reflections: Q, as LAPACK keeps it.
        scales: Of the reflections.
        tridiagonal: Diagonal of T, and the one beside it.
        few: Whether to compute no more of the eigenvectors of T than are asked for.
    """

    reflections: Array
    scales: Array
    tridiagonal: tuple[Array, Array]
    few: bool

    @classmethod
    def of(cls, matrix: Array, few: bool) -> _Reduced:
        n = len(matrix)
        diagonal, beside, scales = np.zeros((3, n))  # n numbers beside, of which the last is none
        work = np.empty(BLOCK * n)
        # The upper triangle by rows is the lower one by columns.
        lapack("dsytrd", b"L", n, matrix, n, diagonal, beside, scales, work, work.size)
        return cls(matrix, scales, (diagonal, beside), few)

    @cached_property
    def values(self) -> Array:
        if not self.few:
            return self._all[0][::-1]
        values, beside = (part.copy() for part in self.tridiagonal)
        lapack("dsterf", len(values), values, beside)
        return values[::-1]

    @cached_property
    def _all(self) -> tuple[Array, Array]:
        return _all_vectors(*self.tridiagonal)

    def vectors(self, first: int, last: int) -> Array:
        n, k = len(self.reflections), last - first
        if not k:
            return np.empty((n, 0))
        rows = self._of_tridiagonal(n - last, n - first)
        work = np.empty(BLOCK * k + BESIDE)
        sizes = n, k, self.reflections, n, self.scales, rows, n, work, work.size
        lapack("dormtr", b"L", b"L", b"N", *sizes)
        return np.ascontiguousarray(rows[::-1].T)

    def _of_tridiagonal(self, first: int, last: int) -> Array:
        """Eigenvectors of T as rows, in ascending order."""
        # Those of one call are orthogonal whatever their values: once all are known, take these.
        if self.few and "_all" not in vars(self) and 2 * (last - first) <= len(self.values):
            try:
                return _some_vectors(*self.tridiagonal, first, last)
            except np.linalg.LinAlgError:  # where divide and conquer does not fail
                pass
        return self._all[1][first:last].copy()


def _all_vectors(diagonal: Array, beside: Array) -> tuple[Array, Array]:
    """Eigenvalues of a tridiagonal matrix, ascending, and its eigenvectors as rows.

    By divide and conquer (Cuppen 1981).
    """
    n, values = len(diagonal), diagonal.copy()
    rows = np.empty((n, n))
    work, whole = np.empty(1 + 4 * n + n * n), np.empty(3 + 5 * n, INTEGER)
    lapack("dstedc", b"I", n, values, beside.copy(), rows, n, work, work.size, whole, whole.size)
    return values, rows


def _some_vectors(diagonal: Array, beside: Array, first: int, last: int) -> Array:
    """Some eigenvectors of a tridiagonal matrix as rows, in ascending order of their values.

    By relatively robust representations (Dhillon & Parlett 2004): no n² numbers are needed.

    Raises:
        LinAlgError: If LAPACK gives up, or finds too few vectors or some that are not orthonormal.
    """
    n, k = len(diagonal), last - first
    rows, values, found, safe = (
        np.empty((k, n)),
        np.empty(n),
        np.empty(1, INTEGER),
        np.ones(1, INTEGER),
    )
    support, whole, work = np.empty(2 * k, INTEGER), np.empty(10 * n, INTEGER), np.empty(18 * n)
    unit = max(np.abs(diagonal).max(), np.abs(beside[:-1]).max()) or 1.0  # it takes squares
    span = 0.0, 0.0, first + 1, last
    out = found, values, rows, n, k, support, safe, work, work.size, whole, whole.size
    lapack("dstemr", b"V", b"I", n, diagonal / unit, beside / unit, *span, *out)
    # It may say nothing of a failure (Reference-LAPACK/lapack, issue 151).
    if found[0] < k or not _orthonormal(rows):
        raise np.linalg.LinAlgError("dstemr of LAPACK found no orthonormal vectors.")
    return rows


def _orthonormal(rows: Array) -> bool:
    products = rows @ rows.T
    products[np.diag_indices(len(rows))] -= 1.0
    return bool(np.abs(products).max() < ORTHOGONAL)
