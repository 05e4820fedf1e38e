"""That training with the monitor is training without it, bit for bit, on every backend.

`test_backends.py` runs this file in a process for each backend.
"""

import os
import random
import sys
import warnings

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND != "tensorflow":
    sys.modules["tensorflow"] = None

import keras
import numpy as np
import pytest
from keras import layers

from svcca_monitor import ProbeSet, Run, SVCCAMonitor

# For torch this needs a compiler of C++ and more than a minute: where SVCCA_TORCH_JIT is set.
COMPILED = [False, True] if BACKEND != "torch" or "SVCCA_TORCH_JIT" in os.environ else [False]
COMPILER = [f"ignore::{kind}:torch.*" for kind in ("DeprecationWarning", "UserWarning")]
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(160, 8, 8, 1)).astype(np.float32), RNG.integers(0, 4, 160)
BATCH = 16  # of everything, for each size is compiled anew


class Between(keras.callbacks.Callback):
    """Evaluates and predicts while training goes on."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.predict(X[:BATCH], batch_size=BATCH, verbose=0)
        self.model.evaluate(X[:BATCH], Y[:BATCH], batch_size=BATCH, verbose=0)


class Flip(layers.Layer):
    """Flips each training image or not: augmentation that needs nothing of TensorFlow."""

    def __init__(self):
        super().__init__()
        self.seeds = keras.random.SeedGenerator(7)

    def call(self, x, training=False):
        if not training:
            return x
        draw = keras.random.uniform((keras.ops.shape(x)[0], 1, 1, 1), seed=self.seeds)
        return keras.ops.where(draw < 0.5, keras.ops.flip(x, axis=2), x)


def network(**compiled):
    keras.utils.set_random_seed(0)
    # Those of Keras need TensorFlow, on every backend, and XLA does not take them.
    ready_made = BACKEND == "tensorflow" and not compiled.get("jit_compile")
    model = keras.Sequential(
        [
            *([layers.RandomFlip(), layers.RandomTranslation(0.1, 0.1)] if ready_made else []),
            Flip(),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activation="relu", trainable=False),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **compiled)
    return model


def trained(*monitors, **compiled):
    """Everything that two fits, one going on from the other, leave behind."""
    model = network(**compiled)
    histories = []
    for span in ({"epochs": 2}, {"initial_epoch": 2, "epochs": 3}):
        history = model.fit(
            X,
            Y,
            batch_size=BATCH,
            shuffle=True,
            validation_data=(X[:32], Y[:32]),
            verbose=0,
            callbacks=[Between(), *monitors],
            **span,
        )
        model.evaluate(X[:32], Y[:32], batch_size=BATCH, verbose=0)
        histories.append(history.history)
    return {
        "weights, statistics, metrics and seeds": [v.numpy() for v in model.variables],
        "optimizer": [v.numpy() for v in model.optimizer.variables],
        "history": [
            {k: v for k, v in history.items() if not k.startswith("svcca")} for history in histories
        ],
        "trainable": [layer.trainable for layer in model.layers],
        "predictions": model.predict(X, batch_size=BATCH, verbose=0),
        "random": [keras.random.normal((3,)), np.random.rand(3), random.random(), *backend_draw()],
    }


def backend_draw():
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return [tf.random.normal((3,)).numpy()]
    if BACKEND == "torch":
        import torch

        return [torch.rand(3).numpy()]
    return []  # jax has no state


def assert_same(a, b, what="state"):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key], key)
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y, what)
    else:
        x, y = (keras.ops.convert_to_numpy(v) if keras.ops.is_tensor(v) else v for v in (a, b))
        np.testing.assert_array_equal(x, y, err_msg=what)


@pytest.mark.filterwarnings(*COMPILER)
@pytest.mark.parametrize("jit_compile", COMPILED)
def test_two_fits_are_the_same_with_two_monitors_and_without(tmp_path, jit_compile):
    alone = trained(jit_compile=jit_compile)
    epochs = SVCCAMonitor(ProbeSet(X[:50]), tmp_path / "epochs")
    batches = SVCCAMonitor(ProbeSet(X[50:90]), tmp_path / "batches", snapshot_freq=4)
    assert_same(alone, trained(epochs, batches, jit_compile=jit_compile))
    assert Run(tmp_path / "epochs").steps == [0, 1, 2, 3]
    assert Run(tmp_path / "batches").steps == [0, 4, 8, 12, 16, 20, 24, 28, 30]


def endless():
    draw = np.random.default_rng(3)
    while True:
        rows = draw.integers(0, len(X), BATCH)
        yield X[rows], Y[rows]


class Interrupt(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def eager_on_endless_data(model, folder, monitors):
    model.run_eagerly = True
    span = {"epochs": 2, "steps_per_epoch": 3, "shuffle": False, "verbose": 0}
    return model, model.fit(endless(), callbacks=monitors, **span)


def beside_callbacks_of_keras(model, folder, monitors):
    averaged = keras.optimizers.SGD(
        0.1, momentum=0.9, use_ema=True, ema_momentum=0.9, gradient_accumulation_steps=3
    )
    model.compile(averaged, "sparse_categorical_crossentropy")
    best, file = {"monitor": "val_loss", "min_delta": 10.0}, folder / "best.weights.h5"
    theirs = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.ReduceLROnPlateau(patience=0, **best),
        keras.callbacks.ModelCheckpoint(file, save_best_only=True, save_weights_only=True),
        keras.callbacks.EarlyStopping(patience=1, restore_best_weights=True, **best),
        keras.callbacks.CSVLogger(folder / "log.csv"),
    ]
    weights = {0: 1.0, 1: 2.0, 2: 0.5, 3: 1.0}
    span = {"batch_size": BATCH, "epochs": 4, "class_weight": weights, "verbose": 0}
    span["validation_data"] = (X[:BATCH], Y[:BATCH])
    return model, model.fit(X, Y, callbacks=[*theirs[:2], *monitors, *theirs[2:]], **span)


def restored_after_an_interruption(model, folder, monitors):
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    span = {"batch_size": BATCH, "epochs": 3, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, callbacks=[backup, *monitors, Interrupt(2)], **span)
    again = plain()
    return again, again.fit(X, Y, callbacks=[backup, *monitors], **span)


def plain():
    keras.utils.set_random_seed(0)
    hidden = layers.Dense(6, "relu", name="hidden")
    net = [layers.Flatten(), hidden, layers.Dropout(0.3), layers.Dense(4, "softmax", name="out")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *net])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    "way", [eager_on_endless_data, beside_callbacks_of_keras, restored_after_an_interruption]
)
def test_other_ways_to_train_are_the_same_with_the_monitor_and_without(tmp_path, way):
    found = []
    for monitors in ([], [SVCCAMonitor(ProbeSet(X[:50]), tmp_path / "run")]):
        folder = tmp_path / str(len(found))
        folder.mkdir()
        model, history = way(plain(), folder, monitors)
        numbers = {k: v for k, v in history.history.items() if not k.startswith("svcca")}
        state = [v.numpy() for v in (*model.variables, *model.optimizer.variables)]
        found.append({"history": numbers, "state": state, "random": keras.random.normal((3,))})
    assert_same(*found)
    assert Run(tmp_path / "run").steps[:3] == [0, 1, 2]


def test_no_warning_comes_of_the_monitor_where_all_are_errors(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(4)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(X, Y, verbose=0)  # what Keras says of itself, it says
    monitor = SVCCAMonitor(ProbeSet(X[:50]), tmp_path, on_error="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[monitor])
    assert Run(tmp_path).steps == [0, 1, 2]


if BACKEND != "torch":  # which runs one batch at a time

    def test_several_batches_an_execution_are_the_same_with_the_monitor(tmp_path):
        alone = trained(steps_per_execution=4)
        monitor = SVCCAMonitor(ProbeSet(X[:50]), tmp_path, snapshot_freq=3)
        assert_same(alone, trained(monitor, steps_per_execution=4))
        run = Run(tmp_path)
        assert run.steps[0] == 0
        assert run.steps[-1] == 30
        assert run.epochs == sorted(run.epochs)


def test_the_comparison_sees_a_single_number_that_moved():
    state = {"weights": [np.zeros(3), np.zeros(2)]}
    moved = {"weights": [np.zeros(3), np.array([0, 1e-9])]}
    with pytest.raises(AssertionError, match="weights"):
        assert_same(state, moved)


def test_training_of_epochs_is_dispatched_as_without_the_monitor(tmp_path):
    probe = ProbeSet(X[:50])

    def asynchronous(*callbacks):
        return keras.callbacks.CallbackList(list(callbacks))._async_train

    assert asynchronous(SVCCAMonitor(probe, tmp_path)) == asynchronous()
    assert not asynchronous(SVCCAMonitor(probe, tmp_path, snapshot_freq=3))


if BACKEND == "torch":
    import torch

    def test_a_shuffling_loader_is_refused_and_reading_one_draws_no_number():
        data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
        torch.manual_seed(0)
        expected = torch.rand(3)
        torch.manual_seed(0)
        probe = ProbeSet(torch.utils.data.DataLoader(data, batch_size=32))
        assert torch.equal(torch.rand(3), expected)
        assert probe.fingerprint == ProbeSet(X).fingerprint
        np.testing.assert_array_equal(probe.labels, Y)
        with pytest.raises(ValueError, match="another order"):
            ProbeSet(torch.utils.data.DataLoader(data, batch_size=32, shuffle=True))
