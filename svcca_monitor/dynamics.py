"""Learning dynamics: how the layers of a run move towards their end, as labelled arrays."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import xarray as xr

from .measures import get_measure, similarity_grid
from .messages import unknown_name
from .probe import ProbeMismatchError
from .run import Run
from .subspace import Subspace

REFERENCES = ("final", "initial", "previous")
# A layer counts as converged while its similarity to the end stays above this.
CONVERGED = 0.9


def learning_dynamics(
    run: Run,
    reference: str | int = "final",
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    **options: Any,
) -> xr.DataArray:
    """Similarity of each layer to itself at a reference step (Raghu et al. 2017, §3.1).

    Args:
        run: The run.
        reference: `"final"`, `"initial"`, `"previous"` (the snapshot before) or a step.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that chance is 0 and identity 1.
        **options: Options of the measure.

    Returns:
        Array (step, layer) with coordinates `epoch` and `depth`. The first step is nan against
        `"previous"`.

    Raises:
        ValueError: If the run has no snapshot, or a name is unknown.
        KeyError: If the run has no snapshot of the reference step.
    """
    steps = _steps(run)
    fixed = None if reference == "previous" else run.snapshot(_reference_step(run, reference))
    values = np.full((len(steps), len(run.layers)), np.nan)
    before: dict[str, Subspace] = {}
    for i, step in enumerate(steps):
        now = run.snapshot(step)
        other = before if fixed is None else fixed
        values[i] = layer_similarities(
            run.layers, now, other, measure=measure, adjusted=adjusted, **options
        )
        before = now
    return xr.DataArray(
        values,
        dims=("step", "layer"),
        coords={
            "step": steps,
            "layer": run.layers,
            "epoch": ("step", run.epochs),
            "depth": ("layer", np.arange(len(run.layers))),
        },
        name="similarity",
        attrs={"measure": measure, "reference": str(reference), "adjusted": int(adjusted)},
    )


def pane(
    run: Run,
    step: int | str,
    reference: str | int = "final",
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    **options: Any,
) -> xr.DataArray:
    """Similarity of every layer at a step to every layer at a reference step.

    Args:
        run: The run.
        step: A step, `"final"` or `"initial"`.
        reference: `"final"`, `"initial"`, `"previous"` or a step; `step` itself compares the
            layers of one moment.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that chance is 0 and identity 1.
        **options: Options of the measure.

    Returns:
        Array (layer, reference_layer); nan where a snapshot lacks the layer.

    Raises:
        ValueError: If the run has no snapshot, or a name is unknown.
        KeyError: If the run has no snapshot of a step.
    """
    now = _reference_step(run, step)
    then = _reference_step(run, reference, before=now)
    rows, columns = run.snapshot(now), run.snapshot(then)
    grid = similarity_grid(rows, columns, measure=measure, adjusted=adjusted, **options)
    # A layer that was left out of a snapshot keeps its place, so that panes can be laid together.
    names = run.layers
    full = np.full((len(names), len(names)), np.nan)
    full[np.ix_([names.index(r) for r in rows], [names.index(c) for c in columns])] = grid
    return xr.DataArray(
        full,
        dims=("layer", "reference_layer"),
        coords={"layer": names, "reference_layer": names},
        name="similarity",
        attrs={"measure": measure, "step": now, "reference": then, "adjusted": int(adjusted)},
    )


def trajectory(
    run: Run, layer: str, *, measure: str = "svcca", adjusted: bool = False, **options: Any
) -> xr.DataArray:
    """Similarity of one layer at every step to itself at every other: array (step, other_step).

    Raises:
        ValueError: If the run has no such layer, or a name is unknown.
    """
    if layer not in run.layers:
        raise ValueError(unknown_name("layer", layer, run.layers))
    steps = _steps(run)
    snapshots = [run.snapshot(step) for step in steps]
    known = [i for i, snapshot in enumerate(snapshots) if layer in snapshot]
    grid = np.full((len(steps), len(steps)), np.nan)
    grid[np.ix_(known, known)] = similarity_grid(
        {str(steps[i]): snapshots[i][layer] for i in known},
        measure=measure,
        adjusted=adjusted,
        **options,
    )
    return xr.DataArray(
        grid,
        dims=("step", "other_step"),
        coords={"step": steps, "other_step": steps},
        name="similarity",
        attrs={"measure": measure, "layer": layer, "adjusted": int(adjusted)},
    )


def compare(
    run_a: Run,
    run_b: Run,
    *,
    step: int | str = "final",
    measure: str = "svcca",
    adjusted: bool = False,
    **options: Any,
) -> xr.DataArray:
    """Similarity of every layer of one run to every layer of another: array (layer_a, layer_b).

    Raises:
        ProbeMismatchError: If the runs were taken on different probe sets.
    """
    if run_a.probe_fingerprint != run_b.probe_fingerprint:
        raise ProbeMismatchError(run_a.probe_fingerprint, run_b.probe_fingerprint, str(run_a.path))
    a = run_a.snapshot(_reference_step(run_a, step))
    b = run_b.snapshot(_reference_step(run_b, step))
    return xr.DataArray(
        similarity_grid(a, b, measure=measure, adjusted=adjusted, **options),
        dims=("layer_a", "layer_b"),
        coords={"layer_a": list(a), "layer_b": list(b)},
        name="similarity",
        attrs={"measure": measure, "step": str(step), "adjusted": int(adjusted)},
    )


def convergence(
    run: Run,
    *,
    threshold: float = CONVERGED,
    layers: Sequence[str] | None = None,
    measure: str = "svcca",
    adjusted: bool = False,
    **options: Any,
) -> xr.Dataset:
    """When each layer settled, and whether the layers settled from the bottom up.

    Args:
        run: The run.
        threshold: A layer has converged from the first snapshot after which its similarity to the
            final one never falls below this.
        layers: Names or globs of the layers to look at; all if left out.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that chance is 0 and identity 1.
        **options: Options of the measure.

    Returns:
        Dataset with, for each layer, `convergence_epoch` and `area_under_curve` (mean similarity
        to the final snapshot over training, by the trapezoidal rule) and `chance_level` (what
        unrelated layers of its final size would score; nan if unknown), and two numbers:
        `bottom_up_index`, Kendall's τ between depth and area under the curve, and its `p_value`.
        −1: the deeper a layer, the later it settles. nan with fewer than two layers or snapshots.

    Raises:
        ValueError: If the run has no snapshot, or a name is unknown.
    """
    from scipy.stats import kendalltau

    curves = learning_dynamics(
        run, reference="final", measure=measure, adjusted=adjusted, **options
    )
    if layers is not None:
        curves = curves.sel(layer=_matching(run.layers, layers))
    names = curves["layer"].values.tolist()
    values, epochs = curves.values, curves["epoch"].values
    settled = np.array([_first_settled(column, epochs, threshold) for column in values.T])
    span = epochs[-1] - epochs[0]
    area = np.trapezoid(values, epochs, axis=0) / span if span else np.full(values.shape[1], np.nan)
    known = np.isfinite(area)
    tau, p_value = np.nan, np.nan
    # Kendall's τ is undefined for a single layer or where all areas are equal.
    if known.sum() > 1 and np.ptp(area[known]) > 0:
        tau, p_value = kendalltau(curves["depth"].values[known], area[known])
    return xr.Dataset(
        {
            "convergence_epoch": ("layer", settled),
            "area_under_curve": ("layer", area),
            "chance_level": ("layer", _chance_levels(run, names, measure, options)),
            "bottom_up_index": float(tau),
            "p_value": float(p_value),
        },
        coords={"layer": curves["layer"], "depth": curves["depth"]},
        attrs={"measure": measure, "threshold": threshold, "adjusted": int(adjusted)},
    )


def layer_similarities(
    names: Sequence[str],
    now: dict[str, Subspace],
    other: dict[str, Subspace],
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    **options: Any,
) -> np.ndarray:
    """Similarity of each layer to itself in another snapshot; nan where either lacks it."""
    values = np.full(len(names), np.nan)
    for i, name in enumerate(names):
        if name in now and name in other:
            grid = similarity_grid(
                {name: now[name]},
                {name: other[name]},
                measure=measure,
                adjusted=adjusted,
                **options,
            )
            values[i] = grid[0, 0]
    return values


def _steps(run: Run) -> list[int]:
    steps = run.steps
    if not steps:
        raise ValueError(f"The run in {run.path} has no snapshot yet.")
    return steps


def _reference_step(run: Run, reference: str | int, before: int | None = None) -> int:
    steps = _steps(run)
    if isinstance(reference, str):
        if reference not in REFERENCES:
            raise ValueError(unknown_name("reference", reference, (*REFERENCES, "a step")))
        if reference == "previous":
            earlier = [step for step in steps if before is None or step < before]
            if not earlier:
                raise ValueError(f"Step {before} is the first of the run: nothing precedes it.")
            return earlier[-1]
        return steps[-1] if reference == "final" else steps[0]
    if reference not in steps:
        raise KeyError(f"The run has no snapshot of step {reference}. Steps: {steps}.")
    return int(reference)


def _matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(unknown_name("layer", pattern, names))
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]


def _chance_levels(
    run: Run, names: Sequence[str], measure: str, options: dict[str, Any]
) -> list[float]:
    kind = get_measure(measure)
    settings = kind.settings(options)
    final = run.snapshot(run.steps[-1])
    levels = []
    for name in names:
        cut = kind.cut(final[name], settings) if name in final else None
        level = None if cut is None else kind.chance_of(cut, cut)
        levels.append(float("nan") if level is None else level)
    return levels


def _first_settled(curve: np.ndarray, epochs: np.ndarray, threshold: float) -> float:
    """Epoch from which the curve stays at or above the threshold; nan if it has no value."""
    if not np.isfinite(curve[-1]):
        return float("nan")
    below = np.flatnonzero(~(curve >= threshold))
    return float(epochs[below[-1] + 1 if len(below) else 0])
