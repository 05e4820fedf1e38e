"""Nets that generalise against nets that memorise (Morcos et al. 2018, fig. 3).

svcca-monitor sweep configs/generalize_memorize.yaml --log-dir LOGS
python examples/generalize_memorize.py LOGS -o figure.png

Distances are 1 − PWCCA of the same layer of two nets, mean of both directions and of all pairs of
nets. Intervals are over nets, by the jackknife: pairs that share a net are not independent.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure

from svcca_monitor import Run, compare_groups
from svcca_monitor.experiments.sweep import sweep_runs

PAIRS = {
    "within generalising": ("generalising", "generalising"),
    "within memorising": ("memorising", "memorising"),
    "between": ("generalising", "memorising"),
}
PUBLISHED = {"within generalising": 0.42, "within memorising": 0.62, "between": 0.61}
SCALES = {"PWCCA as published": False, "PWCCA, chance taken off": True}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="generalize_memorize.png")
    arguments = parser.parse_args()
    groups = {"generalising": [], "memorising": []}
    for _, settings, path in sweep_runs(arguments.logs):
        random = settings["data.random_labels"] is not None
        groups["memorising" if random else "generalising"].append(Run(path))
    for name, runs in groups.items():
        logs = [run.header(run.steps[-1])["logs"] for run in runs]
        train, test = (np.mean([log[key] for log in logs]) for key in ("accuracy", "val_accuracy"))
        print(f"{len(runs)} {name} nets: accuracy {train:.3f} in training, {test:.3f} test")

    found = {}
    for scale, adjusted in SCALES.items():
        compared = compare_groups(groups, measure="pwcca", adjusted=adjusted, method="jackknife")
        found[scale] = distances(compared)
        print(f"\n{scale}: distances; chance {float(1 - compared['chance'].mean()):.2f}")
        print(f"  {'':8s}" + "".join(f"{name:25s}" for name in found[scale]))
        for i, layer in enumerate(compared["layer"].values):
            cells = (shown(*(end[i] for end in ends)) for ends in found[scale].values())
            print(f"  {layer:8s}{'    '.join(cells)}")
        published = "".join(f"{PUBLISHED[name]:5.2f}{'':20s}" for name in PAIRS)
        print(f"  layer 9 {published}published")
    draw(compared["layer"].values, found).savefig(arguments.output, dpi=80)


def distances(compared):
    """(distance, lower, upper) by layer, of each kind of pair, and of what memorising adds."""
    found = {}
    for name, (group, other) in PAIRS.items():
        pairs = compared.sel(group=group, other_group=other)
        found[name] = [1 - pairs[key].values for key in ("similarity", "upper", "lower")]
    (a, _, high_a), (b, _, high_b) = found["within generalising"], found["within memorising"]
    half = np.hypot(high_a - a, high_b - b)  # the nets of both groups are independent
    found["memorising − generalising"] = [b - a, b - a - half, b - a + half]
    return found


def shown(value, lower, upper):
    return f"{value:5.2f} [{lower:5.2f}, {upper:5.2f}]"


def draw(layers, found):
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    for axes, (scale, curves) in zip(
        figure.subplots(1, 2, sharey=True), found.items(), strict=True
    ):
        for name, colour in zip(PAIRS, ("C0", "C1", "C2"), strict=True):
            value, lower, upper = curves[name]
            axes.plot(value, color=colour, marker="o", ms=3, label=name)
            axes.fill_between(range(len(layers)), lower, upper, color=colour, alpha=0.2)
        axes.set_xticks(range(len(layers)), layers, rotation=90)
        axes.set(title=scale, ylim=(0, 1))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("distance at the end")
    figure.axes[0].legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
