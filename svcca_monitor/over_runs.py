"""Intervals over runs: how far a mean hangs on which seeds happened to be trained."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from .arguments import require_share, require_whole
from .messages import unknown_name
from .subspace import Array

Method = Literal["t", "bootstrap"]
PairMethod = Literal["bootstrap", "jackknife"]

N_RESAMPLES = 2000


def mean_interval(
    values: ArrayLike,
    *,
    interval: float = 0.95,
    method: Method = "t",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[Array, Array, Array]:
    """Mean over runs, and an interval for what the mean over all seeds would be.

    `"t"` is Student's interval, mean ± t_{n−1} s/√n (Student 1908), right for any number of runs if
    they spread normally and close to it for most that do not. `"bootstrap"` takes percentiles of
    the means of resampled runs. For few runs these lie too close, by √((n−1)/n) and by what t is
    wider than the normal law, so they are expanded as by Hesterberg 2015 (arXiv:1411.5279): the
    tail is Φ(−√(n/(n−1)) t_{n−1}). It assumes no symmetry, but cannot reach beyond the runs that
    there are: three runs give an interval from the lowest to the highest, whatever the level.

    Args:
        values: Shape (n_runs, …); runs that are nan are left out, each place by itself.
        interval: Level, in (0, 1).
        method: `"t"` or `"bootstrap"`.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        Mean, lower and upper end, each of shape (…). The mean is nan without a run, the ends with
        fewer than two.

    Raises:
        ValueError: If the level is no share or the method is unknown.
    """
    require_interval(interval, n_resamples)
    require_method(method, Method)
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    n = known.sum(axis=0)
    enough = n > 1
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / n
        if method == "t":
            squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
            error = np.sqrt(squares / (n - 1) / n)
            half = stats.t.ppf((1 + interval) / 2, np.maximum(n - 1, 1)) * error
            low, high = mean - half, mean + half
        else:
            drawn = counts(len(values), n_resamples, np.random.default_rng(seed))
            flat, at = filled.reshape(len(values), -1), known.reshape(len(values), -1)
            means = (drawn @ flat) / (drawn @ at)
            low, high = percentiles(means, n.reshape(-1), interval).reshape(2, *mean.shape)
    return mean, np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def pair_mean_interval(
    similarities: Array,
    rows: ArrayLike,
    columns: ArrayLike | None = None,
    *,
    interval: float = 0.95,
    method: PairMethod = "jackknife",
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[Array, Array, Array]:
    """Mean over pairs of runs, with an interval over runs.

    Pairs that share a run are not independent: ten pairs of five runs are five pieces of evidence,
    not ten. Hence runs are left out or resampled, and pairs follow.

    `"jackknife"` leaves out one run of each group at a time, and takes a t-interval with one degree
    of freedom less than runs in the smaller group (Arvesen 1969, Ann. Math. Statist. 40:2076). It
    is the one to take for few runs: where runs differ more than pairs do, its 95 % intervals within
    3, 4, 5, 8 and 12 simulated runs held the truth 94 to 97 times in a hundred, 88 to 91 times if
    runs are skewed as the exponential law; between groups, and where runs hardly differ, more often
    than it says.

    `"bootstrap"` draws runs with replacement (the vertex bootstrap of Snijders and Borgatti 1999,
    Connections 22:161): a pair counts as often as the product of how often its runs were drawn. A
    run that meets itself is left out. The percentiles are expanded for few runs, as in
    `mean_interval`, by the size of the smaller group. It assumes no symmetry, but has no resample
    outside of the runs that there are: in the same simulation its 95 % intervals held the truth 49,
    78, 91, 91 and 94 times in a hundred. Take it from eight runs on.

    Args:
        similarities: Shape (n_layers, n_runs, n_runs); nan where a pair has no value.
        rows: Indices of the runs of one group.
        columns: Indices of those of another; None for the pairs within `rows`, each counted once.
        interval: Level, in (0, 1).
        method: `"jackknife"` or `"bootstrap"`.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        Mean, lower and upper end, each of shape (n_layers,). The ends are nan with fewer than three
        runs within a group, or two in one of both groups: such few have no spread.

    Raises:
        ValueError: If the level is no share or the method is unknown.
    """
    require_interval(interval, n_resamples)
    require_method(method, PairMethod)
    a = np.asarray(rows)
    b = a if columns is None else np.asarray(columns)
    block = similarities[:, a][:, :, b]
    known = np.isfinite(block)
    if columns is None:
        known &= ~np.eye(len(a), dtype=bool)
    block = np.where(known, block, 0.0)

    def means(of_a: Array, of_b: Array) -> Array:
        """(n_draws, n_layers), from how often each run was drawn, (n_draws, n_runs)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            total, pairs = (
                np.einsum("dai,di->da", np.einsum("di,aij->daj", of_a, each), of_b)
                for each in (block, known.astype(np.float64))
            )
            return total / pairs

    whole = np.ones((1, len(a))), np.ones((1, len(b)))
    mean = means(*whole)[0]
    fewest = min(len(a), len(b))
    if fewest < (3 if columns is None else 2):
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    if method == "bootstrap":
        rng = np.random.default_rng(seed)
        of_a = counts(len(a), n_resamples, rng)
        of_b = of_a if columns is None else counts(len(b), n_resamples, rng)
        low, high = percentiles(means(of_a, of_b), np.full(len(mean), fewest), interval)
        return mean, low, high
    without_a, without_b = (1.0 - np.eye(len(each)) for each in (a, b))
    if columns is None:
        left_out = [means(without_a, without_a)]
    else:
        left_out = [
            means(without_a, np.ones((len(a), len(b)))),
            means(np.ones((len(b), len(a))), without_b),
        ]
    variance = sum(
        (len(each) - 1) / len(each) * ((each - each.mean(axis=0)) ** 2).sum(axis=0)
        for each in left_out
    )
    half = stats.t.ppf((1 + interval) / 2, fewest - 1) * np.sqrt(variance)
    return mean, mean - half, mean + half


def counts(n_runs: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """How often each run is drawn, with replacement: (n_resamples, n_runs)."""
    return rng.multinomial(n_runs, np.full(n_runs, 1 / n_runs), size=n_resamples).astype(float)


def percentiles(resampled: Array, n_runs: Array, interval: float) -> Array:
    """Expanded percentiles over the resamples that have a value: (2, n) from (n_resamples, n)."""
    ends = np.full((2, resampled.shape[1]), np.nan)
    for i, (column, n) in enumerate(zip(resampled.T, n_runs, strict=True)):
        valid = column[np.isfinite(column)]
        if n > 1 and len(valid):
            t = stats.t.ppf((1 + interval) / 2, n - 1)
            tail = stats.norm.cdf(-np.sqrt(n / (n - 1)) * t)
            ends[:, i] = np.quantile(valid, [tail, 1 - tail])
    return ends


def require_interval(interval: float, n_resamples: int = N_RESAMPLES) -> None:
    """ValueError unless the level is a share, and there is a resample."""
    require_share("interval", interval, within="(0, 1)")
    require_whole("n_resamples", n_resamples, least=2)


def require_method(method: str, known: object) -> None:
    """ValueError with the nearest name, unless the method is known."""
    if method not in get_args(known):
        raise ValueError(unknown_name("method", method, get_args(known)))
