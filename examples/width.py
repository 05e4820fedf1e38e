"""Are wider nets more alike, and better? (Morcos et al. 2018, fig. 4.)

svcca-monitor sweep configs/width.yaml --log-dir LOGS
python examples/width.py LOGS -o figure.png

The distance of a width is 1 − PWCCA of the same layer of two seeds, averaged over both directions,
layers and pairs of seeds. Intervals are percentiles of a bootstrap over the nets of each width; a
net drawn twice is not paired with itself.
"""

import argparse
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from seeds import nets_drawn

from svcca_monitor import Run, similarity
from svcca_monitor.experiments.sweep import sweep_runs

N_RESAMPLES = 2000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="width.png")
    arguments = parser.parse_args()
    nets = {}
    for _, settings, path in sweep_runs(arguments.logs):
        nets.setdefault(settings["model.parameters.width"], []).append(Run(path))
    nets = dict(sorted(nets.items()))
    accuracy = [np.array([accuracy_of(run) for run in runs]) for runs in nets.values()]

    found = {}
    for scale, adjusted in (("PWCCA as published", False), ("PWCCA, chance taken off", True)):
        tables = [distances(runs, adjusted=adjusted) for runs in nets.values()]
        found[scale] = observed, low, high = with_intervals(list(nets), tables, accuracy)
        print(f"\n{scale}: distance between seeds")
        for i, (width, runs) in enumerate(nets.items()):
            both = [
                f"{key} {observed[key][i]:.3f} [{low[key][i]:.3f}, {high[key][i]:.3f}]"
                for key in ("distance", "accuracy")
            ]
            print(f"  width {width:<4g} {both[0]}  {both[1]}  {len(runs)} seeds")
        for key, published in (("r with accuracy", "−0.96"), ("r with log width", "–")):
            interval = f"[{low[key]:.2f}, {high[key]:.2f}]"
            print(f"  {key}: {observed[key]:.2f} {interval}  published {published}")
    draw(list(nets), found).savefig(arguments.output, dpi=80)


def accuracy_of(run):
    return run.header(run.steps[-1])["logs"]["val_accuracy"]


def distances(runs, *, adjusted):
    """Distances of all pairs of runs, (n, n), means over layers; nan on the diagonal."""
    snapshots = [run.snapshot(run.steps[-1]) for run in runs]
    table = np.full((len(runs), len(runs)), np.nan)
    for (i, a), (j, b) in combinations(enumerate(snapshots), 2):
        alike = [
            similarity(x, y, measure="pwcca", adjusted=adjusted)
            for layer in a
            for x, y in ((a[layer], b[layer]), (b[layer], a[layer]))
        ]
        table[i, j] = table[j, i] = 1 - np.mean(alike)
    return table


def with_intervals(widths, tables, accuracy, seed=0):
    """What `summary` gives of all nets, with the ends of the 95 % interval of each entry."""
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(N_RESAMPLES):
        chosen = [nets_drawn(rng, len(table)) for table in tables]
        draws.append(summary(widths, tables, accuracy, chosen))
    observed = summary(widths, tables, accuracy, [range(len(table)) for table in tables])
    low, high = (
        {key: np.quantile([draw[key] for draw in draws], q, axis=0) for key in observed}
        for q in (0.025, 0.975)
    )
    return observed, low, high


def summary(widths, tables, accuracy, chosen):
    """Of the chosen nets: distance and accuracy of each width, and how they go together."""
    distance = [np.nanmean(table[np.ix_(c, c)]) for table, c in zip(tables, chosen, strict=True)]
    scores = [values[list(c)].mean() for values, c in zip(accuracy, chosen, strict=True)]
    return {
        "distance": distance,
        "accuracy": scores,
        "r with accuracy": np.corrcoef(distance, scores)[0, 1],
        "r with log width": np.corrcoef(distance, np.log(widths))[0, 1],
    }


def draw(widths, found):
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for (scale, (observed, low, high)), colour in zip(found.items(), ("C0", "C1"), strict=True):
        bars = [np.subtract(observed["distance"], low["distance"])]
        bars.append(np.subtract(high["distance"], observed["distance"]))
        for axes, x in ((left, widths), (right, observed["accuracy"])):
            axes.errorbar(
                x, observed["distance"], np.maximum(bars, 0),
                color=colour, marker="o", capsize=3, ls="-" if axes is left else "", label=scale,
            )  # fmt: skip
    for width, x, y in zip(widths, observed["accuracy"], high["distance"], strict=True):
        right.annotate(f"×{width:g}", (x, y), (0, 5), textcoords="offset points", ha="center")
    left.set(xscale="log", xlabel="width", ylabel="distance between seeds, mean of layers")
    left.set_xticks(widths, [f"×{width:g}" for width in widths])
    left.minorticks_off()
    left.legend(frameon=False)
    right.set(xlabel="accuracy on test images")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.set_ylim(0, 1)
    return figure


if __name__ == "__main__":
    main()
