"""Every study of the README, small: its config trains, its script measures and draws."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from svcca_monitor.experiments.cell import FINISHED
from svcca_monitor.experiments.matrix import Sweep
from svcca_monitor.experiments.sweep import SETTINGS, sweep_runs
from svcca_monitor.experiments.train import train

PROJECT = Path(__file__).parents[1]
# Digits in place of images that are not at hand, two seeds, one epoch, narrow nets.
DIGITS = [
    *("data.name=digits", "data.train_size=128", "data.test_size=300", "monitor.probe_size=300"),
    *("training.epochs=3", "training.batch_size=64", "matrix.seed=[0, 1]"),
]
# What the studies of this net differ in is said too, so that runs of several can be the same.
CONVNET = [
    *(*DIGITS, "monitor.snapshot_freq=epoch", "monitor.measure=svcca"),
    *("model.parameters.filters=[4, 4, 6, 6, 6]", "model.parameters.units=[12, 8]"),
    *("model.parameters.batch_norm=true", "model.parameters.width=1"),
]
SMOKE = {
    "cifar10_convnet": CONVNET,
    "cifar10_resnet": [*DIGITS, "model.parameters.blocks=2", "model.parameters.filters=[5]"],
    # Fewer than three seeds have no interval; dense layers, for time.
    "generalize_memorize": [
        *(*DIGITS, "matrix.seed=[0, 1, 2]"),
        *("model.name=mlp", "model.parameters={units: [12, 8]}"),
    ],
    "width": [*CONVNET, "matrix.model.parameters.width=[0.5, 1]"],
    "austen_lstm": [
        *("data.train_size=64", "data.test_size=100", "monitor.probe_size=100"),
        *("training.epochs=3", "matrix.seed=[0, 1]"),
        *("model.parameters.embedding=4", "model.parameters.units=[6, 5]"),
    ],
    "class_sensitivity": CONVNET,
    "two_seeds": CONVNET,
}


@pytest.fixture(scope="module")
def trained_small(tmp_path_factory):
    """Trains a study in its smoke size, as `sweep` does, but in one process, and each run once."""
    known = {}

    def make(study):
        tmp_path = tmp_path_factory.mktemp(study)
        overrides = SMOKE[study]
        if study == "austen_lstm":
            text = tmp_path / "text.txt"
            text.write_text("It is a truth universally acknowledged. " * 1700, encoding="utf-8")
            overrides = [*overrides, f"data.path={text}"]
        sweep = Sweep.load(PROJECT / f"configs/{study}.yaml", overrides)
        for cell in sweep.cells:
            folder = tmp_path / "logs" / cell.name
            same = known.setdefault(cell.config.to_yaml(), folder)
            if same == folder:
                facts = {"seconds": 0.0, "logs": train(cell.config, folder)}
                (folder / FINISHED).write_text(json.dumps(facts))
            else:
                shutil.copytree(same, folder)
            (folder / SETTINGS).write_text(yaml.safe_dump(cell.settings))
        assert len(sweep_runs(tmp_path / "logs")) == len(sweep.cells)
        return tmp_path / "logs"

    return make


def studied(study, logs, figure):
    return subprocess.run(
        [sys.executable, PROJECT / f"examples/{study}.py", logs, "-o", figure],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_config_with_a_matrix_is_a_study_with_a_script_and_a_page_and_can_be_run():
    readme = (PROJECT / "README.md").read_text("utf-8")
    matrices = [path for path in PROJECT.glob("configs/*.yaml") if "\nmatrix:" in path.read_text()]
    assert {path.stem for path in matrices} == set(SMOKE)
    for path in matrices:
        assert (PROJECT / f"examples/{path.stem}.py").exists()
        assert f"[{path.stem}](examples/{path.stem}.md)" in readme
        page = (PROJECT / f"examples/{path.stem}.md").read_text("utf-8")
        assert f"configs/{path.stem}.yaml" in page
        assert (PROJECT / f"examples/gallery/{path.stem}.png").exists()
        seeds = {cell.config.data.seed for cell in Sweep.load(path).cells}
        assert seeds == {0}, "its runs need one probe set"


@pytest.mark.parametrize("study", SMOKE)
def test_a_study_trains_measures_and_draws(study, trained_small, tmp_path):
    done = studied(study, trained_small(study), tmp_path / "figure.png")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    numbers = re.findall(r"-?\d\.\d\d", done.stdout)
    assert len(numbers) > 10
    assert "nan" not in done.stdout
    assert "chance" in done.stdout
