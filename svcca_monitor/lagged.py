"""Convergence as it can be told while training goes on: nothing is compared with the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .dynamics import layer_by_layer, steps_of
from .layer_names import matching
from .run import Run
from .subspace import Array

# Similarity to one epoch earlier is higher than to the end, and so is what counts as converged.
STILL = 0.98
# Fractions of an epoch are rounded where they are written down.
ROUNDING = 1e-6


def lagged_convergence(
    run: Run,
    *,
    lag: float = 1.0,
    threshold: float = STILL,
    patience: int = 3,
    layers: Sequence[str] | None = None,
    measure: str = "svcca",
    adjusted: bool = True,
    **options: Any,
) -> xr.Dataset:
    """Which layers have stopped moving, from the past alone.

    Each snapshot is compared with the one `lag` epochs earlier; a layer has converged once that
    similarity has stayed at or above the threshold for `patience` snapshots in a row. What this
    says of an epoch never changes with what comes later, unlike `convergence`, whose curves end
    at 1 because the end is what they are compared with (the jump in Morcos et al. 2018, figure 6).
    A layer that moves slowly but never stops is above the threshold too: take a longer lag.

    Args:
        run: The run; training may be going on.
        lag: In epochs. Where no snapshot was taken exactly that long before, the latest that is
            older: the longer way, which is not likelier to look converged.
        threshold: What similarity counts as unmoved.
        patience: In snapshots.
        layers: Names or globs of the layers to look at; all if left out.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that chance is 0 and identity 1.
        **options: Options of the measure.

    Returns:
        Dataset with `similarity` to the earlier snapshot (step, layer), nan while there is none;
        `converged` (step, layer), whether at that step the last `patience` similarities were all
        at or above the threshold; `convergence_epoch` (layer), the first epoch of which that holds,
        nan if none yet; and the coordinates `epoch`, `depth` and `lag`, the epochs between the two.

    Raises:
        ValueError: If `lag`, `threshold` or `patience` is out of range, the run has no snapshot, or
            a name is unknown.
    """
    if not lag > 0 or not np.isfinite(lag):
        raise ValueError(f"`lag` is a positive number of epochs. Received: lag={lag}")
    if not 0 < threshold <= 1:
        raise ValueError(f"`threshold` is a similarity in (0, 1]. Received: threshold={threshold}")
    if patience < 1:
        raise ValueError(f"`patience` is at least 1 snapshot. Received: patience={patience}")
    names = run.layers if layers is None else matching(run.layers, layers)
    steps, epochs = steps_of(run), run.epochs
    earlier = [_earlier(epochs[: i + 1], lag) for i in range(len(steps))]
    values = _similarities(run, names, steps, earlier, measure, adjusted, options)
    above = values >= threshold  # nan is not
    converged = np.zeros_like(above)
    for i in range(patience - 1, len(steps)):
        converged[i] = above[i - patience + 1 : i + 1].all(axis=0)
    first = [epochs[int(np.argmax(column))] if column.any() else np.nan for column in converged.T]
    between = [np.nan if j is None else epochs[i] - epochs[j] for i, j in enumerate(earlier)]
    return xr.Dataset(
        {
            "similarity": (("step", "layer"), values),
            "converged": (("step", "layer"), converged),
            "convergence_epoch": ("layer", np.array(first, dtype=np.float64)),
        },
        coords={
            "step": steps,
            "layer": names,
            "epoch": ("step", epochs),
            "lag": ("step", between),
            "depth": ("layer", [run.layers.index(name) for name in names]),
        },
        attrs={
            "measure": measure,
            "reference": f"snapshot {lag:g} epoch{'' if lag == 1 else 's'} earlier",
            "threshold": threshold,
            "patience": patience,
            "adjusted": int(adjusted),
        },
    )


def _earlier(epochs: Sequence[float], lag: float) -> int | None:
    """Place of the latest snapshot at least `lag` epochs before the last of these."""
    older = [j for j, epoch in enumerate(epochs) if epoch <= epochs[-1] - lag + ROUNDING]
    return older[-1] if older else None


def _similarities(
    run: Run,
    names: Sequence[str],
    steps: Sequence[int],
    earlier: Sequence[int | None],
    measure: str,
    adjusted: bool,
    options: dict[str, Any],
) -> Array:
    """Each snapshot against its earlier one, (n_steps, n_layers); each file is read once."""
    values = np.full((len(steps), len(names)), np.nan)
    last_use = {j: i for i, j in enumerate(earlier) if j is not None}
    kept = {}
    for i, j in enumerate(earlier):
        kept[i] = run.snapshot(steps[i])
        if j is not None:
            values[i] = layer_by_layer(
                names, kept[i], kept[j], measure=measure, adjusted=adjusted, **options
            )["similarity"]
        kept = {k: snapshot for k, snapshot in kept.items() if last_use.get(k, -1) > i}
    return values
