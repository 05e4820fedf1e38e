"""Layers whose activations come batch by batch, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from .arguments import require_alike
from .rounding import BFLOAT16_EPS, EPS64, as_array
from .subspace import Array

# Fourth powers and their sums must stay within float64: what is larger is refused, what varies by
# less counts as constant. float32 reaches neither bound.
LARGEST, SMALLEST = 1e60, 1e-60


class Stream:
    """What takes in batches of the same layers, side by side, and joins another of its kind."""

    _take: Callable[[list[Array]], None]
    _join: Callable[[Any], None]
    n_samples = 0
    _widths: Mapping[str, int] = {}
    _eps: Mapping[str, float] = {}

    @property
    def names(self) -> list[str]:
        """Layers, in the order of the first batch."""
        return list(self._widths)

    def update(self, layers: Mapping[str, ArrayLike]) -> None:
        """Take in one batch of every layer.

        Args:
            layers: From names to activations of shape (n_batch, n_features), real or complex. Row i
                of all is the same probe example. A batch of no rows changes nothing. Not modified.

        Raises:
            ValueError: If a batch is not a finite numeric matrix, or the layers, their features or
                their rows do not fit together. Nothing of the batch is taken in then.
        """
        if not (isinstance(layers, Mapping) and layers):
            raise ValueError("`layers` must map names to batches: {'x': x_batch, 'y': y_batch}.")
        names = self.names or list(layers)
        if set(layers) != set(names):
            raise ValueError(f"A batch holds {list(layers)}, but the first one held {names}.")
        read = {name: _matrix(layers[name], name) for name in names}
        n = len(read[names[0]][0])
        for name, (rows, _) in read.items():
            if len(rows) != n:
                raise ValueError(
                    f"`{names[0]}` has {n} samples but `{name}` has {len(rows)} in one batch. Give "
                    "the same probe set: row i of both must come from probe example i."
                )
            width, before = rows.shape[1], self._widths.get(name, rows.shape[1])
            if width != before:
                raise ValueError(f"`{name}` had {before} features, but has {width} in this batch.")
        if n:
            self._take([rows for rows, _ in read.values()])
            self._widths = {name: rows.shape[1] for name, (rows, _) in read.items()}
            self._eps = {name: max(eps, self._eps.get(name, 0)) for name, (_, eps) in read.items()}
            self.n_samples += n

    def merge(self, other: Self) -> Self:
        """All that both have seen, as a new object.

        Raises:
            ValueError: If their layers differ.
            TypeError: If `other` is of another class.
        """
        require_alike(self, other)
        if not (self.n_samples and other.n_samples):
            return copy(self if self.n_samples else other)
        if self._widths != other._widths:
            raise ValueError(f"Layers differ, cannot merge {self._widths} and {other._widths}.")
        merged = copy(self)  # no array is ever written on
        merged._join(other)
        merged._eps = {name: max(eps, other._eps[name]) for name, eps in self._eps.items()}
        merged.n_samples += other.n_samples
        return merged


def _matrix(x: ArrayLike, name: str) -> tuple[Array, float]:
    """A float64 or complex128 copy of a batch, and the rounding unit of the dtype it came in."""
    array = as_array(x, name)
    kind = "f" if array.dtype.name == "bfloat16" else array.dtype.kind
    if array.ndim != 2 or not array.shape[1] or kind not in "fciub":
        raise ValueError(
            f"`{name}` must hold numbers in shape (n_batch, n_features). Received {array.dtype} in "
            f"shape {array.shape}. Average, sample or flatten further axes (see `representation`)."
        )
    with np.errstate(over="ignore"):  # inf is refused
        rows = array.astype(np.complex128 if kind == "c" else np.float64)
        bad = int(array.size - np.count_nonzero(np.abs(rows) <= LARGEST))
    if bad:
        raise ValueError(
            f"`{name}` has {bad} values of {array.size} in a batch that are NaN, infinite or above "
            f"{LARGEST:.0e}. Look for a diverged layer or a bad probe input, or scale the layer."
        )
    eps = float(np.finfo(array.dtype).eps) if array.dtype.kind in "fc" else EPS64
    return rows, BFLOAT16_EPS if array.dtype.kind == "V" else max(eps, EPS64)
