"""What correlations at each spatial frequency are, and what leaves them as they are."""

import numpy as np
import pytest
from fourier_oracle import (
    SIZES,
    all_shifts,
    assert_equal_to_loop,
    by_loop,
    coefficient,
    flattened,
    pair,
)

from svcca_monitor import canonical_correlations, fourier_cca, fourier_resize


@pytest.mark.parametrize("channels", [(2, 2), (2, 3), (1, 2)])
@pytest.mark.parametrize("size", [(6, 6), (4, 6), (5, 4), (5, 3), (2, 2), (1, 4)])
def test_union_over_frequencies_is_the_flattened_cca_if_all_shifts_are_there(size, channels):
    x, y = map(all_shifts, pair(size, n=8, channels=channels))
    rho = fourier_cca(x, y).all_correlations
    expected = canonical_correlations(flattened(x), flattened(y))
    assert len(rho) == size[0] * size[1] * min(channels)
    np.testing.assert_allclose(rho, expected, atol=1e-10)


def test_union_over_frequencies_is_not_the_flattened_cca_if_shifts_are_missing():
    x, y = map(all_shifts, pair((4, 4), n=8))
    few = np.random.default_rng(0).permutation(len(x))[:60]
    rho = fourier_cca(x[few], y[few]).all_correlations
    expected = canonical_correlations(flattened(x[few]), flattened(y[few]))
    assert np.abs(rho - expected).max() > 0.1


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_each_frequency_has_the_correlations_of_its_coefficients(size, complex_):
    x, y = pair(size, complex_=complex_)
    result = fourier_cca(x, y)
    full = by_loop(x, y)
    assert_equal_to_loop(result, full)
    assert result.multiplicity.sum() == len(full)
    if complex_:
        assert set(map(tuple, result.frequencies.tolist())) == set(full)


def test_real_maps_meet_complex_ones_over_the_full_spectrum():
    x, y = pair((4, 5))[0], pair((4, 5), complex_=True)[1]
    y[..., :2] += 2 * x
    for a, b in [(x, y), (y, x)]:
        result = fourier_cca(a, b)
        assert result.multiplicity.tolist() == [1] * 20
        assert_equal_to_loop(result, by_loop(a, b))


@pytest.mark.parametrize("size", SIZES)
def test_half_of_the_spectrum_says_what_the_full_spectrum_says(size):
    x, y = pair(size)
    half, full = fourier_cca(x, y), fourier_cca(x + 0j, y)
    assert len(half.frequencies) < len(full.frequencies) == size[0] * size[1]
    np.testing.assert_allclose(half.all_correlations, full.all_correlations, atol=1e-12)
    assert half.mean == pytest.approx(full.mean, abs=1e-12)
    # Counting each frequency once would not do.
    assert np.mean(np.concatenate(half.correlations)) != pytest.approx(full.mean, abs=1e-4)


@pytest.mark.parametrize(
    ("x_size", "y_size"),
    [
        ((6, 6), (4, 4)),
        ((4, 4), (6, 6)),
        ((6, 5), (3, 3)),
        ((3, 3), (2, 2)),
        ((8, 3), (4, 5)),
        ((5, 4), (5, 6)),
        ((6, 4), (6, 1)),
    ],
)
@pytest.mark.parametrize("complex_", [False, True])
def test_maps_of_different_size_meet_at_the_frequencies_of_the_smaller_grid(
    x_size, y_size, complex_
):
    x, y = pair(x_size, complex_=complex_)[0], pair(y_size, complex_=complex_)[1]
    y[:, 0, 0, :2] += 3 * x[:, 0, 0]
    result = fourier_cca(x, y)
    assert_equal_to_loop(result, by_loop(x, y))
    smaller = np.minimum(x_size, y_size)
    assert result.multiplicity.sum() == np.prod(smaller)
    resized = fourier_cca(fourier_resize(x, smaller), fourier_resize(y, smaller))
    np.testing.assert_allclose(result.all_correlations, resized.all_correlations, atol=1e-10)


