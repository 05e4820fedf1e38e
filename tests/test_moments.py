"""Means and cross-products that come batch by batch give what the whole data give."""

import copy
import gc
import itertools
import math
import pickle
import re
import tracemalloc

import ml_dtypes
import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svcca_monitor import MEASURES, Subspace, similarity_grid, svcca
from svcca_monitor.factors import GRAM_NOISE
from svcca_monitor.moments import SUFFICIENT, Moments

AGREEMENT = 1e-9
WHOLE = {name: {} for name in SUFFICIENT} | {
    "svcca": {"explained_variance": 0.9, "dims": 4},
    "pwcca": {"symmetric": True, "dims": 5},
}


def layers(n_samples=300, *, seed=0, dtype=np.float64):
    """Three layers, each made from the one before, of uneven variance and with offsets."""
    rng = np.random.default_rng(seed)
    last, made = rng.normal(size=(n_samples, 5)), {}
    for name, width in {"conv": 6, "dense": 9, "logits": 3}.items():
        last = last @ rng.normal(size=(last.shape[1], width)) + rng.normal(size=(n_samples, width))
        made[name] = (last * np.linspace(1, 2, width) + 3.0).astype(dtype)
    return made


def batches(whole, cuts):
    """The batches between the given rows."""
    bounds = [0, *sorted(cuts), len(next(iter(whole.values())))]
    for start, stop in itertools.pairwise(bounds):
        yield {name: x[start:stop] for name, x in whole.items()}


def gather(parts):
    moments = Moments()
    for part in parts:
        assert moments.update(part) is None
    return moments


def in_batches(whole, size=32):
    return gather(batches(whole, range(size, len(next(iter(whole.values()))), size)))


def products(x, y):
    """Σ (xᵢ - x̄)ᴴ (yᵢ - ȳ), number by number."""
    return np.array([[np.sum((a - a.mean()).conj() * (b - b.mean())) for b in y.T] for a in x.T])


def naive_r2(x, y):
    """Mean squared CCA from running sums of numbers and of their products, not centred."""
    n, sums, squares = 0, 0.0, 0.0
    for rows in np.array_split(np.hstack([x, y]), 20):
        n, sums, squares = n + len(rows), sums + rows.sum(axis=0), squares + rows.T @ rows
    covariance, p = squares - np.outer(sums, sums) / n, x.shape[1]
    xx, xy, yy = covariance[:p, :p], covariance[:p, p:], covariance[p:, p:]
    r2 = np.trace(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T))
    return r2 / min(p, y.shape[1])


def assert_equals_the_whole(moments, whole, tolerance=AGREEMENT):
    assert moments.n_samples == len(next(iter(whole.values())))
    for name, options in WHOLE.items():
        for chosen in (options, {}):
            expected = similarity_grid(whole, measure=name, **chosen)
            got = moments.similarity_grid(list(whole), measure=name, **chosen)
            np.testing.assert_allclose(got, expected, atol=tolerance, err_msg=name)


def test_moments_are_means_and_centred_products_by_definition():
    whole = layers(40)
    moments = in_batches(whole, 7)
    assert (moments.names, moments.n_samples) == (["conv", "dense", "logits"], 40)
    for x in whole:
        np.testing.assert_allclose(moments.mean(x), whole[x].mean(axis=0), atol=1e-12)
        for y in whole:
            expected = products(whole[x], whole[y])
            np.testing.assert_allclose(moments.cross_product(x, y), expected, atol=1e-10)


@pytest.mark.parametrize("name", SUFFICIENT)
def test_similarity_of_moments_is_that_of_the_equations(name):
    whole = layers()
    value = in_batches(whole).similarity("conv", "dense", measure=name)
    assert value == pytest.approx(oracle.BY_NAME[name](whole["conv"], whole["dense"]), abs=1e-10)


