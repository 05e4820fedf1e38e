"""The Gram matrix gives what the data give, where it is used, and is not used elsewhere."""

import os
import subprocess
import sys
import tracemalloc

import numpy as np
import oracle
import pytest

from svcca_monitor import Subspace, factors, mean_cca, svcca
from svcca_monitor.rounding import centre


def decaying(shape, *, seed=0, power=1.0):
    rng = np.random.default_rng(seed)
    k = min(shape)
    u, _ = np.linalg.qr(rng.normal(size=(shape[0], k)))
    v, _ = np.linalg.qr(rng.normal(size=(shape[1], k)))
    return ((u * np.arange(1, k + 1.0) ** -power) @ v.T * 10 + 3).astype(np.float32)


@pytest.mark.parametrize("shape", [(300, 40), (400, 200)])
def test_dead_neurons_have_no_loadings_and_the_others_theirs(shape):
    x = decaying(shape)
    dead = np.arange(shape[1]) % 3 == 0
    x[:, dead] = 0
    s = Subspace.from_activations(x)
    assert not s.loadings[dead].any()
    np.testing.assert_allclose(s.loadings.T @ s.loadings, np.eye(s.rank), atol=1e-9)
    np.testing.assert_allclose(s.basis * s.singular_values @ s.loadings.T + s.mean, x, atol=1e-5)


@pytest.fixture
def routes(monkeypatch):
    """Names of the routes that were taken."""
    taken = []

    def watch(name):
        route = getattr(factors, name)
        return lambda *args, **kwargs: (taken.append(name), route(*args, **kwargs))[1]

    for name in ("by_gram", "by_svd"):
        monkeypatch.setattr(f"svcca_monitor.factorisation.{name}", watch(name))
    return taken


@pytest.mark.parametrize("shape", [(300, 40), (60, 200), (50, 50), (40, 5000)])
def test_both_routes_agree_on_single_precision_with_a_cut(shape):
    x = decaying(shape)
    gram = Subspace.from_activations(x, explained_variance=0.99)
    data = Subspace.from_activations(x).truncate(explained_variance=0.99)
    assert gram.rank == data.rank
    np.testing.assert_allclose(gram.singular_values, data.singular_values, rtol=1e-9)
    np.testing.assert_allclose(gram.basis @ gram.basis.T, data.basis @ data.basis.T, atol=1e-9)
    rebuilt = gram.basis * gram.singular_values @ gram.loadings.T
    np.testing.assert_allclose(
        rebuilt, data.basis * data.singular_values @ data.loadings.T, atol=1e-7
    )
    np.testing.assert_allclose(gram.mean, data.mean, rtol=1e-12)


@pytest.mark.parametrize("shape", [(300, 40), (90, 80)])
def test_svcca_of_single_precision_is_its_equation(shape):
    x, y = decaying(shape), np.maximum(decaying(shape, seed=1), 3)
    assert svcca(x, y) == pytest.approx(
        oracle.svcca(x.astype(np.float64), y.astype(np.float64)), abs=1e-9
    )


def test_the_gram_matrix_is_used_for_single_precision_only(routes):
    x = decaying((100, 20))
    for cut in ({"explained_variance": 0.99}, {}, {"explained_variance": 1.0}, {"dims": 3}):
        Subspace.from_activations(x, **cut)
        assert routes.pop() == "by_gram"
        Subspace.from_activations(x.astype(np.float64), **cut)
        assert routes.pop() == "by_svd"
    assert not routes


@pytest.mark.parametrize("power", [4.0, 4.5])
def test_small_directions_of_single_precision_are_those_of_the_data(routes, power):
    x = decaying((400, 30), power=power)
    found, data = Subspace.from_activations(x), Subspace.from_activations(x.astype(np.float64))
    assert routes == ["by_gram", "by_svd"]
    assert found.singular_values[-1] < 1e-5 * found.singular_values[0]
    data = data.truncate(dims=found.rank)
    products = found.basis.T @ found.basis - np.eye(found.rank)
    assert np.abs(products).max() < 1e-10
    small = found.singular_values < factors.GRAM_REACH * found.singular_values[0]
    assert small.sum() > 5
    assert np.abs(products[small]).max() < 1e-14
    # The last one that is kept borders on noise.
    np.testing.assert_allclose(found.basis @ found.basis.T, data.basis @ data.basis.T, atol=1e-6)
    np.testing.assert_allclose(found.singular_values, data.singular_values, rtol=1e-3)


def test_small_directions_of_wide_layers_go_back_to_the_data(routes):
    wide = decaying((30, 400), power=4.0)
    Subspace.from_activations(wide, explained_variance=0.99)
    assert routes == ["by_gram"]
    Subspace.from_activations(wide)
    assert routes == ["by_gram"] * 2 + ["by_svd"]


def test_where_the_gram_matrix_cannot_tell_the_rank_the_data_do(routes):
    # All neurons do nearly the same, and two quite: noise is below what squares hold.
    x = decaying((3000, 60)) - np.float32(3)
    x = x + 3000 * np.random.default_rng(1).normal(size=(3000, 1)).astype(np.float32)
    x[:, 59] = x[:, 58]
    assert Subspace.from_activations(x).rank == 59
    assert routes == ["by_gram", "by_svd"]


def test_condition_numbers_to_1e9_do_not_harm_cca():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 10))
    q, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    stretched = x @ (q * np.logspace(0, -9, 10)) @ q.T
    y = np.hstack([x[:, :4], rng.normal(size=(500, 3))])
    assert mean_cca(stretched, y) == pytest.approx(oracle.mean_cca(x, y), abs=1e-7)


def test_a_wide_layer_takes_memory_for_a_block_and_the_gram_matrix_only():
    x = np.random.default_rng(0).random((200, 60_000), dtype=np.float32)
    x[:, ::2] *= 3
    tracemalloc.start()
    s = Subspace.from_activations(x, dims=5, explained_variance=0.5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert s.rank == 5
    # In double precision a copy of the layer alone would take twice its size.
    assert peak < 0.6 * x.nbytes


@pytest.mark.parametrize("dtype", ["f2", "f4", "i4", "f8", "c8", "c16"])
@pytest.mark.parametrize("n", [2, 3, 999, 20_011])
def test_constant_columns_are_0_once_centred(dtype, n):
    values = np.random.default_rng(0).normal(size=50) * np.repeat([1e-3, 1.0, 1e3], [10, 20, 20])
    column = (values * (1 + 2j) if dtype[0] == "c" else values).astype(dtype)
    centred, mean = centre(np.repeat(column[None], n, axis=0))
    assert not centred.any()
    np.testing.assert_allclose(mean, column, rtol=1e-15)


FORKED = """
import os
import numpy as np
from svcca_monitor.gram_matrix import Gram
gram = Gram.of(np.random.default_rng(0).normal(size=(30, 90)), 1e-16)
before = gram.matrix.copy()
child = os.fork()
if not child:
    gram.matrix[:] = 0
    os._exit(0)
os.waitpid(child, 0)
assert before.any() and (gram.matrix == before).all()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork on this system")
def test_a_forked_process_has_gram_matrices_of_its_own():
    subprocess.run([sys.executable, "-c", FORKED], check=True)
