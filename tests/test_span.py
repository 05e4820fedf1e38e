"""Bases by CholeskyQR: the directions of a `Subspace` in no order, or a `Subspace` itself."""

import tracemalloc

import numpy as np
import oracle
import pytest

from svcca_monitor import Subspace, similarity_grid
from svcca_monitor.factors import Covariance
from svcca_monitor.lapack import lapack
from svcca_monitor.rounding import SINGLE
from svcca_monitor.span import Span, directions

ALL = {"cca": {}, "cca_r2": {}, "pwcca": {}, "svcca": {"explained_variance": 1.0}}


def of(x):
    return directions(x, loadings=True, rest=True, name="x")


def layer(seed=0, n=300, p=24):
    """A ReLU layer with a dead neuron and others of very different size."""
    mixed = oracle.normal(n, 8, seed=seed) @ oracle.normal(8, p, seed=seed + 1)
    x = np.maximum(mixed + oracle.normal(n, p, seed=seed + 2), 0)
    x[:, 3] = 0.0
    return (x * np.logspace(0, -4, p)).astype(np.float32)


def test_a_span_is_what_the_subspace_spans():
    x = layer()
    span, s = of(x), Subspace.from_activations(x)
    assert isinstance(span, Span)
    assert (span.rank, span.n_samples, span.coarse) == (s.rank, s.n_samples, s.coarse)
    np.testing.assert_allclose(span.basis.T @ span.basis, np.eye(span.rank), rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.linalg.svd(span.basis.T @ s.basis)[1], 1, rtol=0, atol=1e-9)


def test_its_neurons_are_those_of_the_layer():
    x = layer()
    span = of(x)
    z = (x - x.mean(axis=0, dtype=np.float64))[:, x.any(axis=0)]
    unit = np.linalg.norm(z) / np.linalg.norm(span.neurons)
    np.testing.assert_allclose(span.basis @ span.neurons * unit, z, rtol=0, atol=1e-12)


@pytest.mark.parametrize("measure", ALL)
def test_grids_of_spans_are_those_of_subspaces(measure):
    given = [
        layer(0),
        layer(5, p=40),
        layer(9, p=12),
        np.asfortranarray(layer(0)),
        layer(7)[:, ::2],
    ]
    grid = similarity_grid(given, given, measure=measure, **ALL[measure])
    factors = [Subspace.from_activations(x) for x in given]
    expected = similarity_grid(factors, factors, measure=measure, **ALL[measure])
    np.testing.assert_allclose(grid, expected, rtol=0, atol=1e-9)
    assert grid[0, 3] == pytest.approx(1.0, abs=1e-12)


def without_full_rank():
    x = layer()[:, 4:]
    noise = np.float32(1e-9) * oracle.normal(300, 1, dtype=np.float32)
    return {
        "duplicate": np.hstack([x, x[:, :1]]),
        "sum": np.hstack([x, x[:, :1] + x[:, 1:2]]),
        "noise": np.hstack([x + 1, noise]),
        "rounding of a mean": np.hstack([x + 3000, 1e6 * noise + 3000]).astype(np.float32),
        "constant": np.ones((300, 4), np.float32),
        "wide": oracle.normal(30, 40, dtype=np.float32),
        "as many neurons as samples": oracle.normal(30, 30, dtype=np.float32),
    }


@pytest.mark.filterwarnings("ignore:Constant over the probe set")
@pytest.mark.parametrize("name", without_full_rank())
def test_layers_that_may_have_fewer_directions_are_factorised(name):
    x = without_full_rank()[name]
    found, s = of(x), Subspace.from_activations(x, rest=True)
    assert isinstance(found, Subspace)
    assert found.rank == s.rank
    for part in ("basis", "singular_values", "loadings", "mean", "spectrum", "rest"):
        np.testing.assert_array_equal(getattr(found, part), getattr(s, part), err_msg=part)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.complex64, np.int32])
def test_layers_of_another_precision_are_factorised(dtype):
    assert isinstance(of((100 * layer()).astype(dtype)), Subspace)


def test_columns_that_are_nearly_one_are_factorised():
    x = layer()[:, 4:] + 1
    close = np.hstack([x, x[:, :1] + np.float32(1e-4) * oracle.normal(300, 1, dtype=np.float32)])
    assert isinstance(of(x), Span)
    found = of(close)
    assert isinstance(found, Subspace)
    assert found.rank == x.shape[1] + 1


def test_factors_of_columns_that_are_nearly_one_are_not_inverted(monkeypatch):
    called = []
    monkeypatch.setattr(
        "svcca_monitor.span.lapack", lambda name, *args: called.append(name) or lapack(name, *args)
    )
    x = layer()[:, 4:] + 1
    close = np.hstack([x, x[:, :1] + np.float32(1e-4) * oracle.normal(300, 1, dtype=np.float32)])
    assert isinstance(of(close), Subspace)
    assert called == ["dpotrf"]
    assert isinstance(of(x), Span)
    assert called == ["dpotrf", "dpotrf", "dtrtri"]


def test_a_span_takes_no_more_memory_than_the_layer_and_its_basis():
    covariance = Covariance.of(layer(n=20_000), SINGLE)
    tracemalloc.start()
    span = Span.of(covariance)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * span.basis.nbytes


def test_a_cut_or_a_tolerance_needs_the_order_of_directions(monkeypatch):
    monkeypatch.setattr("svcca_monitor.span.Span.of", lambda _: pytest.fail("was made"))
    given = [layer(0), layer(5)]
    similarity_grid(given)
    similarity_grid(given, measure="cca", dims=3)
    similarity_grid(given, measure="pwcca", explained_variance=0.9)
    similarity_grid(given, measure="cca", rtol=1e-3)
    similarity_grid(given, measure="cca", adjusted=True)
    with pytest.raises(pytest.fail.Exception, match="was made"):
        similarity_grid(given, measure="cca")


def test_options_are_checked_as_ever():
    with pytest.raises(ValueError, match="criterion"):
        similarity_grid([layer()], explained_variance=1.0, criterion="varianz")
    x = layer()
    x[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"`first` has 1 values of 7200 that are NaN"):
        similarity_grid({"first": x}, measure="cca")


def test_factors_and_activations_meet():
    x, y = layer(0), layer(5)
    mixed = similarity_grid([x], [Subspace.from_activations(y)], measure="pwcca")
    assert mixed[0, 0] == pytest.approx(similarity_grid([x], [y], measure="pwcca")[0, 0], abs=1e-9)
    left_out = Subspace.from_activations(y, loadings=False)
    with pytest.raises(ValueError, match="loadings=False"):
        similarity_grid([x], [left_out], measure="pwcca")
