"""Pane plots and curves with matplotlib, as figures that nobody needs to close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from . import dynamics
from .run import Run

COLOURS = colormaps["viridis"].with_extremes(bad="0.5")
# The moments of Raghu et al. 2017, figure 4, as shares of training.
MOMENTS = (0.0, 0.35, 0.75, 1.0)
# More names than this are not legible: every second, third … is drawn.
MOST_TICKS = 32


def pane(data: xr.DataArray, *, title: str | None = None) -> Figure:
    """Heat map of `dynamics.pane` or `dynamics.compare`; the layer nearest the input at the origin.

    Args:
        data: Array of layers × layers with values in [0, 1].
        title: Above the picture.
    """
    size = 2.2 + 0.2 * min(max(data.shape), MOST_TICKS)
    figure = Figure(figsize=(size + 1.0, size), layout="constrained")
    axes = figure.subplots()
    image = _draw(axes, data)
    axes.set_title(title or "")
    figure.colorbar(image, ax=axes, label=_measure(data), shrink=0.8)
    return figure


def panes(run: Run, *, moments: Sequence[float] = MOMENTS, **options: Any) -> Figure:
    """The paper's row of panes: layers during training against layers at the end.

    Args:
        run: The run.
        moments: Shares of training, each in [0, 1]; the snapshot nearest to each is shown.
        **options: As for `dynamics.pane`.
    """
    steps, epochs = np.array(run.steps), np.array(run.epochs)
    start, end = epochs[0], epochs[-1]
    chosen = [int(np.abs(epochs - (start + m * (end - start))).argmin()) for m in moments]
    grids = [dynamics.pane(run, int(steps[i]), **options) for i in chosen]
    size = 1.6 + 0.16 * min(len(run.layers), MOST_TICKS)
    figure = Figure(figsize=(len(grids) * size + 1.2, size + 1.1), layout="constrained")
    row = figure.subplots(1, len(grids), sharey=True, squeeze=False)[0]
    for axes, grid, i, moment in zip(row, grids, chosen, moments, strict=True):
        image = _draw(axes, grid, ylabel=axes is row[0])
        if axes is row[0]:
            axes.set_ylabel("layer during training")
        axes.set_title(f"{moment:.0%} of training (epoch {epochs[i]:g})", fontsize=9)
    figure.colorbar(image, ax=row.tolist(), label=_measure(grids[0]), shrink=0.8, pad=0.01)
    return figure


def curves(data: xr.DataArray, *, title: str | None = None) -> Figure:
    """One curve a layer of `dynamics.learning_dynamics`, coloured by depth.

    Args:
        data: Array (step, layer).
        title: Above the picture.
    """
    figure = Figure(figsize=(7.5, max(4.0, 0.6 + 0.2 * data.sizes["layer"])), layout="constrained")
    axes = figure.subplots()
    names = data["layer"].values
    shades = colormaps["plasma"](np.linspace(0.0, 0.9, len(names)))
    for name, colour in zip(names, shades, strict=True):
        axes.plot(
            data["epoch"],
            data.sel(layer=name),
            color=colour,
            label=name,
            marker="o",
            markersize=2.5,
        )
    reference = data.attrs.get("reference", "final")
    axes.set(
        xlabel="epoch", ylabel=f"{_measure(data)}\nto the {reference} snapshot", ylim=(None, 1.02)
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    # The last layer first, as its curve is the lowest while layers converge from the bottom up.
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 + len(names) // 40
    axes.legend(
        handles[::-1],
        labels[::-1],
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        fontsize=8,
        frameon=False,
        ncols=columns,
    )
    if title:
        axes.set_title(title)
    return figure


def _draw(axes: Axes, data: xr.DataArray, *, ylabel: bool = True) -> AxesImage:
    rows, columns = (str(d) for d in data.dims)
    image = axes.imshow(
        data.values, origin="lower", cmap=COLOURS, vmin=0.0, vmax=1.0, interpolation="nearest"
    )
    for axis, name in ((axes.yaxis, rows), (axes.xaxis, columns)):
        labels = data[name].values
        every = -(-len(labels) // MOST_TICKS)
        axis.set_ticks(range(0, len(labels), every), labels[::every])
    axes.tick_params(labelsize=7)
    axes.tick_params(axis="x", rotation=90)
    axes.set_xlabel(_says(columns, data))
    axes.set_ylabel(_says(rows, data) if ylabel else "")
    return image


def _says(dimension: str, data: xr.DataArray) -> str:
    """What an axis shows, in words."""
    if dimension == "reference_layer":
        return f"layer at step {data.attrs['reference']}"
    if dimension == "layer":
        return f"layer at step {data.attrs['step']}"
    return dimension.replace("_", " ")


def _measure(data: xr.DataArray) -> str:
    name = f"{data.attrs.get('measure', '')} similarity".strip()
    return f"{name} (chance = 0)" if data.attrs.get("adjusted") else name
