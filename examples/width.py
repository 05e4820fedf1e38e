"""Are wider nets more alike, and better? (Morcos et al. 2018, fig. 4.)

svcca-monitor sweep configs/width.yaml --log-dir LOGS
python examples/width.py LOGS -o figure.png

The distance of a width is 1 − PWCCA of the same layer of two seeds, averaged over both directions,
layers and pairs of seeds. Intervals are by the jackknife over nets: pairs that share a net are not
independent.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from seeds import said

from svcca_monitor import Run
from svcca_monitor.experiments.all_pairs import compare_runs
from svcca_monitor.experiments.sweep import sweep_runs
from svcca_monitor.over_runs import mean_interval, pair_mean_interval


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="width.png")
    arguments = parser.parse_args()
    nets = {}
    for _, settings, path in sweep_runs(arguments.logs):
        nets.setdefault(settings["model.parameters.width"], []).append(path)
    nets = dict(sorted(nets.items()))
    widths = list(nets)
    accuracy = [np.array([accuracy_of(Run(path)) for path in paths]) for paths in nets.values()]
    scores = np.array([mean_interval(each) for each in accuracy])

    found = {}
    for scale, adjusted in (("PWCCA as published", False), ("PWCCA, chance taken off", True)):
        tables = [distances(paths, adjusted=adjusted) for paths in nets.values()]
        found[scale] = np.array([of_pairs(table) for table in tables])
        print(f"\n{scale}: distance between seeds")
        for width, distance, score, each in zip(
            widths, found[scale], scores, accuracy, strict=True
        ):
            numbers = f"distance {said(distance, 3)}  accuracy {said(score, 3)}"
            print(f"  width {width:<4g} {numbers}  {len(each)} seeds")
        r = correlation(tables, accuracy)
        print(f"  r with accuracy: {said(r)}  published −0.96")
        logarithms = [
            np.full(len(each), np.log(w)) for w, each in zip(widths, accuracy, strict=True)
        ]
        print(f"  r with log width: {said(correlation(tables, logarithms))}")
    draw(widths, found, scores[:, 0]).savefig(arguments.output, dpi=80)


def accuracy_of(run):
    return run.header(run.steps[-1])["logs"]["val_accuracy"]


def distances(paths, *, adjusted):
    """Distances of all pairs of runs, (n, n): means over layers and both directions."""
    alike = compare_runs(paths, measure="pwcca", adjusted=adjusted).mean("layer").values
    return 1 - (alike + alike.T) / 2


def of_pairs(table):
    """Mean over pairs of different nets with its interval within [0, 1]; of two nets, no ends."""
    ends = pair_mean_interval(table[None], range(len(table)))
    return [float(np.clip(end[0], 0, 1)) for end in ends]


def correlation(tables, values):
    """Correlation over widths of mean distance and mean value, with a 95 % interval over nets.

    Each net is left out in turn (Arvesen 1969), on Fisher's scale, on which the ends stay within
    ±1; degrees of freedom as in the smallest group.
    """

    def z(left_out=(None, None)):
        means = []
        for i, (table, value) in enumerate(zip(tables, values, strict=True)):
            rest = [k for k in range(len(table)) if (i, k) != left_out]
            a, b = np.triu_indices(len(rest), 1)
            means.append((table[np.ix_(rest, rest)][a, b].mean(), value[rest].mean()))
        return np.arctanh(np.clip(np.corrcoef(*np.transpose(means))[0, 1], -1 + 1e-12, 1 - 1e-12))

    sizes = [len(table) for table in tables]
    if min(sizes) < 3:  # without one of two nets there is no pair
        return [np.tanh(z()), np.nan, np.nan]
    variance = 0.0
    for i, n in enumerate(sizes):
        each = [z((i, k)) for k in range(n)]
        variance += (n - 1) * np.var(each)
    half = stats.t.ppf(0.975, min(sizes) - 1) * np.sqrt(variance)
    return list(np.tanh([z(), z() - half, z() + half]))


def draw(widths, found, accuracy):
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for (scale, distance), colour in zip(found.items(), ("C0", "C1"), strict=True):
        bars(left, widths, distance, color=colour, label=scale)
    as_published = next(iter(found.values()))
    bars(right, accuracy, as_published, color="C0", ls="")
    for width, x, (y, *_) in zip(widths, accuracy, as_published, strict=True):
        others = np.delete(accuracy - x, widths.index(width))
        # Beside the point, on the side that other points are farther from.
        side = 1 if others[np.abs(others).argmin()] < 0 else -1
        right.annotate(
            f"×{width:g}", (x, y), (6 * side, 0), textcoords="offset points", fontsize=8,
            ha="left" if side > 0 else "right", va="center",
        )  # fmt: skip
    right.margins(x=0.15)
    left.set(xscale="log", xlabel="width", ylabel="distance between seeds, mean of layers")
    left.set_xticks(widths, [f"×{width:g}" for width in widths])
    left.minorticks_off()
    left.legend(frameon=False)
    right.set(xlabel="accuracy on test images")
    ends = np.concatenate([distance.ravel() for distance in found.values()])
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_ylim(max(0, np.nanmin(ends) - 0.03), min(1, np.nanmax(ends) + 0.03))
    return figure


def bars(axes, x, distance, **style):
    mean, low, high = distance.T
    ends = np.nan_to_num([mean - low, high - mean])
    axes.errorbar(x, mean, ends, marker="o", capsize=3, **style)


if __name__ == "__main__":
    main()
