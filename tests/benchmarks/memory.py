"""Memory of a workload of `engine.py`, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from svcca_monitor import similarity_grid


def peaks(name, args):
    """The most megabytes beside the input: ours for all pairs, the published way's for one."""
    script = str(Path(__file__).with_name("engine.py"))
    command = [sys.executable, script, "--measure-peak", name, *["--quick"] * args.quick]
    ours, theirs = (
        subprocess.run(each, capture_output=True, text=True, check=True).stdout.strip()
        for each in (command, [*command, "--published"])
    )
    return {"peak MB": ours, "theirs, a pair": theirs}


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
