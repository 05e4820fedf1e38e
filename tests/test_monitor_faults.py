"""What goes wrong beside a training: told once, and the training goes on."""

import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import Run, SVCCAMonitor, learning_dynamics


def test_a_fault_in_the_middle_is_one_warning_and_training_goes_on(
    fit, probe, tmp_path, monkeypatch
):
    monitor = SVCCAMonitor(probe, tmp_path)
    write = Run.write_snapshot

    def full(self, step, *args, **kwargs):
        if step in (2, 3):
            raise OSError(28, "No space left on device")
        return write(self, step, *args, **kwargs)

    monkeypatch.setattr(Run, "write_snapshot", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, history = fit(monitor, epochs=4)
    ours = [str(w.message) for w in caught if "SVCCAMonitor" in str(w.message)]
    assert len(ours) == 1
    assert "snapshot of step 2: OSError" in ours[0]
    assert len(history.history["loss"]) == 4
    assert Run(tmp_path).steps == [0, 1, 4]
    assert learning_dynamics(Run(tmp_path)).shape == (3, 5)


def test_a_layer_that_goes_nan_is_left_out_and_named(fit, probe, tmp_path):
    class Poison(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 0:
                bias = self.model.get_layer("logits").bias
                bias.assign(np.full(10, np.nan, np.float32))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(Poison(), SVCCAMonitor(probe, tmp_path), epochs=1)
    ours = [str(w.message) for w in caught if "left out" in str(w.message)]
    assert len(ours) == 1
    assert "Layer 'logits' is left out of the snapshot of step 1" in ours[0]
    run = Run(tmp_path)
    assert list(run.snapshot(1)) == ["conv", "bn", "pool", "hidden"]
    assert np.isnan(tensors(run)[0]["svcca/layers"][1][4]).all()


def test_a_representation_that_fails_within_a_compiled_graph_is_told_with_layer_and_step(
    fit, probe, tmp_path
):
    import tensorflow as tf

    largest = tf.Variable(1e9)

    def bounded(x):
        tf.debugging.assert_less(tf.reduce_max(tf.abs(x)), largest, message="too large")
        return x

    class Narrow(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                largest.assign(0.0)

    monitor = SVCCAMonitor(probe, tmp_path, representation={"hidden": bounded})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        _, history = fit(Narrow(), monitor, epochs=4)
    assert len(history.history["loss"]) == 4
    assert Run(tmp_path).steps == [0, 1]
    [message] = [str(w.message) for w in caught]
    assert "could not finish the snapshot of step 2" in message
    assert "too large" in message
    assert "hidden" in message


def test_a_representation_that_fails_as_the_graph_is_made_again_is_told_with_layer_and_step(
    small_net, probe, tmp_path
):
    broken = []

    def picky(x):
        if broken:
            raise RuntimeError("no more")
        return x

    monitor = SVCCAMonitor(probe, tmp_path, representation={"hidden": picky, "logits": picky})
    with monitor:
        monitor.set_model(small_net())
        monitor.snapshot(0)
        broken.append(True)
        monitor.set_model(small_net(seed=1))  # another model is another graph
        with pytest.warns(
            UserWarning, match="snapshot of step 7: .* failed on layer 'hidden', .*: no more"
        ) as caught:
            monitor.snapshot(7)
    assert len(caught) == 1


def test_a_fault_before_the_first_step_raises(fails_before_the_first_step, probe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    fails_before_the_first_step(SVCCAMonitor(probe, tmp_path / "file"), OSError, "file")


def test_a_layer_that_stays_constant_is_named_once(fit, probe, tmp_path):
    class Silence(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logits = self.model.get_layer("logits")
            logits.set_weights([np.zeros_like(w) for w in logits.get_weights()])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        fit(Silence(), SVCCAMonitor(probe, tmp_path), epochs=5)
    assert [str(w.message).partition(".")[0] for w in caught] == [
        "Constant over the probe set: logits"
    ]


def test_the_numbers_in_the_logs_leave_out_what_cannot_be_compared(fit, probe, tmp_path):
    class Silence(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logits = self.model.get_layer("logits")
            logits.set_weights([np.zeros_like(w) for w in logits.get_weights()])

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Constant over the probe set: logits")
        _, history = fit(Silence(), SVCCAMonitor(probe, tmp_path), epochs=1)
    assert np.isfinite(history.history["svcca_mean"]).all()
    assert np.isfinite(history.history["svcca_min"]).all()
    assert Run(tmp_path).snapshot(1)["logits"].rank == 0


class Poison(keras.callbacks.Callback):
    """Sets the bias of a layer to nan after an epoch: `{epoch: layer}`."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_epoch_end(self, epoch, logs=None):
        if epoch in self.at:
            bias = self.model.get_layer(self.at[epoch]).bias
            bias.assign(np.full(bias.shape, np.nan, np.float32))


def linear_net():
    """Without activations: on some machines a ReLU makes 0 of nan."""
    layers = keras.layers
    conv, hidden = layers.Conv2D(4, 3, name="conv"), layers.Dense(6, name="hidden")
    net = [keras.Input((8, 8, 1)), conv, layers.Flatten(), hidden, layers.Dense(10, name="logits")]
    model = keras.Sequential(net)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_every_layer_and_every_kind_of_fault_is_told_once(fit, probe, tmp_path, monkeypatch):
    write = Run.write_snapshot

    def full(self, step, *args, **kwargs):
        if step in (4, 5):
            raise OSError(28, "No space left on device")
        if step == 6:
            raise OSError(30, "Read-only file system")
        return write(self, step, *args, **kwargs)

    monkeypatch.setattr(Run, "write_snapshot", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(Poison({0: "logits"}), SVCCAMonitor(probe, tmp_path), model=linear_net(), epochs=6)
    others = ["conv", "hidden"]  # the gradient takes the nan to every layer
    starts = [
        "Layer 'logits' is left out of the snapshot of step 1: ",
        *(f"Layer {name!r} is left out of the snapshot of step 2: " for name in others),
        "SVCCAMonitor could not finish the snapshot of step 4: OSError: [Errno 28]",
        "SVCCAMonitor could not finish the snapshot of step 6: OSError: [Errno 30]",
    ]
    messages = [str(w.message) for w in caught]
    assert len(messages) == len(starts), messages
    assert all(m.startswith(start) for m, start in zip(messages, starts, strict=True))


def test_a_training_with_warnings_as_errors_goes_on_and_the_log_tells(fit, probe, tmp_path, caplog):
    with warnings.catch_warnings(), caplog.at_level("WARNING", logger="svcca_monitor"):
        warnings.simplefilter("error")
        _, history = fit(Poison({0: "logits"}), SVCCAMonitor(probe, tmp_path), epochs=2)
    assert len(history.history["loss"]) == 2
    assert Run(tmp_path).steps == [0, 1, 2]
    assert [r.message for r in caplog.records if "'logits' is left out" in r.message]


def test_warnings_of_a_measure_as_errors_cost_neither_training_nor_comparison(
    fit, probe, tmp_path, caplog
):
    class Silence(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logits = self.model.get_layer("logits")
            logits.set_weights([np.zeros_like(w) for w in logits.get_weights()])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(Silence(), SVCCAMonitor(probe, tmp_path), epochs=1)
    assert "Constant over the probe set: logits" in caplog.text
    assert set(tensors(Run(tmp_path))[0]["svcca/layers"]) == {0, 1}


def test_warnings_beside_a_snapshot_meet_the_filters_of_the_user(fit, probe, tmp_path):
    def noisy(step):
        warnings.warn("from the schedule", DeprecationWarning, stacklevel=1)
        return False

    monitor = SVCCAMonitor(probe, tmp_path, snapshot_freq=noisy)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=__name__)
        fit(monitor, epochs=1)
    assert caught == []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        fit(SVCCAMonitor(probe, tmp_path / "other", snapshot_freq=noisy), epochs=1)
    assert [str(w.message) for w in caught] == ["from the schedule"]


def test_a_schedule_that_fails_costs_its_snapshot_only(fit, probe, tmp_path):
    def due(step):
        if step == 3:
            raise ZeroDivisionError("of the user")
        return step % 2 == 1

    with pytest.warns(UserWarning, match="could not finish the schedule of step 3: ZeroDivision"):
        fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=due), epochs=1)
    assert Run(tmp_path).steps == [0, 1, 5, 7, 9, 10]


def test_who_wants_it_has_training_stop_at_a_fault(fit, probe, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path, on_error="raise")
    epochs = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    with pytest.raises(ValueError, match="nan|NaN") as stopped:
        fit(Poison({1: "logits"}), watch, monitor, epochs=4)
    assert epochs == [0, 1]
    assert "in the snapshot of layer 'logits' of step 2" in stopped.value.__notes__[0]
    assert Run(tmp_path).steps == [0, 1]


def test_what_to_do_on_a_fault_is_one_of_two(fails_before_the_first_step, probe, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path, on_error="rise")
    fails_before_the_first_step(monitor, ValueError, "Did you mean 'raise'?")


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == 25:
            raise KeyboardInterrupt


def test_an_interruption_leaves_nothing_open_and_the_end_can_be_asked_for(fit, probe, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupt(), monitor, epochs=5)
    assert Run(tmp_path).steps == [0, 1, 2]
    held = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    assert not [path for path in held if path.startswith(str(tmp_path))]
    monitor.on_train_end()
    _, order = tensors(Run(tmp_path))
    assert order["svcca/final"] == [0, 1, 2]
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    monitor.on_train_end()
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_script_that_is_interrupted_compares_with_the_end_as_it_exits(tmp_path):
    script = """
import sys
import keras, numpy as np
from svcca_monitor import SVCCAMonitor

class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt

x = np.random.default_rng(0).normal(size=(300, 500)).astype("float32")
model = keras.Sequential([keras.layers.Dense(400), keras.layers.Dense(1)])
model.compile("sgd", "mse")
callbacks = [Interrupt(), SVCCAMonitor(x, sys.argv[1], measure="cka")]
model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=callbacks)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.stderr.rstrip().endswith("KeyboardInterrupt"), done.stderr
    assert tensors(Run(tmp_path))[1]["svcca/final"] == [0, 1, 2]


def test_numbers_of_numpy_are_numbers_of_a_run(fit, probe, tmp_path):
    options = {"explained_variance": np.float32(0.5), "dims": np.int64(4)}
    for _ in range(2):  # a run that goes on has the same options
        monitor = SVCCAMonitor(probe, tmp_path, measure="cca", measure_options=options)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The model is not where")
            fit(monitor, epochs=1)
    assert Run(tmp_path).facts["measure_options"] == {"explained_variance": 0.5, "dims": 4}


def test_weights_that_cannot_be_read_at_the_end_do_not_end_the_training(tmp_path):
    class Losing(keras.Sequential):
        lost = False

        @property
        def weights(self):
            if self.lost:
                raise OSError("the weights are gone")
            return super().weights

    class Lose(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.lost = True

    model = Losing([keras.Input((8,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
    with pytest.warns(UserWarning, match=r"the look at the weights of step 1.* the weights are go"):
        model.fit(x, x[:, :1], verbose=0, callbacks=[Lose(), SVCCAMonitor(x, tmp_path)])
    assert Run(tmp_path).steps == [0, 1]
    assert len(learning_dynamics(Run(tmp_path))) == 2
