from collections import namedtuple

import numpy as np
import pytest

from svcca_monitor import ProbeSet

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.repeat([0, 1, 2, 3], 10)


def test_fingerprint_is_of_values_shapes_dtypes_and_order():
    base = ProbeSet(X).fingerprint
    assert ProbeSet(X.copy(), Y).fingerprint == base
    changed = X.copy()
    changed[7, 1] += 1e-6
    others = [changed, X[::-1], X.astype(np.float64), X.reshape(40, 3, 1), X[:39]]
    prints = {ProbeSet(other).fingerprint for other in others}
    assert len(prints) == 5
    assert base not in prints


def test_fingerprint_sees_the_names_of_inputs_but_not_the_order_of_a_dict():
    a, b = X, X + 1
    assert ProbeSet({"a": a, "b": b}).fingerprint == ProbeSet({"b": b, "a": a}).fingerprint
    assert ProbeSet({"a": a, "b": b}).fingerprint != ProbeSet({"a": b, "b": a}).fingerprint
    assert ProbeSet((a, b)).fingerprint != ProbeSet((b, a)).fingerprint


def test_a_later_change_of_the_callers_array_does_not_reach_the_probe_set():
    mine = X.copy()
    probe = ProbeSet(mine)
    mine[:] = 0
    np.testing.assert_array_equal(probe.inputs, X)


def test_sample_keeps_the_shares_of_the_classes():
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    x = np.arange(1000.0)[:, None]
    probe = ProbeSet.sample(x, labels, size=50, seed=1)
    assert np.bincount(probe.labels).tolist() == [30, 15, 5]
    assert len(probe) == 50
    np.testing.assert_array_equal(probe.inputs[:, 0], probe.ids)
    np.testing.assert_array_equal(labels[probe.ids], probe.labels)


def test_sample_without_stratification_follows_chance():
    labels = np.repeat([0, 1], [990, 10])
    x = np.arange(1000.0)[:, None]
    drawn = [ProbeSet.sample(x, labels, size=100, seed=s, stratify=False) for s in range(20)]
    assert len({np.bincount(p.labels, minlength=2)[1] for p in drawn}) > 1


def test_sample_is_a_matter_of_the_seed_alone():
    draw = lambda seed: ProbeSet.sample(X, Y, size=12, seed=seed).fingerprint  # noqa: E731
    assert draw(3) == draw(3)
    assert draw(3) != draw(4)


def test_sample_draws_no_example_twice_and_all_of_a_small_set():
    probe = ProbeSet.sample(X, Y, size=1024)
    np.testing.assert_array_equal(probe.ids, np.arange(40))


def test_one_hot_labels_become_class_indices():
    np.testing.assert_array_equal(ProbeSet(X, np.eye(4)[Y]).labels, Y)
    np.testing.assert_array_equal(ProbeSet(X, Y[:, None]).labels, Y)


def test_batches_put_together_are_the_inputs():
    probe = ProbeSet({"a": X, "b": (X + 1, X + 2)})
    batches = list(probe.batches(16))
    assert [len(batch["a"]) for batch in batches] == [16, 16, 8]
    np.testing.assert_array_equal(np.concatenate([b["b"][1] for b in batches]), X + 2)


def test_one_input_of_several_with_another_length_is_refused():
    with pytest.raises(ValueError, match=r"same number of examples.*'a'.*40.*'b'.*39"):
        ProbeSet({"a": X, "b": X[:39]})


@pytest.mark.parametrize("empty", [{}, (), np.empty((0, 3))])
def test_an_empty_probe_set_is_refused(empty):
    with pytest.raises(ValueError, match=r"empty|at least two examples"):
        ProbeSet(empty)


def test_a_single_example_is_refused():
    with pytest.raises(ValueError, match="at least two examples.*Received inputs with 1"):
        ProbeSet(X[:1])


def test_nan_is_refused_with_the_first_example_that_has_it():
    bad = X.copy()
    bad[[5, 9], 1] = np.nan
    with pytest.raises(ValueError, match="in 2 of 40 examples, first in example 5"):
        ProbeSet((X, bad))


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="`labels` must have one entry for each of the 40"):
        ProbeSet(X, Y[:5])


def test_a_named_tuple_keeps_its_names():
    Pair = namedtuple("Pair", "left right")
    probe = ProbeSet(Pair(X, X + 1))
    np.testing.assert_array_equal(probe.inputs.right, X + 1)
    assert next(probe.batches(3)).left.shape == (3, *X.shape[1:])


def test_things_that_are_no_arrays_are_refused():
    with pytest.raises(TypeError, match="must be an array.*Received: generator"):
        ProbeSet(x for x in X)
    with pytest.raises(ValueError, match="single number"):
        ProbeSet(np.float32(3))


def test_words_of_any_length_are_told_apart():
    kind = np.dtypes.StringDType()
    first, second = (ProbeSet(np.array([word * 40, "end"], kind)) for word in "ab")
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == ProbeSet(np.array(["a" * 40, "end"])).fingerprint
    assert list(first.inputs) == ["a" * 40, "end"]


def test_integers_and_strings_are_inputs_too():
    assert ProbeSet(np.array(["a", "b", "c"])).n_samples == 3
    assert ProbeSet(np.zeros((5, 2), int)).n_samples == 5
