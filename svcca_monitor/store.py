"""What of a run stays on disk: how many directions, how precise, and which snapshots."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any

from .arguments import is_whole
from .messages import unknown_name
from .subspace import Subspace

DTYPES = ("float32", "float16")
# Snapshots between a step and ten times that step, where they are kept log-spaced.
PER_DECADE = 12


@dataclass(frozen=True)
class Store:
    """Bounds of the size of a run.

    Attributes:
        dims: Directions kept of each layer, most variance first; None for all. Measures that look
            at all directions, such as `cca`, see these.
        dtype: `"float32"`, or `"float16"` for half the size; similarities change by less than
            2e-3. Singular values, and directions of complex layers, keep their precision.
        keep: `"all"`; or `"log"`: snapshots thin out as the run grows, to 12 between a step and
            ten times that step; or a number: that many at most, evenly spaced. The first and the
            last always stay. TensorBoard keeps what it was shown.

    Raises:
        ValueError: If a bound is out of range or unknown.
    """

    dims: int | None = None
    dtype: str = "float32"
    keep: str | int = "all"

    def __post_init__(self) -> None:
        if self.dims is not None and not is_whole(self.dims, 1):
            raise ValueError(
                f"`dims` of `store` must be a whole number, at least 1. Received: {self.dims!r}"
            )
        if self.dtype not in DTYPES:
            raise ValueError(unknown_name("dtype", self.dtype, DTYPES, where="of `store`"))
        if self.keep not in ("all", "log") and not is_whole(self.keep, 2):
            raise ValueError(
                "`keep` of `store` must be 'all', 'log' or a number of snapshots, at least 2 (the "
                f"first and the last). Received: {self.keep!r}"
            )

    @classmethod
    def of(cls, bounds: Store | Mapping[str, Any]) -> Store:
        """The bounds themselves, or those that a dict such as `{"dims": 64}` names.

        Raises:
            ValueError: If a bound is out of range or unknown.
            TypeError: If it is neither.
        """
        if isinstance(bounds, Store):
            return bounds
        if not isinstance(bounds, Mapping):
            raise TypeError(
                '`store` takes a dict such as {"dims": 64, "dtype": "float16", "keep": "log"}. '
                f"Received: {bounds!r}"
            )
        known = [field.name for field in fields(cls)]
        for name in bounds:
            if name not in known:
                raise ValueError(unknown_name("bound", name, known, where="of `store`"))
        return cls(**bounds)

    def facts(self) -> dict[str, Any]:
        """What `run.json` records."""
        return asdict(self)

    def cut(self, layers: Mapping[str, Subspace]) -> dict[str, Subspace]:
        """The directions that are kept of each layer."""
        return {
            name: s if self.dims is None else s.truncate(dims=self.dims)
            for name, s in layers.items()
        }

    def superfluous(self, steps: Sequence[int]) -> list[int]:
        """Which of the steps on disk (ascending) are not to stay."""
        if self.keep == "all":
            return []
        if self.keep == "log":
            return _crowded(steps, _logarithmic)
        # Whoever is the first of a wide interval was that of a narrower one before.
        widths = (2**i for i in itertools.count())
        crowded = (_crowded(steps, partial(_even, width)) for width in widths)
        return next(gone for gone in crowded if len(steps) - len(gone) <= int(self.keep))


def _crowded(steps: Sequence[int], interval: Callable[[int], int]) -> list[int]:
    """All but the first of each interval and the last of all."""
    places = [interval(step) for step in steps]
    return [steps[i] for i in range(1, len(steps) - 1) if places[i] == places[i - 1]]


def _even(width: int, step: int) -> int:
    """Which of the intervals of one width a step is in."""
    return step // width


def _logarithmic(step: int) -> int:
    """Which of the intervals that grow geometrically a step is in."""
    return math.floor(PER_DECADE * math.log10(step)) if step > 0 else -1
