"""Rows that are of no example: outputs of one's own layers that are something else."""

from fractions import Fraction

import keras
import numpy as np
import pytest
from keras import layers, ops

from svcca_monitor import ProbeSet, Run, SVCCAMonitor
from svcca_monitor.activations import UserDefined, reduction
from svcca_monitor.callbacks.capture import Capture
from svcca_monitor.callbacks.rows import RowCounts

X = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


class Places(layers.Layer):
    """Adds something learned to each feature; it comes from a layer that sees no example."""

    def __init__(self, rows=8, **kwargs):
        super().__init__(**kwargs)
        self.places = layers.Embedding(rows, 3, name="places")
        self.rows = rows

    def call(self, x):
        return x + ops.mean(self.places(ops.arange(self.rows)))


class Patches(layers.Layer):
    """Takes each example apart into four."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(5, name="dense")

    def call(self, x):
        return ops.reshape(self.dense(ops.reshape(x, (-1, 2))), (-1, 20))


def net(layer):
    return keras.Sequential([keras.Input((8,)), layer, layers.Dense(4, name="out")])


@pytest.mark.parametrize("rows", [1, 8, 64, 128])
@pytest.mark.parametrize(
    "representation", ["mean", "sample", lambda x: ops.reshape(x, (ops.shape(x)[0], -1))]
)
def test_a_layer_whose_rows_are_no_examples_is_left_out_and_named(rows, representation):
    capture = Capture(net(Places(rows, name="input")), representation=representation)
    with pytest.warns(UserWarning, match=r"not watched: input/places \(its rows are not the exa"):
        captured = capture(ProbeSet(X))
    assert list(captured) == ["input", "out"]
    assert [(info.name, info.depth) for info in capture.layer_info] == [("input", 0), ("out", 1)]
    assert list(capture(ProbeSet(X))) == ["input", "out"]


def test_a_training_with_such_a_layer_is_watched(tmp_path):
    model = net(Places(name="input"))
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="not watched: input/places"):
        model.fit(X, X[:, :4], epochs=2, verbose=0, callbacks=[SVCCAMonitor(X, tmp_path)])
    assert Run(tmp_path).layers == ["input", "out"]
    assert Run(tmp_path).steps == [0, 1, 2]


def test_chosen_alone_it_is_refused_before_anything_is_trained():
    capture = Capture(net(Places(name="input")), layers="input/places")
    with pytest.raises(ValueError, match=r"can be watched: input/places \(its rows are not"):
        capture(ProbeSet(X))


def test_parts_of_examples_are_left_out_beside_whole_ones_and_watched_alone():
    with pytest.warns(UserWarning, match="not watched: patches/dense"):
        captured = Capture(net(Patches(name="patches")))(ProbeSet(X))
    assert list(captured) == ["patches", "out"]
    alone = Capture(net(Patches(name="patches")), layers="patches/dense", batch_size=10)
    assert alone(ProbeSet(X))["patches/dense"].shape == (4 * 64, 5)


def test_outputs_without_features_are_nothing_to_watch():
    x = keras.Input((8,))
    some = layers.Dense(6, name="some")(x)
    none = layers.Lambda(lambda t: t[:, :0], name="none")(some)
    both = layers.Concatenate(name="both")([some, none])
    assert list(Capture(keras.Model(x, both))(ProbeSet(X))) == ["some", "both"]


def test_a_representation_of_a_few_rows_is_at_fault_itself():
    capture = Capture(net(Places(name="input")), layers="out", representation=lambda x: x[:3])
    with pytest.raises(ValueError, match="Representations must give every layer the same number"):
        capture(ProbeSet(X))


def counted(**shares):
    counts = RowCounts()
    for name, of_batches in shares.items():
        counts._seen[name] = {Fraction(share) for share in of_batches}
    return counts


@pytest.mark.parametrize(
    ("shares", "kind", "strays"),
    [
        ({"a": [1], "b": [1]}, "mean", []),
        ({"a": [1], "b": [1, 2]}, "mean", ["b"]),
        ({"a": [1], "b": ["1/2"]}, "mean", ["b"]),
        ({"a": [1], "b": [3]}, "mean", ["b"]),
        ({"a": [3], "b": [3]}, "mean", []),
        ({"a": [1, 2]}, "mean", ["a"]),
        ({"a": [4], "b": [1]}, "sample", ["b"]),
        ({"a": [2], "b": [1]}, UserDefined(abs), []),
        ({"a": [2], "b": [1, 2]}, UserDefined(abs), ["b"]),
        ({"a": [1, 2], "b": [1, 2]}, UserDefined(abs), []),
    ],
)
def test_strays_are_those_whose_rows_do_not_follow_the_examples(shares, kind, strays):
    assert counted(**shares).strays(dict.fromkeys(shares, reduction(kind))) == strays
