"""What a monitor meets: snapshots one at a time, a busy machine, and runs that grow."""

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from timing import row, seconds, side_by_side, whole

from svcca_monitor import Subspace, similarity_grid
from svcca_monitor.callbacks.history import BUDGET, History

KEPT = 100
SPIN = "print(flush=True)\nwhile True: pass"
MULTIPLY = "import numpy as np\na = np.ones((700, 700))\nprint(flush=True)\nwhile True: a @ a"


def factorised(layers, share=0.99):
    return {
        name: Subspace.from_activations(x, explained_variance=share) for name, x in layers.items()
    }


def one_more(net, repeats, snapshots):
    """Cost of a snapshot after one, and after a hundred."""
    moving = [factorised(layers) for layers in net.snapshots(snapshots)]
    new, final = net.layers(0.97), factorised(net.layers(1.0))
    cut = factorised(new)
    short, long = _history(moving, 1, np.inf), _history(moving, KEPT, np.inf)
    thinned = _history(moving, KEPT, BUDGET)

    def arrives(history):
        """Its factorisations and its pairs, with the end and with the last one before."""
        last = history._kept[-1][1]
        similarity_grid(list(new.values()), [*final.values(), *last.values()])

    first, later = side_by_side([whole("", lambda h=h: arrives(h)) for h in (short, long)], repeats)
    yield row(
        "W2",
        "svcca",
        f"one more snapshot against the final and the last one: after 1 / after {KEPT}",
        first,
        later,
        ratio=f"{later / first:.2f} × slower",
        target="about 1",
    )
    one, some, every = side_by_side(
        [whole("", lambda h=h: h.compare(cut, measure="svcca")) for h in (short, thinned, long)],
        repeats,
    )
    kept = len(thinned._kept)
    for count, time in ((kept, some), (KEPT, every)):
        yield row(
            "W2",
            "svcca",
            f"{len(new)} factorised layers against their own past: 1 / {count} kept of {KEPT}",
            one,
            time,
            ratio=f"{1e3 * (time - one) / max(count - 1, 1):.2f} ms each",
        )


def _history(moving, count, budget):
    history = History(list(moving[0]), budget=budget)
    for i in range(count):
        history.add(moving[i % len(moving)])
    return history


@contextmanager
def busy(code):
    """One core kept busy by another process."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    try:
        child.stdout.readline()  # it is running
        yield
    finally:
        child.kill()
        child.communicate()


def one_core_busy(rows, columns, repeats):
    """W1 beside another process, in turns with itself on a machine as quiet as it is."""

    def pane():
        similarity_grid(rows, columns)

    for name, code in (("a Python loop", SPIN), ("matrix products", MULTIPLY)):
        times = []
        for _ in range(repeats):
            quiet = seconds(pane)
            with busy(code):
                times.append((quiet, seconds(pane)))
        quiet, slowed = np.min(times, axis=0)
        yield row(
            "W1",
            "svcca",
            f"itself, quiet / one core kept busy by {name}",
            quiet,
            slowed,
            ratio=f"{slowed / quiet:.2f} × slower",
            target="≤ 1.8",
        )


def growth(net, steps, repeats):
    """Exponents: log2 of the time of twice as much, one dimension at a time."""
    twice = {
        "layers": (replace(net, widths=tuple(net.widths) * 2), steps),
        "steps": (net, 2 * steps),
        "samples": (replace(net, n_samples=2 * net.n_samples), steps),
        "features": (replace(net, widths=[2 * width for width in net.widths]), steps),
    }
    base = dict(_growing(net, steps))
    for dimension, (larger, more) in twice.items():
        for job, work in _growing(larger, more):
            small, large = side_by_side([whole("", base[job]), whole("", work)], repeats)
            yield row(
                "growth",
                "svcca",
                f"{job}: base / twice the {dimension}",
                small,
                large,
                ratio=f"exponent {np.log2(large / small):.2f}",
            )


def _growing(net, steps):
    """Two jobs: all panes against the end; and one new snapshot's row, each layer and its past."""
    snapshots = list(net.snapshots(steps))
    end = factorised(net.layers(1.0))
    history = _history([factorised(layers) for layers in snapshots], steps, np.inf)

    def panes():
        for layers in snapshots:
            similarity_grid(layers, end)

    def appended():
        history.compare(factorised(snapshots[-1]), measure="svcca")

    return [("panes", panes), ("one row appended", appended)]
