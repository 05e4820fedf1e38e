"""Disks that fill up and folders that cannot be written on any more, while training goes on."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
import numpy as np
import pytest
from event_files import tensors

from svcca_monitor import Run, SVCCAMonitor, learning_dynamics

NOBODY = 65534


class At(keras.callbacks.Callback):
    """Does something before an epoch: `{epoch: function}`."""

    def __init__(self, actions):
        super().__init__()
        self.actions = actions

    def on_epoch_begin(self, epoch, logs=None):
        self.actions.get(epoch, lambda: None)()


def weights(model):
    return [np.asarray(w) for w in model.get_weights()]


@pytest.fixture
def trains_as_alone(fit):
    """Trains with callbacks and gives the warnings; asserts that the weights are those without."""

    def check(*callbacks, epochs=6):
        alone, _ = fit(epochs=epochs)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model, history = fit(*callbacks, epochs=epochs)
        assert len(history.history["loss"]) == epochs
        for a, b in zip(weights(alone), weights(model), strict=True):
            np.testing.assert_array_equal(a, b)
        return [str(w.message) for w in caught]

    return check


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB where the system lets us mount one; else None."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "svcca-test", str(folder)]
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(command, capture_output=True, check=False).returncode
    )
    yield folder if mounted else None
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def files_no_larger_than(size):
    """The system refuses to let any file of this process grow beyond."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def all_is_readable(run, steps):
    assert run.steps == steps
    assert learning_dynamics(run).shape == (len(steps), 5)
    _, order = tensors(run)
    assert all(shown == sorted(set(shown)) for shown in order.values())
    return order


def test_a_full_disk_costs_what_did_not_fit_and_room_is_used_again(
    trains_as_alone, probe, tmp_path, small_disk
):
    """A real file system where one can be mounted; else the system limits the size of files."""
    limit = files_no_larger_than(1000)
    log_dir = small_disk or tmp_path / "run"
    filler = log_dir / "filler"

    def fill():
        if small_disk is None:
            limit.__enter__()
            return
        with suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(b"\0" * 1000) == 1000:
                pass

    def clear():
        if small_disk is None:
            limit.__exit__(None, None, None)
        else:
            filler.unlink()

    messages = trains_as_alone(At({2: fill, 4: clear}), SVCCAMonitor(probe, log_dir, measure="cka"))
    assert len(messages) == 1, messages
    assert "could not finish the snapshot of step 3: OSError: [Errno 2" in messages[0]
    order = all_is_readable(Run(log_dir), [0, 1, 2, 5, 6])
    assert order["svcca/layers"] == order["svcca/final"] == [0, 1, 2, 5, 6]


def test_an_event_file_that_cannot_grow_costs_a_point_and_no_snapshot(
    trains_as_alone, probe, tmp_path
):
    limits = []

    def set_limit():
        [live] = (tmp_path / "svcca").glob("*.live")
        # Half a record fits: it must not stand in the way of those to come.
        limits.append(files_no_larger_than(live.stat().st_size + 500))
        limits[0].__enter__()

    monitor = SVCCAMonitor(probe, tmp_path, store={"dims": 1, "dtype": "float16"})
    messages = trains_as_alone(
        At({3: set_limit, 5: lambda: limits[0].__exit__(None, None, None)}), monitor
    )
    assert len(messages) == 1, messages
    assert "snapshot of step 4: OSError: [Errno 27]" in messages[0]
    order = all_is_readable(Run(tmp_path), [0, 1, 2, 3, 4, 5, 6])
    assert order["svcca/layers"] == [0, 1, 2, 3, 6]
    assert order["svcca/final"] == [0, 1, 2, 3, 4, 5, 6]


def test_a_run_that_is_deleted_is_one_warning(trains_as_alone, probe, tmp_path):
    def delete():
        shutil.rmtree(tmp_path / "run")

    messages = trains_as_alone(At({2: delete}), SVCCAMonitor(probe, tmp_path / "run"), epochs=4)
    assert len(messages) == 1, messages
    assert "the snapshot of step 3: FileNotFoundError" in messages[0]
    assert "svcca/run.json'. Training goes on." in messages[0]


def test_a_folder_that_becomes_read_only_costs_what_cannot_be_written(trains_as_alone, probe):
    with tempfile.TemporaryDirectory() as log_dir:
        os.chmod(log_dir, 0o777)
        root = os.geteuid() == 0  # who may write anywhere: another user trains then
        if root:
            os.seteuid(NOBODY)
        try:
            snapshots = Path(log_dir) / "svcca" / "snapshots"
            messages = trains_as_alone(
                At({2: lambda: snapshots.chmod(0o555), 4: lambda: snapshots.chmod(0o755)}),
                SVCCAMonitor(probe, log_dir),
            )
        finally:
            if root:
                os.seteuid(0)
        assert len(messages) == 1, messages
        assert "snapshot of step 3: PermissionError: [Errno 13]" in messages[0]
        order = all_is_readable(Run(log_dir), [0, 1, 2, 5, 6])
        assert order["svcca/layers"] == [0, 1, 2, 5, 6]
