"""Batches of every kind: taken in exactly and left as they were, or refused without a trace."""

import copy
import gc
import re
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
from batches import assert_equals_the_whole, batches, gather, in_batches, layers, products
from oracle import LAYOUTS

from svcca_monitor import Subspace
from svcca_monitor.moments import SUFFICIENT, Moments


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint8])
def test_batches_of_other_dtypes_are_taken_in_double(dtype):
    whole = layers(400, dtype=dtype)
    assert_equals_the_whole(in_batches(whole), whole)
    exact = in_batches({name: x.astype(np.float64) for name, x in whole.items()})
    np.testing.assert_array_equal(
        exact.cross_product("conv", "dense"), in_batches(whole).cross_product("conv", "dense")
    )


@pytest.mark.parametrize("offset", [2.0, 100.0])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_rounding_to_the_dtype_that_came_is_no_direction(dtype, offset):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 12)) + offset
    whole = {"wide": x.astype(dtype), "other": rng.normal(size=(500, 6)) + x[:, :6]}
    moments = in_batches(whole)
    assert moments._axes("wide")[0].rank == Subspace.from_activations(whole["wide"]).rank <= 4
    assert_equals_the_whole(moments, whole)
    # Once rounding has come in, later batches in float64 do not take it away.
    finer = {name: a.astype(np.float64) for name, a in whole.items()}
    later = gather([next(batches(whole, [100])), *list(batches(finer, [100]))[1:]])
    assert_equals_the_whole(later, whole)
    merged = in_batches(dict.fromkeys(whole, np.eye(9)[:, :6]) | {"wide": np.ones((9, 12))})
    assert merged.merge(moments)._eps == moments.merge(merged)._eps == moments._eps


def test_complex_activations_are_compared_as_in_memory():
    real, imaginary = layers(seed=1), layers(seed=2)
    whole = {name: real[name] + 1j * imaginary[name] for name in real}
    moments = in_batches(whole)
    assert_equals_the_whole(moments, whole)
    expected = products(whole["conv"], whole["dense"])
    np.testing.assert_allclose(moments.cross_product("conv", "dense"), expected, rtol=1e-9)
    np.testing.assert_allclose(moments.mean("conv"), whole["conv"].mean(axis=0), atol=1e-12)


def test_dead_and_duplicate_neurons_are_no_direction():
    whole = layers()
    x = whole["conv"]
    whole["conv"] = np.hstack([x, x[:, :2], np.full((300, 1), 0.1), x[:, :1] + x[:, 1:2]])
    moments = in_batches(whole)
    assert_equals_the_whole(moments, whole)
    assert moments._axes("conv")[0].rank == 6


def test_fewer_samples_than_features_leave_a_direction_less_than_samples():
    whole = layers(5)
    moments = in_batches(whole, 2)
    assert moments._axes("dense")[0].rank == 4
    assert_equals_the_whole(moments, whole)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-300], ids=str)
@pytest.mark.parametrize("size", [1, 7, 300])
def test_constant_layers_are_nan_and_named_in_a_warning(constant, size):
    whole = layers() | {"flat": np.full((300, 4), constant), "dead": np.zeros((300, 1))}
    moments = in_batches(whole, size)
    np.testing.assert_array_equal(moments.mean("flat"), np.full(4, constant))
    for name in SUFFICIENT:
        with pytest.warns(UserWarning, match=r"^Constant over all batches: dead, flat\. Simil"):
            grid = moments.similarity_grid(measure=name)
        assert np.isfinite(grid[:3, :3]).all()
        assert np.isnan(grid[3:]).all()
        assert np.isnan(grid[:, 3:]).all()


@pytest.mark.parametrize("scale", [1e-50, 1e-20, 1e20, 1e50])
def test_scale_does_not_matter(scale):
    expected = {name: in_batches(layers()).similarity_grid(measure=name) for name in SUFFICIENT}
    moments = in_batches({name: x * scale for name, x in layers().items()})
    for name in SUFFICIENT:
        np.testing.assert_allclose(moments.similarity_grid(measure=name), expected[name], atol=1e-9)


@pytest.mark.parametrize("scale", [1e-155, 1e-200])
def test_what_varies_by_less_than_squares_can_hold_counts_as_constant(scale):
    whole = layers() | {"tiny": layers()["conv"] * scale}
    with pytest.warns(UserWarning, match="Constant over all batches: tiny"):
        assert np.isnan(in_batches(whole).similarity("tiny", "conv"))


def test_memory_does_not_grow_with_the_rows():
    rng = np.random.default_rng(0)
    moments = Moments()

    def after(updates, n_batch=64):
        for _ in range(updates):
            x = rng.normal(size=(n_batch, 40))
            moments.update({"x": x, "y": x[:, :20] ** 2})
        del x
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    batch = 64 * 60 * 8
    tracemalloc.start()
    assert after(1, 64 * 100) < 10 * batch
    start = after(10)
    tracemalloc.reset_peak()
    grown, peak = after(200) - start, tracemalloc.get_traced_memory()[1] - start
    tracemalloc.stop()
    assert grown < batch / 2
    assert peak < 10 * batch
    assert moments.n_samples == 310 * 64


def test_batches_are_read_only_to_us_and_left_as_they_were():
    whole = layers(dtype=np.float32) | {"double": layers()["conv"], "turned": np.ones((3, 300)).T}
    before = copy.deepcopy(whole)
    for x in whole.values():
        x.flags.writeable = False
    moments = gather([whole, whole])
    for name, x in whole.items():
        np.testing.assert_array_equal(x, before[name])
        assert not any(np.shares_memory(x, a) for a in (moments._origin, moments._products))