def merged_in_some_order(data, parts):
    while len(parts) > 1:
        i = data.draw(st.integers(0, len(parts) - 1))
        one = parts.pop(i)
        parts.append(one.merge(parts.pop(data.draw(st.integers(0, len(parts) - 1)))))
    return parts[0]


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data(), offset=st.sampled_from([0.0, -1e6]), seed=st.integers(0, 3))
def test_neither_batches_nor_the_order_of_merging_matter(data, offset, seed):
    whole = {name: x + offset for name, x in layers(60, seed=seed).items()}
    cuts = data.draw(st.lists(st.integers(0, 60), max_size=12))
    assert_equals_the_whole(gather(batches(whole, cuts)), whole)
    parts = [gather([part]) for part in batches(whole, cuts)]
    assert_equals_the_whole(merged_in_some_order(data, parts), whole)


def test_single_rows_are_batches_too():
    whole = layers(50)
    assert_equals_the_whole(in_batches(whole, 1), whole)


def test_an_offset_of_a_million_loses_nothing_where_running_sums_lose_it():
    whole = {name: x + 1e6 for name, x in layers(2000).items()}
    moments = in_batches(whole)
    assert_equals_the_whole(moments, whole)
    for name, x in whole.items():
        exact = [math.fsum(column) / len(column) for column in x.T]
        np.testing.assert_allclose(moments.mean(name), exact, rtol=3e-16)
        centred = x - 1e6
        np.testing.assert_allclose(
            moments.cross_product(name, name), products(centred, centred), rtol=1e-9
        )
    x, y = whole["conv"], whole["logits"]
    expected = oracle.cca_r2(x - 1e6, y - 1e6)
    assert abs(naive_r2(x - 1e6, y - 1e6) - expected) < AGREEMENT
    assert abs(naive_r2(x, y) - expected) > 1e3 * AGREEMENT
    assert abs(moments.similarity("conv", "logits", measure="cca_r2") - expected) < AGREEMENT


def test_parts_far_from_each_other_are_brought_together():
    whole = layers(200)
    whole["conv"][100:] += 1e6
    parts = [gather([part]) for part in batches(whole, [100])]
    for moments in (parts[0].merge(parts[1]), parts[1].merge(parts[0]), in_batches(whole, 30)):
        expected = products(whole["conv"], whole["dense"])
        np.testing.assert_allclose(moments.cross_product("conv", "dense"), expected, rtol=1e-9)


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
    assert moments._axes("wide").rank == Subspace.from_activations(whole["wide"]).rank <= 4
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


def test_a_layer_may_turn_complex_on_the_way():
    whole = {name: x.astype(complex) for name, x in layers().items()}
    whole["dense"][100:] *= 1j
    start, end = batches(whole, [100])
    parts = [{name: x.real for name, x in start.items()}, end]
    assert_equals_the_whole(gather(parts), whole)
    assert_equals_the_whole(gather(parts[:1]).merge(gather(parts[1:])), whole)
    assert_equals_the_whole(gather(parts[1:]).merge(gather(parts[:1])), whole)


def test_the_cut_of_svcca_is_that_of_the_whole_data():
    whole = layers()
    moments = in_batches(whole)
    for criterion in ("variance", "singular_values"):
        for share in (0.5, 0.9, 0.99, 1.0):
            options = {"explained_variance": share, "criterion": criterion}
            expected = svcca(whole["conv"], whole["dense"], **options)
            value = moments.similarity("conv", "dense", **options)
            assert value == pytest.approx(expected, abs=AGREEMENT)
    values = [
        moments.similarity("conv", "dense", explained_variance=None, dims=k) for k in range(1, 7)
    ]
    assert len(set(np.round(values, 6))) == 6


@pytest.mark.parametrize("name", SUFFICIENT)
def test_adjusted_similarity_is_that_of_the_whole_data_where_chance_has_a_closed_form(name):
    whole = layers(60)
    moments = in_batches(whole)
    if MEASURES[name].chance is None:
        message = (
            f"Unknown adjusted measure '{name}' for moments alone. .*: cca, cca_r2, svcca, cka"
        )
        with pytest.raises(ValueError, match=message):
            moments.similarity_grid(measure=name, adjusted=True)
        return
    expected = similarity_grid(whole, measure=name, adjusted=True)
    got = moments.similarity_grid(measure=name, adjusted=True)
    np.testing.assert_allclose(got, expected, atol=AGREEMENT)
    assert np.abs(got - similarity_grid(whole, measure=name))[0, 1] > 1e-3
    one = moments.similarity("dense", "conv", measure=name, adjusted=True)
    assert one == pytest.approx(got[1, 0], abs=1e-12)


