"""The callback: real fits on real digits, and what they leave behind."""

import os
import warnings

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from svcca_monitor import (
    ProbeMismatchError,
    ProbeSet,
    Run,
    RunMismatchError,
    SVCCAMonitor,
    learning_dynamics,
    pane,
)

LAYERS = ["conv", "bn", "pool", "hidden", "logits"]


@pytest.fixture
def fit(small_net, digits):
    """Trains the small net on 320 digits; returns the model and its history."""

    def run(*callbacks, model=None, epochs=3, **options):
        model = model or small_net()
        history = model.fit(
            digits[0][:320],
            digits[1][:320],
            batch_size=32,
            epochs=epochs,
            verbose=0,
            callbacks=list(callbacks),
            **options,
        )
        return model, history

    return run


@pytest.fixture
def probe(digits):
    return ProbeSet.sample(digits[2], digits[3], size=100)


def tensors(run):
    """{tag: {step: array or bytes}} of all event files of a run, and the order of its steps."""
    found, order = {}, {}
    for path in sorted(run.path.glob("*tfevents*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                raw = value.tensor
                if raw.dtype == 1:
                    shape = [d.size for d in raw.tensor_shape.dim]
                    data = np.frombuffer(raw.tensor_content, "<f4").reshape(shape)
                else:
                    data = list(raw.string_val)
                found.setdefault(value.tag, {})[event.step] = data
                order.setdefault(value.tag, []).append(event.step)
    return found, order


def test_a_snapshot_is_taken_before_the_first_step_and_after_each_epoch(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path), epochs=3)
    run = Run(tmp_path)
    assert run.steps == [0, 1, 2, 3]
    assert run.epochs == [0.0, 1.0, 2.0, 3.0]
    assert run.layers == LAYERS
    assert run.probe_fingerprint == probe.fingerprint
    # The last one is of the model as `fit` leaves it.
    output = model.predict(probe.inputs, verbose=0).astype(np.float64)
    np.testing.assert_allclose(run.snapshot(3)["logits"].mean, output.mean(axis=0), atol=1e-5)
    assert set(run.header(2)["logs"]) == {"loss", "accuracy"}


def test_the_first_snapshot_is_of_the_untrained_model(fit, probe, small_net, tmp_path):
    untrained = small_net().predict(probe.inputs, verbose=0)
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    mean = Run(tmp_path).snapshot(0)["logits"].mean
    np.testing.assert_allclose(mean, untrained.mean(axis=0), atol=1e-5)


def test_the_log_directory_holds_these_files_and_no_other(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    events = {name for name in files if "tfevents" in name}
    assert len(events) == 2
    assert files - events == {
        "svcca/run.json",
        "svcca/snapshots/step-00000000.safetensors",
        "svcca/snapshots/step-00000001.safetensors",
    }


def test_what_is_published_is_what_the_run_gives(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path), epochs=3)
    run = Run(tmp_path)
    found, order = tensors(run)
    per_layer = {f"svcca_{kind}/{name}" for kind in ("convergence", "final") for name in LAYERS}
    assert set(found) == per_layer | {
        "svcca/layers",
        "svcca/history",
        "svcca/final",
        "svcca/pane",
        "custom_scalars__config__",
    }
    assert order["svcca/layers"] == order["svcca/final"] == [0, 1, 2, 3]
    assert order["svcca/history"] == order["svcca_convergence/conv"] == [1, 2, 3]
    previous = learning_dynamics(run, reference="previous")
    final = learning_dynamics(run)
    for step in (1, 2, 3):
        np.testing.assert_allclose(found["svcca/layers"][step], pane(run, step, step), atol=1e-5)
        np.testing.assert_allclose(found["svcca/final"][step], pane(run, step), atol=1e-5)
        history = found["svcca/history"][step]
        assert history.shape == (5, step)
        np.testing.assert_allclose(history[:, -1], previous.sel(step=step), atol=1e-5)
        initial = learning_dynamics(run, reference="initial").sel(step=step)
        np.testing.assert_allclose(history[:, 0], initial, atol=1e-5)
        for name in LAYERS:
            point = found[f"svcca_final/{name}"][step]
            assert point.shape == ()
            assert point == pytest.approx(float(final.sel(step=step, layer=name)), abs=1e-5)


def test_the_logs_get_two_numbers(fit, probe, tmp_path):
    _, history = fit(SVCCAMonitor(probe, tmp_path))
    assert set(history.history) == {"loss", "accuracy", "svcca_mean", "svcca_min"}
    values = learning_dynamics(Run(tmp_path), reference="previous").values[1:]
    np.testing.assert_allclose(history.history["svcca_mean"], values.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(history.history["svcca_min"], values.min(axis=1), atol=1e-6)


@pytest.mark.parametrize("freq", ["epoch", 3])
def test_training_is_bit_for_bit_what_it_is_without(fit, probe, digits, tmp_path, freq):
    def trained(*callbacks):
        model, history = fit(*callbacks, validation_data=(digits[2][:50], digits[3][:50]))
        state = [np.asarray(v.numpy()) for v in (*model.variables, *model.optimizer.variables)]
        draws = [np.random.rand(), keras.random.normal((3,)).numpy()]
        return state, history.history, draws, [layer.trainable for layer in model.layers]

    state, history, draws, trainable = trained()
    state_, history_, draws_, trainable_ = trained(
        SVCCAMonitor(probe, tmp_path, snapshot_freq=freq)
    )
    for a, b in zip(state, state_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert {k: v for k, v in history_.items() if not k.startswith("svcca")} == history
    np.testing.assert_array_equal(draws[1], draws_[1])
    assert draws[0] == draws_[0]
    assert trainable == trainable_


def test_snapshots_every_n_batches_count_batches(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), epochs=2)  # 10 batches an epoch
    run = Run(tmp_path)
    assert run.steps == [0, 4, 8, 12, 16, 20]
    assert run.epochs == [0.0, 0.4, 0.8, 1.2, 1.6, 2.0]


def test_the_end_is_a_snapshot_whatever_the_schedule(fit, probe, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=lambda step: step in (1, 7)), epochs=1)
    assert Run(tmp_path).steps == [0, 1, 7, 10]


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


def test_costs_are_reported(fit, probe, tmp_path, caplog):
    with caplog.at_level("INFO", logger="svcca_monitor"):
        fit(SVCCAMonitor(probe, tmp_path), epochs=2)
    cost = Run(tmp_path).facts["cost"]
    sizes = [os.path.getsize(Run(tmp_path).snapshot_path(s)) for s in (0, 1, 2)]
    assert cost["bytes"] == sizes
    assert len(cost["seconds"]) == 3
    assert min(cost["seconds"]) > 0
    assert "3 snapshots of 5 layers" in caplog.text


def fails_before_the_first_step(fit, monitor, error, match):
    started = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda b, logs: started.append(b))
    with pytest.raises(error, match=match):
        fit(monitor, watch)
    assert started == []


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"layers": ["hiden"]}, ValueError, "Did you mean 'hidden'"),
        ({"measure": "svca"}, ValueError, "Did you mean 'svcca'"),
        ({"representation": "meen"}, ValueError, "Did you mean 'mean'"),
        ({"snapshot_freq": "batch"}, ValueError, "Unknown snapshot_freq 'batch'"),
        ({"measure_options": {"explained_varience": 1}}, TypeError, "'explained_variance'"),
        ({"measure_options": {"explained_variance": 2}}, ValueError, r"must be in \(0, 1\]"),
        ({"probe": np.empty((0, 8, 8, 1))}, ValueError, "at least two examples"),
        ({"probe": np.zeros((1, 8, 8, 1))}, ValueError, "at least two examples"),
        ({"probe": np.full((9, 8, 8, 1), np.nan)}, ValueError, "NaN or infinite values in 9 of 9"),
        ({"probe": np.zeros((9, 4, 4, 1))}, ValueError, "does not fit model 'small'"),
    ],
)
def test_bad_arguments_raise_before_the_first_step(fit, probe, tmp_path, change, error, match):
    arguments = {"probe": probe, "log_dir": tmp_path, **change}
    fails_before_the_first_step(fit, SVCCAMonitor(**arguments), error, match)
    assert list(tmp_path.iterdir()) == []


