import numpy as np
import pytest

from svcca_monitor import activations

MAPS = np.random.default_rng(0).normal(size=(6, 4, 5, 3))


def test_mean_of_maps_is_one_feature_a_channel():
    expected = [[MAPS[n, :, :, c].mean() for c in range(3)] for n in range(6)]
    np.testing.assert_allclose(activations.mean(MAPS), expected)


def test_mean_of_a_sequence_is_over_time():
    np.testing.assert_allclose(activations.mean(MAPS[:, :, 0]), MAPS[:, :, 0].mean(axis=1))


def test_mean_keeps_the_channels_wherever_they_are():
    first = np.moveaxis(MAPS, -1, 1)
    np.testing.assert_allclose(activations.mean(first, channels_axis=1), activations.mean(MAPS))


def test_flatten_has_a_feature_for_each_position_and_channel():
    flat = activations.flatten(MAPS)
    assert flat.shape == (6, 60)
    np.testing.assert_array_equal(flat[2], MAPS[2].ravel())


@pytest.mark.parametrize("name", ["mean", "flatten", "fourier"])
def test_a_matrix_stays_as_it_is(name):
    matrix = MAPS[:, 0, 0]
    assert activations.reduction(name)(matrix, np, -1) is matrix


def test_a_callable_sees_the_output():
    np.testing.assert_array_equal(
        activations.reduction(lambda x: x[:, 0, 0])(MAPS, np, -1), MAPS[:, 0, 0]
    )


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Unknown representation 'meen'. Did you mean 'mean'"):
        activations.reduction("meen")
    with pytest.raises(TypeError, match="name or a function"):
        activations.reduction(3)
