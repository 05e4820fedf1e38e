"""Wide layers by a Gram matrix in single precision: as in double, or not at all."""

from functools import cache

import ml_dtypes
import numpy as np
import oracle
import pytest

from svcca_monitor import Subspace, factorisation, near_cut, similarity_grid
from svcca_monitor.cuts import Cut
from svcca_monitor.factors import by_gram
from svcca_monitor.gram_matrix import Gram
from svcca_monitor.near_cut import by_single_gram

N, P = 520, 1300
EPS = float(np.finfo(np.float32).eps)
CUT = Cut(explained_variance=0.99)


@cache
def wide(n=N, p=P, *, seed=0):
    """Activations of a layer with more features than samples."""
    x = oracle.normal(n, n, seed=seed) * np.logspace(0, -1.5, n)
    return np.maximum(x @ oracle.normal(n, p, seed=1), 0).astype(np.float32)


def of_spectrum(values):
    """A wide layer with these singular values, and no others."""
    x = oracle.with_singular_values(np.array(values), n_samples=N)
    return (x @ np.linalg.qr(oracle.normal(P, len(values)))[0].T).astype(np.float32)


def huge():
    """Whose centred numbers are more than single precision has."""
    signs = np.where(oracle.normal(N, P) > 0.5, -1, 1)
    return signs.astype(np.float32) * np.float32(3.4e38)


def span(factors, k):
    basis = factors.basis(k)
    return basis @ basis.T


@pytest.mark.parametrize("cut", [CUT, Cut(0.5), Cut(dims=5), Cut(0.99, dims=40), Cut(dims=400)])
def test_what_is_kept_is_what_double_precision_keeps(cut):
    x = wide()
    found, k = by_single_gram(x, EPS, cut)
    exact = by_gram(x, eps=EPS)
    assert k == cut.count(exact.spectrum)
    assert len(found.spectrum) == len(exact.spectrum)
    np.testing.assert_allclose(found.spectrum[:k], exact.spectrum[:k], rtol=1e-6)
    np.testing.assert_allclose(found.mean, exact.mean, rtol=1e-12)
    assert found.basis(k).flags.c_contiguous
    np.testing.assert_allclose(span(found, k), span(exact, k), rtol=0, atol=1e-6)
    neurons = found.basis(k) * found.spectrum[:k] @ found.loadings(k).T
    exact_neurons = exact.basis(k) * exact.spectrum[:k] @ exact.loadings(k).T
    np.testing.assert_allclose(neurons, exact_neurons, rtol=0, atol=1e-5 * exact.spectrum[0])
    whole = np.hstack([found.basis(k), found.rest(k)])
    np.testing.assert_allclose(whole.T @ whole, np.eye(N), atol=1e-10)


def test_directions_next_to_the_cut_are_told_anew(monkeypatch):
    values = np.logspace(0, -1.5, 200)
    values[60] = values[59] * (1 - 1e-6)
    x, cut = of_spectrum(values), Cut(dims=60)
    exact = span(by_gram(x, eps=EPS), 60)
    found, k = by_single_gram(x, EPS, cut)
    assert np.linalg.norm(span(found, k) - exact) < 1e-6
    order = np.diag(np.arange(2.0 * near_cut.NEAR, 0, -1))
    monkeypatch.setattr(near_cut, "_products", lambda _, near, probes: (order, probes))
    monkeypatch.setattr(near_cut, "MIXED", np.inf)
    found, k = by_single_gram(x, EPS, cut)
    assert np.linalg.norm(span(found, k) - exact) > 1e-4


@pytest.mark.parametrize("kept", [5, 60, 199])
def test_close_eigenvalues_far_around_the_cut_are_left_to_double_precision(kept):
    close = of_spectrum(np.linspace(1, 0.999, 200))
    assert by_single_gram(close, EPS, Cut(dims=kept)) is None
    exact = Subspace.from_activations(close, dims=kept)
    found = Subspace.from_activations(close, dims=kept, single=True)
    np.testing.assert_array_equal(found.basis, exact.basis)


