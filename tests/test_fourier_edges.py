"""Correlations at each frequency where numbers are few, low in precision, constant or extreme."""

import ml_dtypes
import numpy as np
import pytest
from fourier_oracle import assert_equal_to_loop, by_loop, pair

import svcca_monitor.batched
from svcca_monitor import Spectrum, fourier_cca, fourier_resize


@pytest.mark.parametrize(
    ("dtype", "smallest"),
    [(np.float32, 1e-3), (np.complex64, 1e-3), (np.float16, 1e-3), (ml_dtypes.bfloat16, 1e-3)],
)
def test_low_precision_is_computed_in_double(dtype, smallest):
    x, y = pair((4, 5), n=200, channels=(6, 5), complex_=dtype is np.complex64)
    x, y = (np.asarray(z * np.geomspace(1, smallest, z.shape[-1])).astype(dtype) for z in (x, y))
    up = np.complex128 if dtype is np.complex64 else np.float64
    expected = by_loop(x.astype(up), y.astype(up))
    result = fourier_cca(x, y)
    assert_equal_to_loop(result, expected, atol=1e-6)
    filter_x, filter_y = result.directions(0, (1, 1))
    h_x, h_y = (
        np.tensordot(z - z.mean(axis=0), f, 3)
        for z, f in ((x.astype(up), filter_x), (y.astype(up), filter_y))
    )
    index = result.frequencies.tolist().index([1, 1])
    assert np.vdot(h_x, h_y) / 199 == pytest.approx(result.correlations[index][0], abs=1e-5)


def test_a_cut_of_the_variance_goes_by_size_in_half_precision_too():
    x, y = pair((4, 5), n=200, channels=(6, 5))
    x *= np.geomspace(1, 1e-2, 6)
    stored = x.astype(np.float16)
    spectrum = Spectrum.from_maps(stored)
    whole = fourier_cca(spectrum, y)  # factorised first as it is not for a cut
    cut = fourier_cca(spectrum, y, explained_variance=0.9)
    expected = fourier_cca(stored.astype(np.float64), y, explained_variance=0.9)
    assert max(map(len, whole.correlations)) == 5
    assert [len(rho) for rho in cut.correlations] == [len(rho) for rho in expected.correlations]
    np.testing.assert_allclose(cut.all_correlations, expected.all_correlations, atol=1e-6)
    tiny = Spectrum.from_maps((x * np.geomspace(1, 1e-4, 6)).astype(np.float16))
    all_of_it = fourier_cca(tiny, y, explained_variance=1.0).all_correlations
    np.testing.assert_array_equal(all_of_it, fourier_cca(tiny, y).all_correlations)


@pytest.mark.parametrize("condition", [1e1, 9e2, 2e3, 1e5])
def test_double_precision_is_kept_to_1e_9(condition):
    rng = np.random.default_rng(0)
    x, y = pair((4, 3), n=100, channels=(8, 8))
    expected = fourier_cca(x, y).all_correlations
    turn, other = (np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(2))
    ill = x @ (turn * np.geomspace(1, 1 / condition, 8)) @ other
    np.testing.assert_allclose(fourier_cca(ill, y).all_correlations, expected, atol=1e-9)


