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
from scipy.optimize import isotonic_regression

from . import dynamics
from .convergence_plots import convergence as convergence
from .direction_plots import aligned_directions as aligned_directions
from .run import Run

COLOURS = colormaps["viridis"].with_extremes(bad="0.5")
# The moments of Raghu et al. 2017, figure 4, as shares of training.
MOMENTS = (0.0, 0.35, 0.75, 1.0)
# Told apart with any colour vision (the muted scheme of Paul Tol, and black).
CLASS_COLOURS = (
    *("#332288", "#CC6677", "#117733", "#88CCEE", "#AA4499"),
    *("#999933", "#882255", "#44AA99", "#000000", "#DDAA33"),
)
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
    chosen = _at_moments(epochs, moments)
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
        data: Array (step, layer); or (statistic, step, layer) of `seeds.dynamics_over_seeds`, drawn
            as mean curves with bands.
        title: Above the picture.
    """
    seeds = "statistic" in data.dims
    means = data.sel(statistic="mean") if seeds else data
    figure = Figure(figsize=(7.5, max(4.0, 0.6 + 0.2 * data.sizes["layer"])), layout="constrained")
    axes = figure.subplots()
    names = data["layer"].values
    shades = colormaps["plasma"](np.linspace(0.0, 0.9, len(names)))
    for name, colour in zip(names, shades, strict=True):
        axes.plot(
            data["epoch"],
            means.sel(layer=name),
            color=colour,
            label=name,
            marker="o",
            markersize=2.5,
        )
        if seeds:
            low, high = (data.sel(layer=name, statistic=end).values for end in ("lower", "upper"))
            axes.fill_between(data["epoch"], low, high, color=colour, alpha=0.15, linewidth=0)
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


def class_curves(
    data: xr.DataArray, *, moments: Sequence[float] = (0.0, 0.35, 1.0), title: str | None = None
) -> Figure:
    """Correlation of each class with the layers, from the input to the output.

    One picture a moment of training, one line a class, named at its end; grey is what labels in
    random order score.

    Args:
        data: Of `class_sensitivity`, of a run or of one snapshot.
        moments: Shares of training, each in [0, 1]; the step nearest to each is shown.
        title: Above the pictures.
    """
    parts, titles = [data], [""]
    if "step" in data.dims:
        epochs = data["epoch"].values
        chosen = _at_moments(epochs, moments)
        parts = [data.isel(step=i) for i in chosen]
        titles = [f"epoch {epochs[i]:g}" for i in chosen]
    names = [str(name) for name in data["layer"].values]
    width = 1.2 + 0.2 * min(len(names), MOST_TICKS)
    figure = Figure(figsize=(len(parts) * width + 1.5, 4.4), layout="constrained")
    row = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, part, caption in zip(row, parts, titles, strict=True):
        _draw_classes(axes, part)
        axes.set_title(caption, fontsize=9)
    row[0].set(ylabel="correlation with the class", ylim=(0.0, min(1.0, _above(data)) + 0.02))
    _name_ends(row[-1], parts[-1])
    if title:
        figure.suptitle(title)
    return figure


def _at_moments(epochs: np.ndarray, moments: Sequence[float]) -> list[int]:
    """Positions of the epochs nearest to shares of training."""
    start, end = epochs[0], epochs[-1]
    return [int(np.abs(epochs - (start + m * (end - start))).argmin()) for m in moments]


def _draw_classes(axes: Axes, data: xr.DataArray) -> None:
    places = np.arange(data.sizes["layer"])
    lower, upper = data["null_lower"].values, data["null_upper"].values
    axes.fill_between(places, lower, upper, color="0.8", linewidth=0)
    for i, name in enumerate(data["class"].values):
        axes.plot(
            places,
            data.sel({"class": name}),
            color=CLASS_COLOURS[i % len(CLASS_COLOURS)],
            linestyle=("-", "--", ":")[i // len(CLASS_COLOURS) % 3],
            label=str(name),
            linewidth=1.4,
        )
    every = -(-len(places) // MOST_TICKS)
    axes.set_xticks(places[::every], data["layer"].values[::every])
    axes.tick_params(axis="x", rotation=90)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3, axis="y")
    if np.isfinite(upper).any():
        axes.annotate(
            "labels in random order",
            (places[-1], 0.01),
            ha="right",
            va="bottom",
            fontsize=7,
            color="0.35",
        )


def _above(data: xr.DataArray) -> float:
    """A little above everything that is drawn."""
    drawn = np.concatenate([data.values.ravel(), data["null_upper"].values.ravel()])
    return float(np.nanmax(drawn)) * 1.03


def _name_ends(axes: Axes, data: xr.DataArray) -> None:
    """The name of each line at its right end, moved apart where ends lie close."""
    last = data.isel(layer=-1).values
    known = np.flatnonzero(np.isfinite(last))
    order = known[np.argsort(last[known], kind="stable")]
    gap = 0.042 * axes.get_ylim()[1]
    places = last[order] - gap * np.arange(len(order))
    # Least squares with the order kept: labels of a crowd spread about its middle.
    spread = isotonic_regression(places).x + gap * np.arange(len(order)) if len(order) else []
    for i, height in zip(order, spread, strict=True):
        axes.annotate(
            str(data["class"].values[i]),
            (data.sizes["layer"] - 1, last[i]),
            xytext=(1.05, height),
            textcoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=CLASS_COLOURS[i % len(CLASS_COLOURS)],
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.5},
        )


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
