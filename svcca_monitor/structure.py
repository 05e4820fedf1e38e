"""Inputs as a model takes them: an array, or dicts, lists and tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Inputs = Any


def map_arrays(tree: Inputs, path: str, function: Callable[[Any, str], Any]) -> Inputs:
    """The same dicts, lists and tuples with `function(array, path)` in place of the arrays."""
    if isinstance(tree, Mapping):
        return {key: map_arrays(tree[key], f"{path}[{key!r}]", function) for key in tree}
    if isinstance(tree, tuple) or (isinstance(tree, list) and any(map(_is_array, tree))):
        values = [map_arrays(v, f"{path}[{i}]", function) for i, v in enumerate(tree)]
        return tree._make(values) if hasattr(tree, "_make") else type(tree)(values)  # if named
    return function(tree, path)


def walk_arrays(tree: Inputs, path: str) -> Iterator[tuple[str, Array]]:
    """Every array with its path; the keys of a dict in alphabetical order, as they have none."""
    if isinstance(tree, Mapping):
        for key in sorted(tree):
            yield from walk_arrays(tree[key], f"{path}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from walk_arrays(value, f"{path}[{i}]")
    else:
        yield path, tree


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") and np.ndim(value) > 0
