"""Moments say so when neurons of very different scales cost them directions, and only then."""

import ml_dtypes
import numpy as np
import pytest
from batches import gather, in_batches, layers

from svcca_monitor import Subspace, similarity_grid


def with_an_outlier(scale=1e9, *, dtype=np.float64):
    """Six neurons of which the third outweighs the others."""
    whole = layers()
    whole["conv"][:, 2] *= scale
    return {name: x.astype(dtype) for name, x in whole.items()}


def spread(*, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(400, 5)) * np.logspace(0, -12, 5), "y": rng.normal(size=(400, 3))}


@pytest.mark.parametrize("measure", ["cca", "cca_r2", "svcca", "pwcca"])
@pytest.mark.parametrize(
    ("scale", "dtype"), [(1e9, float), (2.0**10, np.float32), (2.0**9, ml_dtypes.bfloat16)]
)
def test_one_neuron_of_huge_activations_does_not_hide_the_others(scale, dtype, measure):
    whole = {name: x.astype(dtype) for name, x in with_an_outlier(scale).items()}
    moments = in_batches(whole)
    assert moments._axes("conv")[0].rank == Subspace.from_activations(whole["conv"]).rank == 6
    expected = similarity_grid(whole, measure=measure)
    got = moments.similarity_grid(measure=measure)
    np.testing.assert_allclose(got, expected, atol=1e-7 if measure == "pwcca" else 1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_neurons_of_very_different_scales_are_all_seen_in_any_units(scale):
    whole = {name: x * scale for name, x in spread().items()}
    got = in_batches(whole).similarity_grid(measure="cca")
    np.testing.assert_allclose(got, similarity_grid(whole, measure="cca"), atol=1e-9)


def test_complex_and_merged_streams_see_them_too():
    whole = with_an_outlier()
    whole["conv"] = whole["conv"] * np.exp(1j * np.arange(6))
    parts = [gather([{name: x[a:b] for name, x in whole.items()}]) for a, b in ((0, 9), (9, 300))]
    got = parts[1].merge(parts[0]).similarity_grid(measure="cca_r2")
    np.testing.assert_allclose(got, similarity_grid(whole, measure="cca_r2"), atol=1e-9)


def test_neurons_that_copy_a_huge_one_but_for_little_are_named_in_a_warning():
    rng = np.random.default_rng(0)
    huge = rng.normal(size=(400, 1)) * 1e9
    x = np.hstack([huge, huge + rng.normal(size=(400, 2))])
    moments = in_batches({"fc": x, "y": rng.normal(size=(400, 2))})
    assert moments._axes("fc")[0].rank < Subspace.from_activations(x).rank == 3


# No test below expects a warning, and warnings are errors.


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
def test_scales_that_moments_can_hold_are_not_warned_of(scale):
    whole = with_an_outlier(scale)
    moments = in_batches(whole)
    moments.similarity_grid(measure="cca")
    assert moments._axes("conv")[0].rank == 6


@pytest.mark.parametrize("offset", [0.0, 3.0, 1e6])
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e-9])
def test_neurons_that_repeat_others_add_nothing_to_warn_of(scale, offset):
    x = layers()["conv"]
    repeats = [x[:, :2] * scale, (x[:, :1] - x[:, 1:2]) * scale, np.full((300, 1), 0.1)]
    softmax = np.exp(x[:, :3]) / np.exp(x[:, :3]).sum(axis=1, keepdims=True)
    rounded = softmax.sum(axis=1, keepdims=True)  # 1, but for rounding
    whole = layers() | {"conv": np.hstack([x, *repeats, rounded, np.zeros((300, 1))]) + offset}
    moments = in_batches(whole)
    moments.similarity_grid(measure="cca")
    assert moments._axes("conv")[0].rank == 6


def test_layers_of_low_rank_are_not_warned_of():
    rng = np.random.default_rng(0)
    for n, rank, width in ((500, 4, 12), (500, 50, 300), (20, 30, 60), (5, 3, 9)):
        for dtype in (np.float64, np.float32, np.float16):
            x = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, width)) + 2.0
            uneven = x * np.logspace(0, -4, width)
            given = {"x": x.astype(dtype), "y": uneven.astype(dtype)}
            assert np.isfinite(in_batches(given).similarity_grid()).all()


def test_a_small_direction_that_no_neuron_shows_alone_is_not_seen():
    # Where all neurons are turned into each other, squares hold no trace of it.
    rng = np.random.default_rng(0)
    x = spread()["x"] @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    moments = in_batches({"x": x, "y": x[:, :2]})
    moments.similarity("x", "y", measure="cca")
    assert moments._axes("x")[0].rank == 3
