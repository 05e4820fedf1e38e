"""Correlations of conv layers at each spatial frequency, against a loop over `np.fft.fft2`."""

import doctest
import re
import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svcca_monitor.fourier
from svcca_monitor import Spectrum, canonical_correlations, fourier_cca, fourier_resize

SIZES = [(4, 4), (6, 4), (5, 5), (3, 6), (4, 3)]


def pair(size, *, n=60, channels=(2, 3), seed=0, complex_=False, dtype=np.float64):
    """Maps of two layers that share a part, with offsets."""
    rng = np.random.default_rng(seed)

    def normal(c):
        z = rng.normal(size=(n, *size, c))
        return z + 1j * rng.normal(size=z.shape) if complex_ else z

    shared = normal(2)
    x = shared @ rng.normal(size=(2, channels[0])) + normal(channels[0]) + 2.0
    y = np.roll(shared, 1, axis=1) @ rng.normal(size=(2, channels[1])) + normal(channels[1])
    return x.astype(np.result_type(dtype, x.dtype) if complex_ else dtype), y.astype(
        np.result_type(dtype, y.dtype) if complex_ else dtype
    )


def all_shifts(images):
    """Every image in every cyclic shift."""
    height, width = images.shape[1:3]
    return np.concatenate(
        [np.roll(images, (a, b), axis=(1, 2)) for a in range(height) for b in range(width)]
    )


def flattened(x):
    return x.reshape(len(x), -1)


def whitened(block):
    """Centred, and with the identity for covariance; for full rank only."""
    block = block - block.mean(axis=0)
    values, vectors = np.linalg.eigh(block.conj().T @ block)
    return block @ vectors @ np.diag(values**-0.5) @ vectors.conj().T


def signed(n):
    return [k if 2 * k <= n else k - n for k in range(n)]


def coefficient(x, ky, kx, size):
    """One coefficient of each channel; on a smaller even grid k and -k meet at its Nyquist."""
    spectrum = np.fft.fft2(np.asarray(x, np.result_type(x.dtype, np.float64)), axes=(1, 2))
    total = 0
    for a in {ky, -ky} if 2 * ky == size[0] < x.shape[1] else {ky}:
        for b in {kx, -kx} if 2 * kx == size[1] < x.shape[2] else {kx}:
            total = total + spectrum[:, a % x.shape[1], b % x.shape[2]]
    return total


def by_loop(x, y):
    """{(ky, kx): correlations} over the full spectrum of the smaller grid."""
    size = [min(a, b) for a, b in zip(x.shape[1:3], y.shape[1:3], strict=True)]
    found = {}
    for ky in signed(size[0]):
        for kx in signed(size[1]):
            wx, wy = whitened(coefficient(x, ky, kx, size)), whitened(coefficient(y, ky, kx, size))
            found[ky, kx] = np.linalg.svd(wx.conj().T @ wy, compute_uv=False)
    return found


def union(found):
    return np.sort(np.concatenate(list(found.values())))[::-1]


def assert_equal_to_loop(result, expected, *, atol=1e-10):
    for k, rho in zip(result.frequencies, result.correlations, strict=True):
        np.testing.assert_allclose(rho, expected[tuple(k.tolist())], atol=atol)
    np.testing.assert_allclose(result.all_correlations, union(expected), atol=atol)
    assert result.mean == pytest.approx(np.mean(union(expected)), abs=atol)


# What it is


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


# Invariances


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


# The result


def test_the_result_says_the_same_thing_in_every_form():
    x, y = pair((4, 6))
    result = fourier_cca(x, y)
    for rho, mean in zip(result.correlations, result.frequency_means, strict=True):
        assert (np.diff(rho) <= 0).all()
        assert rho.min() >= 0
        assert rho.max() <= 1
        assert mean == pytest.approx(rho.mean())
    rho = result.all_correlations
    assert (np.diff(rho) <= 0).all()
    assert len(rho) == sum(
        times * len(rho)
        for times, rho in zip(result.multiplicity, result.correlations, strict=True)
    )
    weighted = np.average(result.frequency_means, weights=result.multiplicity)
    assert result.mean == pytest.approx(rho.mean()) == pytest.approx(weighted)
    assert "_cross" not in repr(result)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize(
    ("x_size", "y_size"), [((4, 5), (4, 5)), ((6, 6), (4, 4)), ((3, 8), (5, 2)), ((4, 6), None)]
)
def test_filters_give_canonical_variates(x_size, y_size, complex_, dtype):
    x, y = pair(x_size, complex_=complex_)[0], pair(y_size or (1, 1), complex_=complex_)[1]
    x, y = (z.astype(np.result_type(dtype, np.complex64) if complex_ else dtype) for z in (x, y))
    y = y if y_size else y[:, 0, 0]
    result, tolerance = fourier_cca(x, y), 1e-10 if dtype == np.float64 else 1e-5
    x, y = (z.astype(complex if complex_ else float) for z in (x, y))
    for frequency, rho in zip(result.frequencies, result.correlations, strict=True):
        variates = []
        for k in range(len(rho)):
            filters = result.directions(k, tuple(frequency))
            assert [f.shape for f in filters] == [x.shape[1:], y.shape[1:]]
            variates.append(
                [
                    np.tensordot(z - z.mean(axis=0), f, f.ndim)
                    for z, f in zip((x, y), filters, strict=True)
                ]
            )
        h_x, h_y = np.moveaxis(np.array(variates), 1, 0)
        for a, b, expected in [
            (h_x, h_x, np.eye(len(rho))),
            (h_y, h_y, np.eye(len(rho))),
            (h_x, h_y, np.diag(rho)),
        ]:
            np.testing.assert_allclose(a.conj() @ b.T / (len(x) - 1), expected, atol=tolerance)


