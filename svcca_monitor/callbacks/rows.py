"""Rows of matrices and the examples that they belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from ..activations import Reduction, Sample, UserDefined
from ..probe import ProbeSet


class RowCounts:
    """How many rows of each output belong to an example, counted in batches of several sizes."""

    def __init__(self) -> None:
        self._seen: dict[str, set[Fraction]] = defaultdict(set)

    def count(self, matrices: Mapping[str, Any], examples: int) -> None:
        """Take note of the matrices of a batch, or of their shapes."""
        for name, matrix in matrices.items():
            self._seen[name].add(Fraction(matrix.shape[0], examples))

    def strays(self, reductions: Mapping[str, Reduction]) -> list[str]:
        """Outputs whose rows are not of the examples, such as an embedding of positions.

        Outputs that all have the same rows may be of parts of examples, such as patches.
        """
        counts = {name: self._of_each(name) for name in reductions}
        some = any(counts.values())
        if some and len(set(counts.values())) == 1:
            return []
        return [
            name
            for name, kind in reductions.items()
            # What a user's function makes of every layer is its own fault.
            if not (_is_usual(counts[name], kind) or (isinstance(kind, UserDefined) and not some))
        ]

    def _of_each(self, name: str) -> int:
        """The same whole number in every batch, else 0."""
        shares = self._seen[name]
        share = next(iter(shares)) if len(shares) == 1 else Fraction(0)
        return share.numerator if share.denominator == 1 else 0


def require_equal_rows(captured: Mapping[str, np.ndarray], probe: ProbeSet) -> None:
    """Refuse matrices whose rows cannot be compared.

    Raises:
        ValueError: If one has more rows of an example than another, or of some examples.
    """
    rows = {name: len(matrix) for name, matrix in captured.items()}
    wrong = {name: n for name, n in rows.items() if not n or n % probe.n_samples}
    if wrong or len(set(rows.values())) > 1:
        raise ValueError(
            f"Representations must give every layer the same number of rows, and each of the "
            f"{probe.n_samples} examples as many as every other. Received rows: {wrong or rows}. "
            "'sample' gives several for an example: take it for all layers or for none."
        )


def _is_usual(count: int, reduction: Reduction) -> bool:
    """Whether a representation makes so many rows of an example."""
    if isinstance(reduction, UserDefined):
        return count > 0
    return count == (reduction.positions if isinstance(reduction, Sample) else 1)
