"""The values to compare with: from the singular value decomposition of the data, in float64."""

from functools import cached_property

import numpy as np
import published


class Exact:
    """One layer; decomposed when first asked for."""

    def __init__(self, x):
        self.x = x

    @cached_property
    def factors(self):
        centred = self.x - self.x.mean(axis=0, dtype=np.float64)
        centred -= centred.mean(axis=0)
        u, values, vh = np.linalg.svd(centred, full_matrices=False)
        rank = np.count_nonzero(values > max(centred.shape) * np.finfo(float).eps * values[0])
        return u[:, :rank], values[:rank], vh[:rank]

    @cached_property
    def leading(self):
        u, values, _ = self.factors
        held = np.cumsum(values**2) / np.sum(values**2)
        return u[:, : int(np.searchsorted(held, 0.99)) + 1]


def svcca(a, b):
    return np.mean(np.linalg.svd(a.leading.T @ b.leading, compute_uv=False))


def cca(a, b):
    return np.mean(np.linalg.svd(a.factors[0].T @ b.factors[0], compute_uv=False))


def pwcca(a, b):
    basis, values, vh = a.factors
    u, rho, _ = np.linalg.svd(basis.T @ b.factors[0], full_matrices=False)
    weights = np.abs(u.T @ (values[:, None] * vh)).sum(axis=1)
    return weights @ rho / weights.sum()


def cka(a, b):
    (u, s, _), (v, t, _) = a.factors, b.factors
    between = np.linalg.norm(s[:, None] * (u.T @ v) * t) ** 2
    return between / (np.linalg.norm(s**2) * np.linalg.norm(t**2))


def fourier_cca(x, y):
    """Of maps: an SVD of both layers at each frequency."""
    size = np.minimum(x.shape[1:3], y.shape[1:3])
    spectra = [published.spectrum(maps, size) for maps in (x, y)]
    found = []
    for ky, kx in np.ndindex(*size):
        bases = []
        for s in spectra:
            z = s[ky, kx] - s[ky, kx].mean(axis=0)
            u, values, _ = np.linalg.svd(z, full_matrices=False)
            bases.append(u[:, values > 1e-12 * values[0]])
        found.append(np.linalg.svd(bases[0].conj().T @ bases[1], compute_uv=False))
    return np.mean(np.concatenate(found))


MEASURES = {"svcca": svcca, "cca": cca, "pwcca": pwcca, "cka": cka}
# Columns of the table.
ERRORS = {np.float32: "error f32", np.float64: "error f64"}


def spread(items, count):
    """Some of the items, evenly spread."""
    items = list(items)
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).astype(int))]


def errors(measure, grid_of, layers, pairs, count, *, dtypes=(np.float32, np.float64)):
    """The largest difference to the SVD, for the layers in each dtype; of no layer with itself."""
    found = {}
    some = spread([(i, j) for i, j in pairs if i != j], count)
    for dtype in dtypes:
        given = [x.astype(dtype) for x in layers]
        grid, oracles = grid_of(given), {i: Exact(given[i]) for p in some for i in p}
        expected = [MEASURES[measure](oracles[i], oracles[j]) for i, j in some]
        error = max(abs(grid(i, j) - e) for (i, j), e in zip(some, expected, strict=True))
        found[ERRORS[dtype]] = f"{error:.0e}"
    return found
