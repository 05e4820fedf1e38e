"""Measures of linear kernels K = XXᴴ, for many layers at once.

They are functions of a few sums over the entries of two kernels. Tiles of all kernels together give
these sums: no layer is factorised, and no kernel is ever held whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .parallel import PASS, in_parallel
from .precision import Coarse, dominated, in_single, product_dtype, turned
from .rounding import SINGLE, centre, noise_of_columns

Array = NDArray[Any]

DOUBLE = np.dtype(np.float64)
# Bytes of one tile of all kernels together, in each thread.
TILE_BYTES = 3e7
# Sums over tiles that are held at a time: of many layers, each is as large as the grid.
PARCELS = 32
# Layers whose tiles are made at a time, at least.
GROUP = 32
# Tiles along a side of a kernel, at least, for all threads to have some; unless they get small.
BLOCKS, SMALL = 4, 256
# Entries multiplied at a time, in the precision of the tiles: they stay near the processor.
ENTRIES = 1024
# Sums that differ from 0 by no more than this share of ‖K‖² differ by rounding.
NOTHING = 1e-10


class Sums(NamedTuple):
    """Of two centred kernels K and L.

    Attributes:
        product: Σ Kᵢⱼ L̄ᵢⱼ over all i, j.
        trace_x: Σ Kᵢᵢ.
        trace_y: Σ Lᵢᵢ.
        shared: Σ Kᵢᵢ Lᵢᵢ.
        n: Samples.
    """

    product: float
    trace_x: float
    trace_y: float
    shared: float
    n: int


Formula = Callable[[Sums, Sums, Sums], float]


def alignment(xy: Sums, xx: Sums, yy: Sums) -> float:
    """Cosine of the two kernels."""
    return min(1.0, float(xy.product / np.sqrt(xx.product * yy.product)))


def debiased_alignment(xy: Sums, xx: Sums, yy: Sums) -> float:
    """Alignment with the unbiased estimator of HSIC (Song et al. 2012): 0 on average at chance."""
    norms = _hsic(xx), _hsic(yy)
    if not (norms[0] > NOTHING * xx.product and norms[1] > NOTHING * yy.product):
        return float("nan")  # so little is shared with itself that the estimate is below 0
    return min(1.0, float(_hsic(xy) / np.sqrt(norms[0] * norms[1])))


def correlation_of_entries(xy: Sums, xx: Sums, yy: Sums) -> float:
    """Pearson correlation of the off-diagonal entries of both kernels; 0 if negative."""
    covariance, variance_x, variance_y = (
        s.product - s.shared - s.trace_x * s.trace_y / (s.n * (s.n - 1)) for s in (xy, xx, yy)
    )
    if variance_x <= NOTHING * xx.product or variance_y <= NOTHING * yy.product:
        return float("nan")  # two samples have one distance: nothing to correlate
    return float(np.clip(covariance / np.sqrt(variance_x * variance_y), 0.0, 1.0))


def _hsic(s: Sums) -> float:
    """Unbiased HSIC times n (n - 3); nan for fewer than four samples.

    The rows of a centred K sum to 0, so that without the diagonal they sum to -Kᵢᵢ.
    """
    if s.n < 4:
        return float("nan")
    traces = s.trace_x * s.trace_y / ((s.n - 1) * (s.n - 2))
    return s.product - s.shared + traces - 2 * s.shared / (s.n - 2)


class Weighted(Coarse, Protocol):
    """A layer that can give an X with K = XXᴴ."""

    @property
    def n_samples(self) -> int:
        """Rows."""

    @property
    def rank(self) -> int:
        """0 if the layer is constant."""

    def weighted(self, *, single: bool = False) -> Array:
        """Centred, of shape (n_samples, k), in any units; in single precision if that is asked."""


class Centred:
    """Centred activations that are not worth a factorisation.

    Attributes:
        n_samples: Rows.
        n_features: Columns.
        rank: An upper bound.
        coarse: Whether they came in single precision or lower.
    """

    def __init__(self, x: Array, coarse: bool):
        self.n_samples, self.n_features = x.shape
        self.rank, self.coarse = min(x.shape), coarse
        self._x = x

    @classmethod
    def of(cls, x: Array, eps: float) -> Centred | None:
        """Of finite activations; None unless they clearly vary by more than rounding."""
        centred, mean = centre(x)
        largest = 1.0
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->j", centred, centred.conj()).real
        if not 1e-200 < squares.sum() < 1e200:  # squares of tiny or huge activations leave float64
            largest = float(np.abs(centred).max())
            if not largest:
                return None
            centred /= largest
            squares = np.einsum("ij,ij->j", centred, centred.conj()).real
        stored = max(largest, float(np.abs(mean).max()))  # and so would their ratio
        share = largest / stored
        norms = np.hypot(np.sqrt(squares) * share, np.sqrt(len(x)) * (np.abs(mean) / stored))
        noise = noise_of_columns(norms, len(x), eps)
        # The largest singular value is at least this, whatever the others are.
        clear = np.sqrt(squares.sum() / min(x.shape)) * share > noise
        centred /= np.sqrt(squares.sum())
        return cls(centred, eps >= SINGLE) if clear else None

    def weighted(self, *, single: bool = False) -> Array:
        """The activations, of Frobenius norm 1."""
        return self._x.astype(in_single(self._x.dtype)) if single else self._x


def own_sums(layer: Weighted) -> Sums:
    """The sums of a kernel with itself."""
    x = layer.weighted()
    squares = _squared_norms(x)
    gram = x.conj().T @ x if x.shape[1] < len(x) else x @ x.conj().T
    trace = float(squares.sum())
    return Sums(float(np.vdot(gram, gram).real), trace, trace, float(squares @ squares), len(x))


def cost(n: int, widths: int) -> float:
    """Floating-point operations of all kernels of layers of so many features together."""
    return float(n) ** 2 * widths


def kernel_grid(
    formula: Formula,
    rows: Sequence[Weighted],
    columns: Sequence[Weighted],
    *,
    mirrored: bool,
    in_double: bool = True,
) -> Array:
    """All pairs of some measure; nan where a layer is constant.

    Args:
        formula: The measure.
        rows: Layers of the rows.
        columns: Layers of the columns.
        mirrored: Whether these are the same.
        in_double: Whether the formula needs double precision.
    """
    layers = [*rows] if mirrored else [*rows, *columns]
    operations = cost(layers[0].n_samples, sum(x.rank for x in layers)) if layers else 0.0

    single = product_dtype(DOUBLE, layers, operations, in_double=in_double) != DOUBLE

    def weighted(layer: Weighted) -> tuple[Array, Array]:
        x = layer.weighted(single=single)
        squares = _squared_norms(x)
        if not single:
            return x, squares
        # Entries are sums over features, in which samples of little weight cost no digits. Beside
        # entries of others their squares do: up to 7e-7 of what is summed, once turned.
        if not dominated(squares):
            return turned(x, x.dtype, out=x), squares
        x = layer.weighted()
        return turned(x, x.dtype), _squared_norms(x)

    def varying(side: Sequence[Weighted]) -> dict[int, tuple[Array, Array]]:
        found = {i: layer for i, layer in enumerate(side) if layer.rank}
        costs = [PASS * layer.n_samples * layer.rank for layer in found.values()]
        return dict(zip(found, in_parallel(weighted, list(found.values()), costs), strict=True))

    left = varying(rows)
    right = left if mirrored else varying(columns)
    grid = np.full((len(rows), len(columns)), np.nan)
    if not left or not right:
        return grid
    xs, ys = ([x for x, _ in side.values()] for side in (left, right))
    products, norms_x, norms_y = _products(xs, ys, mirrored)
    diagonals_x, diagonals_y = (
        np.array([squares for _, squares in side.values()], np.float64) for side in (left, right)
    )
    n = diagonals_x.shape[1]
    traces_x, traces_y = diagonals_x.sum(axis=1), diagonals_y.sum(axis=1)
    shared = diagonals_x @ diagonals_y.T
    own_x, own_y = (
        [Sums(k, t, t, float(d @ d), n) for k, t, d in zip(norms, traces, diagonals, strict=True)]
        for norms, traces, diagonals in (
            (norms_x, traces_x, diagonals_x),
            (norms_y, traces_y, diagonals_y),
        )
    )
    for a, i in enumerate(left):
        for b, j in enumerate(right):
            both = Sums(products[a, b], traces_x[a], traces_y[b], shared[a, b], n)
            grid[i, j] = formula(own_x[a] if rows[i] is columns[j] else both, own_x[a], own_y[b])
    return grid


def _products(left: list[Array], right: list[Array], mirrored: bool) -> tuple[Array, Array, Array]:
    """⟨K, L⟩ of all pairs, ‖K‖² and ‖L‖², from the tiles on and above the diagonal."""
    if len(right) > len(left):
        products, norms_y, norms_x = _products(right, left, mirrored=False)
        return products.T, norms_x, norms_y
    # Tiles of the fewer layers are kept while those of the others come in groups: so they can be
    # larger, and less is read for the same work.
    step = len(left) if mirrored else max(len(right), GROUP)
    groups = [left[i : i + step] for i in range(0, len(left), step)]
    n, at_once = len(left[0]), len(groups[0]) + (0 if mirrored else len(right))
    dtype = np.result_type(*left, *right)
    largest = np.sqrt(TILE_BYTES / dtype.itemsize / at_once)
    edge = math.ceil(n / max(math.ceil(n / largest), min(BLOCKS, n // SMALL), 1))
    starts = range(0, n, edge)
    tiles = [(r, c) for r in starts for c in starts if c >= r]

    def weight(tile: tuple[int, int]) -> float:
        return 1.0 if tile[0] == tile[1] else 2.0  # the tile below the diagonal is its adjoint

    def sums(tile: tuple[int, int]) -> Sequence[Array]:
        r, c = (slice(start, start + edge) for start in tile)
        twice = weight(tile)
        shape = len(left[0][r]), len(left[0][c])

        def entries(layers: list[Array], room: Array) -> Array:
            for x, out in zip(layers, room, strict=False):
                np.matmul(x[r], x[c].conj().T, out=out)
            return room[: len(layers)].reshape(len(layers), -1).view(room.real.dtype)

        room = np.empty((len(groups[0]), *shape), dtype)  # for one group after the other
        if mirrored:
            k = entries(left, room)
            return [twice * total for total in _sums(k, k)]
        other = entries(right, np.empty((len(right), *shape), dtype))
        found = [_sums(entries(group, room), other) for group in groups]
        products, norms_x = (np.concatenate([f[i] for f in found]) for i in range(2))
        return twice * products, twice * norms_x, twice * found[0][2]

    def work(parcel: list[tuple[int, int]]) -> Sequence[Array]:
        return reduce(_added, map(sums, parcel))

    parcels = [tiles[i::PARCELS] for i in range(min(PARCELS, len(tiles)))]
    half = float(edge) ** 2 * sum(x.shape[1] for x in (*left, *right))
    found = in_parallel(work, parcels, [half * sum(map(weight, parcel)) for parcel in parcels])
    products, norms_x, norms_y = reduce(_added, found)
    return products, norms_x, norms_y


def _added(total: Sequence[Array], sums: Sequence[Array]) -> Sequence[Array]:
    return [a + b for a, b in zip(total, sums, strict=True)]


def _sums(k: Array, other: Array) -> Sequence[Array]:
    """Products of rows, and the squared norms of the rows of both; sums go on in double."""
    products = np.zeros((len(k), len(other)))
    norms_k, norms_other = np.zeros(len(k)), np.zeros(len(other))
    for start in range(0, k.shape[1], ENTRIES):
        a, b = (side[:, start : start + ENTRIES] for side in (k, other))
        products += a @ b.T
        if other is not k:
            norms_k += np.vecdot(a, a)
            norms_other += np.vecdot(b, b)
    if other is k:
        norms_k = norms_other = products.diagonal()
    return products, norms_k, norms_other


def _squared_norms(x: Array) -> Array:
    """Of the samples."""
    return np.einsum("ij,ij->i", x, x.conj()).real