def of_two_sizes(size):
    """Small directions of samples that also have a large one, and of others right at the cut."""
    loud, quiet = 200, N - 200
    values = (
        np.r_[size, np.linspace(1.3, 1.1, 40), np.linspace(0.9, 0.5, 100)],
        np.r_[np.linspace(1.05, 0.95, 40), np.linspace(0.5, 0.2, 200)],
    )
    features = np.linalg.qr(oracle.normal(P, N))[0].T
    parts = (
        oracle.with_singular_values(v, n_samples=m) @ features[at : at + len(v)]
        for v, m, at in zip(values, (loud, quiet), (0, len(values[0])), strict=True)
    )
    return np.vstack(list(parts)).astype(np.float32), 1 + 40 + 20


def test_noise_of_large_samples_is_seen_where_those_at_the_cut_have_little(monkeypatch):
    x, k = of_two_sizes(2)
    assert by_single_gram(x, EPS, Cut(dims=k)) is not None
    x, k = of_two_sizes(300)
    assert by_single_gram(x, EPS, Cut(dims=k)) is None
    monkeypatch.setattr(near_cut, "_seen", lambda *_: 0.0)
    found, _ = by_single_gram(x, EPS, Cut(dims=k))
    assert np.linalg.norm(span(found, k) - span(by_gram(x, eps=EPS), k)) > 1e-6 * k


@pytest.mark.parametrize("rows", [8, 80, 400])
def test_noise_counts_where_it_is_however_few_samples_have_it(rows):
    known = np.eye(N)[:, : N - 400]
    images = np.zeros((N, 2 * near_cut.PROBES))
    images[N - rows :] = 3 / np.sqrt(2 * near_cut.PROBES)
    images[: N - 400] = 7  # where it does not show
    np.testing.assert_allclose(near_cut._seen(images, known, N - 400), 3 * np.sqrt(N / 400))


@pytest.mark.parametrize(("close", "kept", "good"), [(0.3, 26, 1), (0.014, 26, 0), (0.008, 38, 0)])
def test_noise_of_samples_that_are_alike_adds_up(close, kept, good):
    distinct = oracle.with_singular_values(np.linspace(1 + close, 1, 51) ** 0.5, n_samples=52)
    x = (distinct @ np.linalg.qr(oracle.normal(P, 51))[0].T)[np.arange(N) % 52].astype(np.float32)
    assert (by_single_gram(x, EPS, Cut(dims=kept)) is not None) == good


@pytest.mark.parametrize("off", [-1e-7, 1e-9, 1e-7])
def test_a_share_that_is_reached_by_next_to_nothing_is_left_to_double_precision(off):
    x = wide()
    squares = by_gram(x, eps=EPS).spectrum ** 2
    share = np.cumsum(squares)[69] / squares.sum()
    assert by_single_gram(x, EPS, Cut(share + off)) is None
    assert by_single_gram(x, EPS, Cut(share - 1e-5))[1] == 70
    assert by_single_gram(x, EPS, Cut(share + 1e-5))[1] == 71


def test_what_noise_adds_to_the_variance_of_few_directions_is_allowed_for():
    x = of_spectrum([1, 0.9, 0.3, 0.2, 0.1])
    squares = by_gram(x, eps=EPS).spectrum ** 2
    share = np.cumsum(squares)[1] / squares.sum()
    assert by_single_gram(x, EPS, Cut(share - 3e-7)) is None
    assert by_single_gram(x, EPS, Cut(share - 1e-5))[1] == 2