@pytest.mark.parametrize("smaller", [(4, 4), (3, 2), (2, 6)])
def test_maps_correlate_fully_with_their_own_band_limited_copy_and_not_with_a_thinned_one(smaller):
    x, _ = pair((8, 6))
    assert fourier_cca(x, fourier_resize(x, smaller)).all_correlations.min() > 1 - 1e-10
    height, width = smaller
    thinned = x[:, :: 8 // height, :: 6 // width][:, :height, :width]
    assert fourier_cca(x, thinned).all_correlations.min() < 0.9


def test_a_dense_layer_meets_the_means_over_space():
    x, y = pair((4, 5))
    dense = y.mean(axis=(1, 2))
    expected = canonical_correlations(x.mean(axis=(1, 2)), dense)
    for result in (fourier_cca(x, dense), fourier_cca(dense, x)):
        assert result.frequencies.tolist() == [[0, 0]]
        assert result.multiplicity.tolist() == [1]
        np.testing.assert_allclose(result.correlations[0], expected, atol=1e-12)
        assert result.mean == pytest.approx(expected.mean())
    both = fourier_cca(x.mean(axis=(1, 2)), dense)
    np.testing.assert_allclose(both.all_correlations, expected, atol=1e-12)


def test_a_class_logit_has_one_correlation_with_the_channels():
    x, y = pair((4, 5))
    logit = y.mean(axis=(1, 2))[:, :1]
    (rho,) = fourier_cca(x, logit).all_correlations
    fit = np.linalg.lstsq(np.c_[np.ones(60), x.mean(axis=(1, 2))], logit, rcond=None)[1]
    assert rho**2 == pytest.approx(1 - float(fit[0]) / np.sum((logit - logit.mean()) ** 2))


@pytest.mark.parametrize("highest", [0, 1, 2, 9])
@pytest.mark.parametrize("complex_", [False, True])
def test_max_frequency_keeps_the_low_frequencies_only(highest, complex_):
    x, y = pair((6, 5), complex_=complex_)
    result, full = fourier_cca(x, y, max_frequency=highest), by_loop(x, y)
    low = {k: rho for k, rho in full.items() if max(map(abs, k)) <= highest}
    assert_equal_to_loop(result, low)
    assert result.multiplicity.sum() == len(low)


def test_explained_variance_cuts_each_frequency():
    x, y = pair((4, 4), channels=(5, 4))
    x = x * [10.0, 5.0, 1.0, 0.1, 0.1]
    result, share = fourier_cca(x, y, explained_variance=0.9), 0.9
    for k, rho in zip(result.frequencies, result.correlations, strict=True):
        blocks = [coefficient(z, *k, (4, 4)) for z in (x, y)]
        expected = canonical_correlations(*blocks, explained_variance=share)
        np.testing.assert_allclose(rho, expected, atol=1e-10)
        assert len(rho) < 4
    # Two directions of equal variance: the first alone reaches half of it.
    cross = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert len(fourier_cca(cross, cross, explained_variance=0.5).all_correlations) == 1
    assert len(fourier_cca(cross, cross, explained_variance=0.51).all_correlations) == 2
    whole = fourier_cca(x, y, explained_variance=1.0)
    np.testing.assert_array_equal(whole.all_correlations, fourier_cca(x, y).all_correlations)


def test_correlations_are_one_under_invertible_maps_of_the_channels_and_under_convolutions():
    rng = np.random.default_rng(0)
    x, _ = pair((6, 5))
    mixed = x @ rng.normal(size=(2, 2)) + 5.0
    kernel = rng.normal(size=(2, 2, 2, 2))
    convolved = sum(
        np.roll(x, (a, b), axis=(1, 2)) @ kernel[a, b] for a in range(2) for b in range(2)
    )
    for y in (mixed, convolved, np.roll(x, (2, 1), axis=(1, 2)), x * 1e-6, x - 1e3):
        np.testing.assert_allclose(fourier_cca(x, y).all_correlations, 1, atol=1e-9)
    # Negative control: maps that are not linear, or mix frequencies.
    for y in (np.maximum(x - 2, 0), x[:, ::-1]):
        assert fourier_cca(x, y).all_correlations.min() < 0.9


def test_correlations_do_not_depend_on_the_order_of_the_layers():
    x, y = pair((4, 5))
    ahead, back = fourier_cca(x, y), fourier_cca(y, x)
    np.testing.assert_array_equal(ahead.frequencies, back.frequencies)
    for a, b in zip(ahead.correlations, back.correlations, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
