"""Permutation tests and intervals, against what is known of the inputs."""

import numpy as np
import pytest

from svcca_monitor import Subspace, bootstrap_interval, permutation_test, precision, similarity

RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=(120, 4))
X = np.hstack([SIGNAL, RNG.normal(size=(120, 4))])
Y = np.hstack([SIGNAL @ RNG.normal(size=(4, 4)), RNG.normal(size=(120, 3))])
NOISE = RNG.normal(size=(120, 6))


@pytest.mark.parametrize("measure", ["svcca", "cka", "pwcca", "cka_debiased"])
def test_shared_signal_is_significant_and_noise_is_not(measure):
    shared = permutation_test(X, Y, measure=measure, n_permutations=99)
    assert shared.p_value == pytest.approx(0.01)
    assert float(shared.observed) == similarity(X, Y, measure=measure)
    assert permutation_test(X, NOISE, measure=measure, n_permutations=99).p_value > 0.05


def test_p_values_of_independent_layers_are_uniform():
    rng = np.random.default_rng(1)
    p = [
        float(permutation_test(*rng.normal(size=(2, 20, 3)), n_permutations=39).p_value)
        for _ in range(200)
    ]
    counts = np.histogram(p, bins=[0, 0.25, 0.5, 0.75, 1.0001])[0]
    assert np.abs(counts - 50).max() < 4 * np.sqrt(200 * 0.25 * 0.75)


def test_the_chance_of_a_test_is_the_mean_over_permutations():
    test = permutation_test(X, NOISE, measure="cca_r2", n_permutations=400)
    assert float(test.chance) == pytest.approx(8 / 119, abs=0.002)


def test_correction_for_many_pairs_is_never_below_the_single_p_value():
    rows = {"signal": X, "noise": NOISE}
    test = permutation_test(rows, {"signal": Y, "noise": NOISE[::-1]}, n_permutations=99)
    assert test.observed.shape == test.p_value.shape == (2, 2)
    assert (test.corrected_p_value >= test.p_value).all()
    assert test.corrected_p_value[0, 0] == pytest.approx(0.01)
    assert test.corrected_p_value[1, 0] > test.p_value[1, 0]


def test_the_same_permutations_serve_all_pairs():
    # Twice the same layer: as each permutation is shared, both null distributions are one.
    test = permutation_test([X, X], [NOISE], n_permutations=50)
    assert test.p_value[0] == test.p_value[1]
    assert test.chance[0] == test.chance[1]


def test_a_seed_fixes_tests_and_intervals():
    def both(seed):
        test = permutation_test(X, NOISE, n_permutations=49, seed=seed)
        return (float(test.chance), *bootstrap_interval(X, Y, n_resamples=20, seed=seed))

    assert both(1) == both(1)
    assert both(1) != both(2)


@pytest.mark.parametrize("measure", ["cka", "svcca", "cca_r2"])
def test_an_interval_covers_the_value_of_many_more_samples(measure):
    rng = np.random.default_rng(2)
    mix = rng.normal(size=(3, 4))

    def drawn(n):
        z = rng.normal(size=(n, 3))
        return z + 0.5 * rng.normal(size=(n, 3)), z @ mix + 0.5 * rng.normal(size=(n, 4))

    truth = similarity(*drawn(50_000), measure=measure)
    hits = 0
    for _ in range(40):
        low, high = bootstrap_interval(*drawn(200), measure=measure, n_resamples=100)
        assert 0 <= low < high <= 1
        hits += low <= truth <= high
    assert hits >= 34  # of 38 expected at 95 %; 34 or fewer has probability 0.05


def test_more_samples_make_narrower_intervals():
    def width(n):
        low, high = bootstrap_interval(X[:n], Y[:n], measure="cka", n_resamples=100)
        return float(high - low)

    assert width(120) < width(30)


def test_factorised_layers_serve_as_well_as_their_activations():
    spaces = Subspace.from_activations(X), Subspace.from_activations(Y)
    for measure in ("pwcca", "procrustes"):
        options = {"measure": measure, "n_resamples": 20}
        np.testing.assert_allclose(
            bootstrap_interval(*spaces, **options), bootstrap_interval(X, Y, **options), atol=1e-9
        )


def test_a_constant_layer_is_nan_throughout():
    with pytest.warns(UserWarning, match="Constant over the probe set: flat"):
        test = permutation_test({"flat": np.ones((120, 2)), "x": X}, {"y": Y}, n_permutations=9)
    assert np.isnan(test.p_value).tolist() == [[True], [False]]
    assert np.isnan(test.corrected_p_value).tolist() == [[True], [False]]


