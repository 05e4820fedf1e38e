"""Memory of a workload of `engine.py`, in a process of its own."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np

from svcca_monitor import similarity_grid


def peaks(name, quick, whose="published"):
    """The most megabytes beside the input: ours for all pairs, those of others for one."""
    return {"peak MB": _peak(name, quick, "ours"), "theirs, a pair": _peak(name, quick, whose)}


@cache
def _peak(name, quick, whose):
    script = str(Path(__file__).with_name("engine.py"))
    command = [sys.executable, script, "--measure-peak", name, "--whose", whose]
    command += ["--quick"] * quick
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure_peak(work):
    similarity_grid(np.random.default_rng(0).normal(size=(2, 50, 20)))  # imports and pools
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak begins anew
    before = _memory("VmRSS")
    work()
    return (_memory("VmHWM") - before) // 1024


def _memory(key):
    """Kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))
