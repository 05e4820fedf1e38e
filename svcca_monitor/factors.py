"""Two ways to the thin singular value decomposition of centred activations.

Factorising the data keeps every direction that double precision can tell; condition numbers up to
1e9 need it. The Gram matrix is several times faster, but squares the condition number: it serves
activations that came in single precision, whose rounding hides what it loses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .eigensystem import Eigensystem, eigensystem
from .gram_matrix import Gram, add_product
from .precision import in_single
from .rounding import (
    EPS64,
    SINGLE,
    SMALLEST,
    blocks,
    centre,
    column_norms,
    noise_of_columns,
    rounding_noise,
    scaled_noise,
)

Array = NDArray[Any]

# Eigenvalues of a Gram matrix are known to EPS64 of the largest, singular values to its root.
GRAM_NOISE = 1e-7
# Directions down to this size relative to the largest have a basis from it that is good to 1e-10;
# a second pass mends the basis below that.
GRAM_REACH = 1e-3
# Four terms of a series in E leave some E⁴ / 4: below this, no more than rounding.
SERIES = 1e-3
# A column made in single precision is off by some 1e-8 times the size of the layer over that of its
# direction, as measured for 128 to 2,048 features: by 2e-6 up to here.
SINGLE_REACH = 200.0
# Where columns differ in size by no more than this, all are measured by the size of the whole.
EVEN = 4.0


@dataclass(frozen=True, eq=False)
class Factors:
    """Singular values above the noise, and the directions that belong to them.

    Attributes:
        spectrum: Descending, shape (rank,).
        mean: Of each feature, shape (n_features,).
        basis: Gives the first k left singular vectors, (n_samples, k).
        loadings: Gives the first k right singular vectors, (n_features, k).
        complete: Whether the spectrum ends at the noise, not at what could be computed.
        reach: The basis is as good as double precision down to this size relative to the largest.
        rest: Gives orthonormal columns that complete the basis, (n_samples, n_samples - k), where
            the factorisation found these too.
    """

    spectrum: Array
    mean: Array
    basis: Callable[[int], Array]
    loadings: Callable[[int], Array]
    complete: bool = True
    reach: float = 0.0
    rest: Callable[[int], Array] | None = None

    def serve(self, k: int) -> bool:
        """Whether they are right for the first k directions; for all, if there are no more."""
        if k == len(self.spectrum) and not self.complete:
            return False
        return not k or bool(self.spectrum[k - 1] >= self.reach * self.spectrum[0])


@dataclass(frozen=True, eq=False)
class Covariance:
    """Centred activations, and the products of all features with each other.

    Attributes:
        centred: Shape (n_samples, n_features), double precision.
        mean: Of each feature.
        matrix: Products of the features that vary, of which the upper triangle counts.
        varying: Which features do, shape (n_features,); all if none does.
        noise: Below this a singular value cannot be told from the rounding of what was stored.
    """

    centred: Array
    mean: Array
    matrix: Array
    varying: Array
    noise: float

    @classmethod
    def of(cls, x: Array, eps: float) -> Covariance:
        """Of checked activations."""
        centred, mean = centre(x)
        gram = np.zeros((x.shape[1], x.shape[1]), centred.dtype)
        add_product(gram, centred.conj().T)
        squares = gram.diagonal().real
        stored = np.sqrt(squares + len(x) * np.abs(mean) ** 2)
        varying = squares > 0
        if varying.all() or not varying.any():
            varying = np.ones(len(mean), bool)
        else:
            gram = gram[np.ix_(varying, varying)]
        return cls(centred, mean, gram, varying, noise_of_columns(stored, len(x), eps))

    def factors(
        self, rtol: float | None = None, *, denoised: bool = True, single: bool = False
    ) -> Factors:
        """The eigenvectors of the matrix, which is overwritten, give the loadings.

        With `single`, the basis is multiplied in single precision where no direction is so small
        that this shows.
        """
        centred = self.centred
        spectrum, system, complete = eigen(self.matrix, self.noise, rtol, denoised=denoised)

        @lru_cache(maxsize=1)
        def vectors(k: int) -> Array:
            found = system.vectors(0, k)
            if self.varying.all():
                return found
            whole = np.zeros((len(self.mean), k), found.dtype)
            whole[self.varying] = found
            return whole

        def basis(k: int) -> Array:
            scaled = vectors(k) / spectrum[:k]
            if single and k and np.linalg.norm(spectrum) < SINGLE_REACH * spectrum[k - 1]:
                dtype = in_single(centred.dtype)
                relative = np.empty(centred.shape, dtype)  # huge and tiny numbers would leave it
                np.multiply(centred, 1 / spectrum[0], out=relative, casting="same_kind")
                return (relative @ (scaled * spectrum[0]).astype(dtype)).astype(centred.dtype)
            u = centred @ scaled
            good = np.count_nonzero(spectrum[:k] >= GRAM_REACH * spectrum[:1])
            if good < k:
                small, large = u[:, good:], u[:, :good]
                u[:, good:] = orthonormalised(small - large @ (large.conj().T @ small))
            return u

        return Factors(spectrum, self.mean, basis, vectors, complete)


def by_svd(x: Array, *, eps: float, rtol: float | None = None, denoised: bool = True) -> Factors:
    """Factorise the data itself."""
    centred, mean = centre(x)
    basis, values, loadings_h = thin_svd(centred)
    # What the factorisation itself leaves, by the usual bound for numerical rank.
    own = max(x.shape) * EPS64 * float(values[0])
    if rtol is None:
        floor = max(own, _floor(values, rounding_noise(x, eps), denoised))
    else:
        floor = rtol * float(values[0])
    return Factors(
        values[values > max(floor, SMALLEST)],
        mean,
        # Copies, for a view would keep the columns that were cut off alive.
        basis=lambda k: basis[:, :k].copy(),
        loadings=lambda k: loadings_h[:k].conj().T.copy(),
        rest=(lambda k: basis[:, k:].copy()) if basis.shape[1] == len(x) else None,
    )


def by_gram(
    x: Array,
    *,
    eps: float,
    rtol: float | None = None,
    denoised: bool = True,
    single: bool = False,
) -> Factors:
    """Factorise the smaller Gram matrix, in double precision; wide layers block by block.

    `single` is that of `Covariance.factors`.
    """
    if x.shape[1] > len(x):
        return _by_kernel(x, eps, rtol, denoised)
    return Covariance.of(x, eps).factors(rtol, denoised=denoised, single=single)


def in_equal_scale(x: Array, *, eps: float, found: int) -> Factors | None:
    """Factors with all directions that show when each column is measured by its own size.

    For activations in half precision: beside one column of huge numbers the others look like its
    rounding, though they were rounded by far less. (In more, sums are rounded as coarsely as what
    is stored, and a small column may be the noise of large ones that cancelled.) None if that
    finds no more than `found`.
    """
    if eps <= SINGLE or found >= min(len(x) - 1, x.shape[1]):
        return None
    norms = column_norms(x)
    alive = (x != x[:1]).any(axis=0)
    sizes = norms[alive]
    if found >= min(len(x) - 1, len(sizes)) or sizes.max() <= EVEN * sizes.min():
        return None
    centred, mean = centre(x)
    scaled = centred[:, alive] / sizes
    noise = scaled_noise(sizes, len(x), eps)
    tall = scaled if len(sizes) <= len(x) else scaled.conj().T
    squares = np.linalg.eigvalsh(tall.conj().T @ tall)
    if np.count_nonzero(squares > max(noise, GRAM_NOISE * squares[-1] ** 0.5) ** 2) <= found:
        return None
    vectors, values, _ = thin_svd(scaled)
    span = vectors[:, values > max(noise, max(x.shape) * EPS64 * float(values[0]))]
    rotation, spectrum, loadings_h = thin_svd(span.conj().T @ centred)
    return Factors(
        spectrum,
        mean,
        basis=lambda k: span @ rotation[:, :k],
        loadings=lambda k: loadings_h[:k].conj().T.copy(),
    )


def _by_kernel(x: Array, eps: float, rtol: float | None, denoised: bool) -> Factors:
    gram = Gram.of(x, eps)
    noise, mean = gram.noise(), gram.mean
    spectrum, system, complete = eigen(gram.matrix, noise, rtol, denoised=denoised, few=True)

    @lru_cache(maxsize=1)
    def basis(k: int) -> Array:
        return system.vectors(0, k)

    def rest(k: int) -> Array:
        return system.vectors(k, len(x))

    def loadings(k: int) -> Array:
        return loadings_of_samples(x, basis(k) / spectrum[:k])

    return Factors(spectrum, mean, basis, loadings, complete, GRAM_REACH, rest)


def loadings_of_samples(x: Array, scaled: Array) -> Array:
    """Right singular vectors from the left ones over their values, some features at a time."""
    return np.concatenate([centre(block)[0].conj().T @ scaled for block in blocks(x)])


def _floor(values: Array, noise: float, denoised: bool) -> float:
    """What stays where nothing is to be denoised; a layer that is all noise goes altogether."""
    return noise if denoised or values[0] <= noise else 0.0


def eigen(
    gram: Array,
    noise: float,
    rtol: float | None = None,
    *,
    denoised: bool = True,
    few: bool = False,
) -> tuple[Array, Eigensystem, bool]:
    """Singular values, what gives their vectors, and whether no value above the noise is missing.

    Of the matrix the upper triangle counts. It is overwritten. `few` is that of `eigensystem`.
    """
    system = eigensystem(gram, few=few)
    values = np.sqrt(np.maximum(system.values, 0.0))
    lost = GRAM_NOISE * float(values[0])
    floor = _floor(values, noise, denoised) if rtol is None else rtol * float(values[0])
    spectrum = values[values > max(floor, lost)]
    # What is that small counts for nothing where directions count by their variance.
    complete = not denoised or lost <= floor or len(spectrum) == len(values)
    return spectrum, system, bool(complete)


def orthonormalised(u: Array) -> Array:
    """The nearest orthonormal columns to almost orthonormal ones, of the same span.

    With UᴴU = I + E these are U (I + E)^(-1/2) (Löwdin 1950, J. Chem. Phys. 18:365), by its series.
    """
    while True:
        e = u.conj().T @ u
        e[np.diag_indices(len(e))] -= 1.0
        e2 = e @ e
        u = u - u @ (e / 2 - 0.375 * e2 + 0.3125 * (e @ e2))
        if np.linalg.norm(e) < SERIES:
            return u


def thin_svd(centred: Array) -> tuple[Array, Array, Array]:
    """Left vectors, singular values and right vectors (as rows), as `numpy.linalg.svd` has them."""
    try:
        return np.linalg.svd(centred, full_matrices=False)
    except np.linalg.LinAlgError:
        # The divide-and-conquer driver gives up on rare inputs where plain QR iteration does not.
        from scipy.linalg import svd

        return svd(centred, full_matrices=False, lapack_driver="gesvd")
