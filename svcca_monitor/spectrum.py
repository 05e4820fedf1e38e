"""The maps of one layer in the frequency domain, factorised once however many layers they meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .batched import factorise, orthonormalise, scaled_loadings
from .cuts import check_rtol
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
from .spatial import Size, coefficients_at
from .subspace import Array


class FrequencyFactors(NamedTuple):
    """Of the centred coefficients of one layer at F frequencies."""

    basis: Array  # (F, n_samples, k) orthonormal
    weights: Array  # (F, channels, k), of coefficients, to variates of unit variance
    rank: Array  # (F,), directions above the noise
    # (F, k) descending where they are cut; else the basis is in no order.
    singular_values: Array | None = None

    def leading(self, explained_variance: float | None) -> Array:
        """How many directions reach this share of the variance at each frequency, shape (F,)."""
        if self.singular_values is None or explained_variance is None:
            return self.rank
        kept = np.arange(self.singular_values.shape[1]) < self.rank[:, None]
        reached = np.cumsum(np.where(kept, self.singular_values, 0) ** 2, axis=1)
        below = np.count_nonzero(reached < explained_variance * reached[:, -1:], axis=1)
        return np.minimum(self.rank, below + 1)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The maps of one layer, transformed and factorised once however many layers they meet.

    `fourier_cca` and `fourier_grid` take it in place of maps. Its bases are made when first asked
    for and live as long as it does: one for each set of frequencies at which it meets others.

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
    _kept: dict[tuple[Size, bool, bytes], FrequencyFactors] = field(
        default_factory=dict, repr=False
    )

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
    def factors_at(self, frequencies: Array, size: Size, *, cut: bool) -> FrequencyFactors:
        """Where no variance is cut, the size of a channel only tells it from its rounding."""
        sizes = None if cut else self.sizes
        key = (size, cut, frequencies.tobytes())
        if key not in self._kept:
            alive = self.alive
            pixels = self.pixels if alive.all() else self.pixels[..., alive]
            noise, lengths = self.noise, np.ones(len(alive))
            if sizes is not None:
                noise, lengths = self.scaled_noise, np.where(alive & (sizes > 0), sizes, 1.0)
                pixels = pixels / lengths[alive]
            kind = np.dtype(np.complex64 if self.coarse else np.complex128)
            blocks = coefficients_at(pixels, frequencies, size)
            own = max(blocks.shape[1:]) * EPS64  # what factorising leaves
            least = {"noise": noise, "share": max(own, self.rtol or 0.0)}
            values = None
            if cut:
                basis, values, loadings = factorise(blocks, kind)
                part, rank = scaled_loadings(values, loadings, **least)
            else:
                basis, part, rank = orthonormalise(blocks, kind, **least)
            weights = np.zeros((len(frequencies), len(alive), part.shape[2]), complex)
            weights[:, alive] = part / lengths[alive, None]
            weights *= np.sqrt(self.n_samples - 1) / self.unit
            self._kept[key] = FrequencyFactors(basis, weights, rank, values)
        return self._kept[key]


def as_spectrum(x: ArrayLike | Spectrum, name: str, rtol: float | None = None) -> Spectrum:
    """`x` itself if it is a `Spectrum`, or that of the maps."""
    return x if isinstance(x, Spectrum) else Spectrum.from_maps(x, rtol=rtol, name=name)


def _as_maps(x: Array, name: str) -> tuple[Array, float]:
    """Checked maps; a dense layer is one of a single pixel. And the rounding unit of what came."""
    if x.ndim not in (2, 4) or len(x) < 2 or 0 in x.shape:
        received = f"shape {x.shape}" if x.ndim else f"a {type(x.item()).__name__}"
        raise ValueError(
            f"`{name}` must be maps of shape (n_samples, height, width, channels) or a dense layer "
            "of shape (n_samples, features), with at least two samples, one pixel and one channel. "
            f"Received {received}."
        )
    matrix, eps = checked(x.reshape(len(x), -1), name)
    return matrix.reshape(x.shape if x.ndim == 4 else (len(x), 1, 1, -1)), eps
