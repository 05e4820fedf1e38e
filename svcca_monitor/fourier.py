"""Canonical correlations of convolutional layers at each spatial frequency: DFT-CCA.

A convolution does not mix the frequencies of a map. On a set of images that holds all their cyclic
shifts the canonical correlations of the flattened layers are therefore those of the channels at
each frequency, put together (Raghu et al. 2017, §3 and appendix, arXiv:1706.05806).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .batched import adjoint_product, factorise, in_parts
from .canonical import clipped
from .messages import warn
from .parallel import PASS, in_parallel
from .rounding import (
    EPS64,
    SINGLE,
    as_array,
    checked,
    column_norms,
    noise_of_columns,
    scaled_noise,
)
from .spatial import Size, coefficients_at, filter_at, frequencies_of
from .subspace import Array, check_cut, check_rtol, require_same_probe


class _Factors(NamedTuple):
    """Of the centred coefficients of one layer at F frequencies."""

    basis: Array  # (F, n_samples, k) orthonormal, most variance first
    singular_values: Array  # (F, k)
    weights: Array  # (F, channels, k), of coefficients, to variates of unit variance
    rank: Array  # (F,), directions above the noise

    def leading(self, explained_variance: float | None) -> Array:
        """How many directions reach this share of the variance at each frequency, shape (F,)."""
        check_cut(explained_variance, None, "variance")
        if explained_variance is None or explained_variance == 1.0:
            return self.rank
        kept = np.arange(self.singular_values.shape[1]) < self.rank[:, None]
        reached = np.cumsum(np.where(kept, self.singular_values, 0) ** 2, axis=1)
        below = np.count_nonzero(reached < explained_variance * reached[:, -1:], axis=1)
        return np.minimum(self.rank, below + 1)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The maps of one layer, transformed and factorised once however many layers they meet.

    `fourier_cca` takes it in place of maps. Its bases are made when first asked for, and kept.

    Attributes:
        pixels: Centred maps divided by `unit`, shape (height, width, n_samples, channels).
        unit: 1, but for activations whose squares leave float64.
        noise: Singular values up to this are rounding.
        shape: Of one example: (height, width, channels), or (features,) for a dense layer.
        alive: Channels that vary, or one of them if none does: dead ones would make every Gram
            matrix singular. Shape (channels,).
        sizes: Norms of the channels as they were stored, where each is to be measured by its own:
            of half precision and without `rtol`; else None. Shape (channels,).
        scaled_noise: As `noise`, of channels divided by `sizes`.
        rtol: As given to `from_maps`.
        coarse: Whether the maps came in float32 or lower: bases in complex64 serve.
    """

    pixels: Array
    unit: float
    noise: float
    shape: tuple[int, ...]
    alive: Array
    sizes: Array | None
    scaled_noise: float
    rtol: float | None
    coarse: bool
    _kept: dict[tuple[Size, bool, bytes], _Factors] = field(default_factory=dict, repr=False)

    @classmethod
    def from_maps(cls, x: ArrayLike, *, rtol: float | None = None, name: str = "x") -> Spectrum:
        """Centre maps in float64.

        Args:
            x: Maps of shape (n_samples, height, width, channels), real or complex, or a dense
                layer of shape (n_samples, features), a single pixel. Not modified.
            rtol: Directions whose singular value is at most `rtol` times the largest at their
                frequency are noise, as a few roundings of the dtype that `x` came in always are.
            name: What to call `x` in an error.

        Raises:
            ValueError: If `x` is no finite numeric array of that shape with at least two samples.
        """
        check_rtol(rtol)
        given = as_array(x, name)
        maps, eps = _as_maps(given, name)
        double = np.complex128 if maps.dtype.kind == "c" else np.float64
        pixels = np.empty((*maps.shape[1:3], len(maps), maps.shape[3]), double)

        def centred(row: int, unit: float) -> tuple[float, Array, Array]:
            part = pixels[row]  # all that is done to it is done while it is near the processor
            part[:] = maps[:, row].swapaxes(0, 1)
            with np.errstate(over="ignore", invalid="ignore"):  # tells that a unit is needed
                energy = float(np.vdot(part, part).real)
                if unit != 1.0:
                    part /= unit
                squares = np.einsum("wnc,wnc->nc", part, part.conj()).real
                part -= part.mean(axis=1, keepdims=True)
                if eps == EPS64:  # far from 0 the first mean is rounded
                    part -= part.mean(axis=1, keepdims=True)
            return energy, squares, part.any(axis=(0, 1))

        unit = 1.0
        rows, costs = range(len(pixels)), [PASS * pixels[0].size] * len(pixels)
        found = in_parallel(lambda row: centred(row, unit), rows, costs)
        if not 1e-200 < sum(energy for energy, _, _ in found) < 1e200:
            unit = float(np.abs(maps).max()) or 1.0
            found = in_parallel(lambda row: centred(row, unit), rows, costs)
        _, energies, varied = zip(*found, strict=True)
        alive = np.any(varied, axis=0)
        alive[0] |= not alive.any()
        # What rounding to the dtype left in the pixels is spread evenly over the frequencies.
        sizes = column_norms(np.sqrt(sum(energies) / pixels[..., 0, 0].size))
        noise = noise_of_columns(sizes, len(maps), eps)
        half = eps > SINGLE and rtol is None  # else what factors.in_equal_scale says holds
        own = sizes if half else None
        scaled = scaled_noise(sizes[sizes > 0], len(maps), eps) if half and sizes.any() else 0.0
        shape, coarse = given.shape[1:], eps > EPS64
        return cls(pixels, unit, noise, shape, alive, own, scaled, rtol, coarse)

    @property
    def n_samples(self) -> int:
        """Number of examples."""
        return int(self.pixels.shape[2])

    @np.errstate(over="ignore", invalid="ignore")  # weights of the tiniest activations
    def _factors(self, frequencies: Array, size: Size, *, cut: bool) -> _Factors:
        """Where no variance is cut, the size of a channel only tells it from its rounding."""
        sizes = None if cut else self.sizes
        key = (size, sizes is None, frequencies.tobytes())
        if key not in self._kept:
            alive = self.alive
            pixels = self.pixels if alive.all() else self.pixels[..., alive]
            noise, lengths = self.noise, np.ones(len(alive))
            if sizes is not None:
                noise, lengths = self.scaled_noise, np.where(alive & (sizes > 0), sizes, 1.0)
                pixels = pixels / lengths[alive]
            kind = np.dtype(np.complex64 if self.coarse else np.complex128)
            basis, values, part = factorise(coefficients_at(pixels, frequencies, size), kind)
            loadings = np.zeros((len(frequencies), len(alive), part.shape[2]), complex)
            loadings[:, alive] = part / lengths[alive, None]
            own = max(basis.shape[1], len(alive)) * EPS64  # what factorising leaves
            kept = values > np.maximum(noise, max(own, self.rtol or 0.0) * values[:, :1])
            scale = np.where(kept, values, np.inf)[:, None]
            self._kept[key] = _Factors(
                basis,
                values,
                np.sqrt(self.n_samples - 1) * loadings / scale / self.unit,
                np.count_nonzero(kept, axis=1),
            )
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class FourierCCAResult:
    """Canonical correlations of two layers at each spatial frequency.

    Attributes:
        frequencies: Cycles over the map (ky, kx), signed whole numbers, shape (F, 2). For real
            maps one of each two conjugate frequencies, which carry the same correlations. The
            Nyquist frequency of an even size is positive.
        multiplicity: How often each stands in the full spectrum, 1 or 2, shape (F,).
        correlations: F arrays, descending, in [0, 1]; empty where a side is constant.
    """

    frequencies: Array
    multiplicity: Array
    correlations: list[Array]
    _cross: list[Array] = field(repr=False)  # Uₓᴴ U_y at each frequency
    _weights: tuple[Array, Array] = field(repr=False)
    _shapes: tuple[tuple[int, ...], tuple[int, ...]] = field(repr=False)
    _size: Size = field(repr=False)

    @property
    def all_correlations(self) -> Array:
        """Those of the full spectrum, descending."""
        pairs = zip(self.correlations, self.multiplicity, strict=True)
        return np.sort(np.concatenate([np.repeat(rho, times) for rho, times in pairs]))[::-1]

    @property
    def mean(self) -> float:
        """Mean of `all_correlations`; nan if there are none."""
        rho = self.all_correlations
        return float(rho.mean()) if len(rho) else float("nan")

    @property
    def frequency_means(self) -> Array:
        """Mean correlation at each frequency, shape (F,); nan where a side is constant."""
        return np.array([rho.mean() if len(rho) else np.nan for rho in self.correlations])

    def directions(self, k: int, frequency: tuple[int, int]) -> tuple[Array, Array]:
        """The k-th canonical pair (from 0) at one of `frequencies`, as filters over the pixels.

        Complex arrays of the shape of one example of x and of y.
        ``h_x = np.tensordot(x - x.mean(axis=0), filter_x, filter_x.ndim)`` and h_y are complex,
        have unit variance, and ``np.vdot(h_x, h_y) / (n_samples - 1)`` is the correlation. One
        phase turns both freely: here the largest channel of filter_x is positive at pixel (0, 0).
        Filters of real maps are then real at frequencies that are their own negative. Elsewhere
        the real part of a filter gives the real part of the variate; these correlate as stated if
        all shifts of an image are equally frequent.

        Raises:
            ValueError: If the frequency or k is not among those compared.
        """
        found = np.flatnonzero((self.frequencies == frequency).all(axis=1))
        pairs = len(self.correlations[found[0]]) if len(found) else 0
        if not 0 <= k < pairs:
            raise ValueError(
                f"No pair k={k} at frequency {tuple(frequency)}: it has {pairs}, counted from 0. "
                "Take a frequency from `frequencies`: real maps have one of two conjugate ones."
            )
        i = int(found[0])
        u, _, vh = np.linalg.svd(self._cross[i], full_matrices=False)
        turns = u[:, k], vh[k].conj()
        wx, wy = (w[i, :, : len(t)] @ t for w, t in zip(self._weights, turns, strict=True))
        largest = wx[np.argmax(np.abs(wx))]
        at, phase, size = self.frequencies[i], np.abs(largest) / largest, self._size
        x_shape, y_shape = self._shapes
        return filter_at(at, wx * phase, x_shape, size), filter_at(at, wy * phase, y_shape, size)