def test_gram_matrices_and_the_data_have_the_same_factors(monkeypatch):
    x, y = pair((4, 4), channels=(5, 4))
    by_gram = fourier_cca(x, y)
    monkeypatch.setattr(svcca_monitor.batched, "GRAM_CONDITION", 0.0)
    by_svd = fourier_cca(x, y)
    np.testing.assert_allclose(by_gram.all_correlations, by_svd.all_correlations, atol=1e-12)
    for a, b in zip(by_gram.directions(1, (1, 1)), by_svd.directions(1, (1, 1)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_dead_and_duplicate_channels_change_nothing(dtype):
    x, y = (z.astype(dtype) for z in pair((4, 4)))
    dead = np.full_like(x[..., :1], 0.1)
    doubled = np.concatenate([dead, x, x[..., :1], dead, x[..., 1:] * 3], axis=-1)
    result, expected = fourier_cca(doubled, y), fourier_cca(x, y)
    np.testing.assert_allclose(
        result.all_correlations,
        expected.all_correlations,
        atol=1e-10 if dtype == np.float64 else 1e-6,
    )
    assert [len(rho) for rho in result.correlations] == [2] * len(result.correlations)
    filter_x, _ = result.directions(0, (1, 1))
    np.testing.assert_array_equal(filter_x[..., [0, 4]], 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_frequencies_where_a_side_is_constant_have_no_correlations(dtype):
    x, y = (z.astype(dtype) for z in pair((4, 6)))
    flat = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape).astype(dtype)
    flat = flat + np.arange(6, dtype=dtype)[:, None]  # differs over space, not over samples
    result = fourier_cca(flat, y)
    assert [len(rho) for rho in result.correlations] == [2, *[0] * (len(result.frequencies) - 1)]
    assert len(result.all_correlations) == 2
    assert np.isnan(result.frequency_means[1:]).all()
    assert result.mean == pytest.approx(result.frequency_means[0])


def test_band_limited_maps_have_noise_only_at_the_frequencies_they_lack():
    x, _ = pair((4, 4), n=80)
    for dtype in (np.float64, np.float32):
        smooth = (fourier_resize(x, (16, 16)) + 100.0).astype(dtype)
        result = fourier_cca(smooth, np.random.default_rng(1).normal(size=smooth.shape))
        for k, rho in zip(result.frequencies, result.correlations, strict=True):
            assert len(rho) == (2 if (np.abs(k) <= 2).all() else 0)


@pytest.mark.parametrize(
    ("x", "y", "where"),
    [
        (np.full((5, 3, 3, 2), 0.1), pair((3, 3), n=5)[1], "in x over"),
        (pair((3, 3), n=5)[0], np.zeros((5, 3, 3, 2)), "in y over"),
        (np.ones((5, 3)), np.full((5, 3), 7), "in x and y over"),
    ],
)
def test_constant_layers_give_nan_with_a_warning(x, y, where):
    with pytest.warns(UserWarning, match=f"No frequency varies {where} the probe set") as caught:
        result = fourier_cca(x, y)
    assert caught[0].filename == __file__
    assert np.isnan(result.mean)
    assert len(result.all_correlations) == 0
    with pytest.raises(ValueError, match="it has 0"):
        result.directions(0, (0, 0))


def test_layers_without_a_common_frequency_give_nan_with_a_warning():
    rng = np.random.default_rng(0)
    rows = np.cos(2 * np.pi * np.arange(8) / 8)[:, None] * np.ones(8)
    x = rng.normal(size=(9, 1, 1, 2)) * rows[:, :, None]
    y = rng.normal(size=(9, 1, 1, 2)) * rows.T[:, :, None]
    with pytest.warns(UserWarning, match="No frequency varies in both x and y"):
        assert np.isnan(fourier_cca(x, y).mean)


def test_rtol_is_relative_to_the_largest_at_the_frequency():
    x, y = pair((4, 4), channels=(3, 3))
    x = x * [1.0, 1.0, 1e-5]
    assert [len(rho) for rho in fourier_cca(x, y).correlations] == [3] * 10
    assert [len(rho) for rho in fourier_cca(x, y, rtol=1e-3).correlations] == [2] * 10
    spectrum = Spectrum.from_maps(x, rtol=1e-3)
    assert [len(rho) for rho in fourier_cca(spectrum, y).correlations] == [2] * 10
    bright = x + 1e7 * np.random.default_rng(0).normal(size=(60, 1, 1, 3))
    assert [len(rho) for rho in fourier_cca(bright, y, rtol=1e-3).correlations] == [3, *[2] * 9]
    # Relative to noise, noise is large.
    smooth, other = (
        fourier_resize(x, (8, 8)) + 9.0,
        np.random.default_rng(0).normal(size=(60, 8, 8, 3)),
    )
    for rtol in (0.0, 1e-3):
        result = fourier_cca(smooth, other, rtol=rtol)
        for k, rho in zip(result.frequencies, result.correlations, strict=True):
            low = (np.abs(k) <= 2).all()
            assert len(rho) == (0 if not low else 2 if rtol else 3)


@pytest.mark.parametrize("size", [(1, 1), (32, 32)])
def test_rank_is_that_of_the_channels_however_much_of_the_maps_is_at_one_frequency(size):
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 6))
    x = np.broadcast_to(dense[:, None, None], (300, *size, 6))
    assert len(fourier_cca(x, rng.normal(size=(300, 6))).all_correlations) == 3


def test_means_far_from_zero_are_removed_exactly():
    """Whole numbers stay exact beside an offset that sums over many samples do not."""
    rng = np.random.default_rng(0)
    x = rng.integers(-50, 50, size=(20_000, 1, 1, 2)).astype(float)
    y = rng.integers(-50, 50, size=(20_000, 1, 1, 2)) + x
    expected = fourier_cca(x, y).all_correlations
    far = fourier_cca(x + 2.0**45 + 1, y + 2.0**45 + 1).all_correlations
    np.testing.assert_allclose(far, expected, atol=1e-9)


@pytest.mark.parametrize("n", [5_000, 100_000])
def test_single_precision_adds_up_over_many_samples(n):
    """Numbers of equal size err to the same side when they are added."""
    x = np.random.default_rng(0).choice([-1, 1], size=(n, 1, 1, 4)).astype(np.float32)
    np.testing.assert_allclose(fourier_cca(x, x.copy()).all_correlations, 1, rtol=0, atol=4e-7)


def test_fewer_samples_than_channels_correlate_fully():
    x, y = pair((3, 4), n=6, channels=(9, 7))
    result = fourier_cca(x, y)
    for rho in result.correlations:
        np.testing.assert_allclose(rho, np.ones(5), atol=1e-10)


def test_two_samples_have_one_correlation_of_one():
    for x, y in (pair((4, 4), n=2), pair((3, 3), n=2, channels=(1, 1))):
        for rho in fourier_cca(x, y).correlations:
            np.testing.assert_allclose(rho, [1.0], atol=1e-12)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_scale_changes_nothing_at_the_ends_of_double_precision(scale):
    x, y = pair((4, 5))
    result, expected = fourier_cca(x * scale, y), fourier_cca(x, y)
    np.testing.assert_allclose(result.all_correlations, expected.all_correlations, atol=1e-12)
    a, b = result.directions(0, (1, 1))[0], expected.directions(0, (1, 1))[0]
    np.testing.assert_allclose(a * scale, b, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_far_from_zero_whole_numbers_are_what_they_are_near_it(dtype):
    x, y = (np.round(20 * z) for z in pair((4, 5)))
    far = [(z + 2.0**50).astype(dtype) for z in (x, y)]
    expected = fourier_cca(x, y).all_correlations
    np.testing.assert_allclose(fourier_cca(*far).all_correlations, expected, atol=1e-12)
