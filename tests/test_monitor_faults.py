"""What goes wrong beside a training: told once, and the training goes on."""

import warnings

import keras
import numpy as np
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


def test_a_fault_before_the_first_step_raises(fails_before_the_first_step, probe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    fails_before_the_first_step(SVCCAMonitor(probe, tmp_path / "file"), OSError, "file")


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