@pytest.mark.parametrize("name", MEASURES.keys() - SUFFICIENT)
def test_measures_that_look_at_single_samples_are_refused(name):
    with pytest.raises(ValueError, match=f"Unknown measure '{name}' for moments alone"):
        in_batches(layers()).similarity("conv", "dense", measure=name)


def test_a_grid_of_pwcca_is_not_mirrored():
    whole = layers()
    grid = in_batches(whole).similarity_grid(measure="pwcca")
    assert np.abs(grid - grid.T).max() > 1e-3
    np.testing.assert_allclose(grid, similarity_grid(whole, measure="pwcca"), atol=AGREEMENT)


def test_directions_are_kept_down_to_the_limit_that_squares_set():
    # y is the small direction of x: found, the correlation is 1; lost, it is 0.
    rng = np.random.default_rng(0)
    q = np.linalg.qr(np.column_stack([np.ones(400), rng.normal(size=(400, 2))]))[0][:, 1:]
    turn = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    for size, found in {
        1e-3: True,
        3 * GRAM_NOISE: True,
        GRAM_NOISE / 3: False,
        1e-10: False,
    }.items():
        whole = {"x": (q * [1.0, size]) @ turn, "y": q[:, 1:]}
        value = in_batches(whole).similarity("x", "y", measure="cca")
        assert value == pytest.approx(float(found), abs=1e-2)
        # Beside it the activations themselves, which know.
        assert similarity_grid(whole, measure="cca")[0, 1] == pytest.approx(1, abs=1e-4)


def test_error_grows_with_the_square_of_the_condition_number():
    whole = layers(500)
    for power in (0, 1, 2, 3):
        scaled = whole | {"conv": whole["conv"] * np.logspace(0, -power, 6)}
        expected = similarity_grid(scaled, measure="cca")
        got = in_batches(scaled).similarity_grid(measure="cca")
        np.testing.assert_allclose(got, expected, atol=max(1e-12, 1e-14 * 10 ** (2 * power)))


def test_dead_and_duplicate_neurons_are_no_direction():
    whole = layers()
    x = whole["conv"]
    whole["conv"] = np.hstack([x, x[:, :2], np.full((300, 1), 0.1), x[:, :1] + x[:, 1:2]])
    moments = in_batches(whole)
    assert_equals_the_whole(moments, whole)
    assert moments._axes("conv").rank == 6


def test_fewer_samples_than_features_leave_a_direction_less_than_samples():
    whole = layers(5)
    moments = in_batches(whole, 2)
    assert moments._axes("dense").rank == 4
    assert_equals_the_whole(moments, whole)


def test_the_axes_are_the_factors_of_the_activations_but_for_the_basis():
    x = layers()["conv"]
    whole, axes = Subspace.from_activations(x), in_batches({"x": x})._axes("x")
    np.testing.assert_allclose(axes.singular_values, whole.singular_values, rtol=1e-12)
    np.testing.assert_allclose(axes.spectrum, whole.spectrum, rtol=1e-12)
    np.testing.assert_allclose(np.abs(axes.loadings), np.abs(whole.loadings), atol=1e-10)
    np.testing.assert_allclose(axes.mean, whole.mean, atol=1e-12)
    coordinates = axes.basis * axes.singular_values @ axes.loadings.T
    np.testing.assert_allclose(coordinates.T @ coordinates, products(x, x), atol=1e-9)


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


