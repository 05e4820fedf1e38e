"""One run from several fits, and places that hold another run."""

import warnings

import keras
import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import (
    ProbeMismatchError,
    ProbeSet,
    Run,
    RunInUseError,
    RunMismatchError,
    SVCCAMonitor,
    convergence,
    pane,
)


def test_two_fits_with_one_instance_make_one_run(fit, probe, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path)
    model, _ = fit(monitor, epochs=2)
    fit(monitor, model=model, epochs=2)
    run = Run(tmp_path)
    assert run.steps == [0, 1, 2, 3, 4]
    found, order = tensors(run)
    assert all(steps == sorted(set(steps)) for steps in order.values())
    assert order["svcca/final"] == [0, 1, 2, 3, 4]
    assert order["custom_scalars__config__"] == [0]
    np.testing.assert_allclose(found["svcca/final"][1], pane(run, 1), atol=1e-5)
    assert found["svcca/history"][4].shape == (5, 4)


def test_a_new_instance_goes_on_at_initial_epoch(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path), epochs=2)
    fit(SVCCAMonitor(probe, tmp_path), model=model, initial_epoch=2, epochs=4)
    assert Run(tmp_path).steps == [0, 1, 2, 3, 4]


def test_another_training_in_the_same_place_is_told_so(fit, probe, small_net, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    with pytest.warns(UserWarning, match="not where the last snapshot .* left it"):
        fit(SVCCAMonitor(probe, tmp_path), model=small_net(5), epochs=1)
    assert Run(tmp_path).steps == [0, 1, 2]


def test_a_place_with_another_run_is_refused_and_kept(
    fails_before_the_first_step, fit, probe, digits, tmp_path
):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = ProbeSet.sample(digits[2], size=100, seed=9)
    fails_before_the_first_step(SVCCAMonitor(other, tmp_path), ProbeMismatchError, "probe set")
    fails_before_the_first_step(
        SVCCAMonitor(probe, tmp_path, layers="conv"),
        RunMismatchError,
        "another model|5 layers",
    )
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_run_that_was_cut_off_within_an_epoch_goes_on_behind_it(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), epochs=1)
    run = Run(tmp_path)
    run.snapshot_path(10).unlink()
    with pytest.warns(UserWarning, match="not where the last snapshot"):
        fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), model=model, epochs=1)
    assert run.steps == [0, 4, 8, 12, 16, 18]
    assert run.epochs == sorted(set(run.epochs))


@pytest.mark.parametrize("change", [{"measure": "cka"}, {"snapshot_freq": 2}])
def test_a_run_does_not_change_its_measure_or_its_unit(
    fails_before_the_first_step, fit, probe, tmp_path, change
):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = SVCCAMonitor(probe, tmp_path, **change)
    fails_before_the_first_step(other, RunMismatchError, "Nothing was changed")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_activations_of_another_scale_are_another_model(made_run):
    from svcca_monitor import Subspace
    from svcca_monitor.callbacks.recording import _alike

    s = made_run().snapshot(4)["low"]
    rebuilt = s.basis * s.singular_values @ s.loadings.T
    assert _alike(s, Subspace.from_activations(rebuilt))
    assert not _alike(s, Subspace.from_activations(rebuilt * 1.01))


@pytest.mark.parametrize("freq", ["epoch", 10])
def test_an_older_checkpoint_goes_on_with_its_own_epochs(fit, probe, tmp_path, freq):
    model, _ = fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=freq), epochs=1)
    checkpoint = model.get_weights()
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=freq), model=model, initial_epoch=1, epochs=3)
    model.set_weights(checkpoint)
    with pytest.warns(UserWarning, match="not where the last snapshot"):
        fit(
            SVCCAMonitor(probe, tmp_path, snapshot_freq=freq),
            model=model,
            initial_epoch=1,
            epochs=3,
        )
    run = Run(tmp_path)
    assert run.steps == [n * (1 if freq == "epoch" else 10) for n in range(6)]
    assert run.epochs == [0, 1, 2, 3, 2, 3]
    settled = convergence(run)
    assert settled["area_under_curve"].values.max() <= 1 + 1e-6


def test_a_model_that_got_another_layer_is_another_model(fit, probe, small_net, tmp_path):
    monitor = SVCCAMonitor(probe, tmp_path)
    model, _ = fit(monitor, epochs=1)
    model.pop()
    model.add(keras.layers.Dense(10, name="other"))
    model.compile("adam", small_net().loss)
    with pytest.raises(RunMismatchError, match="name='logits'.*but this model has.*name='other'"):
        fit(monitor, model=model, epochs=1)
    assert Run(tmp_path).steps == [0, 1]


def test_two_monitors_look_at_two_probe_sets_at_once(fit, probe, digits, tmp_path):
    training = ProbeSet(digits[0][:100])
    _, history = fit(
        SVCCAMonitor(training, tmp_path / "train"),
        SVCCAMonitor(probe, tmp_path / "validation"),
        epochs=2,
    )
    for name, of in (("train", training), ("validation", probe)):
        run = Run(tmp_path / name)
        assert run.steps == [0, 1, 2]
        assert run.probe_fingerprint == of.fingerprint
    assert {key for key in history.history if "svcca" in key} == {
        "svcca_mean",
        "svcca_min",
        "svcca_mean_validation",
        "svcca_min_validation",
    }


def test_two_monitors_do_not_write_in_one_place(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    with pytest.raises(RunInUseError, match="Give each monitor a log_dir of its own"):
        fit(SVCCAMonitor(probe, tmp_path), SVCCAMonitor(probe, tmp_path), model=model, epochs=1)
    assert Run(tmp_path).steps == [0, 1]


def test_a_training_that_loses_its_place_to_another_says_so_once_and_writes_no_more(
    fit, probe, tmp_path
):
    other = SVCCAMonitor(probe, tmp_path, snapshot_freq=10)

    class Elsewhere(keras.callbacks.Callback):
        """As another process would, goes on with the run while this training is under way."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                other.set_model(self.model)
                other.on_train_begin()

    alone, _ = fit(epochs=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model, _ = fit(Elsewhere(), SVCCAMonitor(probe, tmp_path, snapshot_freq=10), epochs=4)
    ours = [str(w.message) for w in caught if "Another SVCCAMonitor" in str(w.message)]
    assert len(ours) == 1
    assert "could not finish the snapshot of step 30: RunInUseError" in ours[0]
    assert Run(tmp_path).steps == [0, 10, 20]
    other.close()
    for a, b in zip(alone.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
