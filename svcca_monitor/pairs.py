"""All pairs of layers from one product of stacked bases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .messages import unknown_name, warn
from .subspace import Array, Subspace, as_subspace, require_same_probe

Layer = ArrayLike | Subspace
Layers = Sequence[Layer] | Mapping[str, Layer]

# Options that choose directions of one layer, before two layers meet.
_CUTS = ("explained_variance", "dims", "criterion")


@dataclass(frozen=True)
class Measure:
    """One measure, and what is known about it.

    Attributes:
        function: The public function ``(x, y, *, …) -> float``.
        of_cross: The same from ``Uₓᴴ U_y`` and both (cut) subspaces.
        defaults: The options it takes, with their defaults.
        invariances: Changes of the activations that leave it as it is; `"… of y"` where only one
            side may change.
        symmetric: Whether ``m(x, y) == m(y, x)``.
        reference: Where it is defined.
        chance: Mean for independent views, from n_samples, dims_x, dims_y; None if unknown.
        dims: Attribute of `Subspace` with the dimensions that chance depends on.
    """

    function: Callable[..., float]
    of_cross: Callable[..., float]
    defaults: Mapping[str, Any]
    invariances: frozenset[str]
    symmetric: bool
    reference: str
    chance: Callable[..., float] | None = None
    dims: str = "rank"

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults, updated with what was given. TypeError for an option it does not take."""
        for key in given:
            if key not in self.defaults:
                name = self.function.__name__
                raise TypeError(unknown_name("option", key, self.defaults, where=f"of {name}"))
        return {**self.defaults, **given}

    def cut(self, s: Subspace, settings: Mapping[str, Any]) -> Subspace:
        """The directions of `s` that the measure looks at."""
        return s.truncate(**{key: settings[key] for key in _CUTS if key in settings})

    def chance_of(self, x: Subspace, y: Subspace) -> float | None:
        """Chance level of two (cut) layers; None if there is no closed form."""
        if self.chance is None:
            return None
        dims_x, dims_y = getattr(x, self.dims), getattr(y, self.dims)
        return self.chance(n_samples=x.n_samples, dims_x=dims_x, dims_y=dims_y)


def all_pairs(
    kind: Measure,
    rows: Layers,
    columns: Layers | None,
    *,
    adjusted: bool,
    rtol: float | None,
    options: Mapping[str, Any],
) -> Array:
    """The work behind `measures.similarity_grid`."""
    settings = kind.settings(options)
    if adjusted and kind.chance is None:
        raise ValueError(
            f"`adjusted=True` needs the chance level, and {kind.function.__name__} has no closed "
            "form. Measures that have one: cca, cca_r2, svcca, cka."
        )
    row_names, left = _cut_layers(kind, rows, settings, "rows", rtol)
    if columns is None:
        column_names, right = row_names, left
    else:
        column_names, right = _cut_layers(kind, columns, settings, "columns", rtol)
    grid = np.full((len(left), len(right)), np.nan)
    if not grid.size:
        return grid
    # Not a dict: rows and columns may be the same layers at two times.
    layers = list(zip(row_names + column_names, left + right, strict=True))
    for name, s in layers:
        require_same_probe(left[0], s, row_names[0], name)
    constant = dict.fromkeys(name for name, s in layers if not s.rank)
    if constant:
        warn(f"Constant over the probe set: {', '.join(constant)}. Similarity is nan.")

    rest = {key: value for key, value in settings.items() if key not in _CUTS}
    mirrored = columns is None and (kind.symmetric or bool(settings.get("symmetric")))
    cross = np.hstack([s.basis for s in left]).conj().T @ np.hstack([s.basis for s in right])
    row_ends = np.cumsum([0, *(s.rank for s in left)])
    column_ends = np.cumsum([0, *(s.rank for s in right)])
    for i, x in enumerate(left):
        for j, y in enumerate(right):
            if mirrored and j < i:
                grid[i, j] = grid[j, i]
            elif x.rank and y.rank:
                block = cross[row_ends[i] : row_ends[i + 1], column_ends[j] : column_ends[j + 1]]
                grid[i, j] = kind.of_cross(block, x, y, **rest)
    return _adjust(grid, kind, left, right) if adjusted else grid


def few_samples(layers: Mapping[str, Subspace], kind: Measure, options: Mapping[str, Any]) -> str:
    """A warning about layers with at least as many features as samples; empty if there is none.

    It gives the level at which two unrelated layers of that size would score.
    """
    settings = kind.settings(options)
    parts = []
    for name, s in layers.items():
        if s.rank and s.n_features >= s.n_samples:
            cut = kind.cut(s, settings)
            level = kind.chance_of(cut, cut)
            says = "" if level is None else f" (chance level {level:.2f})"
            parts.append(f"{name} has {s.n_features} features for {s.n_samples} samples{says}")
    if not parts:
        return ""
    return (
        f"Few samples: {'; '.join(parts)}. Unrelated layers score at chance level, not 0: take 5 "
        "to 10 probe examples for each feature."
    )


def _cut_layers(
    kind: Measure, layers: Layers, settings: Mapping[str, Any], what: str, rtol: float | None
) -> tuple[list[str], list[Subspace]]:
    named: Iterable[tuple[str, Layer]]
    if isinstance(layers, Mapping):
        named = layers.items()
    else:
        named = ((f"{what}[{i}]", layer) for i, layer in enumerate(layers))
    cut = [(name, kind.cut(as_subspace(layer, name, rtol), settings)) for name, layer in named]
    return [name for name, _ in cut], [s for _, s in cut]


def _adjust(grid: Array, kind: Measure, left: list[Subspace], right: list[Subspace]) -> Array:
    """Map chance to 0 and identity to 1; nan where chance is 1 and nothing can be told."""
    chance = np.array([[kind.chance_of(x, y) for y in right] for x in left], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(chance < 1, (grid - chance) / (1 - chance), np.nan)