def test_filters_are_the_inverse_transform_of_one_frequency():
    x, y = pair((4, 6))
    for frequency in [(0, 0), (1, 2), (-1, 1), (2, 3)]:
        for f in fourier_cca(x, y).directions(1, frequency):
            spectrum = np.fft.ifft2(f, axes=(0, 1))
            at = tuple(np.array(frequency) % (4, 6))
            assert np.abs(spectrum[at]).max() > 0.01
            spectrum[at] = 0
            np.testing.assert_allclose(spectrum, 0, atol=1e-14)


def test_real_parts_of_filters_correlate_as_stated_if_all_shifts_are_there():
    x, y = map(all_shifts, pair((4, 5), n=8))
    result = fourier_cca(x, y)
    for frequency, rho in zip(result.frequencies, result.correlations, strict=True):
        for k, expected in enumerate(rho):
            a, b = (f.real for f in result.directions(k, tuple(frequency)))
            h_x, h_y = np.tensordot(x, a, 3), np.tensordot(y, b, 3)
            assert np.corrcoef(h_x, h_y)[0, 1] == pytest.approx(expected, abs=1e-10)


def test_the_phase_of_filters_is_fixed_and_makes_them_real_where_they_can_be():
    x, y = pair((4, 6))
    result = fourier_cca(x, y)
    for frequency in map(tuple, result.frequencies.tolist()):
        a, b = result.directions(0, frequency)
        corner = a[0, 0][np.argmax(np.abs(a[0, 0]))]
        assert corner.real > 0
        assert corner.imag == pytest.approx(0, abs=1e-14)
        own_negative = frequency[0] in (0, 2) and frequency[1] in (0, 3)
        for f in (a, b):
            assert (np.abs(f.imag).max() < 1e-12) == own_negative


@pytest.mark.parametrize(("k", "frequency"), [(2, (0, 0)), (-1, (0, 0)), (0, (0, -1)), (0, (9, 0))])
def test_directions_that_were_not_compared_are_refused(k, frequency):
    result = fourier_cca(*pair((4, 4)))
    with pytest.raises(ValueError, match=re.escape(f"No pair k={k} at frequency {frequency}")):
        result.directions(k, frequency)


# A spectrum in place of maps


@pytest.mark.parametrize("complex_", [False, True])
def test_spectra_serve_in_place_of_maps_of_any_size(complex_):
    maps = [pair(size)[0] for size in [(6, 6), (4, 4), (3, 5), (1, 2), (1, 3)]]
    maps += [maps[0].mean(axis=(1, 2)), pair((5, 4), complex_=complex_)[0]]
    spectra = [Spectrum.from_maps(x) for x in maps]
    for x, sx in zip(maps, spectra, strict=True):
        for y, sy in zip(maps, spectra, strict=True):
            for options in ({}, {"max_frequency": 1}, {"explained_variance": 0.6}):
                expected = fourier_cca(x, y, **options)
                for result in (fourier_cca(sx, sy, **options), fourier_cca(sx, y, **options)):
                    np.testing.assert_array_equal(
                        result.all_correlations, expected.all_correlations
                    )


def test_a_spectrum_is_factorised_once_a_grid(monkeypatch):
    x, y = pair((6, 6))
    small = pair((4, 4))[1]
    spectrum = Spectrum.from_maps(x)
    calls = []
    factorise = svcca_monitor.fourier._factorise

    def counting(blocks):
        calls.append(blocks.shape)
        return factorise(blocks)

    monkeypatch.setattr(svcca_monitor.fourier, "_factorise", counting)
    others = [Spectrum.from_maps(z) for z in (y, small)]
    for _ in range(3):
        for other in others:
            fourier_cca(spectrum, other)
            fourier_cca(spectrum, other, explained_variance=0.5)
    assert calls == [(20, 60, 2), (20, 60, 3), (10, 60, 2), (10, 60, 3)]


def test_singular_values_hold_the_variance_of_the_maps():
    """Parseval: over the full spectrum their squares add up to the squares of the centred maps."""
    x, _ = pair((4, 6))
    frequencies, times = svcca_monitor.fourier.frequencies_of((4, 6), half=True)
    values = Spectrum.from_maps(x)._factors(frequencies, (4, 6)).singular_values
    assert np.sum(times[:, None] * values**2) == pytest.approx(np.sum((x - x.mean(axis=0)) ** 2))


# Numbers near the edge


