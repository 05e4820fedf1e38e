"""Directions of one layer in two nets: those that agree, and the raw neurons beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from .arguments import require_whole
from .canonical import cca
from .classes import indicators, require_labels_of
from .messages import unknown_name
from .subspace import Array, Subspace, as_subspace, require_same_probe

By = Literal["variance", "correlation"]


@dataclass(frozen=True, eq=False)
class DirectionPairs:
    """Directions of x and of y in pairs, most important first.

    Attributes:
        correlations: Of the two traces of each pair, at least 0, shape (k,).
        x_traces: What each direction says of each sample: mean 0 and variance 1, (k, n_samples).
        y_traces: The same of y; turned so that it correlates with its partner at 0 or above.
        x_directions: Weights of the neurons, ``x_traces = x_directions @ (x - x.mean(axis=0)).T``,
            shape (k, n_x_features). Of a raw neuron there is one weight that is not 0.
        y_directions: The same of y.
        chance: What the correlation of each pair is on average where the rows of y are in random
            order and pairs are sought again, shape (k,); nan without permutations.
        chance_upper: The 97.5 % quantile of these.
    """

    correlations: Array
    x_traces: Array
    y_traces: Array
    x_directions: Array
    y_directions: Array
    chance: Array
    chance_upper: Array


@dataclass(frozen=True, eq=False)
class ClassShare:
    """Between-class share of the variance of traces, with what is expected by chance.

    Attributes:
        values: η² of each trace, in [0, 1], shape (k,).
        chance: Its mean over all orders of the labels, (n_classes - 1) / (n_samples - 1), exactly.
        chance_upper: 97.5 % quantile over random orders of the labels, shape (k,); nan without.
    """

    values: Array
    chance: float
    chance_upper: Array


def aligned_directions(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    *,
    k: int = 5,
    explained_variance: float | None = 0.99,
    n_permutations: int = 100,
    seed: int = 0,
) -> DirectionPairs:
    """The directions of two layers that agree best (Raghu et al. 2017, §2 and figure 1).

    The canonical variates of the directions that the cut of SVCCA keeps, the first k pairs.

    Args:
        x: Activations of shape (n_samples, n_features), or their `Subspace`.
        y: The same of the other net: row i of both is probe example i.
        k: How many pairs; fewer if a layer has fewer directions.
        explained_variance: The cut; None for all directions (plain CCA).
        n_permutations: How often the rows of y are put in random order for the chance level.
        seed: The same seed gives the same permutations.

    Raises:
        ValueError: If the layers cannot be compared, are complex, or a setting is out of range.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(200, 4))
        >>> pairs = aligned_directions(x, x @ rng.normal(size=(4, 4)), k=2)
        >>> pairs.correlations.round(6).tolist(), pairs.x_traces.shape
        ([1.0, 1.0], (2, 200))
    """
    sx, sy = _pair(x, y, k, n_permutations)
    sx = sx.truncate(explained_variance=explained_variance)
    sy = sy.truncate(explained_variance=explained_variance)
    found = cca(sx, sy)
    top = slice(0, k)
    rng = np.random.default_rng(seed)
    null = [
        np.linalg.svd(sx.basis.T @ sy.basis[rng.permutation(sy.n_samples)], compute_uv=False)[top]
        for _ in range(n_permutations)
    ]
    # The sign of a pair is free: the side of the longer tail is up, in both.
    signs = np.where(np.sum(found.x_variates[top] ** 3, axis=1) < 0, -1.0, 1.0)[:, None]
    chance, upper = _chance(null, len(found.correlations[top]))
    return DirectionPairs(
        found.correlations[top],
        signs * found.x_variates[top],
        signs * found.y_variates[top],
        signs * found.x_weights[top],
        signs * found.y_weights[top],
        chance,
        upper,
    )


def raw_neurons(
    x: ArrayLike | Subspace,
    y: ArrayLike | Subspace,
    *,
    k: int = 5,
    by: By = "variance",
    n_permutations: int = 100,
    seed: int = 0,
) -> DirectionPairs:
    """Single neurons of two layers in pairs, to see aligned directions against.

    Args:
        x: Activations of shape (n_samples, n_features), or a `Subspace`, from whose factors the
            neurons are put together again: of one that was truncated, within the directions that
            it holds.
        y: The same of the other net.
        k: How many pairs.
        by: `"variance"` pairs the neuron of most variance of x with that of y, and so on: what
            one sees who looks at both nets without knowing how they match. `"correlation"` is the
            best that neurons can do: each neuron of the smaller layer gets another partner, so
            that the sum of the absolute correlations is largest, and the best k pairs are kept.
        n_permutations: How often the rows of y are put in random order for the chance level.
        seed: The same seed gives the same permutations.

    Raises:
        ValueError: If the layers cannot be compared, are complex, or a setting is out of range.
    """
    if by not in ("variance", "correlation"):
        raise ValueError(unknown_name("way to pair neurons", by, ("variance", "correlation")))
    sx, sy = _pair(x, y, k, n_permutations)
    x_spread, y_spread = _spread(sx), _spread(sy)
    if by == "variance":
        rows, columns = _loudest(x_spread, k), _loudest(y_spread, k)
        shared = min(len(rows), len(columns))
        rows, columns = rows[:shared], columns[:shared]
    else:
        rows, columns = np.flatnonzero(x_spread), np.flatnonzero(y_spread)
    x_all, y_all = _neurons(sx, rows), _neurons(sy, columns)
    i, j = _matched(x_all.T @ y_all, by, k)
    rng = np.random.default_rng(seed)
    null = []
    for _ in range(n_permutations):
        cross = x_all.T @ y_all[rng.permutation(sy.n_samples)]
        null.append(np.abs(cross[_matched(cross, by, k)]))
    cross = np.sum(x_all[:, i] * y_all[:, j], axis=0)
    chance, upper = _chance(null, len(i))
    scale = np.sqrt(sx.n_samples - 1)
    signs = np.where(cross < 0, -1.0, 1.0)
    weights = np.zeros((len(i), sx.n_features)), np.zeros((len(i), sy.n_features))
    weights[0][np.arange(len(i)), rows[i]] = scale / x_spread[rows[i]]
    weights[1][np.arange(len(i)), columns[j]] = signs * scale / y_spread[columns[j]]
    return DirectionPairs(
        np.minimum(np.abs(cross), 1.0),
        scale * x_all[:, i].T,
        signs[:, None] * scale * y_all[:, j].T,
        *weights,
        chance,
        upper,
    )


def class_share(
    traces: ArrayLike, labels: ArrayLike, *, n_permutations: int = 100, seed: int = 0
) -> ClassShare:
    """Between-class share of the variance of each trace: η² of a one-way analysis of variance.

    η² = Σ_c n_c (m_c − m)² / Σ_i (t_i − m)², with m_c the mean of class c. 1: the trace is
    constant within classes; a trace that knows nothing of them scores (C − 1)/(n − 1) on average.

    Args:
        traces: Shape (k, n_samples).
        labels: Class indices, shape (n_samples,).
        n_permutations: How often the labels are put in random order.
        seed: The same seed gives the same permutations.

    Raises:
        ValueError: If shapes do not fit.

    Example:
        >>> share = class_share([[1.0, 1.0, 3.0, 3.0], [1.0, 2.0, 1.0, 2.0]], [0, 0, 1, 1])
        >>> share.values.tolist(), round(share.chance, 3)
        ([1.0, 0.0], 0.333)
    """
    rows = np.atleast_2d(np.asarray(traces, dtype=np.float64))
    given = np.asarray(labels)
    if given.ndim != 1:
        raise ValueError(
            f"`labels` must be class indices of shape (n_samples,). Received: shape {given.shape}."
        )
    columns, _ = indicators(given)
    require_labels_of(len(columns), rows.shape[1], "`traces`")
    columns = columns[:, columns.any(axis=0)]
    sizes = columns.sum(axis=0)
    centred = rows - rows.mean(axis=1, keepdims=True)
    total = np.sum(centred**2, axis=1)
    total[np.ptp(rows, axis=1) == 0] = np.nan

    def share(order: Array) -> Array:
        return np.sum((centred @ columns[order]) ** 2 / sizes, axis=1) / total

    rng = np.random.default_rng(seed)
    null = [share(rng.permutation(len(columns))) for _ in range(n_permutations)]
    chance = (columns.shape[1] - 1) / (len(columns) - 1)
    return ClassShare(
        np.minimum(share(np.arange(len(columns))), 1.0), chance, _chance(null, len(rows))[1]
    )


def _pair(
    x: ArrayLike | Subspace, y: ArrayLike | Subspace, k: int, n_permutations: int
) -> tuple[Subspace, Subspace]:
    require_whole("k", k, least=1)
    require_whole("n_permutations", n_permutations, least=0)
    sx, sy = as_subspace(x, "x"), as_subspace(y, "y")
    require_same_probe(sx, sy)
    for s, name in ((sx, "x"), (sy, "y")):
        s.require_loadings(name)
        if np.iscomplexobj(s.basis):
            raise ValueError(f"`{name}` is complex: its traces cannot be laid beside real ones.")
        if not s.rank:
            raise ValueError(f"`{name}` is constant: it has no direction.")
    return sx, sy


def _spread(s: Subspace) -> Array:
    """Length of each centred neuron; 0 where it is no more than rounding."""
    lengths = np.linalg.norm(s.loadings * s.singular_values, axis=1)
    return np.where(lengths > lengths.max() * s.n_features * np.finfo(np.float32).eps, lengths, 0.0)


def _loudest(spread: Array, k: int) -> Array:
    order = np.argsort(-spread, kind="stable")[:k]
    return order[spread[order] > 0]


def _neurons(s: Subspace, chosen: Array) -> Array:
    """Centred neurons of length 1, put together from the factors, (n_samples, n_chosen)."""
    columns = s.basis @ (s.loadings[chosen] * s.singular_values).T
    return columns / np.linalg.norm(columns, axis=0)


def _matched(cross: Array, by: By, k: int) -> tuple[Array, Array]:
    """Which rows and columns of a matrix of correlations are pairs, the best first."""
    if by == "variance":
        pairs = np.arange(min(cross.shape))
        return pairs, pairs
    rows, columns = linear_sum_assignment(np.abs(cross), maximize=True)
    best = np.argsort(-np.abs(cross[rows, columns]), kind="stable")[:k]
    return rows[best], columns[best]


def _chance(null: list[Array], k: int) -> tuple[Array, Array]:
    """Mean and upper quantile of what permutations gave."""
    if not null:
        return np.full(k, np.nan), np.full(k, np.nan)
    return np.mean(null, axis=0), np.quantile(null, 0.975, axis=0)
