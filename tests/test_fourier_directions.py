"""What a comparison at each frequency gives: tables, filters, and spectra made once."""

import re

import numpy as np
import pytest
from fourier_oracle import all_shifts, pair

import svcca_monitor.spectrum
from svcca_monitor import Spectrum, fourier_cca
from svcca_monitor.spatial import frequencies_of


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


@pytest.mark.parametrize(("k", "frequency"), [(2, (0, 0)), (0, (0, -1)), (0, (9, 0))])
def test_directions_that_were_not_compared_are_refused(k, frequency):
    result = fourier_cca(*pair((4, 4)))
    with pytest.raises(ValueError, match=re.escape(f"No pair k={k} at frequency {frequency}")):
        result.directions(k, frequency)


@pytest.mark.parametrize(
    ("k", "frequency", "message"),
    [
        (-1, (0, 0), "`k` must be a whole number, at least 0. Received: k=-1"),
        (0.0, (0, 0), "Received: k=0.0"),
        (0, (0, 0, 0), "`frequency` must be (ky, kx), a row of `frequencies`. Received: (0, 0, 0)"),
        (0, 0, "Received: 0"),
    ],
)
def test_what_is_no_pair_or_no_frequency_is_refused(k, frequency, message):
    result = fourier_cca(*pair((4, 4)))
    assert result.directions(0, result.frequencies[0])[0].shape == (4, 4, 2)
    with pytest.raises(ValueError, match=re.escape(message)):
        result.directions(k, frequency)


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
                    found, wanted = result.all_correlations, expected.all_correlations
                    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14 * (sx is sy))


def test_a_spectrum_tells_its_frequencies_apart_where_they_are_equally_many():
    x, y = pair((1, 8))
    spectrum, turning = Spectrum.from_maps(x), y + 1j * y**2
    fourier_cca(spectrum, y, max_frequency=2)  # 0, 1, 2: those of real maps
    result = fourier_cca(spectrum, turning, max_frequency=1)  # 0, 1, -1
    expected = fourier_cca(x, turning, max_frequency=1)
    np.testing.assert_array_equal(result.all_correlations, expected.all_correlations)


def test_a_spectrum_beside_itself_is_what_a_copy_of_it_is():
    x = pair((4, 4))[0]
    x[..., 1] = x[..., 0]  # one direction fewer than channels
    spectrum = Spectrum.from_maps(x)
    same, copies = fourier_cca(spectrum, spectrum), fourier_cca(spectrum, Spectrum.from_maps(x))
    np.testing.assert_array_equal(same.all_correlations, 1.0)
    assert [len(rho) for rho in same.correlations] == [len(rho) for rho in copies.correlations]
    for frequency in map(tuple, same.frequencies.tolist()):
        filters = same.directions(0, frequency)
        hx, hy = (np.tensordot(x - x.mean(axis=0), f, f.ndim) for f in filters)
        assert np.vdot(hx, hy) / (len(x) - 1) == pytest.approx(1.0, abs=1e-9)


def test_a_spectrum_is_factorised_once_a_grid(monkeypatch):
    x, y = pair((6, 6))
    small = pair((4, 4))[1]
    spectrum = Spectrum.from_maps(x)
    calls = []
    factorise = svcca_monitor.spectrum.orthonormalise

    def counting(blocks, *how, **least):
        calls.append(blocks.shape)
        return factorise(blocks, *how, **least)

    monkeypatch.setattr(svcca_monitor.spectrum, "orthonormalise", counting)
    others = [Spectrum.from_maps(z) for z in (y, small)]
    for _ in range(3):
        for other in others:
            fourier_cca(spectrum, other)
            fourier_cca(spectrum, other, explained_variance=0.5)
    assert calls == [(20, 60, 2), (20, 60, 3), (10, 60, 2), (10, 60, 3)]


def test_singular_values_hold_the_variance_of_the_maps():
    """Parseval: over the full spectrum their squares add up to the squares of the centred maps."""
    x, _ = pair((4, 6))
    frequencies, times = frequencies_of((4, 6), half=True)
    values = Spectrum.from_maps(x).factors_at(frequencies, (4, 6), cut=True).singular_values
    assert np.sum(times[:, None] * values**2) == pytest.approx(np.sum((x - x.mean(axis=0)) ** 2))