@pytest.mark.parametrize(
    ("dtype", "smallest"),
    [(np.float32, 1e-3), (np.complex64, 1e-3), (np.float16, 0.02), (ml_dtypes.bfloat16, 1.0)],
)
def test_low_precision_is_computed_in_double(dtype, smallest):
    x, y = pair((4, 5), n=200, channels=(6, 5), complex_=dtype is np.complex64)
    x, y = (np.asarray(z * np.geomspace(1, smallest, z.shape[-1])).astype(dtype) for z in (x, y))
    up = np.complex128 if dtype is np.complex64 else np.float64
    expected = by_loop(x.astype(up), y.astype(up))
    assert_equal_to_loop(fourier_cca(x, y), expected, atol=1e-6)


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
    monkeypatch.setattr(svcca_monitor.fourier, "GRAM_CONDITION", 0.0)
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
    np.testing.assert_allclose(fourier_cca(x, x).all_correlations, 1, rtol=0, atol=4e-7)


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


def test_arrays_may_be_of_any_kind_and_are_not_modified():
    x, y = pair((4, 5))
    expected = fourier_cca(x, y).all_correlations
    kinds = [np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[::-1][::-1], x.tolist()]
    for kind in kinds:
        np.testing.assert_allclose(fourier_cca(kind, y).all_correlations, expected, atol=1e-13)
    x.flags.writeable = y.flags.writeable = False
    before = x.copy(), y.copy()
    fourier_cca(x, y, explained_variance=0.9).directions(0, (0, 0))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])
    whole = np.random.default_rng(0).integers(0, 256, size=(20, 4, 4, 2), dtype=np.uint8)
    np.testing.assert_allclose(
        fourier_cca(whole, whole > 127).all_correlations,
        fourier_cca(whole * 1.0, (whole > 127) * 1.0).all_correlations,
    )


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_comes_correlations_are_in_the_unit_interval_and_one_with_themselves(data):
    draw = data.draw
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 9))
    dtype = draw(st.sampled_from([np.float64, np.float32, np.float16, np.int8, np.complex64]))

    def layer():
        shape = (n, *draw(st.tuples(*[st.integers(1, 5)] * 3)))
        x = rng.normal(size=shape) * draw(st.sampled_from([0.0, 1e-3, 3.0])) + draw(
            st.sampled_from([0.0, 50.0])
        )
        x = np.where(rng.random(shape[-1]) < 0.3, x[:1], x)  # dead channels
        return x.astype(dtype)

    x, y = layer(), layer()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No frequency varies")
        ahead, back, own = fourier_cca(x, y), fourier_cca(y, x), fourier_cca(x, x)
    rho = ahead.all_correlations
    assert ((rho >= 0) & (rho <= 1)).all()
    np.testing.assert_allclose(rho, back.all_correlations, atol=1e-6)
    np.testing.assert_allclose(own.all_correlations, 1, atol=1e-6)


# Errors


@pytest.mark.parametrize(
    "shape", [(5,), (5, 4, 3), (5, 4, 4, 3, 1), (1, 4, 4, 2), (5, 4, 4, 0), (0, 3)]
)
def test_what_is_no_layer_is_refused_by_name_and_shape(shape):
    good = pair((4, 4), n=5)[0]
    for name, arguments in [("x", (np.ones(shape), good)), ("y", (good, np.ones(shape)))]:
        message = (
            rf"`{name}` must be maps .*height, width.*at least two samples.*{re.escape(str(shape))}"
        )
        with pytest.raises(ValueError, match=message):
            fourier_cca(*arguments)


def test_layers_of_different_probe_sets_are_refused():
    x, y = pair((4, 4), n=9)
    message = "`x` has 9 samples but `y` has 8.*same probe set"
    with pytest.raises(ValueError, match=message):
        fourier_cca(x, y[:8])
    with pytest.raises(ValueError, match=message):
        fourier_cca(Spectrum.from_maps(x), y[:8].mean(axis=(1, 2)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_and_named(bad):
    x, y = pair((4, 4), n=9)
    y[3, 1, 2, 0] = y[0, 0, 0, 1] = bad
    with pytest.raises(ValueError, match="`y` has 2 values of 432 that are NaN or infinite"):
        fourier_cca(x, y)
    with pytest.raises(ValueError, match="`conv_1` has 2 values"):
        Spectrum.from_maps(y, name="conv_1")


def test_what_holds_no_numbers_is_refused():
    with pytest.raises(ValueError, match="`x` must hold numbers"):
        fourier_cca(np.full((3, 2, 2, 1), "a"), np.ones((3, 2)))


@pytest.mark.parametrize(
    "option", [{"max_frequency": -1}, {"max_frequency": 1.5}, {"explained_variance": 0.0}]
)
def test_options_out_of_range_are_refused(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}="):
        fourier_cca(*pair((4, 4)), **option)


def test_everything_after_the_arrays_is_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        fourier_cca(*pair((4, 4)), 2)


def test_docstring_examples_are_true():
    assert doctest.testmod(svcca_monitor.fourier).attempted == 4
    assert doctest.testmod(svcca_monitor.fourier).failed == 0
