"""Layer identification: does a measure find, in another run, the layer that it was shown?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .dynamics import step_of
from .groups import require_comparable
from .layer_names import common_layers
from .measures import MEASURES, get_measure, similarity_grid
from .over_runs import PairMethod, pair_mean_interval, require_interval, require_method
from .panes import Snapshot, placed
from .run import Run
from .subspace import Array


def identify_layers(
    run_a: Run,
    run_b: Run,
    *,
    measure: str = "svcca",
    step: int | str = "final",
    layers: Sequence[str] | None = None,
    adjusted: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Which layer of one run is most like each layer of another (Kornblith et al. 2019, §6.1).

    Of nets that differ in their seed alone, a measure of what layers have in common should find the
    layer of the same name. Where two layers are equally like it, the lower one is taken.

    Args:
        run_a: The run whose layers are looked for.
        run_b: The run in which they are looked for.
        measure: A name in `MEASURES`.
        step: A step that both runs have, `"final"` or `"initial"`.
        layers: Names or globs; all that both runs have if left out.
        adjusted: Rescale, so that chance is 0 and identity 1: layers of many dimensions are then
            not found for their dimensions.
        **options: Options of the measure.

    Returns:
        Dataset with the coordinate `layer`: `most_similar`, the name of the layer of `run_b`
        (empty if none has a value), `similarity` to it, `similarity_to_same`, and `found`,
        whether it is the layer of the same name: 1, 0, or nan without a value. `share`, the mean
        of `found`, and `chance`, what guessing gives: 1 / number of layers.

    Raises:
        ValueError: If no layer is in both runs, or a name is unknown.
        ProbeMismatchError: If the runs were taken on different probe sets.
        KeyError: If a run has no snapshot of the step.
    """
    require_comparable([run_a, run_b])
    names = common_layers([run_a, run_b], layers)
    a, b = (run.snapshot(step_of(run, step)) for run in (run_a, run_b))
    grid = _placed(a, b, names, measure=measure, adjusted=adjusted, **options)
    best, found = _identified(grid)
    known = best >= 0
    rows = np.arange(len(names))
    highest = np.where(known, grid[rows, best], np.nan)
    return xr.Dataset(
        {
            "most_similar": ("layer", [names[i] if i >= 0 else "" for i in best]),
            "similarity": ("layer", highest),
            "similarity_to_same": ("layer", np.diagonal(grid).copy()),
            "found": ("layer", found),
            "share": float(found[known].mean()) if known.any() else np.nan,
            "chance": 1 / len(names),
        },
        coords={"layer": names},
        attrs={"measure": measure, "step": str(step), "adjusted": int(adjusted)},
    )


def identify_layers_over_runs(
    runs: Sequence[Run],
    *,
    measures: Sequence[str] | None = None,
    step: int | str = "final",
    layers: Sequence[str] | None = None,
    adjusted: bool = False,
    interval: float = 0.95,
    method: PairMethod = "jackknife",
    n_resamples: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """`identify_layers` over all ordered pairs of runs, for several measures.

    The table of Kornblith et al. 2019 (arXiv:1905.00414, table 2), with intervals over runs.

    Args:
        runs: Two runs or more; three for an interval.
        measures: Names in `MEASURES`; all if left out.
        step: A step that all runs have, `"final"` or `"initial"`.
        layers: Names or globs; all that every run has if left out.
        adjusted: As for `identify_layers`.
        interval: Level of the intervals, see `over_runs.pair_mean_interval`.
        method: `"jackknife"`, which holds for few runs; or `"bootstrap"`, from eight on.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        Dataset with `share` of the layers that were found, `lower` and `upper` (by measure, within
        [0, 1]), `share_of_layer` (measure, layer) and `chance`, what guessing gives.

    Raises:
        ValueError: If there are no two runs, a run is named twice, no layer is in all of them, or a
            name is unknown.
        ProbeMismatchError: If the runs were taken on different probe sets.
    """
    require_interval(interval, n_resamples)
    require_method(method, PairMethod)
    require_comparable(runs)
    chosen = list(MEASURES) if measures is None else list(measures)
    kinds = [get_measure(name) for name in chosen]
    names = common_layers(runs, layers)
    snapshots = [run.snapshot(step_of(run, step)) for run in runs]
    n = len(runs)
    found = np.full((len(chosen), len(names), n, n), np.nan)
    for m, (name, kind) in enumerate(zip(chosen, kinds, strict=True)):
        for i in range(n):
            for j in range(i) if kind.symmetric else range(n):
                if i == j:
                    continue
                values = _placed(snapshots[i], snapshots[j], names, measure=name, adjusted=adjusted)
                found[m, :, i, j] = _identified(values)[1]
                if kind.symmetric:
                    found[m, :, j, i] = _identified(values.T)[1]
    known = np.isfinite(found)
    with np.errstate(invalid="ignore"):
        of_pair = np.where(known, found, 0).sum(axis=1) / known.sum(axis=1)
        of_layer = np.where(known, found, 0).sum(axis=(2, 3)) / known.sum(axis=(2, 3))
    # Both directions are one pair of runs.
    share, low, high = pair_mean_interval(
        (of_pair + of_pair.swapaxes(1, 2)) / 2,
        np.arange(n),
        interval=interval,
        method=method,
        n_resamples=n_resamples,
        seed=seed,
    )
    return xr.Dataset(
        {
            "share": ("measure", share),
            "lower": ("measure", np.clip(low, 0, 1)),
            "upper": ("measure", np.clip(high, 0, 1)),
            "share_of_layer": (("measure", "layer"), of_layer),
            "chance": 1 / len(names),
        },
        coords={"measure": chosen, "layer": names},
        attrs={"n_runs": n, "adjusted": int(adjusted), "interval": interval, "method": method},
    )


def _placed(a: Snapshot, b: Snapshot, names: Sequence[str], **options: Any) -> Array:
    """Similarities of these layers, (len(names), len(names)); nan where a snapshot lacks one."""
    rows, columns = ({name: each[name] for name in names if name in each} for each in (a, b))
    return placed(similarity_grid(rows, columns, **options), list(rows), list(columns), names)


def _identified(grid: Array) -> tuple[Array, Array]:
    """For each row, the column with the highest value (-1: none has one), and if it is the same."""
    best = np.where(np.isfinite(grid), grid, -np.inf).argmax(axis=1)
    known = np.isfinite(grid).any(axis=1)
    found = np.where(known, best == np.arange(len(grid)), np.nan)
    return np.where(known, best, -1), found
