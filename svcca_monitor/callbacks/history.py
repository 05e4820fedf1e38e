"""Earlier snapshots, kept at hand while training goes on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..measures import similarity_grid
from ..subspace import Subspace

# Bytes of earlier snapshots in memory. Beyond that every second one is let go, but for the first
# and the last, so that a long run is still compared with its whole past.
BUDGET = 64_000_000


class History:
    """The directions of earlier snapshots that the measure looks at, in single precision."""

    def __init__(self, names: Sequence[str], *, budget: int = BUDGET):
        self.names = names
        self.budget = budget
        self.length = 0
        self._kept: list[tuple[int, dict[str, Subspace]]] = []

    def add(self, layers: dict[str, Subspace]) -> None:
        """Append a snapshot (already cut)."""
        self._kept.append((self.length, {name: _narrow(s) for name, s in layers.items()}))
        self.length += 1
        while len(self._kept) > 2 and self._bytes() > self.budget:
            first, *middle, last = self._kept
            self._kept = [first, *middle[1::2], last]

    def skip(self) -> None:
        """Count a snapshot that is not at hand any more."""
        self.length += 1

    def compare(self, now: dict[str, Subspace], *, measure: str, **options: Any) -> np.ndarray:
        """Each layer against its earlier snapshots: (layers, length); nan where let go."""
        values = np.full((len(self.names), self.length), np.nan)
        for row, name in enumerate(self.names):
            known = [(index, earlier[name]) for index, earlier in self._kept if name in earlier]
            if name in now and known:
                # One product for the whole past of a layer.
                columns = {f"{name} ({index})": s for index, s in known}
                with warnings.catch_warnings():
                    # The pane of each snapshot names them, and not anew for each that follows.
                    warnings.filterwarnings("ignore", "Constant over the probe set|Not defined")
                    grid = similarity_grid({name: now[name]}, columns, measure=measure, **options)
                values[row, [index for index, _ in known]] = grid[0]
        return values

    def _bytes(self) -> int:
        return sum(
            s.basis.nbytes + s.loadings.nbytes for _, layers in self._kept for s in layers.values()
        )


def _narrow(s: Subspace) -> Subspace:
    # astype copies, so that the columns that were cut off can be freed.
    kind = np.complex64 if np.iscomplexobj(s.basis) else np.float32
    return replace(s, basis=s.basis.astype(kind), loadings=s.loadings.astype(kind))
