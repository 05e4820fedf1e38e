"""Learning dynamics: how the layers of a run move towards their end, as labelled arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .inference import similarity_intervals
from .measures import get_measure
from .messages import unknown_name
from .pairs import observed_grid, prepare, rescaled
from .panes import placed
from .run import Run
from .subspace import Array, Subspace

Snapshot = dict[str, Subspace]

REFERENCES = ("final", "initial", "previous")


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
        Array (step, layer) with coordinates `epoch`, `depth` and `chance`, what unrelated layers
        would score (0 if adjusted; nan for a measure without a closed form). The first step is nan
        against `"previous"`.

    Raises:
        ValueError: If the run has no snapshot, or a name is unknown.
        KeyError: If the run has no snapshot of the reference step.
    """
    steps = steps_of(run)
    fixed = None if reference == "previous" else run.snapshot(step_of(run, reference))
    found = []
    before: Snapshot = {}
    for step in steps:
        now = run.snapshot(step)
        other = before if fixed is None else fixed
        found.append(
            layer_by_layer(run.layers, now, other, measure=measure, adjusted=adjusted, **options)
        )
        before = now
    return xr.DataArray(
        [each["similarity"] for each in found],
        dims=("step", "layer"),
        coords={
            "step": steps,
            "layer": run.layers,
            "epoch": ("step", run.epochs),
            "depth": ("layer", np.arange(len(run.layers))),
            "chance": (("step", "layer"), [each["chance"] for each in found]),
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
    interval: float | None = None,
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
        interval: Share of resampled probe sets that bootstrap intervals cover, such as 0.95.
        **options: Options of the measure and, with an interval, `n_resamples` and `seed`.

    Returns:
        Array (layer, reference_layer); nan where a snapshot lacks the layer. Of the same dimensions
        are the coordinates `chance`, what unrelated layers would score (0 if adjusted; nan for a
        measure without a closed form, unless there is an interval), and, with an interval, `lower`
        and `upper`, its ends.

    Raises:
        ValueError: If the run has no snapshot, or a name is unknown.
        KeyError: If the run has no snapshot of a step.
    """
    now = step_of(run, step)
    then = step_of(run, reference, before=now)
    rows = run.snapshot(now)
    columns = rows if then == now else run.snapshot(then)
    grids = _graded(
        rows,
        None if then == now else columns,
        measure=measure,
        adjusted=adjusted,
        interval=interval,
        **options,
    )
    names = run.layers
    return _labelled(
        {key: placed(grid, list(rows), list(columns), names) for key, grid in grids.items()},
        {"layer": names, "reference_layer": names},
        measure=measure,
        step=now,
        reference=then,
        adjusted=int(adjusted),
        interval=interval,
    )


def trajectory(
    run: Run, layer: str, *, measure: str = "svcca", adjusted: bool = False, **options: Any
) -> xr.DataArray:
    """Similarity of one layer at every step to itself at every other: array (step, other_step).

    With the coordinate `chance`, as in `pane`.

    Raises:
        ValueError: If the run has no such layer, or a name is unknown.
    """
    if layer not in run.layers:
        raise ValueError(unknown_name("layer", layer, run.layers))
    steps = steps_of(run)
    snapshots = {step: run.snapshot(step) for step in steps}
    known = {step: layers[layer] for step, layers in snapshots.items() if layer in layers}
    grids = _graded(
        {str(step): s for step, s in known.items()},
        None,
        measure=measure,
        adjusted=adjusted,
        **options,
    )
    return _labelled(
        {key: placed(grid, list(known), list(known), steps) for key, grid in grids.items()},
        {"step": steps, "other_step": steps},
        measure=measure,
        layer=layer,
        adjusted=int(adjusted),
    )


def compare(
    run_a: Run,
    run_b: Run,
    *,
    step: int | str = "final",
    measure: str = "svcca",
    adjusted: bool = False,
    interval: float | None = None,
    **options: Any,
) -> xr.DataArray:
    """Similarity of every layer of one run to every layer of another: array (layer_a, layer_b).

    With the coordinates `chance` and, with an interval, `lower` and `upper`, as in `pane`.

    Raises:
        ProbeMismatchError: If the runs were taken on different probe sets.
    """
    run_a.require_probe_of(run_b)
    a = run_a.snapshot(step_of(run_a, step))
    b = run_b.snapshot(step_of(run_b, step))
    return _labelled(
        _graded(a, b, measure=measure, adjusted=adjusted, interval=interval, **options),
        {"layer_a": list(a), "layer_b": list(b)},
        measure=measure,
        step=str(step),
        adjusted=int(adjusted),
        interval=interval,
    )


def layer_by_layer(
    names: Sequence[str], now: Snapshot, other: Snapshot, **options: Any
) -> dict[str, Array]:
    """What `_graded` gives of each layer and itself in another snapshot; nan where either lacks it.

    Arrays have the shape (len(names),).
    """
    found = {key: np.full(len(names), np.nan) for key in ("similarity", "chance")}
    for i, name in enumerate(names):
        if name in now and name in other:
            pair = _graded({name: now[name]}, {name: other[name]}, **options)
            for key, values in found.items():
                values[i] = pair[key][0, 0]
    return found


def _graded(
    rows: Snapshot,
    columns: Snapshot | None,
    *,
    measure: str,
    adjusted: bool,
    interval: float | None = None,
    **options: Any,
) -> dict[str, Array]:
    """`similarity` and `chance` of all pairs and, with an interval, its ends `lower` and `upper`.

    Without an interval, and not adjusted, chance is nan for a measure without a closed form.
    """
    if interval is not None:
        if not 0.0 < interval < 1.0:
            raise ValueError(
                f"`interval` is a share in (0, 1), such as 0.95. Received: interval={interval}"
            )
        found = similarity_intervals(
            rows, columns, measure=measure, adjusted=adjusted, level=interval, **options
        )
        ends = {"lower": found.lower, "upper": found.upper}
        return {"similarity": found.values, "chance": found.chance, **ends}
    sides = prepare(get_measure(measure), rows, columns, options=options)
    values = observed_grid(sides)
    chance = sides.chance() if adjusted else sides.level()
    if adjusted:
        values, chance = rescaled(values, chance), rescaled(chance, chance)
    return {"similarity": values, "chance": chance}


def _labelled(
    grids: dict[str, Array],
    coords: dict[str, Sequence[Any]],
    **attrs: Any,
) -> xr.DataArray:
    """The similarities, with what else is known of each pair as coordinates."""
    dims = tuple(coords)
    beside = {key: (dims, grid) for key, grid in grids.items() if key != "similarity"}
    return xr.DataArray(
        grids["similarity"],
        dims=dims,
        coords={**coords, **beside},
        name="similarity",
        attrs={key: value for key, value in attrs.items() if value is not None},
    )


def steps_of(run: Run) -> list[int]:
    """The steps of a run; ValueError if it has none."""
    steps = run.steps
    if not steps:
        raise ValueError(f"The run in {run.path} has no snapshot yet.")
    return steps


def step_of(run: Run, reference: str | int, before: int | None = None) -> int:
    """The step that `"final"`, `"initial"`, `"previous"` (to `before`) or a number means."""
    steps = steps_of(run)
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
