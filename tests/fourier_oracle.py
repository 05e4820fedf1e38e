"""Correlations at each spatial frequency by a loop over `np.fft.fft2`, and maps to try them on."""

import numpy as np
import pytest

SIZES = [(4, 4), (6, 4), (5, 5), (3, 6), (4, 3)]


def pair(size, *, n=60, channels=(2, 3), seed=0, complex_=False, dtype=np.float64):
    """Maps of two layers that share a part, with offsets."""
    rng = np.random.default_rng(seed)

    def normal(c):
        z = rng.normal(size=(n, *size, c))
        return z + 1j * rng.normal(size=z.shape) if complex_ else z

    shared = normal(2)
    x = shared @ rng.normal(size=(2, channels[0])) + normal(channels[0]) + 2.0
    y = np.roll(shared, 1, axis=1) @ rng.normal(size=(2, channels[1])) + normal(channels[1])
    return x.astype(np.result_type(dtype, x.dtype) if complex_ else dtype), y.astype(
        np.result_type(dtype, y.dtype) if complex_ else dtype
    )


def all_shifts(images):
    """Every image in every cyclic shift."""
    height, width = images.shape[1:3]
    return np.concatenate(
        [np.roll(images, (a, b), axis=(1, 2)) for a in range(height) for b in range(width)]
    )


def flattened(x):
    return x.reshape(len(x), -1)


def whitened(block):
    """Centred, and with the identity for covariance; for full rank only."""
    block = block - block.mean(axis=0)
    values, vectors = np.linalg.eigh(block.conj().T @ block)
    return block @ vectors @ np.diag(values**-0.5) @ vectors.conj().T


def signed(n):
    return [k if 2 * k <= n else k - n for k in range(n)]


def coefficient(x, ky, kx, size):
    """One coefficient of each channel; on a smaller even grid k and -k meet at its Nyquist."""
    spectrum = np.fft.fft2(np.asarray(x, np.result_type(x.dtype, np.float64)), axes=(1, 2))
    total = 0
    for a in {ky, -ky} if 2 * ky == size[0] < x.shape[1] else {ky}:
        for b in {kx, -kx} if 2 * kx == size[1] < x.shape[2] else {kx}:
            total = total + spectrum[:, a % x.shape[1], b % x.shape[2]]
    return total


def by_loop(x, y):
    """{(ky, kx): correlations} over the full spectrum of the smaller grid."""
    size = [min(a, b) for a, b in zip(x.shape[1:3], y.shape[1:3], strict=True)]
    found = {}
    for ky in signed(size[0]):
        for kx in signed(size[1]):
            wx, wy = whitened(coefficient(x, ky, kx, size)), whitened(coefficient(y, ky, kx, size))
            found[ky, kx] = np.linalg.svd(wx.conj().T @ wy, compute_uv=False)
    return found


def union(found):
    return np.sort(np.concatenate(list(found.values())))[::-1]


def assert_equal_to_loop(result, expected, *, atol=1e-10):
    for k, rho in zip(result.frequencies, result.correlations, strict=True):
        np.testing.assert_allclose(rho, expected[tuple(k.tolist())], atol=atol)
    np.testing.assert_allclose(result.all_correlations, union(expected), atol=atol)
    assert result.mean == pytest.approx(np.mean(union(expected)), abs=atol)
