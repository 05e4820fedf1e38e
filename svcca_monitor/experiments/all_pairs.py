"""The runs of a sweep compared with each other, here or on a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..dynamics import step_of
from ..groups import require_comparable
from ..layer_names import common_layers
from ..measures import similarity
from ..run import Run


def compare_runs(
    paths: Sequence[str | os.PathLike[str]],
    *,
    layers: Sequence[str] | None = None,
    measure: str = "svcca",
    step: int | str = "final",
    adjusted: bool = False,
    client: Any = None,
    **options: Any,
) -> xr.DataArray:
    """Similarity of the same layer in every two runs.

    Args:
        paths: Log directories, or URLs; on a cluster, ones that all workers see.
        layers: Names or globs; all that every run has if left out.
        measure: A name in `MEASURES`.
        step: A step that all runs have, `"final"` or `"initial"`.
        adjusted: Rescale each pair, so that chance is 0 and identity 1.
        client: A `dask.distributed.Client`: each run's comparisons with those before it are a task
            of its cluster. Where a worker dies, Dask gives its task to another.
        **options: Options of the measure.

    Returns:
        Array (layer, run, other_run), runs by their paths; rows are the first argument of a measure
        that is not symmetric.

    Raises:
        ValueError: If there are no two runs, a run is named twice, no layer is in all runs, or a
            name is unknown.
        ProbeMismatchError: If the runs were taken on different probe sets.
        KeyError: If a run has no snapshot of the step.
    """
    places = [os.fspath(path) for path in paths]
    runs = [Run(place) for place in places]
    require_comparable(runs)
    names = common_layers(runs, layers)
    steps = [step_of(run, step) for run in runs]
    how = {"measure": measure, "adjusted": adjusted, **options}
    # All but the last row end before the diagonal: the longest tasks stand first.
    tasks = [
        (names, list(zip(places[: i + 1], steps, strict=False)), how)
        for i in reversed(range(len(places)))
    ]
    if client is None:
        found = [compare_with_others(*task) for task in tasks]
    else:
        futures = [client.submit(compare_with_others, *task, pure=False) for task in tasks]
        found = client.gather(futures)
    values = np.empty((len(names), len(places), len(places)))
    for i, (here, there) in zip(reversed(range(len(places))), found, strict=True):
        values[:, i, : i + 1], values[:, : i + 1, i] = here, there
    return xr.DataArray(
        values,
        dims=("layer", "run", "other_run"),
        coords={"layer": names, "run": places, "other_run": places},
        name="similarity",
        attrs={"measure": measure, "step": str(step), "adjusted": int(adjusted)},
    )


def compare_with_others(
    names: Sequence[str], places: Sequence[tuple[str, int]], how: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """The last run with each of these, itself among them: both ways, of shape (layer, run)."""
    snapshots = [Run(place).snapshot(step) for place, step in places]
    mine = snapshots[-1]
    here = [[similarity(mine[name], other[name], **how) for other in snapshots] for name in names]
    there = [[similarity(other[name], mine[name], **how) for other in snapshots] for name in names]
    return np.array(here), np.array(there)
