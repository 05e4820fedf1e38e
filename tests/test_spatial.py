"""Maps on a grid: fold, thin, resize; and the frequencies of the grid."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from svcca_monitor import activations, canonical_correlations, fourier_resize
from svcca_monitor.spatial import fold_space, frequencies_of, resize_bilinear, stride_space

SIZES = [(4, 4), (6, 3), (5, 8), (1, 7), (2, 2)]


def maps(size, *, n=3, channels=2, seed=0, complex_=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *size, channels)) + 2.0
    return x + 1j * rng.normal(size=x.shape) if complex_ else x


def wave(size, ky, kx, phase=0.3):
    """One map of one frequency, sampled on the grid of that size over the unit square."""
    v, u = np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij")
    return np.cos(2 * np.pi * (ky * v + kx * u) + phase)[None, :, :, None]


def test_folding_makes_every_pixel_of_every_example_a_row():
    x = maps((2, 3))
    folded = fold_space(x)
    assert folded.shape == (18, 2)
    for row, (i, p, q) in enumerate(np.ndindex(3, 2, 3)):
        np.testing.assert_array_equal(folded[row], x[i, p, q])


def test_folded_correlations_are_one_if_channels_are_mixed_and_not_if_pixels_move():
    x = maps((4, 4), n=30)
    mixed = x @ np.array([[1.0, 2.0], [0.5, -1.0]])
    same = canonical_correlations(fold_space(x), fold_space(mixed))
    np.testing.assert_allclose(same, 1, atol=1e-12)
    moved = canonical_correlations(fold_space(x), fold_space(np.roll(mixed, 1, axis=1)))
    assert moved.max() < 0.3


def test_striding_keeps_every_step_th_pixel_from_the_first_on():
    x = np.arange(35).reshape(1, 5, 7, 1)
    strided = stride_space(x, step=3)
    np.testing.assert_array_equal(strided[0, :, :, 0], [[0, 3, 6], [21, 24, 27]])
    np.testing.assert_array_equal(stride_space(x, step=1), x)
    assert stride_space(x, step=9).shape == (1, 1, 1, 1)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("new", SIZES)
@pytest.mark.parametrize("old", SIZES)
def test_bilinear_resizing_interpolates_between_the_centres_of_pixels(old, new, complex_):
    x = maps(old, complex_=complex_)
    centres = [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(old, new, strict=True)]
    at = np.stack(np.meshgrid(*centres, indexing="ij"))
    resized = resize_bilinear(x, new)
    assert resized.shape == (3, *new, 2)
    for i, c in np.ndindex(3, 2):
        expected = scipy.ndimage.map_coordinates(x[i, :, :, c], at, order=1, mode="nearest")
        np.testing.assert_allclose(resized[i, :, :, c], expected, atol=1e-12)


def test_bilinear_resizing_by_hand():
    row = np.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    np.testing.assert_allclose(resize_bilinear(row, (1, 4)).ravel(), [0, 1, 3, 4])
    # Without antialiasing only the two nearest centres count.
    long = np.array([0.0, 1.0, 2.0, 30.0, 4.0, 50.0]).reshape(1, 1, 6, 1)
    np.testing.assert_allclose(resize_bilinear(long, (1, 2)).ravel(), [1, 4])


@pytest.mark.parametrize("new", SIZES)
@pytest.mark.parametrize("old", SIZES)
def test_fourier_resizing_keeps_the_mean_and_is_real_for_real_maps(old, new):
    x = maps(old)
    resized = fourier_resize(x, new)
    assert resized.shape == (3, *new, 2)
    assert resized.dtype == np.float64
    np.testing.assert_allclose(activations.mean(resized), activations.mean(x), atol=1e-12)


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("new", SIZES)
@pytest.mark.parametrize("old", SIZES)
def test_fourier_resizing_is_resampling_along_each_axis(old, new, complex_):
    x = maps(old, complex_=complex_)
    expected = scipy.signal.resample(scipy.signal.resample(x, new[0], axis=1), new[1], axis=2)
    np.testing.assert_allclose(fourier_resize(x, new), expected, atol=1e-12)


@pytest.mark.parametrize(("old", "new"), [((8, 8), (6, 5)), ((6, 5), (8, 8)), ((8, 5), (5, 12))])
def test_fourier_resizing_is_exact_below_both_nyquist_frequencies(old, new):
    for ky, kx in [(0, 0), (1, 0), (2, -1), (-1, 2), (2, 2)]:
        np.testing.assert_allclose(
            fourier_resize(wave(old, ky, kx), new), wave(new, ky, kx), atol=1e-12
        )
    # Negative control: bilinear interpolation is not.
    assert np.abs(resize_bilinear(wave(old, 2, 2), new) - wave(new, 2, 2)).max() > 0.1


def test_fourier_resizing_up_and_down_again_changes_nothing():
    for old in SIZES:
        x = maps(old)
        np.testing.assert_allclose(fourier_resize(fourier_resize(x, (9, 10)), old), x, atol=1e-12)


def test_the_nyquist_frequency_of_a_smaller_grid_is_what_thinning_sees():
    """cos and sin at the smaller grid's Nyquist: its pixels see the first and miss the second."""
    for phase, seen in [(0.0, 1.0), (np.pi / 2, 0.0)]:
        x = wave((8, 8), 2, 0, phase)
        expected = np.array([1, -1, 1, -1]) * seen
        np.testing.assert_allclose(fourier_resize(x, (4, 8))[0, :, 0, 0], expected, atol=1e-12)
        np.testing.assert_allclose(stride_space(x, step=2)[0, :, 0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("size", [(h, w) for h in range(1, 7) for w in range(1, 7)])
def test_half_of_the_frequencies_and_their_negatives_are_all_frequencies(size):
    def residue(k):
        return tuple(int(a) % n for a, n in zip(k, size, strict=True))

    full, once = frequencies_of(size, half=False)
    assert sorted(map(residue, full)) == sorted(np.ndindex(*size))
    assert set(once) == {1}
    half, times = frequencies_of(size, half=True)
    assert times.sum() == size[0] * size[1]
    members = [{residue(k), residue(-k)} for k in half]
    assert [len(m) for m in members] == times.tolist()
    assert set.union(*members) == set(np.ndindex(*size))
    for k in (full, half):
        assert (2 * np.abs(k) <= size).all()
        assert not (2 * k == -np.array(size)).any(), "the Nyquist frequency is positive"


def test_arrays_are_not_modified():
    x = maps((4, 6))
    x.flags.writeable = False
    before = x.copy()
    fold_space(x), stride_space(x, step=2), resize_bilinear(x, (3, 9)), fourier_resize(x, (3, 9))
    np.testing.assert_array_equal(x, before)


FUNCTIONS = {
    "fold": fold_space,
    "stride": lambda x: stride_space(x, step=2),
    "bilinear": lambda x: resize_bilinear(x, (2, 2)),
    "fourier": lambda x: fourier_resize(x, (2, 2)),
}


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3), (5, 4, 4, 3, 1), (5, 0, 4, 3), (5, 4, 4, 0)])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_map_is_refused(name, shape):
    with pytest.raises(ValueError, match=r"\(n_samples, height, width, channels\)"):
        FUNCTIONS[name](np.zeros(shape))


