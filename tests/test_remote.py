"""Runs at a URL: written there as training goes on, and read from there."""

from pathlib import Path

import fsspec
import numpy as np
import pytest
import yaml

from svcca_monitor import Run, RunFormatError, SVCCAMonitor, convergence, learning_dynamics
from svcca_monitor.experiments import config, train
from svcca_monitor.experiments.matrix import Sweep
from svcca_monitor.experiments.sweep import run_sweep, sweep_runs
from svcca_monitor.remote import written_to

SMALL = {
    "data": {"name": "digits", "train_size": 64, "test_size": 60},
    "model": {"name": "mlp", "parameters": {"units": [6]}},
    "training": {"epochs": 2},
    "monitor": {"probe_size": 50},
}


@pytest.fixture(autouse=True)
def memory():
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture
def settings():
    return config.check(SMALL, "x.yaml")


def test_a_run_is_written_to_a_url_epoch_by_epoch_and_read_from_it(settings, memory, tmp_path):
    there = []

    def look(progress):
        if progress.epoch_ended:
            there.append(len(memory.glob("/logs/small/svcca/snapshots/*.safetensors")))

    train.train(settings, "memory://logs/small", report=look)
    assert there == [2, 3]
    run = Run("memory://logs/small")
    assert run.steps == [0, 1, 2]
    assert memory.exists("/logs/small/config.yaml")
    assert memory.glob("/logs/small/svcca/events.out.tfevents.*")
    train.train(settings, f"file://{tmp_path}/local")
    local = Run(tmp_path / "local")
    np.testing.assert_array_equal(learning_dynamics(run), learning_dynamics(local))
    assert Run(f"file://{tmp_path}/local").steps == local.steps
    with pytest.raises(FileExistsError, match="memory://logs/small holds a run already"):
        train.train(settings, "memory://logs/small")


def test_a_sweep_puts_its_runs_at_a_url_and_goes_on_there(tmp_path, memory):
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "matrix": {"seed": [3]}}))
    sweep = Sweep.load(path)
    # As of a copy that was broken off: the file that counts is missing.
    memory.pipe_file("/sweep/seed=3/svcca/run.json", b"{}")
    assert [each.state for each in run_sweep(sweep, "memory://sweep")] == ["finished"]
    assert [each.state for each in run_sweep(sweep, "memory://sweep")] == ["found"]
    (run,) = sweep_runs("memory://sweep")
    assert (run.name, run.settings, run.path) == ("seed=3", {"seed": 3}, "memory://sweep/seed=3")
    assert Run(run.path).steps == [0, 1, 2]
    with pytest.raises(config.ConfigError, match="they differ in training.epochs"):
        run_sweep(Sweep.load(path, ["training.epochs=3"]), "memory://sweep")


def test_what_a_store_lets_go_goes_at_the_url_too(memory):
    with written_to("memory://logs/x") as (folder, copy):
        (folder / "a").write_text("1")
        (folder / ".writing-1-2.tmp").write_text("half")
        copy()
        assert memory.find("/logs/x") == ["/logs/x/a"]
        (folder / "a").unlink()
        (folder / "b").write_text("2")
    assert memory.find("/logs/x") == ["/logs/x/b"]
    assert not folder.exists()


def test_a_copy_that_fails_is_told_and_nothing_is_lost(memory, monkeypatch):
    """The store of this URL is down: the only thing here that cannot be real."""

    def down(path, value, **options):
        raise ConnectionError("no route")

    monkeypatch.setattr(memory, "pipe_file", down)
    copying = written_to("memory://logs/x")
    folder, copy = copying.__enter__()
    (folder / "a").write_text("1")
    with pytest.warns(UserWarning, match="failed, and will be tried again: no route"):
        copy()
    with pytest.raises(OSError, match=r"to memory://logs/x failed: no route. It is all in /") as e:
        copying.__exit__(None, None, None)
    assert (Path(str(e.value).rpartition(" in ")[2].rstrip(".")) / "a").read_text() == "1"


def test_places_that_hold_no_run_or_take_none_are_named(memory):
    with pytest.raises(FileNotFoundError, match="No folder at memory://nothing"):
        Run("memory://nothing")
    memory.pipe_file("/logs/bad/svcca/run.json", b"[]")
    with pytest.raises(RunFormatError):
        Run("memory://logs/bad")
    with pytest.raises(ValueError, match="Protocol not known: nowhere"):
        Run("nowhere://x")
    with pytest.raises(FileNotFoundError, match="holds no run of a sweep that has ended"):
        sweep_runs("memory://logs")
    with pytest.raises(
        ValueError, match=r"is a URL, where files cannot grow: .* by `svcca-monitor"
    ):
        Run.create("memory://logs/y", [], None)


def test_names_at_a_url_cannot_lead_out_of_the_copy(memory, tmp_path, made_run):
    run = made_run()
    for path in run.path.parent.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"/logs/{path.relative_to(run.path.parent)}", path.read_bytes())
    memory.store["/logs/../../evil"] = memory.store["/logs/svcca/run.json"]
    copied = Run("memory://logs")
    assert convergence(copied).sizes["layer"] == 3
    assert not list(copied.path.parents[2].glob("evil"))


def test_a_monitor_says_what_to_do_with_a_url(digits, small_net):
    model = small_net()
    monitor = SVCCAMonitor(digits[2][:50], log_dir="memory://logs/z")
    with pytest.raises(ValueError, match="is a URL, where files cannot grow: write to a directory"):
        model.fit(*digits[:2], epochs=1, verbose=0, callbacks=[monitor])
