"""The published ways, restated from their equations: what a pair of layers costs without an engine.

Matrices have shape (n_samples, n_features). Nothing is kept from one pair to the next, unless a
function says so. Covariances and what follows in float64, as `np.cov` has it whatever comes in; the
decompositions before, and CKA, in the dtype that comes.
"""

import numpy as np


def inverse_root(covariance):
    """Σ^-1/2 by a pseudo-inverse and the eigenvalues of that."""
    values, vectors = np.linalg.eigh(np.linalg.pinv(covariance))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.conj().T


def whitened(x, y):
    """Σxx^-1/2 Σxy Σyy^-1/2, and the first factor (Raghu et al. 2017)."""
    p = x.shape[1]
    both = np.cov(x, y, rowvar=False)
    root_x, root_y = inverse_root(both[:p, :p]), inverse_root(both[p:, p:])
    return root_x @ both[:p, p:] @ root_y, root_x


def cca(x, y):
    between, _ = whitened(x, y)
    return float(np.mean(np.linalg.svd(between)[1]))


def pwcca(x, y):
    """Weights from the projections of the neurons of x on its variates (Morcos et al. 2018)."""
    between, root_x = whitened(x, y)
    u, rho, _ = np.linalg.svd(between, full_matrices=False)
    z = x - x.mean(axis=0, dtype=np.float64)
    variates = z @ (root_x @ u)
    weights = np.abs(variates.T @ z).sum(axis=1)
    return float(weights @ rho / weights.sum())


def denoised(x, share=0.99):
    """Coordinates of the leading singular directions that hold this share of the variance.

    Decomposed with neurons in rows and in the dtype that comes, as published.
    """
    z = np.ascontiguousarray(x.T)
    z = z - z.mean(axis=1, keepdims=True)
    _, values, vh = np.linalg.svd(z, full_matrices=False)
    held = np.cumsum(values**2) / np.sum(values**2)
    k = int(np.searchsorted(held, share)) + 1
    return (values[:k, None] * vh[:k]).T


def svcca(x, y):
    """Both layers are decomposed for every pair."""
    return cca(denoised(x), denoised(y))


def cka(x, y):
    """‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), three products for every pair (Kornblith et al. 2019)."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    between = np.linalg.norm(x.T @ y) ** 2
    return float(between / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def spectrum(maps, size):
    """Coefficients of shape (height, width, n_samples, channels) at the frequencies of a grid.

    The Nyquist frequency of a smaller grid stands for two of the larger, which are added.
    """
    x = np.fft.fft2(maps.astype(np.float64), axes=(1, 2)).transpose(1, 2, 0, 3)
    for axis, wanted in enumerate(size):
        have = x.shape[axis]
        if have > wanted:
            x = np.moveaxis(x, axis, 0)
            half = wanted // 2
            kept = np.concatenate([x[: (wanted + 1) // 2], x[have - half :]])
            if wanted % 2 == 0:
                kept[half] += x[half]
            x = np.moveaxis(kept, 0, axis)
    return x


def fourier_cca(x, y):
    """Mean over a plain loop over all frequencies of two spectra."""
    height, width = x.shape[:2]
    found = [correlations_at(x[ky, kx], y[ky, kx]) for ky in range(height) for kx in range(width)]
    return float(np.mean(np.concatenate(found)))


def correlations_at(x, y):
    """One frequency."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    root_x, root_y = inverse_root(x.conj().T @ x), inverse_root(y.conj().T @ y)
    return np.linalg.svd(root_x @ (x.conj().T @ y) @ root_y)[1]
