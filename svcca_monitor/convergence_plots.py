"""When each layer settled, as a picture: layers from the bottom to the top."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.figure import Figure

from .messages import unknown_name

# What `convergence` draws, in words.
NUMBERS = {
    "convergence_epoch": "settled (epoch)",
    "half_time": "half time (epochs)",
    "area_under_curve": "area under the curve",
}


def convergence(
    settled: xr.Dataset, number: str = "convergence_epoch", *, title: str | None = None
) -> Figure:
    """A number of each layer over its depth, with its intervals over seeds if it has some.

    Args:
        settled: Of `settling.convergence` or `seeds.convergence_over_seeds`.
        number: A name in `NUMBERS`.
        title: Above the picture.

    Raises:
        ValueError: If the number is unknown.
    """
    if number not in NUMBERS:
        raise ValueError(unknown_name("number", number, NUMBERS))
    data = settled[number]
    names = data["layer"].values
    figure = Figure(figsize=(6.0, max(2.5, 0.8 + 0.25 * len(names))), layout="constrained")
    axes = figure.subplots()
    shades = colormaps["plasma"](np.linspace(0.0, 0.9, len(names)))
    if "statistic" in data.dims:
        mean, low, high = (data.sel(statistic=each).values for each in ("mean", "lower", "upper"))
        axes.errorbar(
            mean, range(len(names)), xerr=[mean - low, high - mean], fmt="none", ecolor="0.6"
        )
    else:
        mean = data.values
    axes.scatter(mean, range(len(names)), color=shades, zorder=3)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel=NUMBERS[number], ylabel="layer")
    axes.grid(alpha=0.3, axis="x")
    axes.set_title(title or "")
    return figure
