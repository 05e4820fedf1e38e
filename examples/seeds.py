"""Means over seeds with their intervals, as the studies print and draw them."""

import numpy as np
from scipy import stats


def interval(values, level=0.95):
    """Mean over the first axis, and the ends of Student's t-interval; nan of a single value.

    What the studies measure lies in [-1, 1], and so do the ends.
    """
    values = np.asarray(values, dtype=float)
    n, mean = len(values), values.mean(axis=0)
    if n < 2:
        return mean, mean * np.nan, mean * np.nan
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return mean, np.maximum(mean - half, -1), np.minimum(mean + half, 1)


def shown(values, digits=2):
    """`0.93 [0.91, 0.95]`: the mean over seeds and its 95 % interval."""
    mean, *ends = (f"{number:.{digits}f}" for number in interval(values))
    return f"{mean} [{', '.join(ends)}]" if len(values) > 1 else mean


def nets_drawn(rng, n):
    """Positions of n nets drawn with replacement, at least two of them different."""
    while True:
        chosen = rng.integers(n, size=n)
        if len(set(chosen)) > 1:
            return chosen