@pytest.mark.parametrize(
    ("layer", "cut"),
    [
        pytest.param(wide, Cut(), id="no cut"),
        pytest.param(wide, Cut(1.0), id="all of the variance"),
        pytest.param(wide, Cut(1.0 - 1e-9), id="nearly all of the variance"),
        pytest.param(wide, Cut(dims=2000), id="more directions than there are"),
        pytest.param(wide, Cut(0.9, criterion="singular_values"), id="singular values"),
        pytest.param(lambda: wide(500), CUT, id="few samples"),
        pytest.param(lambda: wide(P, N), CUT, id="tall"),
        pytest.param(lambda: wide().astype(np.complex64), CUT, id="complex"),
        pytest.param(lambda: np.zeros((N, P), np.float32), CUT, id="constant"),
        pytest.param(lambda: np.full((N, P), 7, np.float32), CUT, id="constant, not 0"),
        pytest.param(lambda: of_spectrum([1, 0.5, 1e-4]), Cut(dims=3), id="all of few directions"),
        pytest.param(lambda: of_spectrum([1, 0.5, 5e-4, 4e-4]), Cut(dims=3), id="small directions"),
        pytest.param(lambda: of_spectrum([1, 0.5]), Cut(dims=3), id="what is kept is noise"),
        pytest.param(
            lambda: wide() * np.where(np.arange(N) == 7, 1e4, 1)[:, None].astype(np.float32),
            Cut(dims=5),
            id="small beside one sample",
        ),
        pytest.param(huge, CUT, id="huge"),
        pytest.param(lambda: wide(N, 9 * 512) * np.float32(4e36), CUT, id="huge sums"),
        pytest.param(lambda: wide() * np.float32(1e17), CUT, id="large"),
        pytest.param(lambda: wide() * np.float32(1e-20), CUT, id="small"),
        pytest.param(lambda: wide() * np.float32(1e-37), CUT, id="tiny"),
    ],
)
def test_left_to_double_precision(layer, cut):
    assert by_single_gram(layer(), EPS, cut) is None


@pytest.mark.parametrize(("large", "hidden"), [(1, False), (1000, True)])
def test_directions_that_half_precision_hides_are_found_as_in_double(large, hidden):
    x = wide().copy()
    x[:, :3] *= large
    x = x.astype(ml_dtypes.bfloat16)
    exact = Subspace.from_activations(x, dims=50)
    found = Subspace.from_activations(x, dims=50, single=True)
    assert exact.rank == found.rank == 50
    assert np.array_equal(found.basis, exact.basis) == hidden


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
def test_more_than_single_precision_is_left_to_double_precision(dtype):
    x = (100 * wide()).astype(dtype)
    exact = Subspace.from_activations(x, explained_variance=0.9)
    found = Subspace.from_activations(x, explained_variance=0.9, single=True)
    np.testing.assert_array_equal(found.basis, exact.basis)


def test_products_in_single_precision_are_summed_in_double():
    x = np.tile(wide(60, 512), 64)  # carried on in single precision, they are off by 7e-8
    exact, found = Gram.of(x, EPS), Gram.of(x, EPS, single=True)
    off = np.triu(found.matrix - exact.matrix) / exact.matrix.diagonal().max()
    assert 0 < np.sqrt(np.mean(off**2)) < 4e-8
    np.testing.assert_array_equal(found.squares, exact.squares)


@cache
def three_layers():
    """And their similarities by the definition."""
    first = wide()
    given = [first, first + wide(seed=2) / 8, wide(N, 2 * P, seed=3)]
    doubles = [x.astype(float) for x in given]
    kept = [oracle.leading(x, oracle.leading_dims(x, 0.99, 2)) for x in doubles]
    expected = [[oracle.mean_cca(x, y) for y in kept] for x in kept]
    return given, expected


@pytest.mark.parametrize("worth", [0.0, np.inf])
def test_grids_of_much_work_are_right_to_1e_6(monkeypatch, worth):
    monkeypatch.setattr("svcca_monitor.precision.WORTH_IT", worth)
    taken = []

    def watched(*given):
        found = by_single_gram(*given)
        taken.append(found is not None)
        return found

    monkeypatch.setattr(factorisation, "by_single_gram", watched)
    given, expected = three_layers()
    kept = [x.copy() for x in given]
    grid = similarity_grid(given)
    np.testing.assert_allclose(grid, expected, rtol=0, atol=1e-6)
    assert taken == ([True] * 3 if worth == 0.0 else [])
    for x, before in zip(given, kept, strict=True):
        np.testing.assert_array_equal(x, before)
    # Not where a measure looks at small directions, or at those of a tolerance.
    taken.clear()
    similarity_grid(given, measure="procrustes")
    similarity_grid(given, rtol=1e-3)
    assert not taken
