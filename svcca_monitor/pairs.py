"""All pairs of layers from products of stacked bases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Any, cast

import numpy as np

from .definition import Measure
from .kernels import cost as kernel_cost
from .kernels import kernel_grid
from .parallel import in_parallel
from .preparation import (
    Layers,
    centred_layers,
    cut_layers,
    name_undefined,
    spanned_layers,
    unfactorised_is_cheaper,
)
from .products import Products, ends
from .subspace import Array, Subspace

# Parcels of pairs for the threads, and operations of a decomposition over those of a product.
PARCELS, OPERATIONS = 64, 10
# Levels of chance closer to 1 than this are 1 but for rounding, of single precision at worst.
ROUNDING = 1e-6
# Permutations for a chance level without a closed form: its error is a fifth of one value's spread.
PERMUTATIONS = 25
# Orders or resamples of the samples that are drawn before the threads begin: bounds the memory.
DRAWN = 32


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
        products: Their cross products, if those were prepared.
    """

    kind: Measure
    rows: list[Subspace]
    columns: list[Subspace]
    rest: dict[str, Any]
    names: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    mirrored: bool = False
    products: Products | None = None

    def grid(self) -> Array:
        """Similarities of all pairs; nan where a layer is constant."""
        if self.kind.of_kernels and self._kernels_are_cheaper:
            return kernel_grid(
                self.kind.of_kernels,
                self.rows,
                self.columns,
                mirrored=self.mirrored,
                in_double=self.kind.in_double,
            )
        if self.kind.of_rests and all(s.rest is not None for s in self.rows + self.columns):
            return self._of_rests(self.kind.of_rests).grid()
        grid = np.full((len(self.rows), len(self.columns)), np.nan)
        at = []
        for i, x in enumerate(self.rows):
            for j, y in enumerate(self.columns):
                if x is y and x.rank and self.kind.one_alone:
                    grid[i, j] = 1.0  # as is every layer to itself
                elif x.rank and y.rank and not (self.mirrored and j < i):
                    at.append((i, j))
        if not at:
            return grid
        products = self.products or self._products()

        def work(parcel: list[tuple[int, int]]) -> list[float]:
            # All of one row, columns in order: one product serves them.
            i, first, last = parcel[0][0], parcel[0][1], parcel[-1][1]
            return [
                self.kind.of_cross(block, self.rows[i], self.columns[j], **self.rest)
                for (_, j), block in zip(parcel, products.blocks(i, first, last), strict=True)
            ]

        parcels, costs = self._parcels(at, products.in_double)
        for parcel, values in zip(parcels, in_parallel(work, parcels, costs), strict=True):
            for (i, j), value in zip(parcel, values, strict=True):
                grid[i, j] = value
                if self.mirrored:
                    grid[j, i] = value
        return grid

    def _of_rests(self, formula: Callable[..., float]) -> Sides:
        """The same grid by the smaller parts of the space, which the bases leave out."""
        complements = {id(s): _complement(s) for s in self.rows + self.columns}
        rows, columns = ([complements[id(s)] for s in side] for side in (self.rows, self.columns))
        kind = replace(self.kind, of_cross=formula, of_rests=None)
        return replace(self, kind=kind, rows=rows, columns=columns)

    def _products(self) -> Products:
        return Products.of(
            self.rows,
            self.columns,
            self._operations,
            by_variance=self.kind.by_variance,
            in_double=self.kind.in_double,
        )

    @property
    def _operations(self) -> float:
        """Of all cross products."""
        ranks = [sum(s.rank for s in side) for side in (self.rows, self.columns)]
        return (1.0 if self.mirrored else 2.0) * self.n_samples * ranks[0] * ranks[1]

    @property
    def _kernels_are_cheaper(self) -> bool:
        sides = (self.rows,) if self.mirrored else (self.rows, self.columns)
        ranks = sum(s.rank for side in sides for s in side)
        return kernel_cost(self.n_samples, ranks) < self._operations

    def _parcels(
        self, at: list[tuple[int, int]], in_double: Callable[[int, int], bool]
    ) -> tuple[list[list[tuple[int, int]]], list[float]]:
        """Pairs of a row in parcels of similar cost: a task for each costs more than it saves."""
        n = self.n_samples
        ranks = [(self.rows[i].rank, self.columns[j].rank) for i, j in at]
        costs = [2 * n * p * q + OPERATIONS * p * q * min(p, q) for p, q in ranks]
        parcels: list[list[tuple[int, int]]] = []
        totals: list[float] = []
        for (i, j), cost in zip(at, costs, strict=True):
            last = parcels[-1][-1] if parcels else (-1, -1)
            goes_on = last == (i, j - 1) and in_double(*last) == in_double(i, j)
            if not goes_on or totals[-1] >= sum(costs) / PARCELS:
                parcels.append([])
                totals.append(0.0)
            parcels[-1].append((i, j))
            totals[-1] += cost
        return parcels, totals

    def permuted(self, orders: Iterable[Array]) -> Iterator[Array]:
        """The grid with the samples of all row layers in another order, for each of the orders."""
        rows_side_by_side = np.hstack([s.basis for s in self.rows])
        at = ends(self.rows)
        sides = replace(self, mirrored=False)
        of_kernels = self.kind.of_kernels and sides._kernels_are_cheaper
        products = None if of_kernels else sides._products()

        def grid(order: Array) -> Array:
            left = rows_side_by_side[order]
            bases = (left[:, a:b] for a, b in pairwise(at))
            rows = [
                replace(s, basis=basis, rest=None)
                for s, basis in zip(self.rows, bases, strict=True)
            ]
            return replace(sides, rows=rows, products=products and products.permuted(rows)).grid()

        return self._each(grid, orders)

    def resampled(self, draws: Iterable[Array]) -> Iterator[Array]:
        """The grid with some of the samples, repeats included, for each of the draws."""

        def grid(draw: Array) -> Array:
            layers = {id(s): s for s in (*self.rows, *self.columns)}
            new = {key: s.resampled(draw) if s.rank else s for key, s in layers.items()}
            rows, columns = ([new[id(s)] for s in side] for side in (self.rows, self.columns))
            return replace(self, rows=rows, columns=columns, products=None).grid()

        return self._each(grid, draws)

    def _each(self, function: Callable[[Array], Array], draws: Iterable[Array]) -> Iterator[Array]:
        """`map(function, draws)` in threads: a whole grid each, as they never wait for another."""
        cost = self._operations
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
    names, left, right = cut_layers(kind, rows, columns, settings, rtol)
    mirrored = columns is None and kind.mirrors(settings)
    return Sides(kind, left, right, kind.rest(settings), names, mirrored)


