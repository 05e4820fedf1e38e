"""What a run looks like in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import xarray as xr

    from .experiments.matrix import Cell
    from .experiments.sweep import Outcome

# Moments of training in a table: as many as fit beside the names, within reason.
FEWEST_COLUMNS, MOST_COLUMNS, COLUMN_WIDTH = 2, 12, 6


class TrainingDisplay:
    """Progress of a training and, for each layer, its similarity to the previous snapshot.

    Redraws itself in a terminal; where output is a file or a pipe, prints one line an epoch.
    """

    def __init__(self, console: Console, title: str):
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("epoch {task.fields[epoch]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
        )
        self.task = self.progress.add_task(title, total=None, epoch="", numbers="")
        self.similarities: Mapping[str, float] = {}
        self.live = Live(get_renderable=self._render, console=console, refresh_per_second=4)

    def __enter__(self) -> TrainingDisplay:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def update(
        self,
        *,
        epochs_done: float,
        epochs: int,
        epoch_ended: bool,
        logs: Mapping[str, float],
        similarities: Mapping[str, float],
    ) -> None:
        """Show how far training is."""
        self.similarities = similarities
        changes: dict[str, Any] = {"total": epochs, "completed": epochs_done}
        changes["epoch"] = f"{int(epochs_done)}/{epochs}"
        if epoch_ended:
            changes["numbers"] = _numbers(logs)
            if not self.console.is_terminal:
                line = f"epoch {int(epochs_done)}/{epochs}  {_numbers(logs)}"
                self.console.print(line, highlight=False, soft_wrap=True)
        self.progress.update(self.task, **changes)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 1))
        for name, value in reversed(list(self.similarities.items())):
            bar = ProgressBar(total=1.0, completed=0.0 if np.isnan(value) else value, width=30)
            table.add_row(Text(name), bar, f"{value:.3f}")
        heading = Text("similarity to the previous snapshot, top layer first", style="dim")
        if not self.similarities:
            return Group(self.progress)
        return Group(self.progress, heading, table)


class SweepDisplay:
    """The runs of a sweep: what became of each, and how many are still to come.

    Redraws itself in a terminal; where output is a file or a pipe, prints a line for each.
    """

    def __init__(self, console: Console, cells: Sequence[Cell]):
        self.console = console
        self.rows: dict[str, tuple[str, str, str]] = {cell.name: ("", "", "") for cell in cells}
        self.progress = Progress(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self.task = self.progress.add_task("runs", total=len(cells))
        self.live = Live(get_renderable=self._render, console=console, refresh_per_second=2)

    def __enter__(self) -> SweepDisplay:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def update(self, outcome: Outcome) -> None:
        """Show what became of a run."""
        numbers = outcome.error.splitlines()[-1] if outcome.error else _numbers(outcome.logs)
        row = (outcome.state, f"{outcome.seconds:.0f} s", numbers)
        self.rows[outcome.name] = row
        self.progress.advance(self.task)
        if not self.console.is_terminal:
            line = "  ".join((outcome.name, *row))
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def _render(self) -> Group:
        table = Table("run", "", "time", "at the end", box=box.SIMPLE)
        for name, (state, seconds, numbers) in self.rows.items():
            style = {"failed": "red", "": "dim"}.get(state, "")
            table.add_row(Text(name), Text(state or "to come"), seconds, Text(numbers), style=style)
        return Group(table, self.progress)


def convergence_table(
    curves: xr.DataArray, settled: xr.Dataset, resting: xr.Dataset, *, width: int = 80
) -> Table:
    """Layers × epochs: similarity to the reference, and when each layer settled.

    Args:
        curves: Of `learning_dynamics`.
        settled: Of `convergence`.
        resting: Of `lagged_convergence`.
        width: Characters in a line of the terminal.
    """
    measure, reference = curves.attrs["measure"], curves.attrs["reference"]
    table = Table(
        title=f"{measure} similarity to the {reference} snapshot, top layer first",
        title_justify="left",
        caption=legend(settled, resting),
        caption_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column("layer", no_wrap=True)
    longest = max(len(str(name)) for name in curves["layer"].values)
    room = (width - longest - len("  area  half  settled  rest  chance  ") - 4) // COLUMN_WIDTH
    chosen = _spread(len(curves["step"]), min(max(room, FEWEST_COLUMNS), MOST_COLUMNS))
    for i in chosen:
        table.add_column(f"{float(curves['epoch'][i]):g}", justify="right", no_wrap=True)
    table.add_column("area", justify="right", no_wrap=True)
    table.add_column("half", justify="right", no_wrap=True)
    table.add_column("settled", justify="right", no_wrap=True)
    table.add_column("rest", justify="right", no_wrap=True)
    table.add_column("chance", justify="right", no_wrap=True)
    for name in curves["layer"].values[::-1]:
        values = curves.sel(layer=name).values[chosen]
        row = settled.sel(layer=name)
        table.add_row(
            Text(str(name)),
            *(Text(f"{v:.2f}", style=_style(v)) for v in values),
            f"{float(row['area_under_curve']):.3f}",
            f"{float(row['half_time']):.1f}",
            f"{float(row['convergence_epoch']):g}",
            f"{float(resting['convergence_epoch'].sel(layer=name)):g}".replace("nan", "–"),
            f"{float(row['chance_level']):.2f}",
        )
    return table


def legend(settled: xr.Dataset, resting: xr.Dataset) -> str:
    """What the columns mean, and the bottom-up index in a sentence."""
    tau, p_value = float(settled["bottom_up_index"]), float(settled["p_value"])
    rescaled = ", with chance at 0" if settled.attrs["adjusted"] else ""
    how = resting.attrs
    columns = (
        f"area, half, settled: of similarity to the end{rescaled}\n"
        f"half: epoch at which it is half way up\n"
        f"settled: epoch from which it stays at {settled.attrs['threshold']:g} or above\n"
        f"rest: epoch at which it was seen to rest, without knowing the end:\n"
        f"  {how['patience']} snapshots in a row at {how['threshold']:g} or above to the "
        f"{how['reference']}\n"
        "chance: what unrelated layers of that size would score at the end"
    )
    if np.isnan(tau):
        return columns
    return (
        f"{columns}\nbottom-up index (Kendall's τ of depth and area): {tau:+.2f} "
        f"(p = {p_value:.2g}); −1 is strictly from the bottom up"
    )


def class_tables(data: xr.DataArray, *, width: int = 80) -> list[Table]:
    """Layers × classes: correlation of each class with each layer, what is beyond chance in colour.

    Where the terminal has no room for the numbers of all classes, they go on in a further table.

    Args:
        data: Of `class_sensitivity`, of one step: (layer, class).
        width: Characters in a line of the terminal.
    """
    longest = max(len(str(name)) for name in ("layer", *data["layer"].values))
    # 5: the spaces behind these two, between columns and at the edges.
    room = max(1, (width - longest - len("by chance") - 5) // COLUMN_WIDTH)
    blocks = np.array_split(np.arange(data.sizes["class"]), -(-data.sizes["class"] // room))
    tables = [_class_table(data.isel({"class": block})) for block in blocks]
    tables[0].title = "correlation of each class with each layer, top layer first"
    tables[-1].caption = (
        f"by chance: labels in random order stay below this in "
        f"{(1 + data.attrs['level']) / 2:.1%} of cases"
    )
    return tables


def _class_table(data: xr.DataArray) -> Table:
    table = Table(
        title_justify="left", caption_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0)
    )
    table.add_column("layer", no_wrap=True)
    for name in data["class"].values:
        # Where there is little room, the widest are cut first: names, and not numbers.
        table.add_column(Text(str(name)), justify="right", overflow="ellipsis")
    table.add_column("by chance", justify="right", no_wrap=True)
    for name in data["layer"].values[::-1]:
        row = data.sel(layer=name)
        bound = float(row["null_upper"])
        cells = [Text(f"{v:.2f}", style="green" if v > bound else "dim") for v in row.values]
        table.add_row(Text(str(name)), *cells, f"{bound:.2f}")
    return table


def _numbers(logs: Mapping[str, float]) -> str:
    shown: Sequence[str] = ("loss", "accuracy", "val_accuracy", "svcca_mean", "svcca_min")
    return "  ".join(f"{name} {logs[name]:.3f}" for name in shown if name in logs)


def _spread(n: int, columns: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, columns))})


def _style(value: float) -> str:
    if np.isnan(value):
        return "dim"
    return "green" if value >= 0.9 else "yellow" if value >= 0.6 else "red"
