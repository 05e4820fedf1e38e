"""How many of the leading directions of a layer are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .arguments import require_share, require_whole
from .messages import unknown_name

Array = NDArray[Any]
Criterion = Literal["variance", "singular_values"]

_POWERS = {"variance": 2, "singular_values": 1}


def check_cut(explained_variance: float | None, dims: int | None, criterion: str) -> None:
    """Raise ValueError unless these can cut a spectrum."""
    if not isinstance(criterion, str) or criterion not in _POWERS:
        raise ValueError(unknown_name("criterion", criterion, _POWERS))
    if explained_variance is not None:
        meaning = "is a share of the whole"
        require_share("explained_variance", explained_variance, within="(0, 1]", meaning=meaning)
    if dims is not None:
        require_whole("dims", dims, least=1)


def check_rtol(rtol: float | None) -> None:
    """Raise ValueError unless this can be a relative tolerance."""
    if rtol is not None:
        meaning = "is relative to the largest singular value"
        require_share("rtol", rtol, within="[0, 1)", meaning=meaning)


@dataclass(frozen=True)
class Cut:
    """What is kept of the directions of a layer: all of them unless told otherwise.

    Attributes:
        explained_variance: The fewest that reach this share; the one that crosses it is among them.
        dims: This many at most, after the share if both are given.
        criterion: What the share is of: of σ², or of σ.

    Raises:
        ValueError: If a bound or the criterion is out of range.
    """

    explained_variance: float | None = None
    dims: int | None = None
    criterion: Criterion = "variance"

    def __post_init__(self) -> None:
        check_cut(self.explained_variance, self.dims, self.criterion)

    def count(self, spectrum: Array) -> int:
        """How many directions are kept of these singular values, which descend."""
        k = len(spectrum)
        if k and self.explained_variance is not None and self.explained_variance < 1.0:
            weight = (spectrum / spectrum[0]) ** _POWERS[self.criterion]
            share = np.cumsum(weight) / weight.sum()
            k = min(k, int(np.searchsorted(share, self.explained_variance)) + 1)
        return k if self.dims is None else min(k, int(self.dims))
