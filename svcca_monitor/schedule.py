"""When to take a snapshot: a function ``step -> bool``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Due = Callable[[int], bool]


@dataclass(frozen=True)
class Schedule:
    """Steps at which a snapshot is due.

    Attributes:
        unit: What a step counts: completed epochs or completed batches.
        due: Whether a snapshot is due after that many.
    """

    unit: Literal["epoch", "batch"]
    due: Due


def parse(snapshot_freq: str | int | Due) -> Schedule:
    """The schedule behind `snapshot_freq`, in the manner of Keras' `save_freq`.

    Args:
        snapshot_freq: `"epoch"`, a number of batches, or a function of the number of completed
            batches such as `log_spaced(4)`.

    Raises:
        ValueError: For another string or a number below 1.
        TypeError: For anything else.
    """
    if snapshot_freq == "epoch":
        return Schedule("epoch", lambda _: True)
    if isinstance(snapshot_freq, int) and not isinstance(snapshot_freq, bool):
        return Schedule("batch", every(snapshot_freq))
    expected = "Expected 'epoch', a number of batches or a function of the step."
    if callable(snapshot_freq):
        return Schedule("batch", snapshot_freq)
    if isinstance(snapshot_freq, str):
        raise ValueError(f"Unknown snapshot_freq {snapshot_freq!r}. {expected}")
    raise TypeError(f"`snapshot_freq` cannot be {snapshot_freq!r}. {expected}")


def every(n: int) -> Due:
    """Every n-th step."""
    if n < 1:
        raise ValueError(f"`snapshot_freq` must be at least 1 batch. Received: {n}")
    return lambda step: step % n == 0


def log_spaced(per_decade: int = 4) -> Due:
    """Steps that grow geometrically: dense at the start, where layers move most.

    Args:
        per_decade: Snapshots between a step and ten times that step.

    Example:
        >>> [step for step in range(1, 101) if log_spaced(3)(step)]
        [1, 2, 5, 10, 22, 46, 100]
    """
    if per_decade < 1:
        raise ValueError(f"`per_decade` must be at least 1. Received: {per_decade}")

    def due(step: int) -> bool:
        if step < 1:
            return False
        # The exponents whose rounded power could be this step lie next to its own logarithm.
        guess = round(per_decade * (len(str(step)) - 1))
        return any(
            round(10 ** (i / per_decade)) == step
            for i in range(max(0, guess - 1), guess + per_decade + 2)
        )

    return due
