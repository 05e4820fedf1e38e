"""Bases in single precision: of large grids, and only where that does not show."""

import numpy as np
import oracle
import pytest

from svcca_monitor import Subspace, factorisation, factors, similarity_grid


def rectified(n=3000, p=400):
    """A layer of which 99 % of the variance lie in some of its directions."""
    x = oracle.normal(n, p, seed=1) @ oracle.normal(p, p, seed=2) * np.logspace(0, -1.2, p)
    return np.maximum(x, 0).astype(np.float32)


def test_bases_in_single_precision_are_good_to_2e_6():
    x = rectified()
    cut = {"explained_variance": 0.99, "loadings": False}
    exact = Subspace.from_activations(x, **cut)
    single = Subspace.from_activations(x, single=True, **cut)
    assert single.basis.dtype == np.float64
    off = np.linalg.norm(single.basis - exact.basis, axis=0)
    assert 0 < off.max() < 2e-6
    np.testing.assert_array_equal(single.spectrum, exact.spectrum)


def test_directions_too_small_for_single_precision_are_made_in_double():
    x = rectified()
    exact = Subspace.from_activations(x)
    assert np.linalg.norm(exact.spectrum) > factors.SINGLE_REACH * exact.spectrum[-1]
    np.testing.assert_array_equal(Subspace.from_activations(x, single=True).basis, exact.basis)


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_bases_of_more_than_single_precision_have_all_digits(dtype):
    x = (100 * rectified(300, 20)).astype(dtype)
    expected = Subspace.from_activations(x, explained_variance=0.9).basis
    found = Subspace.from_activations(x, explained_variance=0.9, single=True).basis
    np.testing.assert_array_equal(found, expected)


def test_complex_bases_in_single_precision_are_complex():
    x = rectified(600, 40) + 1j * rectified(600, 41)[:, 1:]
    cut = {"explained_variance": 0.9}
    found = Subspace.from_activations(x.astype(np.complex64), single=True, **cut).basis
    expected = Subspace.from_activations(x.astype(np.complex64), **cut).basis
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)
    assert np.any(found != expected)


@pytest.mark.parametrize("worth", [0.0, np.inf])
def test_grids_of_much_work_make_bases_in_single_precision(monkeypatch, worth):
    monkeypatch.setattr("svcca_monitor.precision.WORTH_IT", worth)
    asked = set()
    of = factorisation.by_gram
    monkeypatch.setattr(
        factorisation, "by_gram", lambda x, *, single, **how: asked.add(single) or of(x, **how)
    )
    given = [rectified(200, 20), rectified(200, 30)]
    similarity_grid(given)
    similarity_grid(given[:1], given[1:])
    assert asked == {worth == 0.0}
    # Not where directions count by their variance, and small ones are as good as none.
    asked.clear()
    similarity_grid(given, measure="procrustes")
    Subspace.from_activations(given[0])
    assert asked == {False}


@pytest.mark.parametrize("scale", [1e-37, 1e-30, 1e30, 3e38])
def test_scale_is_not_lost_in_single_precision(scale):
    x = rectified(600, 40)
    big = (x / np.abs(x).max() * scale).astype(np.float32)
    cut = {"explained_variance": 0.9}
    found = Subspace.from_activations(big, single=True, **cut).basis
    expected = Subspace.from_activations(big, **cut).basis
    assert np.linalg.norm(found - expected, axis=0).max() < 8e-7
