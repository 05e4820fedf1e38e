"""Means over seeds with their intervals, as the studies print and draw them."""

import numpy as np

from svcca_monitor.over_runs import mean_interval


def interval(values):
    """Mean over the first axis, and the ends of Student's t-interval; nan of a single value.

    What the studies measure lies in [-1, 1], and so do the ends.
    """
    mean, lower, upper = mean_interval(values)
    return mean, np.maximum(lower, -1), np.minimum(upper, 1)


def shown(values, digits=2):
    """`0.93 [0.91, 0.95]`: the mean over seeds and its 95 % interval."""
    mean, *ends = (f"{number:.{digits}f}" for number in interval(values))
    return f"{mean} [{', '.join(ends)}]" if len(values) > 1 else mean


def said(statistics, digits=2):
    """The same, of mean, lower and upper end as the package gives them; nan ends are left out."""
    mean, *ends = (f"{float(number):.{digits}f}" for number in statistics)
    return mean if "nan" in ends else f"{mean} [{', '.join(ends)}]"
