"""Layers made ready for a measure: factorised and cut, or just centred."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .definition import Measure
from .kernels import Centred, Weighted, own_sums
from .kernels import cost as kernel_cost
from .messages import warn
from .parallel import in_parallel
from .rounding import checked
from .subspace import Subspace, as_subspace, require_same_probe

Layer = ArrayLike | Subspace
Layers = Sequence[Layer] | Mapping[str, Layer]


def cut_layers(
    kind: Measure, layers: Layers, settings: Mapping[str, Any], what: str, rtol: float | None
) -> tuple[list[str], list[Subspace]]:
    """Names and factors of layers, each factorised once, as the measure needs them."""
    names, given = _named(layers, what)

    def factorised(item: tuple[str, Layer]) -> Subspace:
        name, layer = item
        if isinstance(layer, Subspace):
            if kind.of_neurons:
                layer.require_loadings(name)
            return kind.cut(layer, settings)
        return Subspace.from_activations(
            layer,
            rtol=rtol,
            loadings=kind.of_neurons,
            denoised=not kind.by_variance,
            rest=kind.of_rests is not None,
            name=name,
            **kind.cuts(settings),
        )

    costs = [_cost(_shape(layer)) for layer in given]
    return names, in_parallel(factorised, list(zip(names, given, strict=True)), costs)


def centred_layers(layers: Layers, what: str) -> tuple[list[str], list[Weighted]]:
    """Names and centred activations of layers; those that hardly vary are factorised."""
    names, given = _named(layers, what)

    def centred(item: tuple[str, Layer]) -> Weighted:
        name, layer = item
        x, eps = checked(layer, name)  # type: ignore[arg-type]
        return Centred.of(x, eps) or as_subspace(layer, name, denoised=False)

    costs = [float(np.size(layer)) for layer in given]  # type: ignore[arg-type]
    return names, in_parallel(centred, list(zip(names, given, strict=True)), costs)


def unfactorised_is_cheaper(rows: Layers, columns: Layers | None) -> bool:
    """Whether the kernels of activations cost less than their factors and cross products."""
    shapes: list[tuple[int, ...]]
    widths, own, n = [], 0.0, 0
    for layers in (rows, () if columns is None else columns):
        _, given = _named(layers, "")
        shapes = [_shape(layer) for layer in given]
        if any(len(shape) != 2 for shape in shapes):
            return False
        n = max([n, *(shape[0] for shape in shapes)])
        if any(not 0 < shape[1] <= shape[0] for shape in shapes):
            return False
        own += sum(map(_cost, shapes))
        widths.append(sum(shape[1] for shape in shapes))
    p, q = (widths[0], widths[0] / 2) if columns is None else widths
    return kernel_cost(n, sum(widths)) < own + 2.0 * n * p * q


def _named(layers: Layers, what: str) -> tuple[list[str], list[Layer]]:
    if isinstance(layers, Mapping):
        return list(layers), list(layers.values())
    if not isinstance(layers, Sequence | np.ndarray):
        raise TypeError(
            f"Layers must be a dict from names to layers, or a list. Received a "
            f"{type(layers).__name__}."
        )
    return [f"{what}[{i}]" for i in range(len(layers))], list(layers)


def check_together(names: list[str], layers: Sequence[Weighted]) -> None:
    """Raise unless all have the same samples; warn of constant ones."""
    for name, layer in zip(names, layers, strict=True):
        require_same_probe(layers[0], layer, names[0], name)
    constant = dict.fromkeys(n for n, layer in zip(names, layers, strict=True) if not layer.rank)
    if constant:
        warn(
            f"Constant over the probe set: {', '.join(constant)}. Similarity is nan. "
            "(What varies by no more than the rounding of its dtype counts as constant.)"
        )


def name_undefined(kind: Measure, names: list[str], layers: Sequence[Weighted]) -> None:
    """Warn of layers that vary, but have no value of the measure."""
    formula = kind.of_kernels
    if formula is None:
        return
    nothing = []
    for name, layer in zip(names, layers, strict=True):
        if layer.rank and name not in nothing:
            own = own_sums(layer)
            if np.isnan(formula(own, own, own)):
                nothing.append(name)
    if nothing:
        warn(
            f"Not defined: `{kind.function.__name__}` is nan for {', '.join(nothing)}, as too few "
            "samples differ from the others to tell anything from chance."
        )


def _shape(layer: Layer) -> tuple[int, ...]:
    """() of factors, and of what has none: `rounding.checked` says by its name what it is."""
    if isinstance(layer, Subspace):
        return ()
    try:
        shape = np.shape(layer)
    except ValueError:  # rows of different lengths
        return ()
    return () if None in shape else shape


def _cost(shape: tuple[int, ...]) -> float:
    """Floating-point operations of a factorisation, roughly."""
    return 5.0 * float(np.prod(shape)) * min(shape) + 25.0 * min(shape) ** 3 if shape else 0.0
