"""When each layer of a run settled, and whether the layers settled from the bottom up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .dynamics import learning_dynamics
from .layer_names import matching
from .measures import get_measure
from .run import Run

# A layer counts as converged while its similarity to the end stays above this.
CONVERGED = 0.9
# A curve that begins within this of 1 has nothing to rise, but the rounding of stored factors.
AT_ONE = 1e-6


def convergence(
    run: Run,
    *,
    threshold: float = CONVERGED,
    layers: Sequence[str] | None = None,
    measure: str = "svcca",
    adjusted: bool = True,
    **options: Any,
) -> xr.Dataset:
    """When each layer settled, and whether the layers settled from the bottom up.

    Args:
        run: The run.
        threshold: A layer has converged from the first snapshot after which its similarity to the
            final one never falls below this.
        layers: Names or globs of the layers to look at; all if left out.
        measure: A name in `MEASURES`.
        adjusted: Rescale, so that chance is 0 and identity 1: what a layer of many dimensions
            shares with its end by chance is then no step towards it. False takes the similarity as
            it is.
        **options: Options of the measure.

    Returns:
        Dataset with, for each layer, `convergence_epoch`; `half_time`, the epoch at which the curve
        has first risen half way from where it began to 1 (linear between snapshots; the first epoch
        for a layer that begins at 1); `area_under_curve` (mean similarity to the final snapshot
        over training, by the trapezoidal rule); and `chance_level` (what unrelated layers of its
        final size would score, before it is adjusted; nan if unknown). And two numbers:
        `bottom_up_index`, Kendall's τ_b between depth and area under the curve (Kendall 1945), and
        its `p_value`. −1: the deeper a layer, the later it settles. nan with fewer than two layers
        or snapshots.

    Raises:
        ValueError: If the run has no snapshot, or a name is unknown.
    """
    from scipy.stats import kendalltau

    curves = learning_dynamics(
        run, reference="final", measure=measure, adjusted=adjusted, **options
    )
    if layers is not None:
        curves = curves.sel(layer=matching(run.layers, layers))
    names = curves["layer"].values.tolist()
    values, epochs = curves.values, curves["epoch"].values
    settled = np.array([_first_settled(column, epochs, threshold) for column in values.T])
    halves = np.array([_half_time(column, epochs) for column in values.T])
    # Where a training went back to an older checkpoint, epochs begin again: that takes no time.
    widths = np.maximum(np.diff(epochs), 0.0)
    between = (values[1:] + values[:-1]) / 2
    span = widths.sum()
    area = widths @ between / span if span else np.full(values.shape[1], np.nan)
    known = np.isfinite(area)
    tau, p_value = np.nan, np.nan
    # Kendall's τ is undefined for a single layer or where all areas are equal.
    if known.sum() > 1 and np.ptp(area[known]) > 0:
        tau, p_value = kendalltau(curves["depth"].values[known], area[known])
    return xr.Dataset(
        {
            "convergence_epoch": ("layer", settled),
            "half_time": ("layer", halves),
            "area_under_curve": ("layer", area),
            "chance_level": ("layer", _chance_levels(run, names, measure, options)),
            "bottom_up_index": float(tau),
            "p_value": float(p_value),
        },
        coords={"layer": curves["layer"], "depth": curves["depth"]},
        attrs={"measure": measure, "threshold": threshold, "adjusted": int(adjusted)},
    )


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


def _half_time(curve: np.ndarray, epochs: np.ndarray) -> float:
    """Epoch at which the curve first reaches the middle between its start and 1; nan without it."""
    known = np.isfinite(curve)
    curve, epochs = curve[known], epochs[known]
    if not known[0] or not known[-1]:
        return float("nan")
    start = curve[0]
    if 1 - start < AT_ONE:
        return float(epochs[0])
    half = (start + 1) / 2
    after = int(np.argmax(curve >= half))
    low, high = curve[after - 1], curve[after]
    # Epochs may have begun again in between, from an older checkpoint: that takes no time.
    begin = min(epochs[after - 1], epochs[after])
    return float(begin + (half - low) / (high - low) * (epochs[after] - begin))
