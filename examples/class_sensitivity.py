"""How strongly each class correlates with each layer (Raghu et al. 2017, fig. 6).

svcca-monitor sweep configs/class_sensitivity.yaml --log-dir LOGS
python examples/class_sensitivity.py LOGS -o figure.png

The multiple correlation of a class, 1 for its images and 0 for the others, with the directions that
hold 99 % of a layer's variance; of convolutions, with their spatial means, which are the zero
frequency of their Fourier transform. The null is that of labels in another order.
"""

import argparse
from itertools import combinations

import numpy as np
from matplotlib.figure import Figure
from seeds import interval, shown

from svcca_monitor import Run
from svcca_monitor.experiments.sweep import sweep_runs

ALIKE = (("automobile", "truck"), ("cat", "dog"))
N_PERMUTATIONS = 200


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="class_sensitivity.png")
    arguments = parser.parse_args()
    runs = [Run(path) for _, _, path in sweep_runs(arguments.logs)]
    names, layers = runs[0].facts["class_names"], runs[0].layers
    labels = np.array(runs[0].facts["labels"])
    found = np.array([[sensitivity(run, step, labels) for step in run.steps] for run in runs])
    rng = np.random.default_rng(0)
    null = np.array(
        [
            sensitivity(run, run.steps[-1], rng.permutation(labels))
            for run in runs
            for _ in range(N_PERMUTATIONS // len(runs))
        ]
    )
    print(f"{len(runs)} seeds; correlation of classes with layers at the end, mean of classes")
    for i, layer in enumerate(layers):
        high = np.quantile(null[:, i], 0.95)
        print(
            f"  {layer:7s} {shown(found[:, -1, i].mean(axis=1))}  chance {null[:, i].mean():.2f}, "
            f"95 % below {high:.2f}"
        )
    print_alike(found[:, -1], names)
    draw(found, null, names, layers, runs[0].epochs).savefig(arguments.output, dpi=80)


def sensitivity(run, step, labels):
    """Correlations (layer, class)."""
    classes = np.eye(labels.max() + 1)[labels]
    classes -= classes.mean(axis=0)
    classes /= np.linalg.norm(classes, axis=0)
    kept = [layer.truncate(explained_variance=0.99) for layer in run.snapshot(step).values()]
    return [np.linalg.norm(subspace.basis.T @ classes, axis=0) for subspace in kept]


def print_alike(ends, names):
    """Do the curves of alike classes lie closer together than those of other pairs?"""
    known = [pair for pair in ALIKE if set(pair) <= set(names)]
    apart = {
        (a, b): np.abs(ends[:, :, i] - ends[:, :, j]).mean(axis=1)
        for (i, a), (j, b) in combinations(enumerate(names), 2)
    }
    others = np.mean([values for pair, values in apart.items() if pair not in known], axis=0)
    print("difference of two curves, mean of layers; published for alike classes 0.02 to 0.05")
    for pair in known:
        print(f"  {pair[0]} and {pair[1]}: {shown(apart[pair])}")
    print(f"  other pairs, mean: {shown(others)}")


def draw(found, null, names, layers, epochs):
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    colours = {"automobile": "C0", "truck": "C0", "cat": "C1", "dog": "C1"}
    watched = len(layers) - 1 - layers[::-1].index("fc1") if "fc1" in layers else -1
    for axes, values, x in (
        (left, found[:, -1], np.arange(len(layers))),
        (right, found[:, :, watched], epochs),
    ):
        mean, lower, upper = interval(values)
        for c, name in enumerate(names):
            colour = colours.get(name, "0.65")
            dashed = "--" if name in ("truck", "dog") else "-"
            axes.plot(x, mean[:, c], color=colour, ls=dashed, lw=1.8 if name in colours else 1)
            if name in colours:
                axes.fill_between(x, lower[:, c], upper[:, c], color=colour, alpha=0.08, lw=0)
    label_ends(left, interval(found[:, -1])[0][-1], names, colours, len(layers) - 1)
    band = np.quantile(null, (0.025, 0.975), axis=(0, 2))
    left.fill_between(range(len(layers)), *band, color="C2", alpha=0.35, lw=0)
    left.text(0.99, 0.02, "band: labels in another order", transform=left.transAxes, ha="right")
    right.fill_between(epochs, *band[:, [watched] * len(epochs)], color="C2", alpha=0.35, lw=0)
    left.set_xticks(range(len(layers)), layers, rotation=90)
    left.set(ylabel=f"correlation with the class, {len(found)} seeds", title="at the end, by depth")
    right.set(xlabel="epoch", title=f"{layers[watched]} through training", ylim=(0, 0.9))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def label_ends(axes, ends, names, colours, x):
    """Name the curves at their right ends, moved apart where they would overlap."""
    order, last = np.argsort(ends), -np.inf
    for c in order:
        last = max(ends[c], last + 0.035)
        axes.annotate(
            names[c], (x, ends[c]), (x + 0.3, last), fontsize=8, va="center",
            color=colours.get(names[c], "0.4"),
        )  # fmt: skip
    axes.set_xlim(-0.3, x + 3)


if __name__ == "__main__":
    main()