def test_what_is_handed_out_is_the_users():
    moments = in_batches(layers())
    expected = moments.similarity_grid()
    moments.cross_product("conv", "conv")[:] = 0
    moments.mean("conv")[:] = 0
    moments.names.clear()
    np.testing.assert_array_equal(moments.similarity_grid(), expected)


def test_memory_layout_does_not_matter():
    whole = layers(100)
    for layout in (*LAYOUTS.values(), np.ndarray.tolist):
        moments = gather([{name: layout(x) for name, x in whole.items()}])
        assert_equals_the_whole(moments, whole)


def refusals():
    x, y = np.ones((5, 3)), np.ones((5, 2))
    bad = x.copy()
    bad[0, 1], bad[2, 2] = np.nan, -np.inf
    yield {"x": x, "y": y[:4]}, "`x` has 5 samples but `y` has 4 in one batch"
    yield {"x": x, "y": y[:4]}, "same probe set: row i of both must come from probe example i."
    yield {"x": x[:0], "y": y}, "`x` has 0 samples but `y` has 5"
    yield {"x": x[:, :2], "y": y}, "`x` had 3 features, but has 2 in this batch."
    yield {"x": x[:0, :2], "y": y[:0]}, "`x` had 3 features, but has 2 in this batch."
    yield {"x": bad, "y": y}, "`x` has 2 values of 15 in a batch that are NaN, infinite or above"
    yield {"x": x, "y": np.full((5, 2), complex(0, np.inf))}, "`y` has 10 values of 10 in a batch"
    yield {"x": np.longdouble(x * 10) ** 400, "y": y}, "`x` has 15 values of 15 in a batch"
    yield {"x": x * 1e200, "y": y}, "above 1e+60. Look for a diverged layer or a bad probe input"
    yield {"x": x[0], "y": y}, "`x` must hold numbers in shape (n_batch, n_features). Received"
    yield {"x": x, "y": np.ones((5, 2, 2))}, "in shape (5, 2, 2). Average, sample or flatten"
    yield {"x": x, "y": y[:, :0]}, "Received float64 in shape (5, 0)"
    yield {"x": x, "y": y.astype(str)}, "`y` must hold numbers"
    yield {"x": x, "y": np.full((5, 2), None)}, "Received object in shape (5, 2)"
    yield {"x": x}, "A batch holds ['x'], but the first one held ['x', 'y']."
    yield {"x": x, "y": y, "z": x}, "A batch holds ['x', 'y', 'z'], but the first one held"
    yield {}, "`layers` must map names to batches: {'x': x_batch, 'y': y_batch}."
    yield x, "`layers` must map names to batches"


@pytest.mark.parametrize(("batch", "message"), list(refusals()))
def test_a_batch_that_does_not_fit_is_refused_and_leaves_no_trace(batch, message):
    rng = np.random.default_rng(0)
    moments = gather([{"x": rng.normal(size=(9, 3)), "y": rng.normal(size=(9, 2))}])
    before = moments.n_samples, moments.cross_product("x", "y"), moments.mean("x")
    with pytest.raises(ValueError, match=re.escape(message)):
        moments.update(batch)
    for was, now in zip(
        before, (moments.n_samples, moments.cross_product("x", "y"), moments.mean("x")), strict=True
    ):
        np.testing.assert_array_equal(now, was)


def test_similarity_needs_two_samples():
    moments = Moments()
    with pytest.raises(ValueError, match="needs two samples at least, not 0"):
        moments.similarity("x", "y")
    moments.update({"x": np.eye(1, 3), "y": np.eye(1, 2)})
    with pytest.raises(ValueError, match="needs two samples at least, not 1"):
        moments.similarity_grid()
    np.testing.assert_array_equal(moments.mean("x"), [1, 0, 0])


def test_unknown_names_are_answered_with_the_nearest():
    moments = in_batches(layers())
    message = "Unknown layer 'convv'. Did you mean 'conv'? Expected one of: conv, dense, logits."
    for call in (
        lambda: moments.mean("convv"),
        lambda: moments.cross_product("conv", "convv"),
        lambda: moments.similarity("dense", "convv"),
        lambda: moments.similarity_grid(["convv"]),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            call()
    with pytest.raises(
        ValueError, match=r"Unknown measure 'svca'\. Did you mean 'svcca'\? .*: cca,"
    ):
        moments.similarity("conv", "dense", measure="svca")
    with pytest.raises(TypeError, match="'explained_varience' of svcca. Did you mean 'explained_v"):
        moments.similarity("conv", "dense", explained_varience=0.9)
    with pytest.raises(TypeError, match="Unknown option 'dims' of linear_cka"):
        moments.similarity("conv", "dense", measure="cka", dims=3)
    with pytest.raises(ValueError, match="at least 1. Received: dims=0"):
        moments.similarity("conv", "dense", dims=0)


@pytest.mark.parametrize("names", ["logits", "a", 5])
def test_one_name_is_no_list_of_names(names):
    moments = in_batches({"logits": np.eye(9, 3), "a": np.eye(9, 2)})
    for argument in ("rows", "columns"):
        message = rf"`{argument}` must be a list of names.* Received: {argument}={names!r}"
        with pytest.raises(TypeError, match=message):
            moments.similarity_grid(**{argument: names})
    grid = moments.similarity_grid(np.array(["logits", "a"]))
    np.testing.assert_array_equal(grid, moments.similarity_grid())
