"""Bases of many small matrices at once, each by the way that serves it."""

import numpy as np
import oracle
import pytest

from svcca_monitor import batched
from svcca_monitor.batched import factorise, orthonormalise

LEAST = {"noise": 0.0, "share": 1e-12}
DOUBLE, SINGLE = np.dtype(np.complex128), np.dtype(np.complex64)


def stack(n_blocks=40, m=60, n=7):
    parts = [oracle.normal(n_blocks * m, n, seed=seed).reshape(n_blocks, m, n) for seed in (0, 1)]
    return (parts[0] + 1j * parts[1]) * np.logspace(0, -5, n)


def check(blocks, found, *, atol):
    basis, weights, ranks = found
    own = np.arange(basis.shape[2])
    for block, q, w, rank in zip(blocks, basis, weights, ranks, strict=True):
        counts = own < rank
        np.testing.assert_allclose(q.conj().T @ q, np.eye(len(own)), rtol=0, atol=atol)
        np.testing.assert_allclose((block @ w)[:, counts], q[:, counts], rtol=0, atol=atol)
        assert not w[:, ~counts].any()
        assert rank == np.linalg.matrix_rank(block, tol=1e-9)


@pytest.fixture
def decomposed(monkeypatch):
    """How many matrices needed their spectrum."""
    counts = []
    of = batched._factorise
    monkeypatch.setattr(batched, "_factorise", lambda b: (counts.append(len(b)), of(b))[1])
    return counts


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
def test_scaled_columns_have_a_basis_without_a_spectrum(decomposed, dtype):
    blocks = stack()
    found = orthonormalise(blocks, dtype, **LEAST)
    assert not decomposed
    assert found[0].dtype == dtype
    check(blocks, found, atol=1e-12 if dtype == DOUBLE else 1e-6)


def test_only_matrices_of_dependent_columns_need_their_spectrum(decomposed):
    blocks = stack()
    blocks[3, :, 6] = blocks[3, :, 0] * 1e-4  # of rank 6
    close = blocks[20, :, 1] * (1 - 1e-5) + 1e-5 * blocks[20, ::-1, 0]
    blocks[20, :, 2] = close  # to another column, but independent
    found = orthonormalise(blocks, DOUBLE, **LEAST)
    assert 2 <= sum(decomposed) < 20
    check(blocks, found, atol=1e-9)
    assert found[2][3] == 6
    assert found[2][20] == 7


def test_a_dead_column_leaves_the_others():
    blocks = stack()
    blocks[5, :, 3] = 0
    check(blocks, orthonormalise(blocks, DOUBLE, **LEAST), atol=1e-9)


@pytest.mark.parametrize("shape", [(4, 7, 7), (4, 5, 7)])
def test_as_many_columns_as_rows_need_their_spectrum(decomposed, shape):
    blocks = stack(*shape) * np.logspace(0, 5, 7)
    check(blocks, orthonormalise(blocks, DOUBLE, **LEAST), atol=1e-9)
    assert decomposed == [4]


@pytest.mark.parametrize("least", [{"noise": 1e-3, "share": 0.0}, {"noise": 0.0, "share": 1e-4}])
def test_directions_of_no_more_than_noise_do_not_count(least):
    blocks = stack()
    ranks = orthonormalise(blocks, DOUBLE, **least)[2]
    values = factorise(blocks, DOUBLE)[1]
    smallest = np.maximum(least["noise"], least["share"] * values[:, :1])
    np.testing.assert_array_equal(ranks, np.count_nonzero(values > smallest, axis=1))
    assert set(ranks) < set(range(2, 7))


def test_columns_of_large_weights_are_multiplied_in_double_precision():
    blocks = stack(n_blocks=3)
    blocks[:, :, 1] = blocks[:, :, 0] + 3e-2 * blocks[:, :, 1]
    basis, weights, _ = orthonormalise(blocks, SINGLE, **LEAST)
    np.testing.assert_array_equal(basis, (blocks @ weights).astype(SINGLE))
    fine, weights, _ = orthonormalise(stack(n_blocks=3), SINGLE, **LEAST)
    assert np.any(fine != (stack(n_blocks=3) @ weights).astype(SINGLE))


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e30, 1e42])
def test_scale_is_not_lost_in_single_precision(scale):
    basis, _, ranks = orthonormalise(stack() * scale, SINGLE, **LEAST)
    expected, _, _ = orthonormalise(stack(), DOUBLE, **LEAST)
    assert (ranks == 7).all()
    np.testing.assert_allclose(basis, expected, rtol=0, atol=1e-6)
