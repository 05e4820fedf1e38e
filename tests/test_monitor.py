"""The callback: real fits on real digits, and what they leave behind."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest
from event_files import tensors
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from svcca_monitor import ProbeSet, Run, SVCCAMonitor, learning_dynamics, pane

LAYERS = ["conv", "bn", "pool", "hidden", "logits"]


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
        "svcca/epoch",
        "svcca/dims",
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


def test_costs_are_reported(fit, probe, tmp_path, caplog):
    with caplog.at_level("INFO", logger="svcca_monitor"):
        fit(SVCCAMonitor(probe, tmp_path), epochs=2)
    cost = Run(tmp_path).facts["cost"]
    sizes = [os.path.getsize(Run(tmp_path).snapshot_path(s)) for s in (0, 1, 2)]
    assert cost["bytes"] == sizes
    assert len(cost["seconds"]) == 3
    assert min(cost["seconds"]) > 0
    assert "3 snapshots of 5 layers" in caplog.text


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"layers": ["hiden"]}, ValueError, "Did you mean 'hidden'"),
        ({"measure": "svca"}, ValueError, "Did you mean 'svcca'"),
        ({"representation": "meen"}, ValueError, "Did you mean 'mean'"),
        ({"snapshot_freq": "batch"}, ValueError, "Unknown snapshot_freq 'batch'"),
        ({"measure_options": {"explained_varience": 1}}, TypeError, "'explained_variance'"),
        (
            {"measure_options": {"explained_variance": 2}},
            ValueError,
            r"must be a number in \(0, 1\]",
        ),
        ({"measure_options": [1]}, TypeError, r"come in a dict, such as .* Received: \[1"),
        ({"measure": ["svcca"]}, ValueError, "Did you mean 'svcca'"),
        ({"representation": {1: "mean"}}, ValueError, "has 1, which is none of the monitored"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be a whole number, at least 1. Rec"),
        ({"batch_size": "64"}, ValueError, "Received: batch_size='64'"),
        ({"log_dir": None}, TypeError, "`log_dir` must be the path of a folder. Received: None"),
        ({"probe": [[1.0, 2.0], [3.0]]}, ValueError, "`inputs` makes no array, with examples of"),
        ({"probe": np.empty((0, 8, 8, 1))}, ValueError, "at least two examples"),
        ({"probe": np.zeros((1, 8, 8, 1))}, ValueError, "at least two examples"),
        ({"probe": np.full((9, 8, 8, 1), np.nan)}, ValueError, "NaN or infinite values in 9 of 9"),
        ({"probe": np.zeros((9, 4, 4, 1))}, ValueError, "does not fit model 'small'"),
    ],
)
def test_bad_arguments_raise_before_the_first_step(
    fails_before_the_first_step, probe, tmp_path, change, error, match
):
    arguments = {"probe": probe, "log_dir": tmp_path, **change}
    fails_before_the_first_step(SVCCAMonitor(**arguments), error, match)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_place_is_where_the_training_began(fit, probe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class Move(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            (tmp_path / "elsewhere").mkdir(exist_ok=True)
            monkeypatch.chdir(tmp_path / "elsewhere")

    fit(Move(), SVCCAMonitor(probe, "logs"), epochs=2)
    assert list(Path.cwd().iterdir()) == []
    run = Run(tmp_path / "logs")
    assert run.steps == [0, 1, 2]
    assert tensors(run)[1]["svcca/final"] == [0, 1, 2]


def test_few_samples_are_warned_of_with_the_level_of_chance(fit, digits, tmp_path):
    few = ProbeSet(digits[2][:12])
    with pytest.warns(UserWarning, match=r"hidden has 16 features for 12 samples \(chance level 0"):
        fit(SVCCAMonitor(few, tmp_path), epochs=1)


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