@pytest.mark.parametrize("size", [(0, 2), (2,), (2, 2.5), 3, (2, 2, 2)])
@pytest.mark.parametrize("resize", [resize_bilinear, fourier_resize])
def test_sizes_are_two_whole_numbers(resize, size):
    with pytest.raises(ValueError, match=r"`size` must be \(height, width\)"):
        resize(maps((4, 4)), size)


@pytest.mark.parametrize("step", [0, -1, 1.5])
def test_steps_are_whole_numbers(step):
    with pytest.raises(ValueError, match="`step` must be a whole number"):
        stride_space(maps((4, 4)), step=step)


def test_masked_maps_and_what_is_no_array_are_refused_by_name():
    x = np.random.default_rng(0).normal(size=(3, 4, 4, 2))
    masked = np.ma.masked_greater(x, x.max() - 1e-9)
    for take in (
        fold_space,
        lambda z: stride_space(z, step=2),
        lambda z: resize_bilinear(z, (2, 2)),
    ):
        with pytest.raises(ValueError, match="`x` is a masked array with 1 values"):
            take(masked)
        with pytest.raises(ValueError, match="`x` must be an array of numbers, with rows of equal"):
            take([[1.0, 2.0], [3.0]])
        with pytest.raises(ValueError, match="`x` must hold numbers. Received maps of dtype <U"):
            take(x.astype(str))
        assert take(x > 0).shape[-1] == 2
