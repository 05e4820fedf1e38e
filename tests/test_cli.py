"""The commands, in processes of their own."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from svcca_monitor import Run, class_sensitivity, learning_dynamics

PROJECT = Path(__file__).parents[1]
COMMAND = shutil.which("svcca-monitor", path=str(Path(sys.executable).parent))


def call(*arguments, cwd):
    return subprocess.run(
        [COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False
    )


def test_run_trains_shows_progress_and_says_where_to_point_tensorboard(tmp_path):
    sets = ["--set", "training.epochs=2", "--set", "data.train_size=256"]
    done = call("run", PROJECT / "configs/digits.yaml", *sets, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Run(tmp_path / "logs/digits").steps == [0, 1, 2]
    lines = done.stdout.splitlines()
    assert sum(line.startswith(("epoch 1/2  loss", "epoch 2/2  loss")) for line in lines) == 2
    assert "svcca_mean" in done.stdout
    assert "bottom-up index" in done.stdout
    assert lines[-1].strip() == "tensorboard --logdir logs/digits"


def test_a_second_run_of_a_config_gets_a_place_of_its_own(tmp_path):
    (tmp_path / "logs/digits").mkdir(parents=True)
    sets = ["--set", "training.epochs=1", "--set", "data.train_size=64"]
    done = call("run", PROJECT / "configs/digits.yaml", *sets, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Run(tmp_path / "logs/digits-2").steps == [0, 1]


MLP = ["--set", "model.name=mlp", "--set", "model.parameters={units: [12]}"]


def test_what_cannot_be_shown_of_a_run_does_not_hide_where_it_is(tmp_path):
    sets = [*MLP, "--set", "training.epochs=1", "--set", "analysis.layers=[fc2]"]
    done = call("run", PROJECT / "configs/digits.yaml", *sets, cwd=tmp_path)
    assert done.returncode == 1
    assert "Unknown layer 'fc2'. Did you mean 'fc1'" in done.stderr
    assert "Run in logs/digits." in done.stdout
    assert Run(tmp_path / "logs/digits").steps == [0, 1]


@pytest.fixture
def saved_weights(digits, tmp_path):
    """Weights of three epochs in ckpt/, and the mean logits on the test digits that each gives."""
    from svcca_monitor.experiments import config, models

    model = models.build(config.ModelConfig(name="mlp", parameters={"units": [12]}), (8, 8, 1), 10)
    (tmp_path / "ckpt").mkdir()
    means = {}
    for epoch in (1, 2, 10):
        for layer in model.layers[1:]:
            layer.bias.assign(layer.bias + 1.0)
        model.save_weights(tmp_path / f"ckpt/epoch-{epoch}.weights.h5")
        means[epoch] = model.predict(digits[2], verbose=0).mean(axis=0)
    return means


def test_replay_makes_the_run_of_saved_weights(saved_weights, tmp_path):
    done = call(
        *("replay", PROJECT / "configs/digits.yaml", *MLP),
        *("--checkpoints", "ckpt/*.weights.h5", "--log-dir", "logs/replayed"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "bottom-up index" in done.stdout
    assert done.stdout.splitlines()[-1] == "Run in logs/replayed."
    run = Run(tmp_path / "logs/replayed")
    assert run.steps == [1, 2, 10]
    assert run.layers == ["fc1", "logits"]
    assert (tmp_path / "logs/replayed/config.yaml").exists()
    for step, mean in saved_weights.items():  # the probe set is all test digits
        np.testing.assert_allclose(run.snapshot(step)["logits"].mean, mean, atol=1e-4)


@pytest.mark.parametrize(
    ("pattern", "settings", "message"),
    [
        ("nothing/*.h5", MLP, "No checkpoint matches 'nothing/*.h5'"),
        ("ckpt/*.weights.h5", [], "cannot be loaded into model 'convnet'"),
        ("ckpt/*", ["--set", "monitor.layers=fc9", *MLP], "Layer 'fc9' not found"),
        ("made/svcca/run.json", MLP, "is no file of weights by its name"),
    ],
)
def test_what_cannot_be_replayed_is_a_sentence(
    saved_weights, made_run, tmp_path, pattern, settings, message
):
    made_run()
    done = call(
        *("replay", PROJECT / "configs/digits.yaml", *settings, "--checkpoints", pattern),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "logs").exists()


def test_show_prints_the_table_and_saves_the_pictures(trained, tmp_path):
    done = call("show", trained[0], "--plot", tmp_path / "plots", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for layer in Run(trained[0]).layers:
        assert f"\n {layer} " in done.stdout
    pictures = {path.name for path in (tmp_path / "plots").iterdir()}
    assert pictures == {"pane.png", "panes.png", "curves.png"}
    for path in (tmp_path / "plots").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"Saved {path}" in done.stdout


def test_show_takes_a_measure_and_a_reference(trained, tmp_path):
    done = call("show", trained[0], "--measure", "cka", "--reference", "initial", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cka similarity to the initial snapshot" in done.stdout


def test_show_speaks_the_runs_own_measure(made_run, tmp_path):
    run = made_run()
    run.record(measure="cca", measure_options={"dims": 1})
    done = call("show", run.path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cca similarity to the final snapshot" in done.stdout
    value = float(learning_dynamics(run, measure="cca", dims=1).sel(step=0, layer="mid"))
    [row] = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["mid"]]
    assert row[1] == f"{value:.2f}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "Cannot read the config nowhere.yaml"),
        (["run", PROJECT / "configs/digits.yaml", "--set", "monitor.mesure=cka"], "Did you mean"),
        (["run", PROJECT / "configs/digits.yaml", "--set", "monitor.layers=c9"], "Layer 'c9' not"),
        (["run", PROJECT / "configs/digits.yaml", "--set", "data.name=npz"], "npz needs a file"),
        (["show", "nowhere"], "No run in nowhere"),
    ],
)
def test_errors_are_a_sentence_and_leave_nothing_behind(tmp_path, arguments, message):
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_of_an_unknown_measure_names_the_nearest(trained, tmp_path):
    done = call("show", trained[0], "--measure", "svca", cwd=tmp_path)
    assert done.returncode == 1
    assert "Did you mean 'svcca'" in done.stderr


def test_the_display_in_a_terminal_shows_each_layer():
    from rich.console import Console

    from svcca_monitor.display import TrainingDisplay

    console = Console(force_terminal=True, width=100, height=30)
    with console.capture() as captured, TrainingDisplay(console, "digits") as display:
        display.update(
            epochs_done=3.0,
            epochs=10,
            epoch_ended=True,
            logs={"loss": 0.5},
            similarities={"c1": 0.991, "fc[1]": 0.5, "dead": float("nan")},
        )
    text = captured.get()
    for piece in ("c1", "0.991", "fc[1]", "0.500", "nan", "epoch 3/10", "loss 0.500"):
        assert piece in text


def test_classes_shows_what_each_layer_tells_apart_and_saves_the_curves(trained, tmp_path):
    done = call("classes", trained[0], "--plot", "classes.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = class_sensitivity(Run(trained[0])).isel(step=-1)
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()}
    for layer in found["layer"].values:
        expected = [*found.sel(layer=layer).values, float(found["null_upper"].sel(layer=layer))]
        assert rows[layer] == [f"{value:.2f}" for value in expected]
    assert (tmp_path / "classes.png").read_bytes().startswith(b"\x89PNG")


def test_classes_of_a_step_that_is_not_there_names_the_steps(made_run, tmp_path):
    made_run()
    done = call("classes", "made", "--step", 9, cwd=tmp_path)
    assert done.returncode == 1
    assert "no snapshot of step 9. Steps: [0, 1, 2, 3, 4]" in done.stderr
