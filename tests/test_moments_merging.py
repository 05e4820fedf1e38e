"""Neither how the rows are cut into batches nor who took them in matters."""

import copy
import pickle

import numpy as np
import pytest
from batches import assert_equals_the_whole, batches, gather, in_batches, layers, products
from hypothesis import given, settings
from hypothesis import strategies as st

from svcca_monitor import GramMatrices, MinibatchCKA, Moments


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


def test_parts_far_from_each_other_are_brought_together():
    whole = layers(200)
    whole["conv"][100:] += 1e6
    parts = [gather([part]) for part in batches(whole, [100])]
    for moments in (parts[0].merge(parts[1]), parts[1].merge(parts[0]), in_batches(whole, 30)):
        expected = products(whole["conv"], whole["dense"])
        np.testing.assert_allclose(moments.cross_product("conv", "dense"), expected, rtol=1e-9)


def test_a_layer_may_turn_complex_on_the_way():
    whole = {name: x.astype(complex) for name, x in layers().items()}
    whole["dense"][100:] *= 1j
    start, end = batches(whole, [100])
    parts = [{name: x.real for name, x in start.items()}, end]
    assert_equals_the_whole(gather(parts), whole)
    assert_equals_the_whole(gather(parts[:1]).merge(gather(parts[1:])), whole)
    assert_equals_the_whole(gather(parts[1:]).merge(gather(parts[:1])), whole)


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


def test_streams_of_other_layers_are_not_merged():
    one = gather([{"x": np.eye(3), "y": np.eye(3, 2)}])
    for other in ({"x": np.eye(3), "z": np.eye(3, 2)}, {"x": np.eye(3), "y": np.eye(3)}):
        with pytest.raises(ValueError, match=r"Layers differ, cannot merge \{'x': 3, 'y': 2\} and"):
            one.merge(gather([other]))


@pytest.mark.parametrize("kind", [Moments, MinibatchCKA, GramMatrices])
def test_what_is_of_another_kind_is_not_merged(kind):
    layer = {"x": np.eye(9, 3)}
    one = kind()
    one.update(layer)
    for other in (layer, None, *(k() for k in (Moments, MinibatchCKA, GramMatrices) if k != kind)):
        message = f"`merge` takes another {kind.__name__}. Received a {type(other).__name__}"
        for mine in (one, kind()):
            with pytest.raises(TypeError, match=message):
                mine.merge(other)
