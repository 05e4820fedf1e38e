"""The activations of one layer at one moment, factorised once.

Every similarity in `measures` is a function of the factors kept here: the
expensive part, ``X - mean = U S Vᴴ``, is paid once a snapshot and never per pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .messages import unknown_name

Array = NDArray[Any]
Criterion = Literal["variance", "singular_values"]

# Rounding to a dtype adds noise of some 0.3 eps |x| to each number x, hence of spectral norm about
# 0.3 eps ‖X‖_F (1/√n + 1/√p), or 0.3 eps ‖x‖ if one column outweighs the others. Activations went
# through some more operations: singular values below this many times eps are taken for noise.
ROUNDINGS = 4.0
ROUNDINGS_OF_A_COLUMN = 1.0
EPS64 = float(np.finfo(np.float64).eps)
# NumPy has no finfo for the bfloat16 of ml_dtypes: 8 bits of significand.
BFLOAT16_EPS = 2.0**-7


@dataclass(frozen=True, eq=False)
class Subspace:
    """The thin singular value decomposition of centred activations.

    Attributes:
        basis: Orthonormal columns, most variance first, shape (n_samples, k).
        singular_values: Of the centred activations, descending, shape (k,).
        loadings: Right singular vectors, shape (n_features, k).
        mean: Mean activation of each feature, shape (n_features,).
        spectrum: All singular values above the rank tolerance, also those whose directions
            a truncation left out, so that shares of variance stay shares of the whole.
    """

    basis: Array
    singular_values: Array
    loadings: Array
    mean: Array
    spectrum: Array

    @classmethod
    def from_activations(
        cls,
        x: ArrayLike,
        *,
        explained_variance: float | None = None,
        dims: int | None = None,
        rtol: float | None = None,
        name: str = "x",
    ) -> Subspace:
        """Centre and factorise activations in float64.

        Args:
            x: Activations of shape (n_samples, n_features), real or complex. Not modified.
            explained_variance: Keep the fewest directions that reach this share of the variance.
            dims: Keep this many directions at most.
            rtol: Directions whose singular value is at most `rtol` times the largest are noise.
                Default: a few roundings of the dtype that `x` came in.
            name: What to call `x` in an error.

        Raises:
            ValueError: If `x` is not a finite numeric matrix of at least two samples.

        Example:
            >>> import numpy as np
            >>> Subspace.from_activations(np.outer(np.arange(5.0), [1.0, 2.0, 0.0])).rank
            1
        """
        matrix, eps = _as_matrix(x, name)
        mean = matrix.mean(axis=0)
        centred = matrix - mean
        # Far from 0 the mean is rounded by more than the numbers differ: once more, near 0.
        rest = centred.mean(axis=0)
        mean, centred = mean + rest, centred - rest
        # The mean of a constant column is rounded, and the remainder would pass for a direction.
        centred[:, (matrix == matrix[:1]).all(axis=0)] = 0.0
        basis, values, loadings_h = _thin_svd(centred)
        noise = _noise_floor(values, matrix, eps)
        floor = noise if rtol is None else rtol * values[0]
        k = int(np.count_nonzero(values > floor))
        # Copies, for a view would keep the columns that were cut off alive.
        subspace = cls(
            basis=basis[:, :k].copy(),
            singular_values=values[:k].copy(),
            loadings=loadings_h[:k].conj().T.copy(),
            mean=mean,
            spectrum=values[:k].copy(),
        )
        return subspace.truncate(explained_variance=explained_variance, dims=dims)

    @property
    def n_samples(self) -> int:
        """Number of probe examples (rows)."""
        return int(self.basis.shape[0])

    @property
    def n_features(self) -> int:
        """Number of neurons or channels (columns)."""
        return int(self.loadings.shape[0])

    @property
    def rank(self) -> int:
        """Number of directions kept."""
        return len(self.singular_values)

    @property
    def total_variance(self) -> float:
        """Sum of squares of the centred activations: n_samples - 1 times the summed variances.

        Not reduced by a truncation.
        """
        with np.errstate(over="ignore"):  # inf is the right word for it
            return float(np.sum(self.spectrum**2))

    @property
    def effective_rank(self) -> float:
        """Participation ratio (Σσ²)² / Σσ⁴ of the directions kept; 0 for a constant layer."""
        if not self.rank:
            return 0.0
        share = (self.singular_values / self.singular_values[0]) ** 2
        return float(share.sum() ** 2 / np.sum(share**2))

    def truncate(
        self,
        *,
        explained_variance: float | None = None,
        dims: int | None = None,
        criterion: Criterion = "variance",
    ) -> Subspace:
        """Keep the leading directions: a column cut, nothing is computed again.

        Args:
            explained_variance: In (0, 1]. The fewest directions whose share of the total reaches
                it are kept; the direction that crosses is among them.
            dims: Keep this many at most; after the cut by share, if both are given.
            criterion: `"variance"` adds up σ², the text of Raghu et al. 2017;
                `"singular_values"` adds up σ, their appendix A. σ = (3, 1) holds 0.9 of the
                variance but only 0.75 of the singular values in its first direction.

        Raises:
            ValueError: If a bound or the criterion is out of range.
        """
        _check_cut(explained_variance, dims, criterion)
        k = self.rank
        if explained_variance is not None and k:
            k = min(k, self._count(explained_variance, criterion))
        if dims is not None:
            k = min(k, dims)
        if k == self.rank:
            return self
        return replace(
            self,
            basis=self.basis[:, :k],
            singular_values=self.singular_values[:k],
            loadings=self.loadings[:, :k],
        )

    def _count(self, explained_variance: float, criterion: str) -> int:
        if explained_variance == 1.0:
            return len(self.spectrum)
        weight = (self.spectrum / self.spectrum[0]) ** _POWERS[criterion]
        share = np.cumsum(weight) / weight.sum()
        return int(np.searchsorted(share, explained_variance)) + 1


_POWERS = {"variance": 2, "singular_values": 1}


def _check_cut(explained_variance: float | None, dims: int | None, criterion: str) -> None:
    if criterion not in _POWERS:
        raise ValueError(unknown_name("criterion", criterion, _POWERS))
    if explained_variance is not None and not 0.0 < explained_variance <= 1.0:
        raise ValueError(
            "`explained_variance` is a share of the whole and must be in (0, 1]. "
            f"Received: explained_variance={explained_variance}"
        )
    if dims is not None and not (isinstance(dims, int | np.integer) and dims >= 1):
        raise ValueError(f"`dims` must be a whole number, at least 1. Received: dims={dims}")


def as_subspace(x: ArrayLike | Subspace, name: str = "x", rtol: float | None = None) -> Subspace:
    """`x` itself if it is a `Subspace`, or its factorisation."""
    if isinstance(x, Subspace):
        return x
    return Subspace.from_activations(x, rtol=rtol, name=name)


def require_same_probe(x: Subspace, y: Subspace, x_name: str = "x", y_name: str = "y") -> None:
    """Raise ValueError unless the rows of `x` and `y` can be the same examples."""
    if x.n_samples != y.n_samples:
        raise ValueError(
            f"`{x_name}` has {x.n_samples} samples but `{y_name}` has {y.n_samples}. Compare "
            f"activations of the same probe set: row i of both must come from probe example i."
        )


def _as_matrix(x: ArrayLike, name: str) -> tuple[Array, float]:
    """A float64 or complex128 matrix, and the rounding unit of the dtype it came in."""
    array = np.asarray(x)
    if array.dtype.name == "bfloat16":
        array, eps = array.astype(np.float64), BFLOAT16_EPS
    elif array.dtype.kind in "fc":
        eps = max(float(np.finfo(array.dtype).eps), EPS64)
    elif array.dtype.kind in "iub":
        eps = EPS64
    else:
        raise ValueError(
            f"`{name}` must hold numbers. Received an array of dtype {array.dtype} and shape "
            f"{array.shape}."
        )
    if array.ndim != 2:
        raise ValueError(
            f"`{name}` must have shape (n_samples, n_features). Received shape {array.shape}. "
            "Average, sample or flatten further axes first (see `representation`)."
        )
    n_samples, n_features = array.shape
    if n_samples < 2 or n_features < 1:
        raise ValueError(
            f"`{name}` needs at least two samples and one feature. Received shape {array.shape}: "
            f"{n_samples} samples (rows) of {n_features} features (columns)."
        )
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise ValueError(
            f"`{name}` has {bad} values of {array.size} that are NaN or infinite. "
            "Similarities need finite activations: look for a diverged layer or a bad probe input."
        )
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64), eps


def _noise_floor(values: Array, matrix: Array, eps: float) -> float:
    """Below this a singular value cannot be told from rounding."""
    n_samples, n_features = matrix.shape
    # Rounding is relative to what was stored, hence to the uncentred numbers; norms of numbers
    # near the ends of float64's range are out of it, but not relative to the largest.
    largest = float(np.abs(matrix).max()) or 1.0
    columns = np.linalg.norm(matrix / largest, axis=0)
    spread = float(np.linalg.norm(columns)) * (n_samples**-0.5 + n_features**-0.5)
    stored = max(ROUNDINGS * spread, ROUNDINGS_OF_A_COLUMN * float(columns.max()))
    # What the factorisation itself leaves, by the usual bound for numerical rank.
    return max(eps * stored * largest, max(matrix.shape) * EPS64 * float(values[0]))


def _thin_svd(centred: Array) -> tuple[Array, Array, Array]:
    try:
        return np.linalg.svd(centred, full_matrices=False)
    except np.linalg.LinAlgError:
        # The divide-and-conquer driver gives up on rare inputs where plain QR iteration does not.
        from scipy.linalg import svd

        return svd(centred, full_matrices=False, lapack_driver="gesvd")