@pytest.mark.parametrize("measure", ["cca", "cca_r2", "svcca", "pwcca"])
def test_nothing_is_significant_where_all_orders_match_perfectly(measure):
    # Of ten samples nine dimensions are all there is: scores differ from 1 by rounding only.
    for seed in range(5):
        x, y = np.random.default_rng(seed).normal(size=(2, 10, 20))
        test = permutation_test(
            x, y, measure=measure, n_permutations=19, explained_variance=None, seed=seed
        )
        assert float(test.p_value) == float(test.corrected_p_value) == 1


@pytest.mark.parametrize("measure", ["cca", "cca_r2", "cka", "procrustes"])
def test_nothing_is_significant_where_all_orders_match_alike_in_single_precision(
    monkeypatch, measure
):
    monkeypatch.setattr(precision, "WORTH_IT", 0.0)
    # One sample for each neuron: all are equally far from each other, in any order.
    x, y = np.eye(300, dtype=np.float32), RNG.normal(size=(300, 30)).astype(np.float32)
    test = permutation_test([x, x], [y, y * 2], measure=measure, n_permutations=19)
    assert (test.p_value == 1).all()
    assert (test.corrected_p_value == 1).all()


@pytest.mark.parametrize("measure", ["cca", "svcca", "cka", "procrustes"])
def test_resamples_without_a_value_are_left_out_of_the_interval(measure):
    # Only one sample in ten differs: a third of the resamples miss it.
    x = np.zeros((10, 2))
    x[3] = [1.0, 2.0]
    low, high = bootstrap_interval(x, Y[:10], measure=measure, n_resamples=40)
    assert 0 <= low < high <= 1


def test_an_interval_is_nan_where_no_resample_has_a_value():
    # Debiasing leaves nothing where repeats make fewer than two samples that differ.
    x = np.random.default_rng(0).normal(size=(3, 2))
    with pytest.warns(UserWarning, match="Not defined: `debiased_cka` is nan for x, y, as"):
        low, high = bootstrap_interval(x, x, measure="cka_debiased", n_resamples=4)
    assert np.isnan([low, high]).all()


def test_the_rows_of_nested_lists_are_samples_and_not_layers():
    nested = permutation_test(X.tolist(), Y.tolist(), n_permutations=9)
    assert nested.observed.shape == ()
    assert float(nested.observed) == similarity(X, Y)
    several = permutation_test([X.tolist(), X], [Y], n_permutations=9)
    assert several.observed.shape == (2, 1)
    assert several.observed[0, 0] == several.observed[1, 0]


def test_tests_and_intervals_take_a_tolerance_for_the_rank():
    x = np.hstack([X, 1e-4 * X[:, :1] ** 2])
    options = {"measure": "cca", "rtol": 1e-2}
    expected = similarity(x, Y, **options)
    assert expected != pytest.approx(similarity(x, Y, measure="cca"), abs=1e-3)
    assert permutation_test(x, Y, n_permutations=3, **options).observed == pytest.approx(expected)
    low, high = bootstrap_interval(x, Y, n_resamples=20, **options)
    assert low <= expected <= high


def test_of_no_layers_there_is_nothing_to_test():
    test = permutation_test([], [Y], n_permutations=9)
    assert test.observed.shape == test.p_value.shape == (0, 1)


def test_numbers_out_of_range_are_refused():
    for n in (0, 2.5, True, "9"):
        with pytest.raises(ValueError, match="`n_permutations` must be a whole number, at least 1"):
            permutation_test(X, Y, n_permutations=n)
    for seed in (-1, 1.5, "a", None):
        with pytest.raises(ValueError, match="`seed` must be a whole number, at least 0. Received"):
            permutation_test(X, Y, seed=seed)
        with pytest.raises(ValueError, match="`seed` must be a whole number, at least 0. Received"):
            bootstrap_interval(X, Y, seed=seed)
    for level in (1, 0, "0.9", None):
        with pytest.raises(ValueError, match=r"`level` must be a number in \(0, 1\). Received: le"):
            bootstrap_interval(X, Y, level=level)
    with pytest.raises(ValueError, match="`n_resamples` must be a whole number, at least 2"):
        bootstrap_interval(X, Y, n_resamples=1)
    with pytest.raises(ValueError, match="Did you mean 'svcca'"):
        permutation_test(X, Y, measure="svca")
