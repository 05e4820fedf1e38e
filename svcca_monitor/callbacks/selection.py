"""Which layers of a model to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import keras

from ..messages import nearest

# What `layers=` takes: nothing, or names, globs, classes and predicates, alone or in a list.
Selector = str | type | Callable[[Any], bool]
Selection = None | Selector | Iterable[Selector]

# Layers whose output at inference is their input, moved about or unchanged.
_PASSIVE = (
    keras.layers.InputLayer,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization,
    keras.layers.Masking,
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.Cropping3D,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
    keras.layers.ZeroPadding3D,
)
# Augmentation and rescaling: functions of the input alone, which training does not change.
_PREPROCESSING = "keras.src.layers.preprocessing"


def named_layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every layer of a model with its path; those of nested models as `encoder/conv`."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from named_layers(layer, f"{prefix}{layer.name}/")
        else:
            yield f"{prefix}{layer.name}", layer


def computes(layer: Any) -> bool:
    """Whether a layer's output is more than its input moved about."""
    return not isinstance(layer, _PASSIVE) and not type(layer).__module__.startswith(_PREPROCESSING)


def select(model: Any, selection: Selection) -> dict[str, Any]:
    """The layers that `selection` names, by path, in the order of the model.

    Raises:
        ValueError: If a name, glob, class or predicate matches no layer, or none computes.
        TypeError: If a selector is of another kind.
    """
    layers = dict(named_layers(model))
    if selection is None:
        chosen = {path: layer for path, layer in layers.items() if computes(layer)}
        if not chosen:
            raise ValueError(
                f"Model {model.name!r} has no layer that computes. Its layers: {list(layers)}."
            )
        return chosen
    single = isinstance(selection, str | type) or not isinstance(selection, Iterable)
    selectors = [selection] if single else list(selection)  # type: ignore[arg-type]
    if not selectors:
        raise ValueError("`layers` is empty. Leave it out to monitor every layer that computes.")
    picked: set[str] = set()
    for selector in selectors:
        matches = {path for path, layer in layers.items() if _matches(selector, path, layer)}
        if not matches:
            raise ValueError(_no_match(selector, model, layers))
        picked |= matches
    return {path: layer for path, layer in layers.items() if path in picked}


def _matches(selector: Any, path: str, layer: Any) -> bool:
    if isinstance(selector, str):
        return fnmatchcase(path, selector)
    if isinstance(selector, type):
        return isinstance(layer, selector)
    if isinstance(selector, keras.layers.Layer):  # callable, but no predicate
        return layer is selector
    if callable(selector):
        return bool(selector(layer))
    raise TypeError(
        "`layers` takes names, globs, layer classes and functions of a layer. "
        f"Received: {selector!r} of type {type(selector).__name__}"
    )


def _no_match(selector: Any, model: Any, layers: dict[str, Any]) -> str:
    there = [path for path, layer in layers.items() if computes(layer)]
    if isinstance(selector, str):
        return (
            f"Layer {selector!r} not found in model {model.name!r}.{nearest(selector, layers)} "
            f"Layers that compute: {', '.join(there)}."
        )
    name = getattr(selector, "__name__", repr(selector))
    return (
        f"No layer of model {model.name!r} matches {name}. Layers that compute: {', '.join(there)}."
    )
