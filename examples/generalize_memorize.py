"""Nets that generalise against nets that memorise (Morcos et al. 2018, fig. 3).

svcca-monitor sweep configs/generalize_memorize.yaml --log-dir LOGS
python examples/generalize_memorize.py LOGS -o figure.png

Distances are 1 − PWCCA of the same layer of two nets, mean of both directions. Intervals are
percentiles of a bootstrap over the nets of each group; a net drawn twice is not paired with itself.
"""

import argparse
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from seeds import nets_drawn

from svcca_monitor import Run, similarity
from svcca_monitor.experiments.sweep import sweep_runs

PAIRS = {
    "within generalising": (0, 0),
    "within memorising": (1, 1),
    "between": (0, 1),
}
PUBLISHED = {"within generalising": 0.42, "within memorising": 0.62, "between": 0.61}
N_RESAMPLES = 2000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="generalize_memorize.png")
    arguments = parser.parse_args()
    groups = ([], [])
    for _, settings, path in sweep_runs(arguments.logs):
        groups[settings["data.random_labels"] is not None].append(Run(path))
    for name, runs in zip(("true", "random"), groups, strict=True):
        logs = [run.header(run.steps[-1])["logs"] for run in runs]
        train, test = (np.mean([log[key] for log in logs]) for key in ("accuracy", "val_accuracy"))
        print(
            f"{len(runs)} nets on {name} labels: accuracy {train:.3f} in training, {test:.3f} test"
        )

    layers = groups[0][0].layers
    found = {}
    for scale, adjusted in (("PWCCA as published", False), ("PWCCA, chance taken off", True)):
        table = distances([*groups[0], *groups[1]], layers, adjusted=adjusted)
        found[scale] = observed, low, high = with_intervals(table, [len(g) for g in groups])
        print(f"\n{scale}: distances")
        print(f"  {'':8s}" + "".join(f"{name:25s}" for name in observed))
        for i, layer in enumerate(layers):
            cells = [
                f"{values[i]:5.2f} [{low[name][i]:5.2f}, {high[name][i]:5.2f}]"
                for name, values in observed.items()
            ]
            print(f"  {layer:8s}{'     '.join(cells)}")
        published = "".join(f"{PUBLISHED[name]:5.2f}{'':20s}" for name in PAIRS)
        print(f"  layer 9 {published}published")
    draw(layers, found).savefig(arguments.output, dpi=80)


def distances(runs, layers, *, adjusted):
    """Distances of all pairs of runs by layer, (n, n, layers); nan on the diagonal."""
    snapshots = [run.snapshot(run.steps[-1]) for run in runs]
    table = np.full((len(runs), len(runs), len(layers)), np.nan)
    for (i, a), (j, b) in combinations(enumerate(snapshots), 2):
        for k, layer in enumerate(layers):
            both = ((a[layer], b[layer]), (b[layer], a[layer]))
            alike = [similarity(*pair, measure="pwcca", adjusted=adjusted) for pair in both]
            table[i, j, k] = table[j, i, k] = 1 - np.mean(alike)
    return table


def with_intervals(table, sizes, seed=0):
    """`summary` of all nets, and the ends of the 95 % interval of each of its entries."""
    rng = np.random.default_rng(seed)
    everyone = np.arange(sizes[0]), np.arange(sizes[0], sum(sizes))
    observed = summary(table, everyone)
    draws = [
        summary(table, [group[nets_drawn(rng, len(group))] for group in everyone])
        for _ in range(N_RESAMPLES)
    ]
    low, high = (
        {key: np.quantile([each[key] for each in draws], q, axis=0) for key in observed}
        for q in (0.025, 0.975)
    )
    return observed, low, high


def summary(table, groups):
    """Mean distance by layer of each kind of pair, and what memorising adds within a group."""
    found = {
        name: np.nanmean(table[np.ix_(groups[a], groups[b])], axis=(0, 1))
        for name, (a, b) in PAIRS.items()
    }
    found["memorising − generalising"] = found["within memorising"] - found["within generalising"]
    return found


def draw(layers, found):
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, (scale, (observed, low, high)) in zip(
        figure.subplots(1, 2, sharey=True), found.items(), strict=True
    ):
        for name, colour in zip(PAIRS, ("C0", "C1", "C2"), strict=True):
            axes.plot(observed[name], color=colour, marker="o", ms=3, label=name)
            axes.fill_between(range(len(layers)), low[name], high[name], color=colour, alpha=0.2)
        axes.set_xticks(range(len(layers)), layers, rotation=90)
        axes.set(title=scale, ylim=(0, 1))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("distance at the end")
    figure.axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
