"""Every representation on every backend; `test_backends.py` runs this file in a process for each.

What the backends must agree on is written to the folder that SVCCA_RESULTS names.
"""

import os
import sys
import time
import warnings
from pathlib import Path

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND != "tensorflow":
    sys.modules["tensorflow"] = None

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, activations
from svcca_monitor.activations import Sample
from svcca_monitor.callbacks.capture import Capture

REPRESENTATIONS = {
    "sample": "sample",
    "flatten": "flatten",
    "fourier": "fourier",
    "options": Sample(positions=3, seed=1),
    "callable": lambda x: ops.max(x, axis=tuple(range(1, len(x.shape) - 1))),
    "dict": {
        "conv": "fourier",
        "w*": "flatten",
        "steps": lambda x: ops.reshape(x, (ops.shape(x)[0], -1))[:, :3],
    },
}


def captioned():
    """Maps, and a sequence with a mask."""
    image, words = keras.Input((8, 8, 1), name="image"), keras.Input((9,), name="caption")
    maps = layers.Conv2D(3, 3, name="conv")(image)
    sequence = layers.Embedding(20, 4, mask_zero=True, name="words")(words)
    steps = layers.Dense(5, "tanh", name="steps")(sequence)
    seen, read = layers.Flatten()(maps), layers.GlobalAveragePooling1D(name="pool")(steps)
    out = layers.Dense(4, name="out")(layers.Concatenate(name="both")([seen, read]))
    model = keras.Model({"image": image, "caption": words}, out)
    zoo.set_weights(model, 1)
    return model, {"image": zoo.floats(8, 8, 1), "caption": zoo.tokens()}


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_representations_are_the_same_in_the_forward_pass_and_on_every_backend(name):
    model, x = captioned()
    representation = REPRESENTATIONS[name]
    captured = Capture(model, representation=representation, batch_size=25)(ProbeSet(x))
    np.savez(Path(os.environ["SVCCA_RESULTS"]) / f"{BACKEND}-{name}.npz", **captured)
    if isinstance(representation, str):
        inner = [model.get_layer(name).output for name in ("conv", "steps")]
        tensors = {key: ops.convert_to_tensor(value) for key, value in x.items()}
        maps, steps = map(ops.convert_to_numpy, keras.Model(model.inputs, inner)(tensors))
        reduction = activations.reduction(name)
        np.testing.assert_allclose(captured["conv"], reduction(maps), atol=1e-5)
        of_words = reduction(steps, mask=x["caption"] != 0)
        np.testing.assert_allclose(captured["steps"], of_words, atol=1e-5)


def on_the_host(function):
    """A representation that runs `function` on NumPy arrays while the compiled pass runs."""

    def representation(x):
        if BACKEND == "jax":
            import jax

            return jax.pure_callback(function, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        if BACKEND == "tensorflow":
            import tensorflow as tf

            result = tf.numpy_function(function, [x], x.dtype)
            result.set_shape(x.shape)
            return result
        return ops.convert_to_tensor(function(ops.convert_to_numpy(x)))

    return representation


def test_a_representation_that_fails_as_the_pass_runs_is_told_with_its_layer(tmp_path):
    trained = []

    def fragile(x):
        if len(trained) > 1:
            time.sleep(0.3)  # jax runs ahead meanwhile
            raise RuntimeError("cannot be represented")
        return np.asarray(x)

    class Trained(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            trained.append(epoch)

    x = zoo.floats(8)
    low, high = layers.Dense(6, name="low"), layers.Dense(1, name="high")
    model = keras.Sequential([keras.Input((8,)), low, high])
    model.compile("sgd", "mse", jit_compile=False)  # XLA of TensorFlow takes no such function
    monitor = SVCCAMonitor(x, tmp_path, representation={"low": on_the_host(fragile)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(x, x[:, :1], epochs=3, verbose=0, callbacks=[Trained(), monitor])
    messages = [str(w.message) for w in caught if "cannot be represented" in str(w.message)]
    assert len(messages) == 1
    assert "the snapshot of step 2" in messages[0]
    named = "svcca/low" if BACKEND == "tensorflow" else "'low'"
    assert named in messages[0]
    assert Run(tmp_path).steps == [0, 1]


class Places(layers.Layer):
    """Adds something learned to each feature, of a layer that sees no example."""

    def __init__(self, rows, **kwargs):
        super().__init__(**kwargs)
        self.places, self.rows = layers.Embedding(rows, 3, name="places"), rows

    def call(self, x):
        return x + ops.mean(self.places(ops.arange(self.rows)))


@pytest.mark.parametrize("rows", [10, 20])  # of 20 examples, 10 in a batch
def test_rows_that_are_no_examples_are_known_though_a_batch_has_as_many(rows):
    model = keras.Sequential([keras.Input((8,)), Places(rows, name="in"), layers.Dense(4)])
    capture = Capture(model, batch_size=10)
    with pytest.warns(UserWarning, match=r"not watched: in/places \(its rows are not the exampl"):
        captured = capture(ProbeSet(zoo.floats(8)[:20]))
    assert [len(matrix) for matrix in captured.values()] == [20, 20]
