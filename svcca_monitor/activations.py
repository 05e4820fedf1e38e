"""How a layer's output of any rank becomes a matrix (n_samples, n_features).

Each representation is written once against an array namespace: NumPy for arrays at hand,
`keras.ops` inside a traced graph, so that full feature maps never travel to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .messages import unknown_name

# (output, array namespace, axis of the channels) -> matrix
Reduction = Callable[[Any, Any, int], Any]
Representation = str | Callable[[Any], Any]


def mean(x: Any, ops: Any = np, channels_axis: int = -1) -> Any:
    """Mean over all positions: one feature a channel.

    Args:
        x: Output of shape (n, …, channels) or, with `channels_axis=1`, (n, channels, …).
        ops: Array namespace with `mean`.
        channels_axis: Axis of the channels.

    Returns:
        Matrix of shape (n, channels); a matrix is returned as it is.
    """
    rank = len(x.shape)
    axes = tuple(a for a in range(1, rank) if a != channels_axis % rank)
    return ops.mean(x, axis=axes) if axes else x


def flatten(x: Any, ops: Any = np, channels_axis: int = -1) -> Any:  # noqa: ARG001
    """Every position of every channel a feature: shape (n, positions × channels)."""
    size = 1
    for n in x.shape[1:]:
        size *= n
    return x if len(x.shape) == 2 else ops.reshape(x, (-1, size))


REPRESENTATIONS: dict[str, Reduction] = {"mean": mean, "flatten": flatten}


def reduction(representation: Representation) -> Reduction:
    """The function behind a name or a user's callable ``output -> (n, features)``.

    Raises:
        ValueError: If the name is unknown.
        TypeError: If it is neither a name nor a callable.
    """
    if callable(representation):

        def user_defined(x: Any, ops: ModuleType, channels_axis: int) -> Any:  # noqa: ARG001
            return representation(x)

        return user_defined
    if not isinstance(representation, str):
        raise TypeError(
            "`representation` must be a name or a function of a layer's output. "
            f"Received: {representation!r}"
        )
    if representation not in REPRESENTATIONS:
        raise ValueError(unknown_name("representation", representation, REPRESENTATIONS))
    return REPRESENTATIONS[representation]


def representation_name(representation: Representation) -> str:
    """What `run.json` records."""
    if isinstance(representation, str):
        return representation
    return f"callable:{getattr(representation, '__qualname__', type(representation).__name__)}"
