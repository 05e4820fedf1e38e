"""Canonical correlation analysis: correlations, variates and weights."""

import numpy as np
import oracle
import pytest

from svcca_monitor import Subspace, canonical_correlations, cca, similarity
from svcca_monitor.canonical import correlations_between

SHAPES = [(300, 6, 6), (200, 12, 5), (150, 3, 20), (60, 25, 30)]


def pair(n_samples, n_x, n_y, *, seed=0, dtype=np.float64):
    """Two views that share a signal of three directions, with offsets."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        real = rng.normal(size=shape)
        if np.issubdtype(dtype, np.complexfloating):
            return real + 1j * rng.normal(size=shape)
        return real

    signal = normal(n_samples, 3)
    x = signal @ normal(3, n_x) + normal(n_samples, n_x) + 3.0
    y = signal @ normal(3, n_y) + normal(n_samples, n_y) - 1.0
    return x, y


def known(rho, *, n_samples, scales):
    """Two views with these canonical correlations and these singular values."""
    rng = np.random.default_rng(7)
    k = len(rho)
    noise = rng.normal(size=(n_samples, 2 * k))
    q = np.linalg.qr(np.column_stack([np.ones(n_samples), noise]))[0][:, 1:]
    q_x, q_y = q[:, :k], q[:, :k] * rho + q[:, k:] * np.sqrt(1 - rho**2)
    turn_x, turn_y = (np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(2))
    mix_x, mix_y = (np.linalg.qr(rng.normal(size=(k, k)))[0] for _ in range(2))
    return q_x @ turn_x * scales @ mix_x, q_y @ turn_y * scales @ mix_y


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", SHAPES)
def test_correlations_are_the_cosines_of_the_principal_angles(shape, dtype):
    for seed in range(3):
        x, y = pair(*shape, seed=seed, dtype=dtype)
        rho = canonical_correlations(x, y)
        np.testing.assert_allclose(rho, oracle.correlations(x, y), atol=1e-12)
        np.testing.assert_allclose(cca(x, y).correlations, rho, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_correlations_are_those_of_the_whitened_covariance(dtype):
    x, y = pair(200, 8, 5, dtype=dtype)
    expected = oracle.correlations_from_covariances(x, y)[:5]
    np.testing.assert_allclose(canonical_correlations(x, y), expected, atol=1e-10)


def test_correlations_descend_within_zero_and_one():
    for seed in range(30):
        x, y = pair(25, 8, 11, seed=seed)
        rho = canonical_correlations(x, np.hstack([x[:, :3], y]))
        assert (np.diff(rho) <= 0).all()
        assert rho.min() >= 0
        assert rho.max() <= 1
        assert rho[0] == pytest.approx(1)


def test_correlations_are_one_under_invertible_affine_maps():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 6))
    for _ in range(20):
        y = x @ rng.normal(size=(6, 6)) * 1e3 + rng.normal(size=6)
        assert canonical_correlations(x, y) == pytest.approx(np.ones(6), abs=1e-12)
    # Negative control: a map that is not affine.
    assert canonical_correlations(x, x**3).max() < 0.95


def test_correlations_do_not_depend_on_the_order_of_the_views():
    x, y = pair(100, 9, 4)
    np.testing.assert_allclose(
        canonical_correlations(x, y), canonical_correlations(y, x), atol=1e-13
    )


def test_rank_two_views_have_two_correlations():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 10))
    y = rng.normal(size=(80, 7))
    assert canonical_correlations(x, y).shape == (2,)
    result = cca(y, x)
    assert (result.correlations.shape, result.y_weights.shape) == ((2,), (2, 10))
    np.testing.assert_allclose(result.correlations, oracle.correlations(x, y), atol=1e-12)


def test_no_more_samples_than_neurons_correlate_perfectly():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 10)), rng.normal(size=(10, 30))
    assert canonical_correlations(x, y) == pytest.approx(np.ones(9), abs=1e-12)
    # Negative control: with samples to spare, the same two views do not.
    x, y = rng.normal(size=(1000, 10)), rng.normal(size=(1000, 30))
    assert canonical_correlations(x, y).max() < 0.5


def test_a_constant_view_has_no_correlations():
    x, _ = pair(20, 3, 3)
    assert canonical_correlations(x, np.ones((20, 4))).shape == (0,)
    result = cca(np.ones((20, 4)), x)
    assert result.x_variates.shape == (0, 20)
    assert result.x_weights.shape == (0, 4)
    assert np.isnan(result.mean)


def test_condition_number_1e9_loses_no_more_than_1e_minus_7():
    rho = np.linspace(0.95, 0.05, 12)
    x, y = known(rho, n_samples=300, scales=np.logspace(0, -9, 12))
    assert 0.5e9 < np.linalg.cond(x) < 2e9
    assert canonical_correlations(x, y) == pytest.approx(rho, abs=1e-7)
    mix = np.random.default_rng(0).normal(size=(12, 12))
    assert canonical_correlations(x, x @ mix) == pytest.approx(np.ones(12), abs=1e-7)


def test_covariances_would_lose_it():
    # Negative control: squaring the condition number leaves nothing of the last correlations.
    rho = np.linspace(0.95, 0.05, 12)
    x, y = known(rho, n_samples=300, scales=np.logspace(0, -9, 12))
    squared = [np.linalg.eigh(a.T @ a) for a in (x, y)]
    white_x, white_y = (
        a @ v / np.sqrt(np.abs(w)) for a, (w, v) in zip((x, y), squared, strict=True)
    )
    assert np.abs(np.linalg.svd(white_x.T @ white_y, compute_uv=False) - rho).max() > 1e-2


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", SHAPES)
def test_variates_pair_up_row_by_row_at_the_correlations(shape, dtype):
    n_samples, k = shape[0], min(shape[1:])
    result = cca(*pair(*shape, dtype=dtype))
    degrees = n_samples - 1
    for variates in (result.x_variates, result.y_variates):
        assert variates.shape == (k, n_samples)
        np.testing.assert_allclose(variates.mean(axis=1), 0, atol=1e-12)
        np.testing.assert_allclose(variates.var(axis=1, ddof=1), 1, atol=1e-11)
        np.testing.assert_allclose(variates.conj() @ variates.T / degrees, np.eye(k), atol=1e-11)
    between = result.x_variates.conj() @ result.y_variates.T / degrees
    np.testing.assert_allclose(between, np.diag(result.correlations), atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", SHAPES)
def test_weights_take_centred_activations_to_variates(shape, dtype):
    x, y = pair(*shape, dtype=dtype)
    result = cca(x, y)
    k = min(shape[1:])
    assert (result.x_weights.shape, result.y_weights.shape) == ((k, shape[1]), (k, shape[2]))
    for weights, view, variates in (
        (result.x_weights, x, result.x_variates),
        (result.y_weights, y, result.y_variates),
    ):
        np.testing.assert_allclose(weights @ oracle.centred(view).T, variates, atol=1e-9)


def test_dead_neurons_have_no_weight_and_leave_the_pairs_alone():
    x, y = pair(100, 6, 6)
    expected = canonical_correlations(x[:, [0, 1, 3, 5]], y[:, [0, 2, 3, 4, 5]])
    x[:, [2, 4]] = 0.0
    y[:, 1] = 0.3
    result = cca(x, y)
    np.testing.assert_allclose(result.correlations, expected, atol=1e-12)
    np.testing.assert_allclose(result.x_weights[:, [2, 4]], 0, atol=1e-14)
    np.testing.assert_allclose(result.y_weights[:, 1], 0, atol=1e-14)
    np.testing.assert_allclose(
        result.x_weights @ oracle.centred(x).T, result.x_variates, atol=1e-12
    )
    np.testing.assert_allclose(
        result.y_weights @ oracle.centred(y).T, result.y_variates, atol=1e-12
    )
    between = result.x_variates @ result.y_variates.T / 99
    np.testing.assert_allclose(between, np.diag(expected), atol=1e-12)


def test_the_mean_of_a_result_is_that_of_its_correlations():
    x, y = pair(100, 6, 4)
    assert cca(x, y).mean == pytest.approx(oracle.mean_cca(x, y), abs=1e-12)


def test_explained_variance_cuts_both_views_first():
    x, y = pair(200, 10, 12)
    cut_x, cut_y = (oracle.leading(a, oracle.leading_dims(a, 0.8)) for a in (x, y))
    expected = oracle.correlations(cut_x, cut_y)
    assert len(expected) < 10
    for rho in (
        canonical_correlations(x, y, explained_variance=0.8),
        cca(x, y, explained_variance=0.8).correlations,
    ):
        np.testing.assert_allclose(rho, expected, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-290, 1e-160, 1e160, 1e290])
@pytest.mark.parametrize("ridge", [0.0, 1e-6, 0.1])
def test_a_ridge_is_relative_at_the_ends_of_double_precision_too(scale, ridge):
    x, y = pair(100, 6, 4)
    x[:, 0] *= 0.1
    expected = cca(x, y, ridge=ridge)
    result = cca(x * scale, y, ridge=ridge)
    np.testing.assert_allclose(result.correlations, expected.correlations, atol=1e-12)
    np.testing.assert_allclose(result.x_weights * scale, expected.x_weights, atol=1e-9)


def test_rtol_decides_what_is_noise_in_both_views():
    x, y = pair(200, 5, 5)
    x[:, 0] *= 1e-6
    y[:, :2] *= 1e-6
    assert len(canonical_correlations(x, y)) == 5
    assert len(canonical_correlations(x, y, rtol=1e-4)) == 3
    assert len(cca(x, y[:, 2:], rtol=1e-4).correlations) == 3
    assert len(cca(x, np.hstack([y, y**2]), rtol=1e-4).correlations) == 4


def test_subspaces_serve_in_place_of_arrays():
    x, y = pair(100, 6, 4)
    sx, sy = Subspace.from_activations(x), Subspace.from_activations(y)
    np.testing.assert_array_equal(canonical_correlations(sx, y), canonical_correlations(x, y))
    np.testing.assert_array_equal(cca(x, sy).y_weights, cca(sx, y).y_weights)


@pytest.mark.parametrize("function", [canonical_correlations, cca])
def test_views_of_different_probe_sets_are_refused(function):
    x, y = np.eye(50, 3), np.eye(48, 3)
    with pytest.raises(ValueError, match=r"`x` has 50 samples but `y` has 48\..*same probe set"):
        function(x, y)


@pytest.mark.parametrize("function", [canonical_correlations, cca])
def test_the_faulty_view_is_named(function):
    x = np.eye(50, 3)
    y = x.copy()
    y[4, 1] = np.nan
    with pytest.raises(ValueError, match="`y` has 1 values of 150"):
        function(x, y)


def test_what_looks_at_neurons_refuses_factors_without_loadings():
    x, y = oracle.pair()
    bare = Subspace.from_activations(x, loadings=False)
    for work in (
        lambda: cca(bare, y),
        lambda: similarity(bare, y, measure="pwcca"),
        lambda: canonical_correlations(bare, y, ridge=1e-3),
    ):
        with pytest.raises(ValueError, match=r"`x` was factorised with `loadings=False`"):
            work()
    np.testing.assert_allclose(
        canonical_correlations(bare, y), canonical_correlations(x, y), atol=1e-12
    )
    for measure in ("svcca", "cka", "procrustes", "pls"):
        assert similarity(bare, y, measure=measure) == similarity(x, y, measure=measure)


@pytest.mark.parametrize("of_complex", [False, True])
@pytest.mark.parametrize(("n", "p", "q"), [(30, 3, 4), (30, 12, 13), (30, 20, 9)])
def test_bartlett_takes_chance_for_a_direction_as_often_as_its_level_says(n, p, q, of_complex):
    rng = np.random.default_rng(0)

    def views():
        for _ in range(600):
            x, y = rng.normal(size=(n, p)), rng.normal(size=(n, q))
            if of_complex:  # one complex view is enough
                y = y + 1j * rng.normal(size=y.shape)
            yield cca(x, y)

    rate = np.mean([result.significant_directions(0.2) > 0 for result in views()])
    assert rate == pytest.approx(0.2, abs=3 * 0.4 / np.sqrt(600))


@pytest.mark.parametrize(("p", "q"), [(20, 10), (60, 60), (5, 29)])
def test_bartlett_refuses_views_that_meet_in_some_direction_whatever_they_are(p, q):
    rng = np.random.default_rng(0)
    result = cca(rng.normal(size=(30, p)), rng.normal(size=(30, q)))
    assert result.correlations[0] == pytest.approx(1.0, abs=1e-12)
    with pytest.raises(ValueError, match=r"30 for \d+ and \d+ are too few\. Take more probe ex"):
        result.significant_directions()


def test_bartlett_finds_shared_directions_among_nearly_as_many_as_there_are_samples():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 100, 40))
    y[:, :5] = x[:, :5] + 0.1 * y[:, :5]
    assert cca(x, y).significant_directions() == 5


def test_bartlett_finds_the_directions_that_complex_views_share():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(3, 400, 2, 4)).transpose(2, 0, 1, 3)
    z, x, y = normal[0] + 1j * normal[1]
    x[:, :2] += 3 * z[:, :2]
    y[:, :2] += 3 * z[:, :2]
    assert cca(x, y).significant_directions() == 2


def test_aggregations_refuse_what_they_cannot_take():
    result = cca(*oracle.pair())
    with pytest.raises(ValueError, match=r"whole number, at least 1. Received: k=1\.5"):
        result.top_mean(1.5)
    with pytest.raises(ValueError, match=r"must be a number in \(0, 1\). Received: level=2"):
        result.significant_directions(2.0)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_correlations_of_stacked_products_are_known_however_small(dtype, shape):
    rng = np.random.default_rng(0)

    def turn(k):
        z = rng.normal(size=(k, k)) + (
            1j * rng.normal(size=(k, k)) if np.dtype(dtype).kind == "c" else 0
        )
        return np.linalg.qr(z)[0][:, :3]

    expected = np.array([[1.0, 0.7, 0.2], [0.9, 1e-7, 3e-9], [1.0, 0.0, 0.0], [0.5, 0.5, 2e-4]])
    cross = np.stack([turn(shape[0]) * rho @ turn(shape[1]).conj().T for rho in expected])
    np.testing.assert_allclose(correlations_between(cross), expected, rtol=0, atol=1e-12)
    for product, rho in zip(cross, expected, strict=True):
        np.testing.assert_allclose(correlations_between(product), rho, rtol=0, atol=1e-12)
    ranks = np.array([3, 2, 1, 0])
    for found, rho, k in zip(correlations_between(cross, ranks), expected, ranks, strict=True):
        np.testing.assert_allclose(found[:k], rho[:k], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(0, 3), (4, 3, 0), (4, 0, 3), (0, 2, 3)])
def test_products_without_directions_have_no_correlations(shape):
    expected = np.linalg.svd(np.zeros(shape), compute_uv=False).shape
    assert correlations_between(np.zeros(shape)).shape == expected
