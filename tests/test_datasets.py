"""Probe sets from what Keras trains on: tf.data, PyDataset, DataLoader."""

import random

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from svcca_monitor import ProbeSet, datasets

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = np.arange(40) % 4
WEIGHTS = np.ones(40, np.float32)


def tf_data(*arrays, batch=16):
    data = tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])
    return data.batch(batch)


class Batches(keras.utils.PyDataset):
    def __init__(self, *arrays, order=None, infinite=False):
        super().__init__()
        self.arrays, self.order, self.infinite = arrays, order, infinite

    @property
    def num_batches(self):
        return None if self.infinite else 3

    def __getitem__(self, i):
        rows = np.arange(40)[16 * i : 16 * (i + 1)]
        if self.order:
            rows = self.order(rows)
        return tuple(array[rows] for array in self.arrays)


class Loader:
    """A torch DataLoader as seen from outside: it makes lists of batches that were tuples."""

    collate_fn = dataset = None

    def __init__(self, *arrays):
        self.arrays = arrays

    def __iter__(self):
        for i in range(0, 40, 16):
            yield [array[i : i + 16] for array in self.arrays]


@pytest.mark.parametrize("make", [tf_data, Batches, Loader])
def test_a_data_set_is_read_as_its_arrays_in_its_order(make):
    for given in (make(X, Y), make(X, Y, WEIGHTS)):
        probe = ProbeSet(given)
        assert probe.fingerprint == ProbeSet(X).fingerprint
        np.testing.assert_array_equal(probe.labels, Y)
    assert ProbeSet(make(X, Y), Y[::-1]).labels.tolist() == Y[::-1].tolist()


def test_inputs_alone_dicts_and_strings_are_read():
    assert ProbeSet(tf_data(X)).labels is None
    named = tf.data.Dataset.from_tensor_slices(({"a": X, "b": X + 1}, Y)).batch(16)
    assert ProbeSet(named).fingerprint == ProbeSet({"a": X, "b": X + 1}).fingerprint
    words = np.array([b"a", b"bcd"] * 20)
    assert ProbeSet(tf_data(words, batch=1)).inputs.tolist() == words.tolist()


def test_targets_that_are_no_classes_are_not_taken_for_labels():
    assert ProbeSet(tf_data(X, X)).labels is None
    assert ProbeSet(tf_data(X, np.eye(4, dtype=np.float32)[Y])).labels.tolist() == Y.tolist()


def test_a_data_set_is_read_once_and_for_all():
    read = []

    class Counted(Batches):
        def __getitem__(self, i):
            read.append(i)
            return super().__getitem__(i)

    probe = ProbeSet(Counted(X, Y))
    assert read == [0, 1, 2, 0, 1, 2]  # the second time to see whether it gives the same
    list(probe.batches(8))
    assert len(read) == 6


@pytest.mark.parametrize(
    "shuffled",
    [
        lambda: tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(40).batch(16),
        lambda: Batches(X, Y, order=np.random.permutation),
    ],
)
def test_an_order_that_changes_is_refused_and_why(shuffled):
    with pytest.raises(ValueError, match=r"another order .* example by example.*shuffle=False"):
        ProbeSet(shuffled())


@pytest.mark.parametrize(
    "infinite", [lambda: tf_data(X, Y).repeat(), lambda: Batches(X, Y, infinite=True)]
)
def test_an_infinite_data_set_is_refused_with_the_way_out(infinite):
    with pytest.raises(ValueError, match=r"is infinite.*dataset.take\(n\)"):
        ProbeSet(infinite())


def test_no_more_is_read_than_a_probe_set_can_be(monkeypatch):
    monkeypatch.setattr(datasets, "MAX_EXAMPLES", 1000)

    def endless():
        while True:
            yield X[0]

    spec = tf.TensorSpec((3,), tf.float32)
    data = tf.data.Dataset.from_generator(endless, output_signature=spec).batch(16)
    with pytest.raises(ValueError, match=r"more than 1,000 examples.*dataset.take\(n\)"):
        ProbeSet(data)


def test_single_examples_are_refused():
    with pytest.raises(ValueError, match="gives single examples. Batch them first"):
        ProbeSet(tf.data.Dataset.from_tensor_slices((X, Y)))


def test_shapes_that_change_between_batches_are_refused():
    def narrowing():
        yield X
        yield X[:, :2]

    spec = tf.TensorSpec((None, None), tf.float32)
    data = tf.data.Dataset.from_generator(narrowing, output_signature=spec)
    with pytest.raises(ValueError, match=r"Batch 1 of .*\(2,\).*batch 0 has .*\(3,\).*pad or crop"):
        ProbeSet(data)


def test_ragged_batches_are_refused():
    ragged = tf.data.Dataset.from_tensor_slices(tf.ragged.constant([[1.0], [2.0, 3.0]])).batch(2)
    with pytest.raises(ValueError, match="dense first"):
        ProbeSet(ragged)


def test_reading_leaves_the_random_state_as_it_is():
    class Drawing(Batches):
        def __getitem__(self, i):
            random.random()
            np.random.rand()
            return super().__getitem__(i)

    keras.utils.set_random_seed(0)
    expected = random.random(), np.random.rand()
    keras.utils.set_random_seed(0)
    ProbeSet(Drawing(X, Y))
    assert (random.random(), np.random.rand()) == expected


def test_a_sample_of_a_data_set_is_that_of_its_arrays():
    expected = ProbeSet.sample(X, Y, size=12)
    drawn = ProbeSet.sample(tf_data(X, Y), size=12)
    assert drawn.fingerprint == expected.fingerprint
    np.testing.assert_array_equal(drawn.ids, expected.ids)
    np.testing.assert_array_equal(drawn.labels, expected.labels)


def test_a_sample_reads_only_the_examples_that_it_draws(tmp_path):
    expected = ProbeSet.sample(X, Y, size=12)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        drawn = ProbeSet.sample(file.create_dataset("x", data=X), Y, size=12)
    assert drawn.fingerprint == expected.fingerprint
    bad = X.copy()
    bad[[i for i in range(40) if i not in expected.ids]] = np.nan
    assert ProbeSet.sample(bad, Y, size=12).fingerprint == expected.fingerprint
