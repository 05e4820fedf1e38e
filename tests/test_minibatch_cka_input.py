"""Batches for debiased CKA of every kind: answered, or refused without a trace."""

import copy
import re
import tracemalloc

import numpy as np
import pytest
from batches import cka, pair, split, stream

from svcca_monitor import similarity_grid
from svcca_monitor.moments import MinibatchCKA


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_batches_of_other_dtypes_are_taken_in_double_and_left_as_they_were(dtype):
    x, y = (a.astype(dtype) for a in pair())
    before = copy.deepcopy((x, y))
    x.flags.writeable = y.flags.writeable = False
    value = stream(split(x, y, 16)).value[0, 1]
    expected = cka(split(x.astype(float), y.astype(float), 16))
    assert value == pytest.approx(expected, abs=1e-12)
    for was, now in zip(before, (x, y), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
def test_constant_layers_are_nan_and_named_in_a_warning(constant):
    x, y = pair()
    made = MinibatchCKA()
    for rows, others in split(x, y, 16):
        flat = np.full((len(rows), 3), constant)
        made.update({"x": rows, "flat": flat, "y": others, "tiny": rows * 1e-80})
    with pytest.warns(UserWarning, match=r"but for one row: flat, tiny\. Similarity is nan\.$"):
        value = made.value
    dead = np.array([False, True, False, True])
    np.testing.assert_array_equal(np.isnan(value), dead[:, None] | dead)


def test_a_layer_that_one_row_of_each_batch_sets_apart_has_nothing_but_bias():
    _, y = pair()
    odd = np.zeros((96, 2))
    odd[::16] = [0.1, 7.3]
    with pytest.warns(UserWarning, match="or but for one row: x. Similarity is nan"):
        assert np.isnan(stream(split(odd + 1.7, y, 16)).value[0, 1])
    odd[1::16] = 0.2
    assert np.isfinite(stream(split(odd + 1.7, y, 16)).value).all()


@pytest.mark.parametrize(("n_samples", "n_x", "n_y"), [(3000, 5, 3), (8, 4000, 3000)])
def test_neither_narrow_nor_wide_layers_need_the_larger_matrix(n_samples, n_x, n_y):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n_samples, n_x)), rng.normal(size=(n_samples, n_y))
    made = MinibatchCKA()
    tracemalloc.start()
    made.update({"x": x, "y": y})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < max(n_samples**2, n_x * n_y) * 8 / 20
    expected = similarity_grid([x], [y], measure="cka_debiased")[0, 0]
    assert made.value[0, 1] == pytest.approx(expected, abs=1e-12)


def test_batches_of_fewer_than_four_samples_are_refused_and_empty_ones_change_nothing():
    x, y = pair()
    made = stream([(x[:0], y[:0])])
    with pytest.raises(ValueError, match="No batch to compute CKA from. Call `update` first."):
        _ = made.value
    for n in (1, 2, 3):
        with pytest.raises(ValueError, match=f"at least 4 samples. Join these {n} to a batch"):
            made.update({"x": x[:n], "y": y[:n]})
    assert (made.n_samples, made.names) == (0, [])
    made.update({"x": x, "y": y})
    with pytest.raises(ValueError, match="at least 4 samples"):
        made.update({"x": x[:3], "y": y[:3]})
    made.update({"x": x[:0], "y": y[:0]})
    assert made.value[0, 1] == stream([(x, y)]).value[0, 1]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"x": np.ones((5, 6)), "y": np.ones((4, 4))}, "same probe set: row i of both"),
        ({"x": np.ones((5, 7)), "y": np.ones((5, 4))}, "`x` had 6 features, but has 7"),
        ({"x": np.ones((5, 6)), "y": np.full((5, 4), np.nan)}, "`y` has 20 values of 20"),
        ({"x": np.ones((5, 6))}, "A batch holds ['x'], but the first one held ['x', 'y']"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused_and_leaves_no_trace(batch, message):
    made = stream([pair()])
    before = made.value
    with pytest.raises(ValueError, match=re.escape(message)):
        made.update(batch)
    assert made.n_samples == 96
    np.testing.assert_array_equal(made.value, before)


def test_merging_changes_neither_operand_and_finds_layers_by_name():
    (x, y), (u, v) = pair(seed=1), pair(seed=2)
    one, two = stream([(x, y)]), MinibatchCKA()
    two.update({"y": v, "x": u})
    values = one.value, two.value
    for merged, names in ((one.merge(two), ["x", "y"]), (two.merge(one), ["y", "x"])):
        assert (merged.names, merged.n_samples) == (names, 192)
        assert merged.value[0, 1] == pytest.approx(cka([(x, y), (u, v)]), abs=1e-12)
        merged.update({"x": u, "y": v})
    one.merge(MinibatchCKA()).update({"x": u, "y": v})
    MinibatchCKA().merge(two).update({"x": u, "y": v})
    np.testing.assert_array_equal(one.value, values[0])
    np.testing.assert_array_equal(two.value, values[1])
    with pytest.raises(ValueError, match="Layers differ, cannot merge"):
        one.merge(stream([(y, x)]))


def test_a_dead_layer_is_found_after_merging_too():
    _, y = pair()
    odd = np.zeros((96, 2))
    odd[0] = 1e-3
    parts = [stream([(odd + 1.7, y)]), stream([(odd * 10 + 1.7, y)])]
    with pytest.warns(UserWarning, match="but for one row: x"):
        assert np.isnan(parts[0].merge(parts[1]).value[0, 0])