def test_a_place_with_another_run_is_refused_and_kept(fit, probe, digits, tmp_path):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = ProbeSet.sample(digits[2], size=100, seed=9)
    fails_before_the_first_step(fit, SVCCAMonitor(other, tmp_path), ProbeMismatchError, "probe set")
    fails_before_the_first_step(
        fit,
        SVCCAMonitor(probe, tmp_path, layers="conv"),
        RunMismatchError,
        "another model|5 layers",
    )
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_few_samples_are_warned_of_with_the_level_of_chance(fit, digits, tmp_path):
    few = ProbeSet(digits[2][:12])
    with pytest.warns(UserWarning, match=r"hidden has 16 features for 12 samples \(chance level 0"):
        fit(SVCCAMonitor(few, tmp_path), epochs=1)


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


def test_a_fault_before_the_first_step_raises(fit, probe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    fails_before_the_first_step(fit, SVCCAMonitor(probe, tmp_path / "file"), OSError, "file")


def test_nothing_is_printed(fit, probe, tmp_path, capsys):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    assert capsys.readouterr() == ("", "")


def test_arrays_serve_as_a_probe_set(fit, digits, tmp_path):
    fit(SVCCAMonitor(digits[2][:60], tmp_path), epochs=1)
    assert Run(tmp_path).facts["n_samples"] == 60


def test_a_long_history_is_thinned_within_its_budget(made_run):
    from svcca_monitor.callbacks.history import History

    run = made_run()
    snapshots = [run.snapshot(step) for step in run.steps] * 4
    size = sum(s.basis.nbytes + s.loadings.nbytes for s in snapshots[0].values()) / 2  # float32
    history = History(run.layers, budget=int(6.5 * size))
    for snapshot in snapshots:
        history.add(snapshot)
    row = history.compare(snapshots[-1], measure="cca")
    known = np.isfinite(row).all(axis=0)
    assert row.shape == (3, 20)
    assert 3 <= known.sum() <= 6
    assert known[0]
    assert known[-1]


def test_linear_algebra_beside_training_keeps_to_one_thread(fit, probe, tmp_path, monkeypatch):
    from threadpoolctl import threadpool_info, threadpool_limits

    from svcca_monitor import factors, subspace

    factorise, seen = factors.by_gram, []

    def watched(*args, **kwargs):
        seen.append({p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"})
        return factorise(*args, **kwargs)

    monkeypatch.setattr(subspace, "by_gram", watched)
    with threadpool_limits(2, user_api="blas"):
        fit(SVCCAMonitor(probe, tmp_path), epochs=1)
        after = {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}
    assert len(seen) == 10
    assert all(threads == {1} for threads in seen)
    assert after == {2}


def test_several_batches_that_end_at_once_miss_no_snapshot(fit, probe, small_net, tmp_path):
    model = small_net()
    model.compile("adam", model.loss, steps_per_execution=4)
    fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=3), model=model, epochs=2)
    assert Run(tmp_path).steps == [0, 4, 8, 10, 14, 18, 20]


def test_a_run_that_was_cut_off_within_an_epoch_goes_on_behind_it(fit, probe, tmp_path):
    model, _ = fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), epochs=1)
    run = Run(tmp_path)
    run.snapshot_path(10).unlink()
    with pytest.warns(UserWarning, match="not where the last snapshot"):
        fit(SVCCAMonitor(probe, tmp_path, snapshot_freq=4), model=model, epochs=1)
    assert run.steps == [0, 4, 8, 12, 16, 18]
    assert run.epochs == sorted(set(run.epochs))


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


