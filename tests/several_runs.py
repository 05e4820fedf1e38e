"""Runs of several seeds, written without a framework: what they share, and what is their own."""

import numpy as np

from svcca_monitor import LayerInfo, ProbeSet, Run, Subspace

LAYERS = ("low", "mid", "high")
N_SAMPLES, WIDTH = 120, 5


def write_run(log_dir, seed, *, own=0.5, steps=(0, 1, 2, 3, 4), layers=LAYERS, probe=0):
    """A run whose layers end as a rotation of what all runs share, and `own` times noise.

    Deeper layers have more of their own, and go later to where they end.
    """
    inputs = np.random.default_rng(probe).normal(size=(N_SAMPLES, 3))
    infos = [LayerInfo(name, "Dense", i, (None, WIDTH), "mean") for i, name in enumerate(layers)]
    run = Run.create(log_dir, infos, ProbeSet(inputs), measure="svcca")
    shared = np.random.default_rng(100).normal(size=(len(layers), N_SAMPLES, WIDTH))
    rng = np.random.default_rng(seed)
    start, noise = rng.normal(size=(2, *shared.shape))
    turns = [np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0] for _ in layers]
    speeds = rng.uniform(0.8, 1.2, size=len(layers))
    ends = [
        shared[i] @ turns[i] + own * (i + 1) / len(layers) * noise[i] for i in range(len(layers))
    ]
    for step in steps:
        done = [(step / steps[-1]) ** (speeds[i] * (i + 0.5)) for i in range(len(layers))]
        run.write_snapshot(
            step,
            {
                name: Subspace.from_activations(
                    np.sqrt(1 - done[i]) * start[i] + np.sqrt(done[i]) * ends[i]
                )
                for i, name in enumerate(layers)
            },
            epoch=step,
        )
    return run
