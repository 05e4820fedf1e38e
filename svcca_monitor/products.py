"""Products Uₓᴴ U_y of the bases of many pairs of layers, in the precision that each pair needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from .parallel import PASS, in_parallel
from .precision import SHARE, dominated, in_single, product_dtype, rounded
from .span import Directions
from .subspace import Array, Subspace

# Up to so many multiplications, and for a vector, BLAS sums straight through all samples: in single
# precision that is off by up to 5e-6.
STRAIGHT = 2e6


@dataclass(frozen=True)
class Products:
    """Two sets of layers, ready to be multiplied.

    What is rounded goes through `precision.rounded`, so that it meets only its like: the choice is
    made once, and holds for the same layers with their samples in any order.

    Attributes:
        rows: Layers of the rows.
        columns: Layers of the columns.
        left: Bases of the rows, rounded if that serves.
        stack: Bases of the columns, rounded alike and side by side.
        few_rows: Whether the rounded products of a layer of the rows do not serve.
        few_columns: The same of the columns.
    """

    rows: Sequence[Directions]
    columns: Sequence[Directions]
    left: list[Array]
    stack: Array
    few_rows: list[bool]
    few_columns: list[bool]

    @cached_property
    def _in_single(self) -> bool:
        return self.stack.dtype == in_single(self.stack.dtype)

    @cached_property
    def _ends(self) -> Array:
        return ends(self.columns)

    @classmethod
    def of(
        cls,
        rows: Sequence[Directions],
        columns: Sequence[Directions],
        operations: float,
        *,
        by_variance: bool,
        in_double: bool,
    ) -> Products:
        """Choose the precision, and round.

        Args:
            rows: Layers of the rows.
            columns: Layers of the columns.
            operations: Floating-point operations of all products.
            by_variance: Whether directions count by their variance.
            in_double: Whether the measure needs double precision.
        """
        layers = {id(s): s for s in (*rows, *columns)}
        double = np.result_type(*(s.basis for s in layers.values()))
        dtype = product_dtype(double, layers.values(), operations, in_double=in_double)
        few = set()
        if dtype != double:
            few = _of_few_samples([s for s in layers.values() if s.rank], by_variance)
            if 4 * len(few) > sum(s.rank > 0 for s in layers.values()):
                dtype, few = double, set()  # the others are not worth the trouble
        stack = _stacked(columns, dtype)
        bounds = ends(columns)
        bases = {id(s): stack[:, a:b] for s, (a, b) in zip(columns, pairwise(bounds), strict=True)}
        others = [s for key, s in layers.items() if key not in bases]
        bases |= dict(zip(map(id, others), _rounded(others, dtype), strict=True))
        left = [bases[id(s)] for s in rows]
        few_rows, few_columns = ([id(s) in few for s in side] for side in (rows, columns))
        return cls(rows, columns, left, stack, few_rows, few_columns)

    def permuted(self, rows: Sequence[Directions]) -> Products:
        """The same with the samples of the rows in another order."""
        return replace(self, rows=rows, left=_rounded(rows, self.stack.dtype))

    def in_double(self, i: int, j: int) -> bool:
        """Whether a pair is multiplied as it came, though others are rounded."""
        return self.few_rows[i] or self.few_columns[j]

    def blocks(self, i: int, first: int, last: int) -> list[Array]:
        """Of row i with columns first to last, of which all are `in_double` or none is."""
        x, columns = self.rows[i], self.columns[first : last + 1]
        at = self._ends[first : last + 2]
        width = at[-1] - at[0]
        straight = 1 in (x.rank, width) or x.basis.size * width <= STRAIGHT
        if self.in_double(i, first) or (self._in_single and straight):
            blocks = [x.basis.conj().T @ s.basis for s in columns]
        else:
            cross = self.left[i].conj().T @ self.stack[:, at[0] : at[-1]]
            blocks = [cross[:, a:b] for a, b in pairwise(at - at[0])]
        # Formulas go on in double: they take squares.
        return [block.astype(np.result_type(block, np.float64), copy=False) for block in blocks]


def ends(layers: Sequence[Directions]) -> Array:
    """Where each begins in the stack of all, and where the last one ends."""
    return np.cumsum([0, *(s.rank for s in layers)])


def _rounded(layers: Sequence[Directions], dtype: np.dtype[Any]) -> list[Array]:
    return in_parallel(lambda s: rounded(s.basis, dtype), layers, _costs(layers))


def _stacked(layers: Sequence[Directions], dtype: np.dtype[Any]) -> Array:
    """The same, side by side."""
    at = ends(layers)
    stack = np.empty((layers[0].n_samples, at[-1]), dtype)

    def place(item: tuple[Directions, int]) -> None:
        s, start = item
        rounded(s.basis, dtype, out=stack[:, start : start + s.rank])

    in_parallel(place, list(zip(layers, at.tolist(), strict=False)), _costs(layers))
    return stack


def _costs(layers: Sequence[Directions]) -> list[float]:
    return [PASS * s.basis.size for s in layers]


def _of_few_samples(layers: Sequence[Directions], by_variance: bool) -> set[int]:
    """Identities of those that few samples make up, in the eyes of the measure."""

    def few(s: Directions) -> bool:
        if by_variance and isinstance(s, Subspace):
            return dominated(s.gram_diagonal, share=SHARE)
        return dominated(_squared_rows(s.basis), share=SHARE)

    found = in_parallel(few, layers, _costs(layers))
    return {id(s) for s, is_few in zip(layers, found, strict=True) if is_few}


def _squared_rows(basis: Array) -> Array:
    parts = basis.view(basis.real.dtype) if basis.flags.c_contiguous else np.abs(basis)
    return np.einsum("ij,ij->i", parts, parts)