def test_tensors_carry_the_chance_level_of_each_layer(fit, probe, tmp_path):
    import json

    from svcca_monitor import chance_level

    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    run = Run(tmp_path)
    [path] = run.path.glob("*.live")
    contents = {
        event.step: json.loads(value.metadata.plugin_data.content)
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == "svcca/layers"
    }
    for step, content in contents.items():
        expected = [
            chance_level("svcca", n_samples=100, dims_x=dims, dims_y=dims)
            for s in run.snapshot(step).values()
            for dims in [s.truncate(explained_variance=0.99).rank]
        ]
        assert content["layers"] == LAYERS
        assert content["chance"] == pytest.approx(expected)
    assert set(contents) == {0, 1}


def test_activations_of_another_scale_are_another_model(made_run):
    from svcca_monitor import Subspace
    from svcca_monitor.callbacks.recording import _alike

    s = made_run().snapshot(4)["low"]
    rebuilt = s.basis * s.singular_values @ s.loadings.T
    assert _alike(s, Subspace.from_activations(rebuilt))
    assert not _alike(s, Subspace.from_activations(rebuilt * 1.01))


@pytest.mark.parametrize("change", [{"measure": "cka"}, {"snapshot_freq": 2}])
def test_a_run_does_not_change_its_measure_or_its_unit(fit, probe, tmp_path, change):
    fit(SVCCAMonitor(probe, tmp_path), epochs=1)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    other = SVCCAMonitor(probe, tmp_path, **change)
    fails_before_the_first_step(fit, other, RunMismatchError, "Nothing was changed")
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
