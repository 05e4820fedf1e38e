"""The activations of one layer at one moment, factorised once.

Every similarity in `measures` is a function of the factors kept here: the
expensive part, ``X - mean = U S Vᴴ``, is paid once a snapshot and never per pair.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular

from .cuts import Criterion, Cut, check_rtol
from .factorisation import factorised
from .factors import Factors
from .precision import in_single
from .rounding import EPS64, SINGLE, checked

Array = NDArray[Any]

# Of columns that were orthonormal before a draw of samples: below this they came to depend.
DEPENDENT = 1e-3


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
        coarse: Whether the activations came in float32 or lower: products of bases of which both
            are so need no more.
        rest: Orthonormal columns that complete the basis, shape (n_samples, n_samples - k), where
            they were asked for and are fewer.
    """

    basis: Array
    singular_values: Array
    loadings: Array
    mean: Array
    spectrum: Array
    coarse: bool = False
    rest: Array | None = None

    @classmethod
    def from_activations(
        cls,
        x: ArrayLike,
        *,
        explained_variance: float | None = None,
        dims: int | None = None,
        criterion: Criterion = "variance",
        rtol: float | None = None,
        loadings: bool = True,
        denoised: bool = True,
        rest: bool = False,
        single: bool = False,
        name: str = "x",
    ) -> Subspace:
        """Centre and factorise activations in float64.

        Args:
            x: Activations of shape (n_samples, n_features), real or complex. Not modified.
            explained_variance: Keep the fewest directions that reach this share of the variance.
            dims: Keep this many directions at most.
            criterion: What the share is of, see `truncate`.
            rtol: Directions whose singular value is at most `rtol` times the largest are noise.
                In [0, 1). Default: a few roundings of the dtype that `x` came in.
            loadings: False leaves them empty, (n_features, 0): only `pwcca` and the weights of
                `cca` need them, and for more features than samples they cost the most.
            denoised: Leave out directions that are no more than rounding, unless all are. Measures
                in which directions count by their variance need no such decision.
            rest: Keep the rest of the space too where it is the smaller part, see `rest` above.
            single: Whether a span that is good to 2e-6 will do, where that is faster: of
                activations in single precision. Directions in it may be mixed where their singular
                values are close.
            name: What to call `x` in an error.

        Raises:
            ValueError: If `x` is not a finite numeric matrix of at least two samples, or a setting
                is out of range.

        Example:
            >>> import numpy as np
            >>> Subspace.from_activations(np.outer(np.arange(5.0), [1.0, 2.0, 0.0])).rank
            1
        """
        cut = Cut(explained_variance, dims, criterion)
        check_rtol(rtol)
        matrix, eps = checked(x, name)
        factors, k = factorised(matrix, eps, cut, rtol=rtol, denoised=denoised, single=single)
        subspace = cls.of_factors(factors, k, coarse=eps >= SINGLE, loadings=loadings)
        if rest and factors.rest and 2 * k > len(matrix):
            return replace(subspace, rest=factors.rest(k))
        return subspace

    @classmethod
    def of_factors(cls, factors: Factors, k: int, *, coarse: bool, loadings: bool) -> Subspace:
        """The first k directions; without `loadings`, these are left empty."""
        return cls(
            basis=factors.basis(k),
            singular_values=factors.spectrum[:k].copy(),
            loadings=factors.loadings(k) if loadings else np.empty((len(factors.mean), 0)),
            mean=factors.mean,
            spectrum=factors.spectrum,
            coarse=coarse,
        )

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

    @property
    def neurons(self) -> Array:
        """Centred neurons in the basis, in units of the largest σ, shape (k, n_features)."""
        return (self.singular_values / self.singular_values[:1])[:, None] * self.loadings.conj().T

    @cached_property
    def gram_diagonal(self) -> Array:
        """Squared norms of the centred samples in units of the largest σ², shape (n_samples,)."""
        if not self.rank:
            return np.zeros(self.n_samples)
        return np.abs(self.basis) ** 2 @ (self.singular_values / self.singular_values[0]) ** 2

    def require_loadings(self, name: str) -> None:
        """Raise ValueError if the loadings were left out."""
        if self.loadings.shape[1] < self.rank:
            raise ValueError(
                f"`{name}` was factorised with `loadings=False`, but its neurons are needed here. "
                "Factorise it with `Subspace.from_activations(activations)`."
            )

    def weighted(self, *, single: bool = False) -> Array:
        """An X with the kernel XXᴴ of the layer, relative to its largest singular value."""
        # Squares of tiny or huge activations would leave float64.
        relative = self.singular_values / self.singular_values[:1]
        if not single:
            return self.basis * relative
        x = np.empty(self.basis.shape, in_single(self.basis.dtype))
        return np.multiply(self.basis, relative, out=x, casting="same_kind")

    def squared_norm_of_kernel(self) -> float:
        """Σ|Kᵢⱼ|² of that kernel."""
        return float(np.sum((self.singular_values / self.singular_values[0]) ** 4))

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
        k = min(self.rank, Cut(explained_variance, dims, criterion).count(self.spectrum))
        if k == self.rank:
            return self
        return replace(
            self,
            basis=self.basis[:, :k],
            singular_values=self.singular_values[:k],
            loadings=self.loadings[:, :k],
            rest=None,
        )

    def resampled(self, rows: Array) -> Subspace:
        """The factorisation of the kept directions on some of the samples, repeats included.

        Args:
            rows: Indices of samples, shape (m,), at least two.
        """
        part = self.basis[rows]
        offset = part.mean(axis=0)
        part = part - offset
        try:
            root = np.linalg.cholesky(part.conj().T @ part).conj().T
        except np.linalg.LinAlgError:
            root = np.zeros((1, 1))
        if np.diagonal(root).real.min() < DEPENDENT:
            found = Subspace.from_activations(part * self.singular_values)
            of_neurons = self._of_neurons(found.loadings, offset)
            return replace(found, coarse=self.coarse, **of_neurons)
        # A draw of orthonormal columns is so well conditioned that its Gram matrix tells all.
        rotation, values, loadings_h = np.linalg.svd(root * self.singular_values)
        return Subspace(
            basis=part @ solve_triangular(root, rotation),
            singular_values=values,
            spectrum=values,
            coarse=self.coarse,
            **self._of_neurons(loadings_h.conj().T, offset),
        )

    def _of_neurons(self, rotation: Array, offset: Array) -> dict[str, Array]:
        """Loadings after a rotation, and means where that of the basis is not 0, but `offset`."""
        if self.loadings.shape[1] < self.rank:  # left out
            return {"loadings": self.loadings, "mean": self.mean}
        mean = self.mean + (offset * self.singular_values) @ self.loadings.conj().T
        return {"loadings": self.loadings @ rotation, "mean": mean}

    def keep_features(self, kept: Array) -> Subspace:
        """The factorisation of the neurons where `kept` is true; the others become constant.

        Nothing is factorised that has the size of the samples.
        """
        if kept.all():
            return self
        parts = self.singular_values[:, None] * self.loadings.conj().T * kept
        rotation, values, loadings_h = np.linalg.svd(parts, full_matrices=False)
        rank = int(np.count_nonzero(values > len(kept) * EPS64 * values[0]))
        return Subspace(
            basis=self.basis @ rotation[:, :rank],
            singular_values=values[:rank],
            loadings=loadings_h[:rank].conj().T,
            mean=self.mean,
            spectrum=values[:rank],
            coarse=self.coarse,
        )


def as_subspace(
    x: ArrayLike | Subspace,
    name: str = "x",
    rtol: float | None = None,
    *,
    denoised: bool = True,
) -> Subspace:
    """`x` itself if it is a `Subspace`, or its factorisation."""
    if isinstance(x, Subspace):
        return x
    return Subspace.from_activations(x, rtol=rtol, denoised=denoised, name=name)


class Sampled(Protocol):
    """Anything made of probe examples."""

    @property
    def n_samples(self) -> int:
        """How many."""


def require_same_probe(x: Sampled, y: Sampled, x_name: str = "x", y_name: str = "y") -> None:
    """Raise ValueError unless the rows of `x` and `y` can be the same examples."""
    if x.n_samples != y.n_samples:
        raise ValueError(
            f"`{x_name}` has {x.n_samples} samples but `{y_name}` has {y.n_samples}. Compare "
            f"activations of the same probe set: row i of both must come from probe example i."
        )
