"""Any orthonormal basis of the directions of a layer, where their order does not matter.

Canonical correlations of all directions are the same in every basis. The triangular factor of the
Gram matrix gives one for a sixth of what eigenvectors take; columns are scaled to equal size first,
without which layers are far from orthogonal, and most of whose condition number that takes off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .factors import GRAM_NOISE, Covariance
from .lapack import blas, lapack
from .rounding import SINGLE, checked
from .subspace import Subspace

Array = NDArray[Any]

# Products of columns of a basis are off by some EPS64 times the square of this norm of the inverse.
LARGEST_INVERSE = 1e3


@dataclass(frozen=True, eq=False)
class Span:
    """What a layer of full rank spans.

    Attributes:
        basis: Orthonormal columns in no order, shape (n_samples, k).
        neurons: Centred neurons that vary in this basis, in some unit, shape (k, k).
        coarse: As of a `Subspace`.
        rest: None.
    """

    basis: Array
    neurons: Array
    coarse: bool = True
    rest: None = None

    @property
    def n_samples(self) -> int:
        """Number of probe examples (rows)."""
        return len(self.basis)

    @property
    def rank(self) -> int:
        """Number of directions."""
        return len(self.neurons)

    @classmethod
    def of(cls, covariance: Covariance) -> Span | None:
        """By CholeskyQR of scaled columns, in real arithmetic.

        None if that is not as good as double precision, or if the layer might have directions that
        are no more than noise.
        """
        gram, centred = covariance.matrix, covariance.centred
        sizes = np.sqrt(gram.diagonal())
        if not sizes.all() or not np.isfinite(sizes).all():
            return None
        n, k = len(centred), len(gram)
        root = gram / sizes / sizes[:, None]
        try:
            # The upper triangle by rows is the lower one by columns.
            lapack("dpotrf", b"L", k, root, k)
            if root.diagonal().min() * LARGEST_INVERSE <= 1:  # the inverse has 1 over each of them
                return None
            root = np.triu(root)
            inverse = root.copy()
            lapack("dtrtri", b"L", b"N", k, inverse, k)
        except np.linalg.LinAlgError:
            return None
        unit = sizes.max()
        smallest = unit / np.linalg.norm(inverse / (sizes / unit)[:, None])  # σ is no less
        lost = GRAM_NOISE * unit * np.linalg.norm(sizes / unit)
        safe = np.linalg.norm(inverse) < LARGEST_INVERSE and smallest > max(covariance.noise, lost)
        if not safe:
            return None
        basis = np.empty((n, k))  # by rows, however the layer came
        # With any other mode, `out` would be buffered: one more layer in memory.
        np.take(centred, np.flatnonzero(covariance.varying), axis=1, out=basis, mode="clip")
        basis /= sizes
        blas("dtrmm", b"L", b"L", b"N", b"N", k, n, 1.0, inverse, k, basis, k)
        return cls(basis, root * (sizes / unit))


Directions = Subspace | Span


def directions(x: ArrayLike, *, loadings: bool, rest: bool, name: str) -> Directions:
    """All directions of a layer, in no order where that is faster.

    Arguments and errors are those of `Subspace.from_activations`.
    """
    matrix, eps = checked(x, name)
    n, p = matrix.shape
    if eps != SINGLE or matrix.dtype.kind != "f" or p >= n:
        return Subspace.from_activations(x, loadings=loadings, rest=rest, name=name)
    covariance = Covariance.of(matrix, eps)
    span = Span.of(covariance)
    if span:
        return span
    factors = covariance.factors()
    k = len(factors.spectrum)
    if factors.serve(k):
        return Subspace.of_factors(factors, k, coarse=True, loadings=loadings)
    return Subspace.from_activations(x, loadings=loadings, rest=rest, name=name)
