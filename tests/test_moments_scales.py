"""Moments say so when neurons of very different scales cost them directions, and only then."""

import ml_dtypes
import numpy as np
import pytest
from batches import assert_equals_the_whole, gather, in_batches, layers

from svcca_monitor import Subspace, similarity_grid

LOST = "^Too small for moments: 5 of 6 neurons of conv \\(beside neuron 2\\)\\. Directions below"


def with_an_outlier(scale=1e9, *, dtype=np.float64):
    """Six neurons of which the third outweighs the others."""
    whole = layers()
    whole["conv"][:, 2] *= scale
    return {name: x.astype(dtype) for name, x in whole.items()}


def spread(*, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(400, 5)) * np.logspace(0, -12, 5), "y": rng.normal(size=(400, 3))}


def test_a_huge_neuron_that_hides_the_others_is_named_in_a_warning():
    whole = with_an_outlier()
    moments = in_batches(whole)
    message = (
        r"^Too small for moments: 5 of 6 neurons of conv \(beside neuron 2\)\. Directions below "
        r"1e-07 of the largest are left out\. Scale the neurons of a layer alike, or keep its "
        r"activations in memory for `similarity_grid`\.$"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        value = moments.similarity("conv", "dense", measure="cca")
    assert len(caught) == 1
    assert caught[0].filename == __file__
    # It is right to warn: in memory they are all there, and the value is another.
    assert Subspace.from_activations(whole["conv"]).rank == 6
    assert abs(value - similarity_grid(whole, measure="cca")[0, 1]) > 1e-2


def test_what_the_warning_asks_for_mends_the_value():
    whole = with_an_outlier()
    scaled = whole | {"conv": whole["conv"] / np.abs(whole["conv"]).max(axis=0)}
    got = in_batches(scaled).similarity_grid(measure="cca")
    np.testing.assert_allclose(got, similarity_grid(whole, measure="cca"), atol=1e-7)
    np.testing.assert_allclose(got, similarity_grid(scaled, measure="cca"), atol=1e-9)


def test_a_large_spread_of_neurons_is_warned_of():
    with pytest.warns(UserWarning, match=r"2 of 5 neurons of x \(beside neuron 0\)\. Dir"):
        in_batches(spread()).similarity("x", "y")


def test_complex_and_merged_streams_warn_too():
    whole = with_an_outlier()
    whole["conv"] = whole["conv"] * np.exp(1j * np.arange(6))
    parts = [gather([{name: x[a:b] for name, x in whole.items()}]) for a, b in ((0, 9), (9, 300))]
    with pytest.warns(UserWarning, match=LOST):
        parts[1].merge(parts[0]).similarity_grid(measure="cca_r2")


def test_only_the_layers_that_are_compared_are_warned_of():
    in_batches(with_an_outlier()).similarity("dense", "logits", measure="cca")


@pytest.mark.parametrize("scale", [1e-50, 1e50])
def test_the_warning_does_not_depend_on_the_units(scale):
    with pytest.warns(UserWarning, match=LOST):
        in_batches({k: x * scale for k, x in with_an_outlier().items()}).similarity("conv", "dense")
    in_batches({name: x * scale for name, x in layers().items()}).similarity("conv", "dense")


# No test below expects a warning, and warnings are errors.


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_what_the_dtype_itself_hides_is_not_warned_of(dtype):
    # As in memory: beside rounding to single precision of the huge neuron nothing can be told.
    whole = with_an_outlier(dtype=dtype)
    assert Subspace.from_activations(whole["conv"]).rank == 1
    assert_equals_the_whole(in_batches(whole), whole)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
def test_scales_that_moments_can_hold_are_not_warned_of(scale):
    whole = with_an_outlier(scale)
    moments = in_batches(whole)
    moments.similarity_grid(measure="cca")
    assert moments._axes("conv").rank == 6


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
    assert moments._axes("conv").rank == 6


def test_layers_of_low_rank_are_not_warned_of():
    rng = np.random.default_rng(0)
    for n, rank, width in ((500, 4, 12), (500, 50, 300), (20, 30, 60), (5, 3, 9)):
        for dtype in (np.float64, np.float32, np.float16):
            x = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, width)) + 2.0
            uneven = x * np.logspace(0, -4, width)
            in_batches({"x": x.astype(dtype), "y": uneven.astype(dtype)}).similarity_grid()


def test_a_small_direction_that_no_neuron_shows_alone_is_not_seen():
    # Where all neurons are turned into each other, squares hold no trace of it.
    rng = np.random.default_rng(0)
    x = spread()["x"] @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    moments = in_batches({"x": x, "y": x[:, :2]})
    moments.similarity("x", "y", measure="cca")
    assert moments._axes("x").rank == 3
