"""Sweeps: all combinations of some settings, one process each, to be gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from svcca_monitor import Run
from svcca_monitor.experiments.config import ConfigError, load
from svcca_monitor.experiments.matrix import Sweep
from svcca_monitor.experiments.sweep import FINISHED, _ending, _take_place, run_sweep, sweep_runs

PROJECT = Path(__file__).parents[1]
DIGITS = PROJECT / "configs/digits.yaml"
SMALL = {
    "data": {"name": "digits", "train_size": 64, "test_size": 60},
    "model": {"name": "mlp", "parameters": {"units": [6, 5]}},
    "training": {"epochs": 1},
    "monitor": {"probe_size": 50},
}


@pytest.fixture
def config(tmp_path):
    def write(**sections):
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump({**SMALL, **sections}, sort_keys=False))
        return path

    return write


def test_a_matrix_makes_all_combinations_but_those_excluded(config):
    path = config(
        matrix={"seed": [0, 1], "model.parameters.units": [[4], [6, 5]]},
        exclude=[{"seed": 1, "model.parameters.units": [4]}],
    )
    cells = Sweep.load(path).cells
    assert [cell.name for cell in cells] == [
        "seed=0,units=4",
        "seed=0,units=6_5",
        "seed=1,units=6_5",
    ]
    assert cells[1].settings == {"seed": 0, "model.parameters.units": [6, 5]}
    assert cells[2].config.seed == 1
    assert cells[0].config.model.parameters == {"units": [4]}


def test_names_are_whole_keys_where_their_last_parts_are_the_same(config):
    cells = Sweep.load(config(matrix={"seed": [3], "data.seed": [None, 1]})).cells
    assert [cell.name for cell in cells] == ["seed=3,data.seed=null", "seed=3,data.seed=1"]


def test_a_key_within_a_value_of_the_matrix_leaves_the_settings_as_they_were(config):
    net = {"name": "mlp", "parameters": {"units": [4]}}
    cells = Sweep.load(config(matrix={"model": [net], "model.parameters.units": [[5], [6]]})).cells
    assert [cell.config.model.parameters["units"] for cell in cells] == [[5], [6]]
    assert [cell.settings["model"] for cell in cells] == [net, net]


def test_long_values_have_names_that_a_directory_can_have_and_stay_apart(config):
    long = list(range(1, 200))
    names = [
        cell.name
        for cell in Sweep.load(
            config(matrix={"model.parameters.units": [long, [*long, 3], [7]]})
        ).cells
    ]
    assert names[2] == "units=7"
    assert names[0] != names[1]
    assert max(map(len, names)) < 80


def test_a_place_that_cannot_be_written_fails_its_run_and_no_other(config, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/.attempts").write_text("in the way")
    sweep = Sweep.load(config(matrix={"seed": [0, 1]}))
    outcomes = run_sweep(sweep, tmp_path / "runs")
    assert [outcome.state for outcome in outcomes] == ["failed", "failed"]
    assert all("Error: " in outcome.error for outcome in outcomes)


def test_of_two_processes_that_trained_the_same_run_the_first_counts(tmp_path):
    def attempt(name, content):
        folder = tmp_path / ".attempts" / name
        folder.mkdir(parents=True)
        (folder / FINISHED).write_text(content)
        return folder

    one, two = attempt("seed=1-aaaaaaaa", "one"), attempt("seed=1-bbbbbbbb", "two")
    other = attempt("seed=11-cccccccc", "another run")
    _take_place(one, tmp_path / "seed=1")
    two.mkdir(exist_ok=True)  # as of a process that has not ended yet
    (two / FINISHED).write_text("two")
    _take_place(two, tmp_path / "seed=1")
    assert (tmp_path / "seed=1" / FINISHED).read_text() == "one"
    assert sorted((tmp_path / ".attempts").iterdir()) == [other]
    (tmp_path / "seed=2").mkdir()
    (tmp_path / "seed=2/mine").touch()
    with pytest.raises(OSError, match="seed=2"):  # what is no run is not taken away
        _take_place(attempt("seed=2-dddddddd", "two"), tmp_path / "seed=2")


def test_a_scheduler_that_does_not_answer_is_told_with_the_way_out(monkeypatch):
    from svcca_monitor import cluster

    monkeypatch.setattr(cluster, "PATIENCE", 1)
    with (
        pytest.raises(ConnectionError, match=r"No Dask scheduler answers at tcp://127.0.0.1:9 "),
        cluster.cluster("tcp://127.0.0.1:9"),
    ):
        pass
    with (
        pytest.raises(ValueError, match="an address such as tcp://host:8786. Received: 'here'"),
        cluster.cluster("here"),
    ):
        pass


def test_overrides_reach_what_runs_have_in_common_and_the_matrix(config):
    path = config(matrix={"seed": [0, 1]})
    (cell,) = Sweep.load(path, ["training.epochs=3", "matrix.seed=[5]"]).cells
    assert (cell.config.seed, cell.config.training.epochs) == (5, 3)


def test_an_override_of_what_is_excluded_is_heard_and_a_bad_one_told(config):
    path = config(matrix={"seed": [0, 1]}, exclude=[{"seed": 1}])
    assert len(Sweep.load(path).cells) == 1
    assert len(Sweep.load(path, ["exclude=[]"]).cells) == 2
    with pytest.raises(ConfigError, match="--set matrix.seed=.* not valid YAML"):
        Sweep.load(path, ["matrix.seed=["])


def test_the_config_of_a_sweep_can_be_run_alone(config):
    assert load(config(matrix={"seed": [1, 2]})).seed == 0


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({}, "needs a `matrix` of lists by section.key, such as"),
        ({"matrx": {"seed": [1]}}, r"Unknown key 'matrx' in .*Did you mean 'matrix'"),
        ({"matrix": {"seed": 3}}, "needs a `matrix` of lists"),
        ({"matrix": {"seed": []}}, "needs a `matrix` of lists"),
        ({"matrix": {"seeed": [1]}}, r"Unknown key 'seeed' in .*seeed=1.*Did you mean 'seed'"),
        ({"matrix": {"training.epochs": [1, 0]}}, r"greater than or equal to 1"),
        ({"matrix": {"seed": [1, 1]}}, "has runs of one name, seed=1"),
        ({"matrix": {"seed": [1]}, "exclude": [{"seed": 1}]}, "excludes every run"),
        ({"matrix": {"seed": [1]}, "exclude": [{"sed": 1}]}, "not in its matrix. Did you mean"),
        ({"matrix": {"seed": [1]}, "exclude": {"seed": 1}}, "must be a list of settings"),
        (
            {"matrix": {"seed": [1, 2]}, "exclude": [{"seed": "1"}]},
            r"names seed: '1', which is not among the values of its matrix: \[1, 2\]",
        ),
    ],
)
def test_what_is_no_sweep_is_refused_with_the_way_out(config, sections, message):
    with pytest.raises(ConfigError, match=message):
        Sweep.load(config(**sections))


def call(*arguments, cwd):
    command = [sys.executable, "-c", "from svcca_monitor.cli import app; app()", "sweep"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_failure_stops_no_other_run_is_told_with_its_traceback_and_run_again(config, tmp_path):
    path = config(matrix={"model.parameters.activation": ["relu", "rellu"]})
    process = call(path, cwd=tmp_path)
    printed, _ = process.communicate()
    assert process.returncode == 1
    assert "1 of 2 runs in logs/sweep" in printed
    assert "activation=rellu failed:" in printed
    assert "Traceback" in printed
    assert "Error: " not in printed.splitlines()[-1]
    log_dir = tmp_path / "logs/sweep"
    assert [run.name for run in sweep_runs(log_dir)] == ["activation=relu"]
    assert sweep_runs(log_dir)[0].settings == {"model.parameters.activation": "relu"}
    assert all(Run(run.path).steps == [0, 1] for run in sweep_runs(log_dir))
    # As of a version that did not know these keys.
    kept = log_dir / "activation=relu/config.yaml"
    sections = yaml.safe_load(kept.read_text())
    del sections["data"]["parameters"], sections["analysis"]
    kept.write_text(yaml.safe_dump(sections))
    written = {p: p.stat().st_mtime_ns for p in log_dir.glob("activation=*/**/*")}
    outcomes = run_sweep(Sweep.load(path), log_dir)
    assert [outcome.state for outcome in outcomes] == ["found", "failed"]
    assert {p: p.stat().st_mtime_ns for p in log_dir.glob("activation=*/**/*")} == written


def test_a_run_that_ends_without_a_traceback_is_told_with_its_exit_code():
    assert _ending("a note\n", 3) == "a note\nended with exit code 3"
    assert _ending("", 3) == "ended with exit code 3"
    traceback = "Traceback (most recent call last):\n  …\nValueError: no"
    assert _ending(f"{traceback}\n", 1) == traceback
    assert _ending(f"{traceback}\n", -9).endswith("no\nended with exit code -9")


def test_a_sweep_that_was_killed_goes_on_and_runs_what_had_not_ended(config, tmp_path):
    path = config(matrix={"seed": [0, 1]}, training={"epochs": 400})
    process = call(path, "--log-dir", "runs", "--jobs", "2", cwd=tmp_path)
    runs = tmp_path / "runs"
    _await(lambda: len(list(runs.glob(".attempts/*/svcca/snapshots/*"))) > 4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with pytest.raises(FileNotFoundError, match="no run of a sweep that has ended"):
        sweep_runs(runs)
    orphans = [path.name for path in (runs / ".attempts").iterdir()]
    assert orphans
    shorter = Sweep.load(path, ["training.epochs=1"])
    assert [outcome.state for outcome in run_sweep(shorter, runs, jobs=2)] == ["finished"] * 2
    assert [Run(run.path).steps for run in sweep_runs(runs)] == [[0, 1], [0, 1]]
    assert not (runs / ".attempts").exists()
    with pytest.raises(ConfigError, match=r"another config; they differ in training.epochs \(1 th"):
        run_sweep(Sweep.load(path), runs)


def _await(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_directory_that_is_no_run_is_not_taken_for_one(config, tmp_path):
    (tmp_path / "runs/seed=0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="seed=0 is no run of a sweep. Choose another --log-dir"):
        run_sweep(Sweep.load(config(matrix={"seed": [0]})), tmp_path / "runs")


def test_runs_of_a_worker_that_dies_are_run_again_and_none_is_counted_twice(
    config, tmp_path, monkeypatch
):
    """A real scheduler and two real workers on loopback, one of them killed."""
    from dask.distributed import Client

    # Of a function beside the config, and not where the workers were started.
    (tmp_path / "here").mkdir()
    (tmp_path / "here/own_net.py").write_text("from svcca_monitor.experiments.models import mlp")
    monkeypatch.chdir(tmp_path / "here")
    net = {"name": "own_net:mlp", "parameters": {"units": [6, 5]}}
    sweep = Sweep.load(config(matrix={"seed": [0, 1, 2]}, training={"epochs": 15}, model=net))
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    scheduler = _start("dask", "scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
    workers = []
    try:
        address = _address(scheduler)
        worker = ["dask", "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        workers = [_start(*worker) for _ in range(2)]
        monkeypatch.chdir(tmp_path / "here")
        with Client(address, timeout="60s") as client:
            client.wait_for_workers(2, timeout=60)
            outcomes = []
            killed = _kill_one_when(workers, lambda: _snapshots(runs) > 3)
            outcomes = run_sweep(sweep, runs, client=client)
            killed.join()
        assert workers[0].poll() == -signal.SIGKILL
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.communicate()
    assert [outcome.state for outcome in outcomes] == ["finished"] * 3
    assert sorted(path.name for path in runs.iterdir()) == [f"seed={i}" for i in range(3)]
    assert all(len(Run(run.path).steps) == 16 for run in sweep_runs(runs))


def _start(name, *arguments):
    command = Path(sys.executable).with_name(name)
    return subprocess.Popen(
        [command, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def _address(scheduler):
    for line in scheduler.stderr:
        if "Scheduler at:" in line:
            return line.split()[-1]
    raise AssertionError("the scheduler ended")


def _snapshots(runs):
    return len(list(runs.glob(".attempts/*/svcca/snapshots/*")))


def _kill_one_when(workers, condition):
    import threading

    def work():
        _await(condition)
        workers[0].kill()

    thread = threading.Thread(target=work)
    thread.start()
    return thread
