"""PWCCA of a rounded product: directions whose weights hang on the rounding are told apart anew."""

from dataclasses import replace

import numpy as np
import oracle
import pytest

from svcca_monitor import Subspace
from svcca_monitor.crossed import projection_weighted

N, NEURONS = 600, 40


def orthonormal(n, k, seed):
    return np.linalg.qr(oracle.normal(n, k, seed=seed))[0]


def meeting(correlations, sizes, *, of_complex=False):
    """Two layers with these correlations; variate i of the first accounts for sizes[i] of it."""
    k = len(correlations)
    bases = orthonormal(N, 2 * k, 0)
    if of_complex:
        bases = np.linalg.qr(bases + 1j * orthonormal(N, 2 * k, 1))[0]
    rho = np.array(correlations)
    left, right = bases[:, :k], bases[:, :k] * rho + bases[:, k:] * np.sqrt(1 - rho**2)
    neurons = np.array(sizes)[:, None] * orthonormal(NEURONS, k, 2).T
    turns = [orthonormal(k, k, seed) for seed in (3, 4)]
    layers = []
    for basis, turn in zip((left, right), turns, strict=True):
        rotation, values, loadings_h = np.linalg.svd(turn.T @ neurons, full_matrices=False)
        basis = basis @ turn @ rotation
        layers.append(
            Subspace(basis, values, loadings_h.conj().T, np.zeros(NEURONS), values, coarse=True)
        )
    return layers


def worst_rounding(x, y, size=3e-8):
    """What turns neighbouring directions into each other by the most."""
    u, rho, vh = np.linalg.svd(x.basis.conj().T @ y.basis)
    off = np.zeros(rho.shape * 2)
    i = np.arange(len(rho) - 1)
    off[i, i + 1] = off[i + 1, i] = size
    off[i[1:] - 1, i[1:] + 1] = off[i[1:] + 1, i[1:] - 1] = size
    off[i, i] = size * (-1.0) ** i
    return u @ off @ vh


FAR = [0.9, 0.8, 0.7, 0.5, 0.45, 0.4, 0.35, 0.3, 0.25, 0.2]
CASES = {
    "two": ([*FAR, 0.6, 0.6 + 2e-6], [1] * 10 + [9, 5]),
    "two pairs": ([*FAR, 0.1, 0.1 + 2e-6, 0.601, 0.601 + 2e-6], [1] * 10 + [9, 5, 5, 9]),
    "a heavy one": ([*FAR, 0.6, 0.6 + 3e-5, 0.6 + 1e-4], [1] * 10 + [40, 3, 1]),
    "next to a tie": ([*FAR, 0.6, 0.6 + 1.8e-7], [1] * 10 + [1e-4, 2e-4]),
    "hardly two": ([*FAR, 0.6, 0.6 + 1.2e-7], [1] * 10 + [9, 5]),
    "hardly two of few": ([*FAR, 0.6, 0.6 + 1.2e-7], [1] * 10 + [3e-4, 7e-4]),
    "two and no correlation": ([*FAR, 0.6, 0.6 + 2e-6, 0.0], [1] * 10 + [9, 5, 4]),
    "many, hardly": ([*FAR, *(0.7 + 1.2e-7 * np.arange(9))], [1] * 10 + [3e-4, 7e-4, 2e-4] * 3),
    "a tie": ([*FAR, 0.6, 0.6], [1] * 10 + [9, 5]),
    "no correlation": ([*FAR, 0.0, 3e-8], [1] * 10 + [9, 5]),
    "alike but for one": ([0.9, *(0.6 + 2e-6 * np.arange(11))], [1, *range(1, 12)]),
}


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("of_complex", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_rounding_of_a_product_does_not_move_pwcca(case, of_complex, symmetric):
    x, y = meeting(*CASES[case], of_complex=of_complex)
    cross = x.basis.conj().T @ y.basis
    in_double = (replace(s, coarse=False) for s in (x, y))
    exact = projection_weighted(cross, *in_double, symmetric=symmetric)
    for sign in (-1, 1):
        rounded = cross + sign * worst_rounding(x, y)
        found = projection_weighted(rounded, x, y, symmetric=symmetric)
        assert found == pytest.approx(exact, abs=2e-8)


def test_products_in_double_precision_are_taken_as_they_are(monkeypatch):
    x, y = (replace(s, coarse=False) for s in meeting(*CASES["two"]))
    for part in ("_told_apart", "_not_told_apart"):
        monkeypatch.setattr(f"svcca_monitor.crossed.{part}", lambda *_: pytest.fail("was asked"))
    assert 0 < projection_weighted(x.basis.T @ y.basis, x, y) < 1
