"""Layers of snapshots against each other, in the places that a run has for them.

A layer that was left out of a snapshot keeps its place, so that panes can be laid together.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from .definition import Measure
from .measures import similarity_grid
from .subspace import Array, Subspace

Snapshot = Mapping[str, Subspace]


def pane_of(
    names: Sequence[str],
    rows: Snapshot,
    columns: Snapshot | None = None,
    *,
    measure: str,
    **options: Any,
) -> Array:
    """Similarities of all layers, (len(names), len(names)); nan where a snapshot lacks one.

    Args:
        names: Layers of the run.
        rows: One snapshot.
        columns: The other; `rows` if left out.
        measure: A name in `MEASURES`.
        **options: Options of the measure.
    """
    beside = rows if columns is None else columns
    if not (rows and beside):
        return np.full((len(names), len(names)), np.nan)
    grid = similarity_grid(rows, columns, measure=measure, **options)
    return placed(grid, list(rows), list(beside), names)


def placed(
    grid: Array, rows: Sequence[Hashable], columns: Sequence[Hashable], names: Sequence[Hashable]
) -> Array:
    """A grid of some layers, or steps, in its places of that of all, nan elsewhere."""
    at = {name: i for i, name in enumerate(names)}
    full = np.full((len(names), len(names)), np.nan)
    full[np.ix_([at[name] for name in rows], [at[name] for name in columns])] = grid
    return full


def dims_of(names: Sequence[str], cut: Snapshot, kind: Measure) -> list[float]:
    """The dimensions of each layer that chance depends on; nan where a snapshot lacks it."""
    return [float(getattr(cut[name], kind.dims)) if name in cut else np.nan for name in names]