def fourier_cca(
    x: ArrayLike | Spectrum,
    y: ArrayLike | Spectrum,
    *,
    max_frequency: int | None = None,
    explained_variance: float | None = None,
    rtol: float | None = None,
) -> FourierCCAResult:
    """Canonical correlations of the channels of two layers at each spatial frequency.

    Maps of different size meet at the frequencies of the smaller grid, axis by axis. Where that is
    even, its Nyquist frequency stands for two of the larger grid, whose coefficients are added:
    the result is that of ``fourier_resize(x, size)``. A dense layer or a class logit has the zero
    frequency only, where it meets the spatial means of the channels.

    Args:
        x: Maps of shape (n_samples, height, width, channels), real or complex, or a dense layer of
            shape (n_samples, features), or the `Spectrum` of either.
        y: The same for the other layer: row i of both is probe example i.
        max_frequency: Compare frequencies with |ky| and |kx| at most this.
        explained_variance: First keep the fewest directions of a frequency that reach this share.
        rtol: Relative tolerance for the numerical rank, see `Spectrum.from_maps`.

    Returns:
        Correlations by frequency; their mean is nan, with a warning, if there are none.

    Raises:
        ValueError: If these are no finite maps of equally many samples, or an option is not valid.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(50, 4, 4, 2))
        >>> result = fourier_cca(x, np.roll(x, 1, axis=2))
        >>> result.frequencies.shape, result.all_correlations.shape, round(result.mean, 6)
        ((10, 2), (32,), 1.0)
    """
    sx = x if isinstance(x, Spectrum) else Spectrum.from_maps(x, rtol=rtol, name="x")
    sy = y if isinstance(y, Spectrum) else Spectrum.from_maps(y, rtol=rtol, name="y")
    require_same_probe(sx, sy)
    height, width = np.minimum(sx.pixels.shape[:2], sy.pixels.shape[:2]).tolist()
    half = "c" not in (sx.pixels.dtype.kind, sy.pixels.dtype.kind)
    grid = height, width
    frequencies, multiplicity = frequencies_of(grid, half=half, max_frequency=max_frequency)
    cut = explained_variance not in (None, 1.0)
    fx, fy = (s._factors(frequencies, grid, cut=cut) for s in (sx, sy))
    ranks = fx.leading(explained_variance), fy.leading(explained_variance)
    if not np.minimum(*ranks).any():
        constant = [name for name, rank in zip("xy", ranks, strict=True) if not rank.any()]
        where = f"in {' and '.join(constant)}" if constant else "in both x and y"
        warn(f"No frequency varies {where} over the probe set: the mean correlation is nan.")
    if sx is sy:
        rho, cross = [np.ones(k) for k in ranks[0]], [np.eye(k) for k in ranks[0]]
    else:
        blocks, values = in_parts(_correlations, fx.basis, fy.basis, *ranks)
        rho = [row[: min(i, j)] for row, i, j in zip(values, *ranks, strict=True)]
        cross = [block[:i, :j] for block, i, j in zip(blocks, *ranks, strict=True)]
    return FourierCCAResult(
        frequencies,
        multiplicity,
        rho,
        cross,
        (fx.weights, fy.weights),
        (sx.shape, sy.shape),
        grid,
    )


def _correlations(x: Array, y: Array, x_rank: Array, y_rank: Array) -> tuple[Array, Array]:
    """Uₓᴴ U_y of the first directions of stacked bases, and its singular values."""
    cross = adjoint_product(x, y)
    for side, rank in ((cross, x_rank), (cross.mT, y_rank)):
        side[np.arange(side.shape[1]) >= rank[:, None]] = 0  # adds correlations 0, at the end
    return cross, clipped(np.linalg.svd(cross, compute_uv=False))


def _as_maps(x: Array, name: str) -> tuple[Array, float]:
    """Checked maps; a dense layer is one of a single pixel. And the rounding unit of what came."""
    if x.ndim not in (2, 4) or len(x) < 2 or 0 in x.shape:
        raise ValueError(
            f"`{name}` must be maps of shape (n_samples, height, width, channels) or a dense layer "
            "of shape (n_samples, features), with at least two samples, one pixel and one channel. "
            f"Received shape {x.shape}."
        )
    matrix, eps = checked(x.reshape(len(x), -1), name)
    return matrix.reshape(x.shape if x.ndim == 4 else (len(x), 1, 1, -1)), eps
