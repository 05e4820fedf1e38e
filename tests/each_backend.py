"""What must hold on every backend; `test_backends.py` runs this file in a process for each.

On jax and torch, TensorFlow cannot be imported here. What the backends must agree on is written to
the folder that SVCCA_RESULTS names.
"""

import gc
import os
import random
import sys
import tracemalloc
from pathlib import Path

BACKEND = os.environ["KERAS_BACKEND"]
if BACKEND != "tensorflow":
    sys.modules["tensorflow"] = None

import keras
import numpy as np
import pytest
import zoo
from keras import layers, ops

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, learning_dynamics, similarity_grid
from svcca_monitor.callbacks.capture import Capture

pytestmark = [
    # Keras' own, of a layer that is never called and of float64 on jax.
    pytest.mark.filterwarnings("ignore:`build.*` was called on layer 'subclassed'"),
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64"),
]


SMALL = [
    *("training.epochs=1", "data.train_size=200", "monitor.probe_size=300"),
    *("model.name=mlp", "model.parameters={}"),
]


def everything(model):
    """Variables of the model, and a draw from every source of random numbers."""
    values = {v.path: ops.convert_to_numpy(v.value).copy() for v in model.variables}
    states = {"python": random.getstate(), "numpy": np.random.get_state()[1].copy()}
    if BACKEND == "torch":
        import torch

        states["torch"] = torch.get_rng_state().numpy().copy()
    return values, states


def saved(name, arrays):
    np.savez(Path(os.environ["SVCCA_RESULTS"]) / f"{BACKEND}-{name}.npz", **arrays)


@pytest.mark.parametrize("kind", zoo.MODELS)
def test_layers_are_captured_and_nothing_is_touched(kind):
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    model, x = zoo.MODELS[kind]()
    probe = ProbeSet(x)
    capture = Capture(model, batch_size=25)
    if kind in zoo.LEFT_OUT:
        with pytest.warns(UserWarning, match=f"not watched: {zoo.LEFT_OUT[kind]}"):
            capture(probe)
    else:
        capture(probe)
    zoo.set_weights(model, 1)
    before = everything(model)
    early = capture(probe)
    for a, b in zip(before, everything(model), strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_equal(a[name], b[name], err_msg=name)
    assert all("call" not in vars(layer) for layer in model._flatten_layers())
    assert " ".join(early) == zoo.LAYERS[kind]
    assert all(m.shape[0] == zoo.N for m in early.values())
    own = model(keras.tree.map_structure(ops.convert_to_tensor, x))
    own = ops.convert_to_numpy(keras.tree.flatten(own)[0])
    tolerance = zoo.ROUNDED.get(kind, 1e-4)
    np.testing.assert_allclose(early[list(early)[-1]], own, rtol=0, atol=tolerance)
    zoo.set_weights(model, 2)
    late = capture(probe)
    grid = similarity_grid(early, late, measure="cca")
    saved(list(zoo.MODELS).index(kind), {"grid": grid})


def test_one_trace_serves_a_long_run_and_memory_stays_flat():
    traces = []

    def watched(x):
        traces.append(1)
        return ops.mean(x, axis=(1, 2))

    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(3, 2, name="conv")])
    capture = Capture(model, representation=watched, batch_size=5)
    probe = ProbeSet(np.random.default_rng(0).normal(size=(10, 4, 4, 1)).astype("float32"))
    sizes = []
    tracemalloc.start()
    for step in range(201):
        capture(probe)
        if step % 100 == 0:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    # Of 100 snapshots. What the interpreter and torch keep of 300 calls is some 20 kB; a graph or
    # an output that is kept at each would be far more.
    assert sizes[2] - sizes[1] < 50_000
    # torch runs as it goes: two batches, and at first half of one to see whose rows are whose.
    assert len(traces) == (2 * 201 + 1 if BACKEND == "torch" else 1)


if BACKEND != "tensorflow":  # where Keras cannot call such models

    def test_layers_that_are_computed_again_in_training_are_seen_as_others():
        def net():
            low, high = layers.Dense(6, "relu", name="low"), layers.Dense(4, name="high")
            return keras.Sequential([keras.Input((8,)), low, high])

        with keras.RematScope(mode="full"):
            again = net()
        once = net()
        once.set_weights(again.get_weights())
        modes = [layer._remat_mode for layer in again.layers]
        assert None not in modes
        seen, expected = (Capture(model)(ProbeSet(zoo.floats(8))) for model in (again, once))
        np.testing.assert_equal(seen, expected)
        assert [layer._remat_mode for layer in again.layers] == modes


def convnet():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="bn"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(10, name="logits"),
        ]
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("freq", ["epoch", 3])
def test_fit_writes_a_run_of_the_weights_as_they_were(digits, tmp_path, freq):
    x, y = digits[0][:200], digits[1][:200]
    probe = ProbeSet(digits[2][:60])
    seen = {}

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if freq != "epoch" and (done := 4 * self.epoch + batch + 1) % 3 == 0:
                seen[done] = self.model.predict_on_batch(probe.inputs)

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_epoch_end(self, epoch, logs=None):
            if freq == "epoch":
                seen[epoch + 1] = self.model.predict_on_batch(probe.inputs)

    monitor = SVCCAMonitor(probe, tmp_path, snapshot_freq=freq)
    convnet().fit(x, y, epochs=3, batch_size=50, verbose=0, callbacks=[monitor, Watch()])
    run = Run(tmp_path)
    assert run.steps == ([0, 1, 2, 3] if freq == "epoch" else [0, 3, 6, 9, 12])
    assert run.layers == ["conv", "bn", "logits"]
    for step, output in seen.items():
        np.testing.assert_allclose(
            run.snapshot(step)["logits"].mean, np.mean(output, axis=0), atol=1e-4
        )
    curves = learning_dynamics(run)
    assert (curves.sel(step=run.steps[-1]) > 0.999).all()
    assert (curves.sel(step=0) < 0.999).any()
    tags = {path.name.rsplit(".", 1)[-1] for path in run.path.glob("events.out.tfevents*")}
    assert tags == {"live", "final"}


def test_only_snapshots_keep_jax_from_running_ahead(digits):
    assert SVCCAMonitor(digits[2], "x").async_safe
    assert not SVCCAMonitor(digits[2], "x", snapshot_freq=5).async_safe


def test_commands_run(tmp_path):
    from typer.testing import CliRunner

    from svcca_monitor.cli import app

    config = Path(__file__).parents[1] / "configs/digits.yaml"
    arguments = ["run", str(config), "--log-dir", str(tmp_path / "x")]
    for setting in SMALL:
        arguments += ["--set", setting]
    for command in (arguments, ["show", str(tmp_path / "x"), "--plot", str(tmp_path / "plots")]):
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        assert "bottom-up index" in done.output
    assert Run(tmp_path / "x").facts["versions"]["backend"] == BACKEND
    assert (tmp_path / "plots/panes.png").exists()


def test_tensorflow_is_not_loaded_where_it_is_not_the_backend():
    loaded = [name for name in sys.modules if name.split(".")[0] == "tensorflow"]
    assert BACKEND == "tensorflow" or [n for n in loaded if sys.modules[n] is not None] == []
