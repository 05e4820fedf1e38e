"""That a training on two devices has the run of one; `test_distribution.py` runs this file.

The two devices are the CPU twice, which must be said before a backend starts: hence processes of
their own.
"""

import os
import sys

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND != "tensorflow":
    sys.modules["tensorflow"] = None

from contextlib import contextmanager, nullcontext

import keras
import numpy as np
import pytest
from keras import layers

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, learning_dynamics, pane

if BACKEND == "tensorflow":
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(128, 8, 8, 1)).astype(np.float32), RNG.integers(0, 4, 128)
PROBE = ProbeSet(X[:50])


def mirrored():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()


@contextmanager
def distributed(distribution):
    keras.distribution.set_distribution(distribution)
    try:
        yield
    finally:
        keras.distribution.set_distribution(None)


def data_parallel():
    return distributed(keras.distribution.DataParallel())


def model_parallel():
    """The columns of one kernel on one device each."""
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"])
    layout = keras.distribution.LayoutMap(mesh)
    layout[".*hidden/kernel"] = (None, "model")
    return distributed(keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"))


KINDS = {"tensorflow": [mirrored], "jax": [data_parallel, model_parallel]}[BACKEND]


def trained(scope, *callbacks):
    with scope:
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(4, 3, activation="relu", name="conv"),
                layers.LayerNormalization(name="norm"),
                layers.Flatten(),
                layers.Dense(8, name="hidden"),
                layers.Dense(4, activation="softmax", name="out"),
            ]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
        history = model.fit(X, Y, batch_size=32, epochs=2, verbose=0, callbacks=list(callbacks))
    return model, history.history["loss"]


@pytest.fixture(scope="module")
def on_one_device(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    trained(nullcontext(), SVCCAMonitor(PROBE, folder, snapshot_freq=3, on_error="raise"))
    return Run(folder)


def devices_of(variable):
    if BACKEND == "tensorflow":
        return {value.device for value in variable.value.values}
    return variable.value.devices()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_on_two_devices_has_the_run_of_one(on_one_device, tmp_path, kind):
    monitor = SVCCAMonitor(PROBE, tmp_path, snapshot_freq=3, on_error="raise")
    model, losses = trained(kind(), monitor)
    kernel = model.get_layer("hidden").kernel
    assert len(devices_of(kernel)) == 2
    if kind is model_parallel:
        assert not kernel.value.is_fully_replicated
    one, two = on_one_device, Run(tmp_path)
    assert two.steps == one.steps == [0, 3, 6, 8]
    assert two.layer_info == one.layer_info
    for reference in ("final", "previous"):
        of_one, of_two = (learning_dynamics(run, reference) for run in (one, two))
        np.testing.assert_allclose(of_two, of_one, atol=1e-4)
    np.testing.assert_allclose(pane(two, 8), pane(one, 8), atol=1e-4)
    assert (learning_dynamics(two).sel(step=0) < 0.9999).any()  # it did train

    # Nothing is written twice, and the training is what it is without the monitor.
    events = sorted(path.name.rsplit(".", 1)[-1] for path in two.path.glob("events.out.*"))
    assert events == ["final", "live"]
    plain, plain_losses = trained(kind())
    assert losses == plain_losses
    for a, b in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
