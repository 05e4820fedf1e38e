"""Several runs in a terminal: seeds, groups, and layers of one run in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import xarray as xr

# A bootstrap of fewer runs holds the truth too rarely, see `over_runs.pair_mean_interval`.
FEW_RUNS = 8
# Names of layers in one cell, at most: of deep nets they would fill the screen.
NAMES = 8


def seeds_table(settled: xr.Dataset) -> Table:
    """When each layer settled, as means over runs with intervals.

    Args:
        settled: Of `convergence_over_seeds`.
    """
    attrs = settled.attrs
    tau = _with_interval(settled["bottom_up_index"], "+.2f")
    rescaled = ", with chance at 0" if attrs["adjusted"] else ""
    table = _table(
        f"{attrs['measure']} similarity to the end over {attrs['n_runs']} runs, top layer first:\n"
        f"mean [{attrs['interval']:.0%} interval over runs]",
        f"area, half, settled: of similarity to the end{rescaled}\n"
        "half: epoch at which it is half way up\n"
        f"settled: epoch from which it stays at {attrs['threshold']:g} or above\n"
        "chance: what unrelated layers of that size would score\n"
        f"bottom-up index: {tau},\n"
        "Kendall's τ of depth and area; −1 is strictly from the bottom up",
    )
    for heading in ("area", "half", "settled", "chance"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in settled["layer"].values[::-1]:
        row = settled.sel(layer=name)
        table.add_row(
            Text(str(name)),
            _with_interval(row["area_under_curve"], ".2f"),
            _with_interval(row["half_time"], ".1f"),
            _with_interval(row["convergence_epoch"], ".1f"),
            f"{float(row['chance_level'].sel(statistic='mean')):.2f}",
        )
    return table


def groups_table(found: xr.Dataset) -> Table:
    """Similarity within and between groups of runs, layer by layer.

    Args:
        found: Of `compare_groups`.
    """
    attrs = found.attrs
    names = [str(name) for name in found["group"].values]
    pairs = [(g, g) for g in names]
    pairs += [(g, h) for k, h in enumerate(names) for g in names[:k]]
    few = [g for g in names if _runs_of(found, g) < FEW_RUNS and attrs["method"] == "bootstrap"]
    note = "\nfewer than eight runs: intervals by --method jackknife hold more often" if few else ""
    table = _table(
        f"{_scale(attrs)} of the same layer in two runs, top layer first:\n"
        f"mean [{attrs['interval']:.0%} interval over runs, {attrs['method']}]",
        f"(n): pairs of runs; chance: of unrelated layers of these sizes{note}",
    )
    for g, h in pairs:
        n = int(found["n_pairs"].sel(group=g, other_group=h).max())
        table.add_column(f"{f'within {g}' if g == h else f'{g} and {h}'} ({n})", justify="right")
    table.add_column("chance", justify="right", no_wrap=True)
    for name in found["layer"].values[::-1]:
        row = found.sel(layer=name)
        cells = [row.sel(group=g, other_group=h) for g, h in pairs]
        table.add_row(
            Text(str(name)),
            *(
                _interval(float(c["similarity"]), float(c["lower"]), float(c["upper"]), ".2f")
                for c in cells
            ),
            f"{np.nanmean([float(c['chance']) for c in cells]):.2f}",
        )
    return table


def pair_table(found: xr.Dataset, names: tuple[str, str]) -> Table:
    """Each layer of one run, and the layer of another that is most like it.

    Args:
        found: Of `identify_layers`.
        names: Of the two runs.
    """
    share, chance = float(found["share"]), float(found["chance"])
    table = _table(
        f"{_scale(found.attrs)} of layers of {names[0]} to layers of {names[1]}, top layer first",
        f"{share:.0%} of the layers are most like the layer of their own name; by chance "
        f"{chance:.0%}",
    )
    for heading in ("same layer", "most alike", "similarity"):
        table.add_column(heading, justify="right" if heading != "most alike" else "left")
    for name in found["layer"].values[::-1]:
        row = found.sel(layer=name)
        right = float(row["found"]) == 1
        table.add_row(
            Text(str(name)),
            f"{float(row['similarity_to_same']):.2f}",
            Text(str(row["most_similar"].values), style="green" if right else "red"),
            f"{float(row['similarity']):.2f}",
        )
    return table


def identification_table(found: xr.Dataset) -> Table:
    """Share of layers that each measure finds in another run.

    Args:
        found: Of `identify_layers_over_runs`.
    """
    attrs = found.attrs
    n = attrs["n_runs"]
    table = _table(
        f"layers found in another run by name, over {n * (n - 1)} ordered pairs of {n} runs:\n"
        f"share [{attrs['interval']:.0%} interval over runs, {attrs['method']}]",
        f"by chance {float(found['chance']):.0%} of {found.sizes['layer']} layers",
        first="measure",
    )
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("never found")
    for measure in found["measure"].values:
        row = found.sel(measure=measure)
        never = [str(name) for name in found["layer"].values[row["share_of_layer"].values == 0]]
        share, low, high = (float(row[key]) for key in ("share", "lower", "upper"))
        rest = [f"and {len(never) - NAMES} more"] if len(never) > NAMES else []
        names = Text(", ".join([*never[:NAMES], *rest]))
        table.add_row(str(measure), _interval(share, low, high, ".0%"), names)
    return table


def _table(title: str, caption: str, *, first: str = "layer") -> Table:
    table = Table(
        title=title,
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
    )
    table.add_column(first, no_wrap=True)
    return table


def _with_interval(data: xr.DataArray, form: str) -> str:
    """Mean, lower and upper end of a number as text."""
    mean, low, high = (float(data.sel(statistic=each)) for each in ("mean", "lower", "upper"))
    return _interval(mean, low, high, form)


def _interval(mean: float, low: float, high: float, form: str) -> str:
    """The brackets are left out where there is no interval."""
    ends = "" if np.isnan(low) else f" [{low:{form}}, {high:{form}}]"
    return f"{mean:{form}}{ends}".replace("[", r"\[")


def _runs_of(found: xr.Dataset, group: str) -> float:
    """How many runs make that many pairs within a group: n (n − 1) / 2."""
    pairs = int(found["n_pairs"].sel(group=group, other_group=group).max())
    return (1 + np.sqrt(1 + 8 * pairs)) / 2


def _scale(attrs: dict[str, object]) -> str:
    return f"{attrs['measure']} similarity" + (" (chance = 0)" if attrs["adjusted"] else "")
