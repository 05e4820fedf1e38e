"""All pairs of layers from one product of stacked bases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .messages import unknown_name, warn
from .parallel import in_parallel
from .subspace import Array, Subspace, require_same_probe

Layer = ArrayLike | Subspace
Layers = Sequence[Layer] | Mapping[str, Layer]

# Options that choose directions of one layer, before two layers meet.
_CUTS = ("explained_variance", "dims", "criterion")
# Parcels of pairs for the threads, and operations of a decomposition over those of a product.
PARCELS, OPERATIONS = 64, 10
# Levels of chance closer to 1 than this are 1 but for rounding.
ROUNDING = 1e-9
# Permutations for a chance level without a closed form: its error is a fifth of one value's spread.
PERMUTATIONS = 25
# Orders or resamples of the samples that are drawn before the threads begin: bounds the memory.
DRAWN = 32


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
        lowest: No value is below this.
    """

    function: Callable[..., float]
    of_cross: Callable[..., float]
    defaults: Mapping[str, Any]
    invariances: frozenset[str]
    symmetric: bool
    reference: str
    chance: Callable[..., float] | None = None
    dims: str = "rank"
    lowest: float = 0.0

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults, updated with what was given. TypeError for an option it does not take."""
        for key in given:
            if key not in self.defaults:
                name = self.function.__name__
                raise TypeError(unknown_name("option", key, self.defaults, where=f"of {name}"))
        return {**self.defaults, **given}

    def cut(self, s: Subspace, settings: Mapping[str, Any]) -> Subspace:
        """The directions of `s` that the measure looks at."""
        return s.truncate(**self.cuts(settings))

    def cuts(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings that choose directions of one layer."""
        return {key: settings[key] for key in _CUTS if key in settings}

    def rest(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the formula itself."""
        return {key: value for key, value in settings.items() if key not in _CUTS}

    def mirrors(self, settings: Mapping[str, Any]) -> bool:
        """Whether it is symmetric with these settings."""
        return self.symmetric or bool(settings.get("symmetric"))

    def chance_of(self, x: Subspace, y: Subspace, n_samples: int | None = None) -> float | None:
        """Chance level of two (cut) layers; None if there is no closed form.

        Args:
            x: One layer.
            y: The other.
            n_samples: If their factors have not a row for each.
        """
        if self.chance is None:
            return None
        dims_x, dims_y = getattr(x, self.dims), getattr(y, self.dims)
        return self.chance(n_samples=n_samples or x.n_samples, dims_x=dims_x, dims_y=dims_y)


@dataclass(frozen=True)
class Sides:
    """Two sets of layers, factorised and cut as a measure needs them.

    Attributes:
        kind: The measure.
        rows: Layers of the rows.
        columns: Layers of the columns.
        rest: Options of the formula.
        names: Of the rows and of the columns.
        mirrored: Whether both sets are one and the grid is symmetric.
        stacks: The bases of the rows and of the columns side by side, if they are at hand.
    """

    kind: Measure
    rows: list[Subspace]
    columns: list[Subspace]
    rest: dict[str, Any]
    names: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    mirrored: bool = False
    stacks: tuple[Array, Array] | None = None

    def grid(self) -> Array:
        """Similarities of all pairs; nan where a layer is constant."""
        grid = np.full((len(self.rows), len(self.columns)), np.nan)
        at = [
            (i, j)
            for i, x in enumerate(self.rows)
            for j, y in enumerate(self.columns)
            if x.rank and y.rank and not (self.mirrored and j < i)
        ]
        if not at:
            return grid
        left, right = self.stacks or (_stack(self.rows), _stack(self.columns))
        cross = _blocks(left.conj().T @ right, self.rows, self.columns)
        ranks = [(self.rows[i].rank, self.columns[j].rank) for i, j in at]
        parcels, costs = _parcels(at, [a * b * min(a, b) for a, b in ranks])

        def work(pairs: Sequence[tuple[int, int]]) -> list[float]:
            return [
                self.kind.of_cross(cross(i, j), self.rows[i], self.columns[j], **self.rest)
                for i, j in pairs
            ]

        for pairs, values in zip(parcels, in_parallel(work, parcels, costs), strict=True):
            for (i, j), value in zip(pairs, values, strict=True):
                grid[i, j] = value
                if self.mirrored:
                    grid[j, i] = value
        return grid

    def permuted(self, orders: Iterable[Array]) -> Iterator[Array]:
        """The grid with the samples of all row layers in another order, for each of the orders."""
        stacks = (_stack(self.rows), _stack(self.columns))
        ends = np.cumsum([0, *(s.rank for s in self.rows)])

        def grid(order: Array) -> Array:
            left = stacks[0][order]
            bases = (left[:, a:b] for a, b in pairwise(ends))
            rows = [replace(s, basis=basis) for s, basis in zip(self.rows, bases, strict=True)]
            return replace(self, rows=rows, mirrored=False, stacks=(left, stacks[1])).grid()

        return self._each(grid, orders)

    def resampled(self, draws: Iterable[Array]) -> Iterator[Array]:
        """The grid with some of the samples, repeats included, for each of the draws."""

        def grid(draw: Array) -> Array:
            layers = {id(s): s for s in (*self.rows, *self.columns)}
            new = {key: s.resampled(draw) if s.rank else s for key, s in layers.items()}
            rows, columns = ([new[id(s)] for s in side] for side in (self.rows, self.columns))
            return replace(self, rows=rows, columns=columns, stacks=None).grid()

        return self._each(grid, draws)

    def _each(self, function: Callable[[Array], Array], draws: Iterable[Array]) -> Iterator[Array]:
        """`map(function, draws)` in threads: a whole grid each, as they never wait for another."""
        ranks = [sum(s.rank for s in side) for side in (self.rows, self.columns)]
        cost = 2.0 * self.n_samples * ranks[0] * ranks[1]
        drawn = iter(draws)
        while batch := list(islice(drawn, DRAWN)):
            yield from in_parallel(function, batch, [cost] * len(batch))

    @property
    def n_samples(self) -> int:
        """Number of probe examples."""
        return (self.rows + self.columns)[0].n_samples if self.rows + self.columns else 0

    def level(self) -> Array:
        """Chance level of each pair in closed form; nan where there is none."""
        levels = [[self.kind.chance_of(x, y) for y in self.columns] for x in self.rows]
        return np.array(levels, dtype=np.float64).reshape(len(self.rows), len(self.columns))

    def chance(self, permutations: int = PERMUTATIONS) -> Array:
        """What each pair would score if its samples did not belong together.

        In closed form where there is one, or else the mean over some seeded permutations, one for
        all pairs at a time.
        """
        if self.kind.chance is not None or not (self.rows and self.columns):
            return self.level()
        rng = np.random.default_rng(0)
        orders = (rng.permutation(self.n_samples) for _ in range(permutations))
        return np.mean(list(self.permuted(orders)), axis=0)


def prepare(
    kind: Measure,
    rows: Layers,
    columns: Layers | None,
    *,
    rtol: float | None = None,
    options: Mapping[str, Any],
) -> Sides:
    """Factorise and cut two sets of layers, each once.

    Raises:
        ValueError: If layers have different numbers of samples.
        TypeError: If the measure does not take an option.
    """
    settings = kind.settings(options)
    row_names, left = _cut_layers(kind, rows, settings, "rows", rtol)
    if columns is None:
        column_names, right = row_names, left
    else:
        column_names, right = _cut_layers(kind, columns, settings, "columns", rtol)
    # Not a dict: rows and columns may be the same layers at two times.
    layers = list(zip(row_names + column_names, left + right, strict=True))
    for name, s in layers:
        require_same_probe(layers[0][1], s, layers[0][0], name)
    constant = dict.fromkeys(name for name, s in layers if not s.rank)
    if constant and left and right:
        warn(f"Constant over the probe set: {', '.join(constant)}. Similarity is nan.")
    mirrored = columns is None and kind.mirrors(settings)
    return Sides(kind, left, right, kind.rest(settings), (row_names, column_names), mirrored)


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
    sides = prepare(kind, rows, columns, rtol=rtol, options=options)
    grid = sides.grid()
    return rescaled(grid, sides.chance()) if adjusted and grid.size else grid


def rescaled(values: Array, chance: Array) -> Array:
    """Values with chance at 0 and identity at 1; nan where chance is 1, and nothing can be told."""
    room = 1 - chance
    return 1 - (1 - values) / np.where(room > ROUNDING, room, np.nan)


def _cut_layers(
    kind: Measure, layers: Layers, settings: Mapping[str, Any], what: str, rtol: float | None
) -> tuple[list[str], list[Subspace]]:
    named: Iterable[tuple[str, Layer]]
    if isinstance(layers, Mapping):
        named = layers.items()
    else:
        named = ((f"{what}[{i}]", layer) for i, layer in enumerate(layers))
    names, given = zip(*named, strict=True) if layers else ((), ())

    def factorised(item: tuple[str, Layer]) -> Subspace:
        name, layer = item
        if isinstance(layer, Subspace):
            return kind.cut(layer, settings)
        return Subspace.from_activations(layer, rtol=rtol, name=name, **kind.cuts(settings))

    costs = [0.0 if isinstance(layer, Subspace) else _cost(layer) for layer in given]
    items = list(zip(names, given, strict=True))
    return list(names), in_parallel(factorised, items, costs)


def _cost(layer: Layer) -> float:
    """Floating-point operations of a factorisation, roughly."""
    shape = np.asarray(layer).shape
    return float(np.prod(shape) * min(shape)) if len(shape) == 2 else 0.0


def _stack(layers: list[Subspace]) -> Array:
    return np.hstack([s.basis for s in layers])


def _blocks(cross: Array, left: list[Subspace], right: list[Subspace]) -> Callable[..., Array]:
    """Gives the block of a pair of layers in the product of all bases at once."""
    rows, columns = (np.cumsum([0, *(s.rank for s in side)]) for side in (left, right))
    return lambda i, j: cross[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]


def _parcels(
    at: list[tuple[int, int]], costs: list[float]
) -> tuple[list[list[tuple[int, int]]], list[float]]:
    """Pairs in parcels of similar cost: a thread for each small pair costs more than it saves."""
    parcels: list[list[tuple[int, int]]] = []
    totals: list[float] = []
    share = max(OPERATIONS * sum(costs) / PARCELS, 1.0)
    for pair, cost in zip(at, costs, strict=True):
        if not parcels or totals[-1] >= share:
            parcels.append([])
            totals.append(0.0)
        parcels[-1].append(pair)
        totals[-1] += OPERATIONS * cost
    return parcels, totals
