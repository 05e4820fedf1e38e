"""Stripes of a residual net's grid, against the same net without skips (Raghu et al. 2017, fig. 4).

svcca-monitor sweep configs/cifar10_resnet.yaml --log-dir LOGS
python examples/cifar10_resnet.py LOGS -o figure.png

Stripe score: similarity of later nodes with a residual node, minus the mean of their similarity
with the nodes just before and just after it; mean over residual nodes and later nodes. Nodes are
alike to what lies near them: the neighbours on both sides take that off. Above 0, the columns of
residual nodes stand out as stripes.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from seeds import shown

from svcca_monitor import Run, pane
from svcca_monitor.experiments.sweep import sweep_runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="cifar10_resnet.png")
    arguments = parser.parse_args()
    seeds = {True: {}, False: {}}
    for _, settings, path in sweep_runs(arguments.logs):
        seeds[settings["model.parameters.skips"]][settings["seed"]] = Run(path)
    both = sorted(seeds[True].keys() & seeds[False].keys())  # of a sweep that goes on, not all
    nets = {skips: [runs[seed] for seed in both] for skips, runs in seeds.items()}

    for measure in ("svcca", "cca"):
        scores = {}
        print(f"\nstripe score by {measure}, chance taken off, {len(nets[True])} seeds")
        for skips, runs in nets.items():
            grids = {
                "at the end": [pane(run, "final", measure=measure, adjusted=True) for run in runs],
                "untrained": [
                    pane(run, "initial", "initial", measure=measure, adjusted=True) for run in runs
                ],
            }
            for when, of_runs in grids.items():
                scores[skips, when] = [stripe_score(grid) for grid in of_runs]
                kind = "with" if skips else "without"
                print(f"  {kind:7s} skips, {when}: {shown(scores[skips, when])}")
        difference = np.subtract(scores[True, "at the end"], scores[False, "at the end"])
        print(f"  with minus without, seed by seed: {shown(difference)}; expected above 0")
    draw(nets).savefig(arguments.output, dpi=80)


def stripe_score(grid):
    """See above; `grid` is (layer, reference_layer) of one moment."""
    names, values = grid["layer"].values.tolist(), grid.values
    found = []
    for i, name in enumerate(names):
        if name.endswith("_residual") and i + 1 < len(names):
            # The next node is one of the neighbours, and its normalisation nearly the same.
            later = values[i + 3 :]
            found.extend(later[:, i] - (later[:, i - 1] + later[:, i + 1]) / 2)
    return float(np.mean(found))


def draw(nets):
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    for axes, (skips, runs) in zip(figure.subplots(1, 2), nets.items(), strict=True):
        names = runs[0].layers
        grids = [pane(run, "final") for run in runs]
        scores = [stripe_score(pane(run, "final", adjusted=True)) for run in runs]
        image = axes.imshow(
            np.mean([grid.values for grid in grids], axis=0),
            origin="lower", vmin=0, vmax=1, cmap="viridis",
        )  # fmt: skip
        # All names would be too small to read; those between are the two convolutions of a block
        # and their normalisations.
        named = [i for i, name in enumerate(names) if "_residual" in name or "_" not in name]
        axes.set_xticks(named, [names[i] for i in named], rotation=90, fontsize=7)
        axes.set_yticks(named, [names[i] for i in named], fontsize=7)
        axes.set_title(f"{'with' if skips else 'without'} skips\nstripe score {shown(scores)}")
    figure.colorbar(
        image, ax=figure.axes, shrink=0.7, pad=0.01,
        label=f"svcca similarity at the end, mean of {len(nets[True])} seeds",
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
