"""When to take a snapshot: a function ``step -> bool``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

Due = Callable[[int], bool]
# What `snapshot_freq=` takes.
Frequency = str | int | Iterable[int] | Mapping[str, int] | Due

_EXPECTED = (
    "Expected 'epoch', a number of batches, a list of steps, or a function of the step such as "
    "log_spaced(4)."
)


@dataclass(frozen=True)
class Schedule:
    """Steps at which a snapshot is due.

    Attributes:
        unit: What a step counts: completed epochs or completed batches.
        due: Whether a snapshot is due after that many.
    """

    unit: Literal["epoch", "batch"]
    due: Due


def parse(snapshot_freq: Frequency) -> Schedule:
    """The schedule behind `snapshot_freq`, in the manner of Keras' `save_freq`.

    Args:
        snapshot_freq: `"epoch"`; a number of batches; steps, each a number of completed batches;
            or a function of the number of completed batches such as `log_spaced(4)`, which a file
            can say as `{"log_spaced": 4}`.

    Raises:
        ValueError: For another string or dict, a number below 1, or a list of steps with none or a
            negative one.
        TypeError: For anything else, and for a function that does not take one number.
    """
    if isinstance(snapshot_freq, str):
        if snapshot_freq == "epoch":
            return Schedule("epoch", lambda _: True)
        raise ValueError(f"Unknown snapshot_freq {snapshot_freq!r}. {_EXPECTED}")
    if _is_number(snapshot_freq):
        return Schedule("batch", every(int(snapshot_freq)))  # type: ignore[arg-type]
    if callable(snapshot_freq):
        _require_one_argument(snapshot_freq)
        return Schedule("batch", snapshot_freq)
    if isinstance(snapshot_freq, Mapping):
        if list(snapshot_freq) != ["log_spaced"] or not _is_number(snapshot_freq["log_spaced"]):
            raise ValueError(
                f"Unknown snapshot_freq {dict(snapshot_freq)!r}. The one schedule that a dict "
                'names is {"log_spaced": n}, n snapshots between a step and ten times that step.'
            )
        return Schedule("batch", log_spaced(snapshot_freq["log_spaced"]))
    if isinstance(snapshot_freq, Iterable):
        return Schedule("batch", at(snapshot_freq))
    raise TypeError(f"`snapshot_freq` cannot be {snapshot_freq!r}. {_EXPECTED}")


def at(steps: Iterable[int]) -> Due:
    """These steps."""
    listed = list(steps)
    for step in listed:
        if not _is_number(step):
            raise TypeError(
                f"`snapshot_freq` lists the step {step!r}; steps are numbers of batches."
            )
        if step < 0:
            raise ValueError(f"`snapshot_freq` lists the step {step}; steps count from 0.")
    if not listed:
        raise ValueError(f"`snapshot_freq` lists no step. {_EXPECTED}")
    return frozenset(map(int, listed)).__contains__


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


def _is_number(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _require_one_argument(due: Due) -> None:
    try:
        signature = inspect.signature(due)
    except ValueError:  # a builtin that does not say what it takes
        return
    try:
        signature.bind(0)
    except TypeError:
        raise TypeError(
            f"`snapshot_freq` must be a function of one number, the step. Received: "
            f"{getattr(due, '__name__', due)}{signature}."
        ) from None