def _prepare_for_a_grid(
    kind: Measure, rows: Layers, columns: Layers | None, options: Mapping[str, Any]
) -> Sides:
    """The same where nothing but the grid is wanted."""
    settings = kind.settings(options)
    if not (kind.of_span and kind.takes_all(settings)):
        return prepare(kind, rows, columns, options=options)
    names, *sides = spanned_layers(kind, rows, columns, settings)
    # For their grid a span has all that a subspace has.
    left, right = (cast(list[Subspace], side) for side in sides)
    mirrored = columns is None and kind.mirrors(settings)
    return Sides(kind, left, right, kind.rest(settings), names, mirrored)


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
    formula = None if adjusted or rtol is not None else kind.of_kernels
    if formula and unfactorised_is_cheaper(rows, columns):
        kind.settings(options)  # refuses what it does not take
        names, left, right = centred_layers(rows, columns)
        mirrored = columns is None
        grid = kernel_grid(formula, left, right, mirrored=mirrored, in_double=kind.in_double)
        if np.isnan(grid).any():
            name_undefined(kind, names[0] + names[1], [*left, *right])
        return grid
    if adjusted or rtol is not None:
        sides = prepare(kind, rows, columns, rtol=rtol, options=options)
    else:
        sides = _prepare_for_a_grid(kind, rows, columns, options)
    grid = observed_grid(sides)
    return rescaled(grid, sides.chance()) if adjusted and grid.size else grid


def observed_grid(sides: Sides) -> Array:
    """All similarities of the samples as they came; layers that have none are named."""
    grid = sides.grid()
    if np.isnan(grid).any():
        name_undefined(sides.kind, sides.names[0] + sides.names[1], sides.rows + sides.columns)
    return grid


def rescaled(values: Array, chance: Array) -> Array:
    """Values with chance at 0 and identity at 1; nan where chance is 1, and nothing can be told."""
    room = 1 - chance
    return 1 - (1 - values) / np.where(room > ROUNDING, room, np.nan)


def _complement(s: Subspace) -> Subspace:
    """The directions that a basis leaves out; none counts for more than another."""
    assert s.rest is not None
    return replace(s, basis=s.rest, singular_values=np.ones(s.rest.shape[1]), rest=None)
