"""Measures of linear kernels K = XXᴴ, for many layers at once.

They are functions of a few sums over the entries of two kernels, which tiles give: no layer is
factorised, and no kernel is ever held whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .parallel import PASS, in_parallel
from .precision import Coarse, dominated, in_single, product_dtype, turned
from .rounding import SINGLE, centre, noise_of_columns
from .tiles import sums_of_kernels

Array = NDArray[Any]

DOUBLE = np.dtype(np.float64)
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

    def squared_norm_of_kernel(self) -> float | None:
        """Σ|Kᵢⱼ|² in these units, where that is known."""


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

    def squared_norm_of_kernel(self) -> None:
        """Not known."""


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
    left = _varying(rows, single)
    right = left if mirrored else _varying(columns, single)
    grid = np.full((len(rows), len(columns)), np.nan)
    if not left or not right:
        return grid
    xs, ys = ([layer.x for layer in side.values()] for side in (left, right))
    known = [[layer.squared_norm for layer in side.values()] for side in (left, right)]
    wanted = any(None in norms for norms in known)
    products, norms_x, norms_y = sums_of_kernels(xs, ys, mirrored=mirrored, norms=wanted)
    if not wanted:
        norms_x, norms_y = map(np.array, known)
    diagonals_x, diagonals_y = (
        np.array([layer.diagonal for layer in side.values()], np.float64) for side in (left, right)
    )
    traces_x, traces_y = diagonals_x.sum(axis=1), diagonals_y.sum(axis=1)
    shared, n = diagonals_x @ diagonals_y.T, diagonals_x.shape[1]
    own_x, own_y = (
        [Sums(k, d.sum(), d.sum(), float(d @ d), n) for k, d in zip(*side, strict=True)]
        for side in ((norms_x, diagonals_x), (norms_y, diagonals_y))
    )
    for a, i in enumerate(left):
        for b, j in enumerate(right):
            both = Sums(products[a, b], traces_x[a], traces_y[b], shared[a, b], n)
            grid[i, j] = formula(own_x[a] if rows[i] is columns[j] else both, own_x[a], own_y[b])
    return grid


class _Ready(NamedTuple):
    """A layer that varies, ready for products."""

    x: Array  # with K = XXᴴ but for the order of its samples
    diagonal: Array  # of K
    squared_norm: float | None  # of K, where it is known


def _varying(side: Sequence[Weighted], single: bool) -> dict[int, _Ready]:
    """Those that do, by their place, in single precision if that is asked and serves."""

    def ready(layer: Weighted) -> _Ready:
        x, norm = layer.weighted(single=single), layer.squared_norm_of_kernel()
        squares = _squared_norms(x)
        if not single:
            return _Ready(x, squares, norm)
        # Entries are sums over features, in which samples of little weight cost no digits. Beside
        # entries of others their squares do: up to 7e-7 of what is summed, once turned.
        if not dominated(squares):
            return _Ready(turned(x, x.dtype, out=x), squares, norm)
        x = layer.weighted()
        return _Ready(turned(x, x.dtype), _squared_norms(x), norm)

    found = {i: layer for i, layer in enumerate(side) if layer.rank}
    costs = [PASS * layer.n_samples * layer.rank for layer in found.values()]
    return dict(zip(found, in_parallel(ready, list(found.values()), costs), strict=True))


def _squared_norms(x: Array) -> Array:
    """Of the samples."""
    return np.einsum("ij,ij->i", x, x.conj()).real
