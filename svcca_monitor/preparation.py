"""Layers made ready for a measure: factorised and cut, or just centred."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from .arguments import named
from .cuts import check_cut
from .definition import Measure
from .kernels import Centred, Weighted, own_sums
from .kernels import cost as kernel_cost
from .messages import warn
from .parallel import PASS, in_parallel
from .precision import worth_it
from .rounding import checked
from .span import Directions, directions
from .subspace import Sampled, Subspace, as_subspace, require_same_probe

Layer = ArrayLike | Subspace
Layers = Sequence[Layer] | Mapping[str, Layer]


class Ranked(Sampled, Protocol):
    """Of probe examples, and of some directions."""

    @property
    def rank(self) -> int:
        """0 if the layer is constant."""


Prepared = TypeVar("Prepared", bound=Ranked)

Names = tuple[list[str], list[str]]


def cut_layers(
    kind: Measure,
    rows: Layers,
    columns: Layers | None,
    settings: Mapping[str, Any],
    rtol: float | None,
) -> tuple[Names, list[Subspace], list[Subspace]]:
    """Names and factors of two sets of layers, each factorised once, as the measure needs them.

    Without `columns`, both are the rows.

    Raises:
        ValueError: If a layer is none, or layers have different numbers of samples.
    """
    single = _worth_single(rows, columns)

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
            single=single and not kind.by_variance,
            name=name,
            **kind.cuts(settings),
        )

    return _prepared(factorised, lambda layer: _cost(_shape(layer)), rows, columns)


def spanned_layers(
    kind: Measure,
    rows: Layers,
    columns: Layers | None,
    settings: Mapping[str, Any],
) -> tuple[Names, list[Directions], list[Directions]]:
    """The same for a measure that takes all directions, in whatever basis."""
    check_cut(**{"criterion": "variance", **kind.cuts(settings)})

    def spanned(item: tuple[str, Layer]) -> Directions:
        name, layer = item
        if isinstance(layer, Subspace):
            if kind.of_neurons:
                layer.require_loadings(name)
            return layer
        rest = kind.of_rests is not None
        return directions(layer, loadings=kind.of_neurons, rest=rest, name=name)

    return _prepared(spanned, lambda layer: _cost(_shape(layer)), rows, columns)


def centred_layers(
    rows: Layers, columns: Layers | None
) -> tuple[Names, list[Weighted], list[Weighted]]:
    """The same with centred activations; those that hardly vary are factorised."""

    def centred(item: tuple[str, Layer]) -> Weighted:
        name, layer = item
        x, eps = checked(layer, name)  # type: ignore[arg-type]
        return Centred.of(x, eps) or as_subspace(layer, name, denoised=False)

    return _prepared(centred, lambda layer: PASS * np.size(layer), rows, columns)  # type: ignore[arg-type]


def _prepared(
    prepare: Callable[[tuple[str, Layer]], Prepared],
    cost: Callable[[Layer], float],
    rows: Layers,
    columns: Layers | None,
) -> tuple[Names, list[Prepared], list[Prepared]]:
    """Both sets at once: no thread waits for the last layer of the first."""
    row_names, given = named(rows, "rows")
    column_names, others = (row_names, []) if columns is None else named(columns, "columns")
    items = [*zip(row_names, given, strict=True)]
    if columns is not None:
        items += zip(column_names, others, strict=True)
    # A layer on both sides is prepared once, and known to be one with itself.
    once: dict[int, tuple[str, Layer]] = {}
    for name, layer in items:
        once.setdefault(id(layer), (name, layer))
    prepared = in_parallel(prepare, list(once.values()), [cost(x) for _, x in once.values()])
    of = dict(zip(once, prepared, strict=True))
    found = [of[id(layer)] for _, layer in items]
    left = found[: len(given)]
    right = left if columns is None else found[len(given) :]
    if left and right:
        _check_together([name for name, _ in items], found)
    return (row_names, column_names), left, right


def unfactorised_is_cheaper(rows: Layers, columns: Layers | None) -> bool:
    """Whether the kernels of activations cost less than their factors and cross products."""
    shapes: list[tuple[int, ...]]
    widths, own, n = [], 0.0, 0
    for layers in (rows, () if columns is None else columns):
        _, given = named(layers, "")
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


def _check_together(names: list[str], layers: Sequence[Ranked]) -> None:
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


def _worth_single(rows: Layers, columns: Layers | None) -> bool:
    """Whether the bases of all layers together take so long that precision may save some."""
    given = [
        *named(rows, "rows")[1],
        *(named(columns, "columns")[1] if columns is not None else ()),
    ]
    shapes = [_shape(layer) for layer in given]
    return worth_it(sum(2.0 * float(np.prod(s)) * min(s) for s in shapes if s))


def _cost(shape: tuple[int, ...]) -> float:
    """Floating-point operations of a factorisation, roughly."""
    return 5.0 * float(np.prod(shape)) * min(shape) + 25.0 * min(shape) ** 3 if shape else 0.0
