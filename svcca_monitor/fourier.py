"""Canonical correlations of convolutional layers at each spatial frequency: DFT-CCA.

A convolution does not mix the frequencies of a map. On a set of images that holds all their cyclic
shifts the canonical correlations of the flattened layers are therefore those of the channels at
each frequency, put together (Raghu et al. 2017, §3 and appendix, arXiv:1706.05806).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .batched import adjoint_product, in_parts
from .canonical import clipped
from .messages import warn
from .spatial import Size, filter_at, frequencies_of
from .spectrum import Spectrum
from .subspace import Array, require_same_probe


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
    fx, fy = (s.factors_at(frequencies, grid, cut=cut) for s in (sx, sy))
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
