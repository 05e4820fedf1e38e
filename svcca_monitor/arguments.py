"""What arguments may be: anything else is refused with what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeVar

import numpy as np

Item = TypeVar("Item")
Ends = Literal["(0, 1)", "(0, 1]", "[0, 1)"]


def is_whole(value: Any, least: int) -> bool:
    """Whether it is a whole number from `least` on; True is one to Python, and to no one else."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_share(value: Any, within: Ends) -> bool:
    """Whether it is a number between 0 and 1, or the end of them that belongs to it."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return 0.0 < float(value) < 1.0 or value == {"(0, 1]": 1.0, "[0, 1)": 0.0}.get(within)


def require_whole(name: str, value: Any, *, least: int, meaning: str = "") -> None:
    """Raise ValueError unless it is a whole number from `least` on."""
    if not is_whole(value, least):
        raise ValueError(
            f"`{name}` {_and(meaning)}must be a whole number, at least {least}. "
            f"Received: {name}={value!r}"
        )


def require_share(name: str, value: Any, *, within: Ends, meaning: str = "") -> None:
    """Raise ValueError unless it is a number between 0 and 1, with the ends that `within` names."""
    if not is_share(value, within):
        raise ValueError(
            f"`{name}` {_and(meaning)}must be a number in {within}. Received: {name}={value!r}"
        )


def require_alike(mine: object, other: object) -> None:
    """Raise TypeError unless `other` is of the class of `mine`, whose method `merge` was called."""
    if not isinstance(other, type(mine)):
        kind = type(mine).__name__
        raise TypeError(
            f"`merge` takes another {kind}. Received a {type(other).__name__}. To take in "
            f"activations, give them to `{kind}.update`."
        )


def named(layers: Sequence[Item] | Mapping[str, Item], what: str) -> tuple[list[str], list[Item]]:
    """Names and layers of a dict, or of a list, whose first one is ``what[0]``.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(layers, Mapping):
        return list(layers), list(layers.values())
    of_arrays = layers.ndim > 0 if isinstance(layers, np.ndarray) else isinstance(layers, Sequence)
    if not of_arrays or isinstance(layers, str | bytes):
        raise TypeError(
            f"Layers must be a dict from names to layers, or a list. Received a "
            f"{type(layers).__name__}."
        )
    return [f"{what}[{i}]" for i in range(len(layers))], list(layers)


def _and(meaning: str) -> str:
    return f"{meaning} and " if meaning else ""
