"""Directions of a layer in two runs beside its raw neurons, as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

RUN_COLOURS = ("#0072B2", "#D55E00")
# More classes than this cannot be read under one picture: every second, third … is named.
MOST_CLASSES = 32


def aligned_directions(data: xr.Dataset, *, pairs: int = 3, title: str | None = None) -> Figure:
    """Directions of two runs that agree, beside raw neurons (Raghu et al. 2017, figure 1).

    Probe examples sorted by class from left to right; a dot is what one direction says of one
    example, in units of its standard deviation.

    Args:
        data: Of `alignment`.
        pairs: How many pairs of each kind, from the top.
        title: Above the pictures.
    """
    kinds = [str(kind) for kind in data["kind"].values]
    shown = data["pair"].values[:pairs]
    order = np.argsort(data["label"].values, kind="stable")
    figure = Figure(figsize=(4.1 * len(kinds), 1.7 * len(shown) + 1.3), layout="constrained")
    grid = figure.subplots(len(shown), len(kinds), sharex=True, sharey=True, squeeze=False)
    for axes_of_pair, pair in zip(grid, shown, strict=True):
        for axes, kind in zip(axes_of_pair, kinds, strict=True):
            part = data.sel(kind=kind, pair=pair)
            if np.isfinite(float(part["correlation"])):
                _draw_traces(axes, part, order)
            else:
                axes.text(0.5, 0.5, "none left", ha="center", transform=axes.transAxes)
        axes_of_pair[0].set_ylabel(f"pair {pair}\n(standard deviations)", fontsize=8)
    for axes, kind in zip(grid[0], kinds, strict=True):
        heading = "aligned directions" if kind == "aligned" else kind
        axes.set_title(f"{heading}\n{axes.get_title()}", fontsize=9)
    for axes in grid[-1]:
        _name_classes(axes, data["label"].values[order], data.attrs["class_names"])
    handles = [
        Line2D([], [], linestyle="", marker="o", markersize=4, color=colour, label=name)
        for colour, name in zip(RUN_COLOURS, data.attrs["run_names"], strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    by_chance = f"η² by chance {float(data['class_share_chance']):.3f}"
    heading = title or f"{data.attrs['layer']}: probe examples sorted by class; {by_chance}"
    figure.suptitle(heading, fontsize=10)
    return figure


def _draw_traces(axes: Axes, part: xr.Dataset, order: np.ndarray) -> None:
    """Traces of both runs, class borders, and the numbers of the pair."""
    for run, colour in zip(("a", "b"), RUN_COLOURS, strict=True):
        values = part["trace"].sel(run=run).values[order]
        axes.plot(
            values,
            ".",
            markersize=2.0,
            alpha=0.6,
            markeredgewidth=0,
            color=colour,
            rasterized=True,
        )
    for border in np.flatnonzero(np.diff(part["label"].values[order])):
        axes.axvline(border + 0.5, color="0.5", linewidth=0.6)
    shares = ", ".join(f"{v:.2f}" for v in part["class_share"].values)
    axes.set_title(f"correlation {float(part['correlation']):.2f}, η² {shares}", fontsize=8)
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_ylim(-4.2, 4.2)
    axes.tick_params(labelsize=7)


def _name_classes(axes: Axes, labels: np.ndarray, names: Sequence[str]) -> None:
    """Class names in the middle of each class."""
    classes = np.unique(labels)
    middles = [float(np.flatnonzero(labels == c).mean()) for c in classes]
    every = -(-len(classes) // MOST_CLASSES)
    texts = [names[int(c)] if len(names) else str(c) for c in classes]
    axes.set_xticks(middles[::every], texts[::every], rotation=60, ha="right", fontsize=7)
    axes.tick_params(axis="x", length=0)
