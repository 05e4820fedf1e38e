"""Canonical correlations of convolutional layers at each spatial frequency: DFT-CCA.

A convolution does not mix the frequencies of a map. On a set of images that holds all their cyclic
shifts the canonical correlations of the flattened layers are therefore those of the channels at
each frequency, put together (Raghu et al. 2017, §3 and appendix, arXiv:1706.05806).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from .arguments import require_whole
from .batched import adjoint_product, in_parts
from .canonical import correlations_between
from .cuts import check_cut, check_rtol
from .messages import warn
from .spatial import Size, check_max_frequency, filter_at, frequencies_of
from .spectrum import FrequencyFactors, Spectrum, as_spectrum
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
        times = np.repeat(self.multiplicity, [len(rho) for rho in self.correlations])
        return np.sort(np.repeat(np.concatenate(self.correlations), times))[::-1]

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
        if np.shape(frequency) != (2,):
            raise ValueError(
                f"`frequency` must be (ky, kx), a row of `frequencies`. Received: {frequency!r}"
            )
        require_whole("k", k, least=0)
        found = np.flatnonzero((self.frequencies == frequency).all(axis=1))
        pairs = len(self.correlations[found[0]]) if len(found) else 0
        if k >= pairs:
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
        rtol: Relative tolerance for the numerical rank of maps, see `Spectrum.from_maps`.

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
    check_options(max_frequency, explained_variance, rtol)
    sx = as_spectrum(x, "x", rtol)
    sy = sx if y is x else as_spectrum(y, "y", rtol)
    require_same_probe(sx, sy)
    meeting = Meeting.of(sx, sy, max_frequency, explained_variance)
    result = meeting.result()
    if not any(map(len, result.correlations)):
        ranks = meeting.factors(sx)[1], meeting.factors(sy)[1]
        constant = [name for name, rank in zip("xy", ranks, strict=True) if not rank.any()]
        where = f"in {' and '.join(constant)}" if constant else "in both x and y"
        warn(f"No frequency varies {where} over the probe set: the mean correlation is nan.")
    return result


def check_options(
    max_frequency: int | None, explained_variance: float | None, rtol: float | None
) -> None:
    """Raise ValueError unless these are options of `fourier_cca`: before what takes long."""
    check_max_frequency(max_frequency)
    check_cut(explained_variance, None, "variance")
    check_rtol(rtol)


@dataclass(frozen=True, eq=False)
class Meeting:
    """The frequencies at which two layers are compared.

    Attributes:
        x: One layer.
        y: The other.
        size: Of the grid of both.
        frequencies: As `FourierCCAResult` has them.
        multiplicity: As `FourierCCAResult` has them.
        explained_variance: Share that the directions of a frequency must reach.
    """

    x: Spectrum
    y: Spectrum
    size: Size
    frequencies: Array
    multiplicity: Array
    explained_variance: float | None

    @classmethod
    def of(
        cls, x: Spectrum, y: Spectrum, max_frequency: int | None, explained_variance: float | None
    ) -> Meeting:
        """At the frequencies of the smaller grid, axis by axis."""
        height, width = np.minimum(x.pixels.shape[:2], y.pixels.shape[:2]).tolist()
        half = "c" not in (x.pixels.dtype.kind, y.pixels.dtype.kind)
        size = height, width
        frequencies, times = frequencies_of(size, half=half, max_frequency=max_frequency)
        return cls(x, y, size, frequencies, times, explained_variance)

    def factors(self, s: Spectrum) -> tuple[FrequencyFactors, Array]:
        """Of one of the two, and how many directions of each frequency are compared."""
        cut = self.explained_variance not in (None, 1.0)
        factors = s.factors_at(self.frequencies, self.size, cut=cut)
        return factors, factors.leading(self.explained_variance)

    def result(self) -> FourierCCAResult:
        """Correlations of the two."""
        (fx, x_rank), (fy, y_rank) = self.factors(self.x), self.factors(self.y)
        if self.x is self.y:
            rho, cross = [np.ones(k) for k in x_rank], [np.eye(k) for k in x_rank]
        else:
            # A layer of few samples, or cut, has far fewer directions than its basis, everywhere.
            bases = (f.basis[..., : k.max()] for f, k in ((fx, x_rank), (fy, y_rank)))
            blocks, values = in_parts(_correlations, *bases, x_rank, y_rank)
            ranks = list(zip(x_rank, y_rank, strict=True))
            rho = [row[: min(k)] for row, k in zip(values, ranks, strict=True)]
            cross = [block[:i, :j] for block, (i, j) in zip(blocks, ranks, strict=True)]
        return FourierCCAResult(
            self.frequencies,
            self.multiplicity,
            rho,
            cross,
            (fx.weights, fy.weights),
            (self.x.shape, self.y.shape),
            self.size,
        )

    def key(self, s: Spectrum) -> tuple[int, Size, bytes]:
        """Alike where the factors of one of the two are alike."""
        return id(s), self.size, self.frequencies.tobytes()

    def cost(self, a: Spectrum, b: Spectrum) -> float:
        """Floating-point operations of products of two layers at all frequencies, roughly."""
        return 8.0 * len(self.frequencies) * a.n_samples * len(a.alive) * len(b.alive)


def _correlations(x: Array, y: Array, x_rank: Array, y_rank: Array) -> tuple[Array, Array]:
    """Uₓᴴ U_y of the first directions of stacked bases, and its singular values."""
    cross = adjoint_product(x, y)
    for side, rank in ((cross, x_rank), (cross.mT, y_rank)):
        side[np.arange(side.shape[1]) >= rank[:, None]] = 0  # adds correlations 0, at the end
    return cross, correlations_between(cross, np.minimum(x_rank, y_rank))
