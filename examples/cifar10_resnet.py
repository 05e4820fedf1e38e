"""Stripes of a residual net's grid, against the same net without skips (Raghu et al. 2017, fig. 4).

svcca-monitor sweep configs/cifar10_resnet.yaml --log-dir LOGS
python examples/cifar10_resnet.py LOGS -o figure.png

Stripe score: similarity of the nodes of a block with the residual nodes of earlier blocks of its
stage, minus that with the other nodes (convolutions, normalisations) of the same earlier blocks;
mean over pairs. Above 0, the columns of residual nodes stand out as stripes.
"""

import argparse
import re

import numpy as np
from matplotlib.figure import Figure
from seeds import shown

from svcca_monitor import Run, pane
from svcca_monitor.experiments.sweep import sweep_runs

NODE = re.compile(r"s(?P<stage>\d)b(?P<block>\d+)_(?P<kind>conv1|bn1|conv2|bn2|residual)$")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="cifar10_resnet.png")
    arguments = parser.parse_args()
    nets = {True: [], False: []}
    for _, settings, path in sweep_runs(arguments.logs):
        nets[settings["model.parameters.skips"]].append(Run(path))

    scores = {}
    for skips, runs in nets.items():
        grids = [pane(run, "final", adjusted=True) for run in runs]
        before = [pane(run, "initial", "initial", adjusted=True) for run in runs]
        scores[skips] = [stripe_score(grid) for grid in grids]
        print(f"\n{'with' if skips else 'without'} skips, {len(runs)} seeds, chance taken off")
        print(f"  stripe score at the end:    {shown(scores[skips])}")
        print(f"  stripe score when untrained: {shown([stripe_score(g) for g in before])}")
        chance = np.mean([float(pane(run, "final")["chance"].mean()) for run in runs])
        print(f"  mean chance level of a cell: {chance:.2f}")
    difference = np.subtract(scores[True], scores[False])
    print(f"\nwith minus without skips, seed by seed: {shown(difference)}; expected above 0")
    draw(nets, scores).savefig(arguments.output, dpi=80)


def stripe_score(grid):
    """See above; `grid` is (layer, reference_layer) of one moment."""
    nodes = {name: NODE.match(name) for name in grid["layer"].values}
    residual, others = [], []
    for later, a in nodes.items():
        for earlier, b in nodes.items():
            if a and b and a["stage"] == b["stage"] and int(b["block"]) < int(a["block"]):
                cell = float(grid.sel(layer=later, reference_layer=earlier))
                (residual if b["kind"] == "residual" else others).append(cell)
    return np.mean(residual) - np.mean(others)


def draw(nets, scores):
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    for axes, (skips, runs) in zip(figure.subplots(1, 2), nets.items(), strict=True):
        names = runs[0].layers
        grid = sum(pane(run, "final").values for run in runs) / len(runs)
        image = axes.imshow(grid, origin="lower", vmin=0, vmax=1, cmap="viridis")
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6)
        axes.set_yticks(range(len(names)), names, fontsize=6)
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            for label in labels:
                label.set_fontweight("bold" if "residual" in label.get_text() else "normal")
        axes.set_title(
            f"{'with' if skips else 'without'} skips\nstripe score {shown(scores[skips])}"
        )
    figure.colorbar(
        image, ax=figure.axes, shrink=0.7, pad=0.01,
        label=f"svcca similarity at the end, mean of {len(nets[True])} seeds",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
