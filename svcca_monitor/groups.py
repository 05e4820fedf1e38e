"""Groups of runs: how alike are nets of one kind, and of two kinds, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from .dynamics import step_of
from .layer_names import common_layers
from .measures import get_measure
from .over_runs import PairMethod, pair_mean_interval, require_interval, require_method
from .pairs import observed_grid, prepare, rescaled
from .run import Run
from .subspace import Array, Subspace


def compare_groups(
    groups: Mapping[str, Sequence[Run]],
    *,
    layers: Sequence[str] | None = None,
    measure: str = "svcca",
    step: int | str = "final",
    adjusted: bool = False,
    interval: float = 0.95,
    method: PairMethod = "jackknife",
    n_resamples: int = 2000,
    seed: int = 0,
    client: Any = None,
    **options: Any,
) -> xr.Dataset:
    """Similarity of the same layer in different runs, within and between groups of runs.

    As of nets that generalise and nets that memorise (Morcos et al. 2018, §3.1). Each run's layers
    are read and cut once; similarity is the mean over the pairs of two different runs. A measure
    that is not symmetric is taken both ways.

    Args:
        groups: Runs by the name of their group, such as `{"true": [...], "random": [...]}`.
        layers: Names or globs; all that every run has if left out.
        measure: A name in `MEASURES`.
        step: A step that all runs have, `"final"` or `"initial"`.
        adjusted: Rescale each pair, so that chance is 0 and identity 1.
        interval: Level of the intervals, over runs and not over pairs: see
            `over_runs.pair_mean_interval` for the method and its sources.
        method: `"jackknife"`, which holds for few runs; or `"bootstrap"`, from eight a group on.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.
        client: A `dask.distributed.Client`: all pairs of a layer are a task of its cluster, whose
            workers read the runs from where they are. Where a worker dies, Dask gives its task to
            another.
        **options: Options of the measure.

    Returns:
        Dataset with dimensions (layer, group, other_group), the same group twice being within it:
        `similarity`, its interval `lower` and `upper` (nan with fewer than three runs in a group,
        or between groups one run in either), `chance` (what unrelated layers of these sizes would
        score, the mean over the pairs; 0 if adjusted; by permutation where there is no closed form)
        and `n_pairs` (pairs of runs that have a value).

    Raises:
        ValueError: If there are no two runs, a run is named twice, no layer is in all runs, or a
            name is unknown.
        ProbeMismatchError: If the runs were taken on different probe sets.
        KeyError: If a run has no snapshot of the step.
    """
    require_interval(interval, n_resamples)
    require_method(method, PairMethod)
    runs = [run for members in groups.values() for run in members]
    require_comparable(runs)
    names = common_layers(runs, layers)
    places = [(run.source, step_of(run, step)) for run in runs]
    how: dict[str, Any] = {"measure": measure, "adjusted": adjusted, "options": options}
    if client is None:
        snapshots = [run.snapshot(at) for run, (_, at) in zip(runs, places, strict=True)]
        found_pairs = [_same_layer(name, places, snapshots, **how) for name in names]
    else:
        futures = [
            client.submit(_same_layer_read, name, places, **how, pure=False) for name in names
        ]
        found_pairs = client.gather(futures)
    values, chance = map(np.array, zip(*found_pairs, strict=True))
    # No similarity is above 1, or below what its measure can be unless chance is taken off.
    lowest = -np.inf if adjusted else get_measure(measure).lowest
    found = _within_and_between(
        values,
        chance,
        [len(members) for members in groups.values()],
        lowest,
        interval=interval,
        method=method,
        n_resamples=n_resamples,
        seed=seed,
    )
    dims = ("layer", "group", "other_group")
    return xr.Dataset(
        {key: (dims, each) for key, each in found.items()},
        coords={"layer": names, "group": list(groups), "other_group": list(groups)},
        attrs={
            "measure": measure,
            "step": str(step),
            "adjusted": int(adjusted),
            "interval": interval,
            "method": method,
        },
    )


def _within_and_between(
    values: Array, chance: Array, sizes: Sequence[int], lowest: float, **how: Any
) -> dict[str, Array]:
    """Means over the pairs of runs of two groups each, and their intervals.

    Args:
        values: Similarity of each two runs, shape (n_layers, n_runs, n_runs).
        chance: Its level by chance, of the same shape.
        sizes: Runs of each group, in order.
        lowest: No similarity is below this.
        **how: Of `pair_mean_interval`.

    Returns:
        Arrays of shape (n_layers, n_groups, n_groups).
    """
    members = [np.arange(a, b) for a, b in pairwise(np.cumsum([0, *sizes]))]
    shape = (len(values), len(members), len(members))
    found = {key: np.full(shape, np.nan) for key in ("similarity", "lower", "upper", "chance")}
    found["n_pairs"] = np.zeros(shape, dtype=int)
    for g, a in enumerate(members):
        for h, b in enumerate(members[: g + 1]):
            other = None if g == h else b
            mean, low, high = pair_mean_interval(values, a, other, **how)
            there = np.isfinite(values[:, a][:, :, b])
            if g == h:
                there &= np.tri(len(a), k=-1, dtype=bool)
            of_pairs = {
                "similarity": mean,
                "lower": np.maximum(low, lowest),
                "upper": np.minimum(high, 1.0),
                "chance": pair_mean_interval(chance, a, other)[0],
                "n_pairs": there.sum(axis=(1, 2)),
            }
            for key, each in of_pairs.items():
                found[key][:, g, h] = found[key][:, h, g] = each
    return found


def require_comparable(runs: Sequence[Run]) -> None:
    """Raise unless there are two runs or more, all different, on one probe set."""
    if len(runs) < 2:
        raise ValueError(f"A comparison is of at least two runs. Received: {len(runs)}.")
    seen = set()
    for run in runs:
        place = run.path.resolve()
        if place in seen:
            raise ValueError(
                f"The run {run.path} is there twice. A run is alike to itself: name each once, in "
                "one group."
            )
        seen.add(place)
        runs[0].require_probe_of(run)


def _same_layer_read(
    name: str, places: Sequence[tuple[str, int]], **how: Any
) -> tuple[Array, Array]:
    """`_same_layer`, on a machine that has nothing yet."""
    return _same_layer(name, places, [Run(place).snapshot(step) for place, step in places], **how)


def _same_layer(
    name: str,
    places: Sequence[tuple[str, int]],
    snapshots: Sequence[Mapping[str, Subspace]],
    *,
    measure: str,
    adjusted: bool,
    options: Mapping[str, Any],
) -> tuple[Array, Array]:
    """Similarity and chance of a layer in every run to itself in every other, (n_runs, n_runs)."""
    at = [i for i, snapshot in enumerate(snapshots) if name in snapshot]
    values, chance = (np.full((len(places), len(places)), np.nan) for _ in range(2))
    if at:
        factors = {f"{name} in {places[i][0]}": snapshots[i][name] for i in at}
        sides = prepare(get_measure(measure), factors, None, options=options)
        grid, level = observed_grid(sides), sides.chance()
        if adjusted:
            grid, level = rescaled(grid, level), rescaled(level, level)
        level = np.where(np.isfinite(grid), level, np.nan)
        # Where x and y do not play the same part, a pair is the mean of both.
        values[np.ix_(at, at)] = (grid + grid.T) / 2
        chance[np.ix_(at, at)] = (level + level.T) / 2
    return values, chance
