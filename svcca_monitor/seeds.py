"""Convergence over seeds: several runs of one model, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .dynamics import learning_dynamics
from .over_runs import N_RESAMPLES, Method, mean_interval, require_interval, require_method
from .run import Run
from .settling import CONVERGED, convergence

STATISTICS = ("mean", "lower", "upper")
# No similarity is above 1, no τ beyond ±1, no epoch before the first: no interval reaches further.
RANGES = {
    "convergence_epoch": (0.0, np.inf),
    "half_time": (0.0, np.inf),
    "similarity": (-np.inf, 1.0),
    "area_under_curve": (-np.inf, 1.0),
    "bottom_up_index": (-1.0, 1.0),
}


def convergence_over_seeds(
    runs: Sequence[Run],
    *,
    threshold: float = CONVERGED,
    layers: Sequence[str] | None = None,
    measure: str = "svcca",
    adjusted: bool = True,
    interval: float = 0.95,
    method: Method = "t",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    **options: Any,
) -> xr.Dataset:
    """`convergence` of several runs: the mean, and how far it hangs on the seeds.

    Every number is worked out for each run, against the end of that run, and then averaged; the
    runs are the independent pieces, so that intervals are over them.

    Args:
        runs: Runs of one model, which differ in their seed; two or more.
        threshold: As for `convergence`.
        layers: Names or globs of the layers to look at; all if left out.
        measure: A name in `MEASURES`.
        adjusted: As for `convergence`.
        interval: Level of the intervals.
        method: `"t"`, Student's, which is right for few runs; or `"bootstrap"` over runs. See
            `over_runs.mean_interval` for both and their sources.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.
        **options: Options of the measure.

    Returns:
        Dataset with `convergence_epoch`, `half_time`, `area_under_curve` and `chance_level`
        (statistic, layer) and `bottom_up_index` (statistic), for the statistics `"mean"`,
        `"lower"` and `"upper"`; `area_under_curve_of_run` (run, layer) and `bottom_up_index_of_run`
        (run). A run in which a number is nan is left out of its mean. An interval of no width says
        that all runs agree, not that others would.

    Raises:
        ValueError: If there are fewer than two runs, they have different layers, one has no
            snapshot, or a name is unknown.
    """
    _require_alike(runs)
    require_interval(interval, n_resamples)
    require_method(method, Method)
    each = [
        convergence(
            run, threshold=threshold, layers=layers, measure=measure, adjusted=adjusted, **options
        )
        for run in runs
    ]
    found = {}
    for key in (
        "convergence_epoch",
        "half_time",
        "area_under_curve",
        "chance_level",
        "bottom_up_index",
    ):
        values = np.array([one[key].values for one in each])
        statistics = _statistics(
            values, key, interval=interval, method=method, n_resamples=n_resamples, seed=seed
        )
        found[key] = (("statistic", *each[0][key].dims), statistics)
        if key in ("area_under_curve", "bottom_up_index"):
            found[f"{key}_of_run"] = (("run", *each[0][key].dims), values)
    return xr.Dataset(
        found,
        coords={
            "statistic": list(STATISTICS),
            "run": [str(run.path) for run in runs],
            "layer": each[0]["layer"],
            "depth": each[0]["depth"],
        },
        attrs={**each[0].attrs, "n_runs": len(runs), "interval": interval, "method": method},
    )


def dynamics_over_seeds(
    runs: Sequence[Run],
    reference: str | int = "final",
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    interval: float = 0.95,
    method: Method = "t",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    **options: Any,
) -> xr.DataArray:
    """`learning_dynamics` of several runs: mean curves with their bands.

    Args:
        runs: Runs of one model with snapshots at the same steps; two or more.
        reference: As for `learning_dynamics`: each run is compared with a moment of its own.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that chance is 0 and identity 1.
        interval: Level of the bands, at each step by itself.
        method: As for `convergence_over_seeds`.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.
        **options: Options of the measure.

    Returns:
        Array (statistic, step, layer) for the statistics `"mean"`, `"lower"`, `"upper"`, with the
        coordinates `epoch`, `depth` and `chance` (mean over the runs) as of `learning_dynamics`.

    Raises:
        ValueError: If there are fewer than two runs, or they differ in layers or steps.
    """
    _require_alike(runs)
    require_interval(interval, n_resamples)
    require_method(method, Method)
    for run in runs[1:]:
        if run.steps != runs[0].steps:
            raise ValueError(
                f"Mean curves need snapshots at the same steps. {runs[0].path} has steps "
                f"{runs[0].steps}, {run.path} has {run.steps}."
            )
    each = [
        learning_dynamics(run, reference, measure=measure, adjusted=adjusted, **options)
        for run in runs
    ]
    statistics = _statistics(
        np.array([one.values for one in each]),
        "similarity",
        interval=interval,
        method=method,
        n_resamples=n_resamples,
        seed=seed,
    )
    first = each[0]
    return xr.DataArray(
        statistics,
        dims=("statistic", *first.dims),
        coords={
            "statistic": list(STATISTICS),
            "step": first["step"],
            "layer": first["layer"],
            "epoch": first["epoch"],
            "depth": first["depth"],
            "chance": (first.dims, np.mean([one["chance"].values for one in each], axis=0)),
        },
        name="similarity",
        attrs={**first.attrs, "n_runs": len(runs), "interval": interval, "method": method},
    )


def _statistics(values: np.ndarray, key: str, **how: Any) -> np.ndarray:
    """Mean, lower and upper end over the first axis, within the range of the number."""
    found = np.stack(mean_interval(values, **how))
    return np.clip(found, *RANGES[key]) if key in RANGES else found


def _require_alike(runs: Sequence[Run]) -> None:
    if len(runs) < 2:
        raise ValueError(
            f"Intervals over seeds need at least two runs. Received: {len(runs)}. For one run "
            "there is `convergence`."
        )
    for run in runs[1:]:
        if run.layers != runs[0].layers:
            raise ValueError(
                f"Seeds are runs of one model. {runs[0].path} has the layers "
                f"{', '.join(runs[0].layers)}; {run.path} has {', '.join(run.layers)}."
            )
