"""Which layers of a model to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def sublayers(layer: Any) -> list[Any]:
    """The layers that a model or layer is made of, one level down."""
    # Models have `layers` for this; other layers keep the same list to themselves.
    return list(layer._flatten_layers(include_self=False, recursive=False))


def named_layers(model: Any) -> dict[str, Any]:
    """Every layer within a model under its path, such as `encoder/block_2/conv`.

    A layer that stands at several places has its first path; of two layers at one path, the second
    is called `conv_1`, as Keras would.
    """
    return {path: layer for path, (layer, _) in _walk(model).items()}


def _walk(model: Any) -> dict[str, tuple[Any, bool]]:
    """Layers by path, and whether each is a part of one of Keras' own, such as an attention."""
    found: dict[str, tuple[Any, bool]] = {}
    seen = {id(model)}

    def visit(parent: Any, prefix: str, part: bool) -> None:
        for layer in sublayers(parent):
            if id(layer) in seen:
                continue
            seen.add(id(layer))
            path, n = f"{prefix}{layer.name}", 0
            while path in found:
                n += 1
                path = f"{prefix}{layer.name}_{n}"
            found[path] = (layer, part)
            visit(layer, f"{path}/", part or (_is_of_keras(layer) and not is_container(layer)))

    visit(model, "", False)
    return found


def computes(layer: Any) -> bool:
    """Whether a layer's output is more than its input moved about."""
    return not isinstance(layer, _PASSIVE) and not type(layer).__module__.startswith(_PREPROCESSING)


def is_container(layer: Any) -> bool:
    """Whether a layer is a Sequential or Functional model: its output is that of a layer in it."""
    return isinstance(layer, keras.Model) and _is_of_keras(layer)


def is_block(layer: Any) -> bool:
    """Whether a layer or model of a user's own is made of other layers."""
    return not _is_of_keras(layer) and bool(sublayers(layer))


def select(model: Any, selection: Selection) -> dict[str, Any]:
    """The layers that `selection` names, by path, in the order of the model.

    Parts of Keras' own layers, such as the projections of an attention, are matched only by a name
    or glob that goes as deep as they are: `"attention/query"`, `"attention/*"`. Nested Sequential
    and Functional models are matched only by their name.

    Raises:
        ValueError: If a name, glob, class or predicate matches no layer, or none computes.
        TypeError: If a selector is of another kind.
    """
    layers = _walk(model)
    if selection is None:
        chosen = {path: layers[path][0] for path in _computing(layers)}
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
        matches = {
            path for path, (layer, part) in layers.items() if _matches(selector, path, layer, part)
        }
        if not matches:
            raise ValueError(_no_match(selector, model, layers))
        picked |= matches
    return {path: layer for path, (layer, _) in layers.items() if path in picked}


def _computing(layers: dict[str, tuple[Any, bool]]) -> list[str]:
    return [
        path
        for path, (layer, part) in layers.items()
        if computes(layer) and not part and not is_container(layer)
    ]


def _matches(selector: Any, path: str, layer: Any, part: bool) -> bool:
    if isinstance(selector, str):
        if selector == path:
            return True
        deep = not part or selector.count("/") >= path.count("/")
        return deep and not is_container(layer) and fnmatchcase(path, selector)
    if isinstance(selector, keras.layers.Layer):  # callable, but no predicate
        return layer is selector
    if part or is_container(layer):
        return False
    if isinstance(selector, type):
        return isinstance(layer, selector)
    if callable(selector):
        return bool(selector(layer))
    raise TypeError(
        "`layers` takes names, globs, layer classes and functions of a layer. "
        f"Received: {selector!r} of type {type(selector).__name__}"
    )


def _no_match(selector: Any, model: Any, layers: dict[str, tuple[Any, bool]]) -> str:
    there = ", ".join(_computing(layers))
    if isinstance(selector, str):
        return (
            f"Layer {selector!r} not found in model {model.name!r}.{nearest(selector, layers)} "
            f"Layers that compute: {there}."
        )
    name = getattr(selector, "__name__", repr(selector))
    return f"No layer of model {model.name!r} matches {name}. Layers that compute: {there}."


def _is_of_keras(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] == "keras"