def test_a_grid_holds_the_pairs_that_are_asked_for():
    whole = layers()
    moments = in_batches(whole)
    whole_grid = similarity_grid(whole)
    grid = moments.similarity_grid()
    np.testing.assert_array_equal(grid, grid.T)
    np.testing.assert_allclose(grid, whole_grid, atol=AGREEMENT)
    part = moments.similarity_grid(["logits", "conv"], ["dense"])
    np.testing.assert_allclose(part, whole_grid[[2, 0]][:, [1]], atol=AGREEMENT)
    square = moments.similarity_grid(["dense", "conv"], ["conv", "logits"])
    np.testing.assert_allclose(square, whole_grid[[1, 0]][:, [0, 2]], atol=AGREEMENT)
    corner = moments.similarity_grid(["dense", "logits"])
    np.testing.assert_allclose(corner, whole_grid[1:, 1:], atol=AGREEMENT)
    assert moments.similarity("dense", "conv") == pytest.approx(whole_grid[0, 1], abs=AGREEMENT)


def test_a_grid_factorises_each_layer_once(monkeypatch):
    moments, seen, eigh = in_batches(layers()), [], np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda a: (seen.append(len(a)), eigh(a))[1])
    moments.similarity_grid()
    assert sorted(seen) == [3, 6, 9]
    moments.similarity_grid(["conv", "logits"], ["conv"])
    assert sorted(seen) == [3, 3, 6, 6, 9]


def test_layers_are_found_by_name_in_any_order():
    whole = layers()
    start, end = batches(whole, [100])
    turned = dict(reversed(end.items()))
    for moments in (gather([start, turned]), gather([start]).merge(gather([turned]))):
        assert moments.names == list(whole)
        assert_equals_the_whole(moments, whole)


def test_merging_changes_neither_operand():
    one, two = (gather([part]) for part in batches(layers(), [100]))
    before = copy.deepcopy((vars(one), vars(two)))
    merged = one.merge(two)
    merged.update(layers(seed=5))
    one.merge(Moments()).update(layers(seed=5))
    Moments().merge(two).update(layers(seed=5))
    for moments, kept in zip((one, two), before, strict=True):
        assert vars(moments).keys() == kept.keys()
        for key, value in kept.items():
            np.testing.assert_array_equal(vars(moments)[key], value)
    assert (one.n_samples, two.n_samples, merged.n_samples) == (100, 200, 600)


def test_nothing_is_neutral():
    whole = layers()
    moments = in_batches(whole)
    for same in (moments.merge(Moments()), Moments().merge(moments)):
        assert_equals_the_whole(same, whole)
    assert Moments().merge(Moments()).n_samples == 0


def test_empty_batches_change_nothing():
    whole = layers()
    empty = {name: x[:0] for name, x in whole.items()}
    moments = gather([empty])
    assert (moments.n_samples, moments.names) == (0, [])
    moments = gather([empty, *batches(whole, [0, 0, 150, 150, 300])])
    assert_equals_the_whole(moments, whole)


def test_moments_travel_between_processes():
    whole = layers()
    parts = [pickle.loads(pickle.dumps(gather([part]))) for part in batches(whole, [100])]
    assert_equals_the_whole(parts[0].merge(parts[1]), whole)


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
    for layout in (
        np.asfortranarray,
        lambda x: np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::2, ::3],
        lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
        lambda x: x.tolist(),
    ):
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


def test_streams_of_other_layers_are_not_merged():
    one = gather([{"x": np.eye(3), "y": np.eye(3, 2)}])
    for other in ({"x": np.eye(3), "z": np.eye(3, 2)}, {"x": np.eye(3), "y": np.eye(3)}):
        with pytest.raises(ValueError, match=r"Layers differ, cannot merge \{'x': 3, 'y': 2\} and"):
            one.merge(gather([other]))


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
        ValueError,
        match=r"measure 'svca' for moments alone\. Did you mean 'svcca'\? .*: cca, cca_r2",
    ):
        moments.similarity("conv", "dense", measure="svca")
    with pytest.raises(TypeError, match="'explained_varience' of svcca. Did you mean 'explained_v"):
        moments.similarity("conv", "dense", explained_varience=0.9)
    with pytest.raises(TypeError, match="Unknown option 'dims' of linear_cka"):
        moments.similarity("conv", "dense", measure="cka", dims=3)
    with pytest.raises(ValueError, match="at least 1. Received: dims=0"):
        moments.similarity("conv", "dense", dims=0)
