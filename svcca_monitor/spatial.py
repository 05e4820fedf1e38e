"""Maps on a grid of pixels: what becomes of space when two convolutional layers are compared.

Maps have shape (n_samples, height, width, channels). Space can be folded into the samples (the
same-layer convention of Raghu et al. 2017, arXiv:1706.05806), thinned, resized, or transformed
(their DFT-CCA, see `fourier`); `activations.mean` averages over it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import is_whole, require_whole
from .parallel import in_parallel
from .rounding import as_array

Array = NDArray[Any]
Size = tuple[int, int]

# Columns, one a sample and channel, that a thread takes at a time: they stay near the processor.
COLUMNS = 512


def fold_space(x: ArrayLike) -> Array:
    """Every pixel of every example a sample: the neurons are the channels.

    Only maps of equal size have rows that match.

    Args:
        x: Maps of shape (n_samples, height, width, channels).

    Returns:
        Matrix of shape (n_samples × height × width, channels), example by example.

    Raises:
        ValueError: If `x` is not of that shape, or empty.
    """
    maps = _as_maps(x)
    return maps.reshape(math.prod(maps.shape[:3]), maps.shape[3])


def stride_space(x: ArrayLike, *, step: int) -> Array:
    """Every `step`-th pixel along both axes, the first among them.

    Args:
        x: Maps of shape (n_samples, height, width, channels).
        step: At least 1.

    Returns:
        Maps of shape (n_samples, ⌈height / step⌉, ⌈width / step⌉, channels).

    Raises:
        ValueError: If `x` is not of that shape, or empty, or `step` is no whole number from 1 on.
    """
    require_whole("step", step, least=1)
    return _as_maps(x)[:, ::step, ::step]


def resize_bilinear(x: ArrayLike, size: Size) -> Array:
    """Bilinear interpolation between the centres of pixels, the border continued.

    What `tf.image.resize` does without antialiasing.

    Args:
        x: Maps of shape (n_samples, height, width, channels).
        size: New (height, width).

    Returns:
        Maps of that size, in float64 or complex128.

    Raises:
        ValueError: If `x` is not of that shape, or empty, or a size is no whole number from 1 on.
    """
    maps = _as_floats(x)
    for axis, new in enumerate(_checked(size), start=1):
        old = maps.shape[axis]
        place = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(place).astype(int)
        share = (place - low).reshape(-1, *(1,) * (3 - axis))
        high = np.minimum(low + 1, old - 1)
        maps = (1 - share) * maps.take(low, axis=axis) + share * maps.take(high, axis=axis)
    return maps


def fourier_resize(x: ArrayLike, size: Size) -> Array:
    """Band-limited resampling: the spectrum is cut, or padded with zeros.

    Exact for maps whose frequencies are below both Nyquist frequencies. The two frequencies that
    meet in the Nyquist frequency of a smaller even size are added, and parted evenly where it
    grows. The mean over the pixels is kept.

    Args:
        x: Maps of shape (n_samples, height, width, channels), real or complex.
        size: New (height, width).

    Returns:
        Maps of that size, in float64, or complex128 if `x` is complex.

    Raises:
        ValueError: If `x` is not of that shape, or empty, or a size is no whole number from 1 on.
    """
    maps = _as_floats(x)
    for axis, new in enumerate(_checked(size), start=1):
        old = maps.shape[axis]
        k = _signed(min(old, new))
        parted = 1 + ((2 * k == old) & (old < new))
        matrix = (waves(new, k, old).conj().T / parted) @ waves(old, k, new)
        # Real, for a frequency and its negative are treated alike.
        resampled = np.tensordot(maps, matrix.real * math.sqrt(new / old), (axis, 1))
        maps = np.moveaxis(resampled, -1, axis)
    return maps


def frequencies_of(
    size: Size, *, half: bool, max_frequency: int | None = None
) -> tuple[Array, Array]:
    """The spatial frequencies of a grid.

    Args:
        size: (height, width).
        half: Take one of each two conjugate frequencies: kx ≥ 0, and ky ≥ 0 where kx is its own
            negative (0, and the Nyquist frequency of an even width).
        max_frequency: Take those with |ky| and |kx| at most this.

    Returns:
        Cycles over the map (ky, kx), shape (F, 2), signed, with the Nyquist frequency of an even
        size positive; and how often each stands in the full spectrum, shape (F,).

    Raises:
        ValueError: If `max_frequency` is no whole number from 0 on.
    """
    check_max_frequency(max_frequency)
    if max_frequency is None:
        max_frequency = max(size)
    height, width = size
    kx = np.arange(width // 2 + 1) if half else _signed(width)
    k = np.stack(np.meshgrid(_signed(height), kx, indexing="ij"), axis=-1).reshape(-1, 2)
    k = k[(np.abs(k) <= max_frequency).all(axis=1)]
    if not half:
        return k, np.ones(len(k), int)
    k = k[(k[:, 0] >= 0) | (2 * k[:, 1] % width != 0)]
    own_conjugate = (2 * k % size == 0).all(axis=1)
    return k, np.where(own_conjugate, 1, 2)


def check_max_frequency(max_frequency: int | None) -> None:
    """Raise ValueError unless it is None or a whole number from 0 on."""
    if max_frequency is not None:
        meaning = "counts cycles over the map"
        require_whole("max_frequency", max_frequency, least=0, meaning=meaning)


def coefficients_at(pixels: Array, frequencies: Array, size: Size) -> Array:
    """Coefficients of the orthonormal two-dimensional DFT of each channel.

    By products with the matrix of the DFT: on the small grids of maps as fast as the FFT, and
    only the frequencies asked for.

    Args:
        pixels: Maps with the samples behind space, shape (height, width, n_samples, channels).
        frequencies: (ky, kx) of a grid of `size`, shape (F, 2).
        size: At most as large as the maps along each axis, see `waves`.

    Returns:
        Array of shape (F, n_samples, channels).
    """
    height, width, *block = pixels.shape
    (ky, row), (kx, column) = (np.unique(k, return_inverse=True) for k in frequencies.T)
    along_x, along_y = waves(width, kx, size[1]), waves(height, ky, size[0])
    flat = pixels.reshape(height, width, -1)
    out = np.empty((len(frequencies), flat.shape[-1]), complex)

    def transform(at: slice) -> None:
        part = flat[:, :, at]
        lines = np.empty((height, len(kx), part.shape[-1]), complex)
        if part.dtype.kind == "c":
            np.matmul(along_x, part, out=lines)
        else:  # half the work, and no complex copy of the pixels
            lines.real, lines.imag = along_x.real @ part, along_x.imag @ part
        grid = along_y @ lines.reshape(height, -1)
        out[:, at] = grid.reshape(len(ky), len(kx), -1)[row, column]

    parts = [slice(start, start + COLUMNS) for start in range(0, flat.shape[-1], COLUMNS)]
    cost = 8.0 * COLUMNS * height * len(kx) * (width + len(ky))
    in_parallel(transform, parts, [cost] * len(parts))
    return out.reshape(len(frequencies), *block)


def filter_at(frequency: Array, weights: Array, shape: tuple[int, ...], size: Size) -> Array:
    """The filter whose products with a map add up to its weighted coefficients.

    Args:
        frequency: (ky, kx) of a grid of `size`.
        weights: Of the coefficients of `coefficients_at`, shape (channels,).
        shape: (height, width, channels), or (features,), which has no pixels.
        size: As in `coefficients_at`.

    Returns:
        Array of that shape.
    """
    for n, k, m in list(zip(shape[:-1], frequency, size, strict=False))[::-1]:
        weights = np.multiply.outer(waves(n, k[None], m)[0], weights)
    return weights


def waves(n: int, k: Array, size: int) -> Array:
    """Rows of the orthonormal DFT of n points, for the frequencies of a grid of `size` points.

    Args:
        n: Number of points.
        k: Frequencies, signed, shape (m,).
        size: If it is even and smaller than n, its Nyquist frequency stands for two frequencies
            of the n points, whose rows are added.

    Returns:
        Array of shape (m, n).
    """
    rows = np.fft.fft(np.eye(n), norm="ortho")
    aliased = (2 * np.abs(k) == size) & (size < n)
    return rows[k % n] + aliased[:, None] * rows[-k % n]


def _signed(n: int) -> Array:
    """The frequencies of a grid of n points, in the order of the DFT."""
    return np.concatenate([np.arange(n // 2 + 1), np.arange(-((n - 1) // 2), 0)])


def _as_maps(x: ArrayLike) -> Array:
    maps = as_array(x, "x")
    if maps.ndim != 4 or 0 in maps.shape:
        raise ValueError(
            "`x` must be maps of shape (n_samples, height, width, channels), none of them 0. "
            f"Received shape {maps.shape}."
        )
    if maps.dtype.kind in "OSUMm":
        raise ValueError(f"`x` must hold numbers. Received maps of dtype {maps.dtype}.")
    return maps


def _as_floats(x: ArrayLike) -> Array:
    maps = _as_maps(x)
    return maps.astype(np.complex128 if maps.dtype.kind == "c" else np.float64)


def _checked(size: Size) -> Size:
    if np.shape(size) != (2,) or not all(is_whole(n, 1) for n in size):
        raise ValueError(
            f"`size` must be (height, width), two whole numbers from 1 on. Received: size={size!r}"
        )
    return size
