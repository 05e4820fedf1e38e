"""What `svcca-monitor show` prints: one run, or several as seeds of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from .comparison_tables import seeds_table
from .display import convergence_table
from .dynamics import learning_dynamics
from .lagged import lagged_convergence
from .run import Run
from .seeds import convergence_over_seeds
from .settling import CONVERGED, convergence


def print_convergence(
    console: Console,
    runs: Sequence[Run],
    *,
    measure: str | None = None,
    reference: str | int = "final",
    threshold: float = CONVERGED,
    adjusted: bool = False,
    layers: Sequence[str] | None = None,
) -> None:
    """Print how the layers of a run converged or, of several, means with intervals.

    Args:
        console: Where to.
        runs: One run, or several of one model.
        measure: A name in `MEASURES`; that of the first run if left out.
        reference: What the curves of a single run compare with.
        threshold: As for `convergence`.
        adjusted: Rescale the curves of a single run, as when layers settled is told of in any case.
        layers: Names or globs; all if left out.
    """
    name, options = measure_of(runs[0], measure)
    how: dict[str, Any] = {"threshold": threshold, "layers": layers, "measure": name, **options}
    if len(runs) > 1:
        console.print(seeds_table(convergence_over_seeds(runs, **how)))
        return
    [run] = runs
    settled = convergence(run, **how)
    curves = learning_dynamics(run, reference, measure=name, adjusted=adjusted, **options)
    curves = curves.sel(layer=settled["layer"].values)
    resting = lagged_convergence(run, layers=layers, measure=name, **options)
    console.print(convergence_table(curves, settled, resting, width=console.width))
    console.print(f"{len(run.steps)} snapshots, {run.size / 1e6:.1f} MB on disk")


def measure_of(run: Run, measure: str | None) -> tuple[str, dict[str, Any]]:
    """The measure asked for or, with its options, the one that the run was monitored with."""
    if measure is not None:
        return measure, {}
    return run.facts.get("measure", "svcca"), run.facts.get("measure_options", {})
