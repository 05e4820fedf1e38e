"""The pictures that `svcca-monitor show --plot` saves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import dynamics, plots
from .run import Run
from .seeds import convergence_over_seeds, dynamics_over_seeds
from .showing import measure_of


def save_pictures(
    runs: Sequence[Run], folder: Path, *, measure: str | None = None, reference: str | int = "final"
) -> Iterator[Path]:
    """Save what there is to see of a run, or of several as seeds of one; gives each file.

    Args:
        runs: One run: `pane.png`, `panes.png`, `curves.png`. Several: mean `curves.png` with bands,
            `settled.png` and `half_time.png`, with intervals.
        folder: Made if need be.
        measure: A name in `MEASURES`; that of the first run if left out.
        reference: What curves compare with.
    """
    name, given = measure_of(runs[0], measure)
    options: dict[str, Any] = {"measure": name, **given}
    folder.mkdir(parents=True, exist_ok=True)
    if len(runs) == 1:
        [run] = runs
        figures = {
            "pane.png": plots.pane(dynamics.pane(run, "final", **options)),
            "panes.png": plots.panes(run, **options),
            "curves.png": plots.curves(dynamics.learning_dynamics(run, reference, **options)),
        }
    else:
        settled = convergence_over_seeds(runs, **options)
        figures = {
            "curves.png": plots.curves(dynamics_over_seeds(runs, reference, **options)),
            "settled.png": plots.convergence(settled),
            "half_time.png": plots.convergence(settled, "half_time"),
        }
    for file, figure in figures.items():
        figure.savefig(folder / file, dpi=150)
        yield folder / file
