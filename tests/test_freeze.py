"""Layers are frozen from the bottom, stay as they are from then on, and can be trained again."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from svcca_monitor import FreezeTraining, SVCCAMonitor

EPOCHS = 4


class Weights(keras.callbacks.Callback):
    """Weights of each layer after each epoch."""

    def on_train_begin(self, logs=None):
        self.of_epoch = []

    def on_epoch_end(self, epoch, logs=None):
        layers = {layer.name: layer.get_weights() for layer in self.model.layers}
        self.of_epoch.append({name: weights for name, weights in layers.items() if weights})


def net(seed=0):
    keras.utils.set_random_seed(seed)
    names = ("low", "mid", "high")
    dense = [keras.layers.Dense(6, activation="tanh", name=name) for name in names]
    model = keras.Sequential([keras.Input((5,)), *dense, keras.layers.Dense(1, name="out")])
    model.compile("adam", "mse")
    return model


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(128, 5)), rng.normal(size=(128, 1))


def trained(*callbacks, model=None, **options):
    model, weights = model or net(), Weights()
    options = {"epochs": EPOCHS, "verbose": 0, "shuffle": False} | options
    history = model.fit(*data(), callbacks=[*callbacks, weights], **options)
    return model, history.history, weights.of_epoch


def stood_still(before, after, name):
    return all(np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))


def test_the_linear_schedule_freezes_one_layer_after_each_share_of_the_epochs():
    model, history, weights = trained(FreezeTraining("linear"))
    assert history["frozen_layers"] == [1, 2, 3, 3]
    names = ["low", "mid", "high", "out"]
    for epoch in range(1, EPOCHS):
        still = [stood_still(*weights[epoch - 1 : epoch + 1], name) for name in names]
        assert still == [i < epoch for i in range(4)]
    assert all(layer.trainable for layer in model.layers)


def test_a_list_says_after_which_epochs():
    _, history, weights = trained(FreezeTraining([2, 2]))
    assert history["frozen_layers"] == [0, 2, 2, 2]
    assert stood_still(weights[1], weights[3], "mid")
    assert not stood_still(weights[1], weights[3], "high")


def test_what_is_above_trains_as_if_the_layers_below_had_been_constant():
    """The optimizer's slots stay with their weights."""
    _, _, frozen = trained(FreezeTraining([2]))
    _, _, free = trained()
    for name in ("low", "mid", "high", "out"):
        assert stood_still(frozen[1], free[1], name) or np.allclose(
            frozen[1][name][0], free[1][name][0]
        )
    assert not stood_still(frozen[3], free[3], "out")


def test_a_fit_that_goes_on_freezes_what_is_due_and_one_without_trains_all_again():
    model, _, _ = trained(FreezeTraining("linear"), epochs=2)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    _, history, weights = trained(FreezeTraining([1, 2]), model=model, initial_epoch=2)
    assert history["frozen_layers"] == [2, 2]
    assert stood_still(before, weights[0], "low")
    assert not stood_still(before, weights[0], "high")
    assert stood_still(*weights, "mid")
    _, _, weights = trained(model=model, epochs=2)
    assert not stood_still(*weights, "low")


def test_layers_that_the_monitor_saw_converge_are_frozen_from_the_bottom(tmp_path):
    x, _ = data()
    monitor = SVCCAMonitor(x, log_dir=tmp_path)
    _, history, weights = trained(monitor, FreezeTraining(monitor=monitor, threshold=0.5))
    assert history["frozen_layers"][0] == 0
    assert history["frozen_layers"][1] >= 1
    assert stood_still(weights[1], weights[3], "low")
    never = SVCCAMonitor(x, log_dir=tmp_path / "never")
    _, history, _ = trained(never, FreezeTraining(monitor=never, threshold=1.0))
    assert history["frozen_layers"] == [0] * EPOCHS


def test_of_a_block_and_its_layers_the_layers_are_frozen_one_at_a_time():
    class Block(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.first, self.second = (keras.layers.Dense(6, name=n) for n in ("first", "second"))

        def call(self, x):
            return self.second(self.first(x))

    model = keras.Sequential([Block(name="block"), keras.layers.Dense(1, name="out")])
    model.compile("adam", "mse")  # not built yet
    freeze = FreezeTraining([1, 2])
    _, history, weights = trained(freeze, model=model)
    assert history["frozen_layers"] == [1, 2, 2, 2]
    assert freeze.frozen == ["block/first", "block/second"]
    first, second = weights[0]["block"][:2], weights[1]["block"][:2]
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(weights[0]["block"][2], weights[1]["block"][2])


def test_a_similarity_counts_once_however_many_epochs_pass_until_the_next(tmp_path):
    monitor = SVCCAMonitor(data()[0], log_dir=tmp_path, snapshot_freq=8)  # every second epoch
    freeze = FreezeTraining(monitor=monitor, threshold=0.01, patience=2)
    _, history, _ = trained(monitor, freeze, epochs=5)
    assert history["frozen_layers"] == [0, 0, 0, 3, 3]


def test_a_dry_run_says_what_it_would_freeze_and_changes_nothing():
    _, history, dry = trained(FreezeTraining("linear", dry_run=True))
    _, _, free = trained()
    assert history["frozen_layers"] == [1, 2, 3, 3]
    assert all(stood_still(dry[-1], free[-1], name) for name in free[-1])


def test_layers_that_were_frozen_before_stay_so():
    model = net()
    model.get_layer("low").trainable = False
    model.compile("adam", "mse")
    _, history, _ = trained(FreezeTraining("linear"), model=model)
    assert history["frozen_layers"][-1] == 2
    assert not model.get_layer("low").trainable
    assert model.get_layer("mid").trainable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of the two. Received: schedule=None, monitor=None"),
        ({"schedule": "linaer"}, "Unknown schedule 'linaer'. Did you mean 'linear'"),
        ({"schedule": []}, r"freezes nothing. .* or leave FreezeTraining out. Received: \[\]"),
        ({"schedule": [3, 1]}, r"cannot descend. Received: \[3, 1\]"),
        ({"schedule": "linear", "threshold": 2}, "must be in .* Received: threshold=2"),
        ({"schedule": "linear", "patience": 0}, "Received: .*patience=0"),
    ],
)
def test_what_makes_no_schedule_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FreezeTraining(**options)


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_freeze_or_say_that_they_cannot(backend):
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "import test_freeze as t\n"
        "from svcca_monitor import FreezeTraining\n"
        "try: _, history, weights = t.trained(FreezeTraining('linear'))\n"
        "except RuntimeError as error: print(error)\n"
        "else: print(history['frozen_layers'], t.stood_still(weights[0], weights[3], 'low'),\n"
        "    t.stood_still(weights[0], weights[3], 'out'))"
    )
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = {"torch": "[1, 2, 3, 3] True False", "jax": "FreezeTraining works on tensorflow and"}
    assert expected[backend] in done.stdout, done.stderr


@pytest.mark.parametrize("section", [{"schedule": "linear"}, {"when": "converged", "patience": 1}])
def test_a_config_freezes(section, tmp_path):
    from svcca_monitor.experiments import config, train

    sections = {
        "data": {"name": "digits", "train_size": 64, "test_size": 60},
        "model": {"name": "mlp", "parameters": {"units": [6, 5]}},
        "training": {"epochs": 3, "learning_rate": 1e-5},
        "monitor": {"probe_size": 50},
        "freeze": section,
    }
    logs = train.train(config.check(sections, "x.yaml"), tmp_path)
    assert logs["frozen_layers"] == 2  # of three: the top layer is left
