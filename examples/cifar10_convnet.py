"""Bottom-up convergence and batch-norm blocks, with a control (Raghu et al. 2017, fig. 4).

svcca-monitor sweep configs/cifar10_convnet.yaml --log-dir LOGS
python examples/cifar10_convnet.py LOGS -o figure.png
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from seeds import said, shown

from svcca_monitor import Run, convergence_over_seeds, dynamics_over_seeds, pane
from svcca_monitor.experiments.sweep import sweep_runs

# Diagonal at 75 % of training, read off the paper's figure; batch-norm blocks at its end.
PUBLISHED = {
    "c1": 0.82, "c2": 0.76, "p1": 0.81, "c3": 0.73, "c4": 0.65, "c5": 0.42, "p2": 0.43,
    "fc1": 0.41, "fc2": 0.35, "logits": 0.59,
}  # fmt: skip
BLOCKS = {("c2", "bn1"): 0.94, ("c5", "bn2"): 0.95, ("fc1", "bn3"): 0.96, ("fc2", "bn4"): 0.95}
# Without batch norm the layer that follows in its place.
CONTROL = {"c2": "p1", "c5": "p2", "fc1": "fc2", "fc2": "logits"}
MOMENTS = (0.0, 1 / 3, 2 / 3, 1.0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="cifar10_convnet.png")
    arguments = parser.parse_args()
    nets = {True: [], False: []}
    for _, settings, path in sweep_runs(arguments.logs):
        nets[settings["model.parameters.batch_norm"]].append(Run(path))

    for normed, runs in nets.items():
        print(f"\n{'with' if normed else 'without'} batch norm, {len(runs)} seeds")
        for adjusted in (False, True):
            tau = convergence_over_seeds(runs, adjusted=adjusted)["bottom_up_index"]
            scale = ", chance taken off" if adjusted else ""
            print(f"  bottom-up index: {said(tau)}{scale}; expected at most -0.70")
        print_diagonal(runs)
        print_blocks(runs, normed)
    draw(nets).savefig(arguments.output, dpi=80)


def print_diagonal(runs):
    """Similarity of each layer to its own end, at three quarters of training."""
    curves = dynamics_over_seeds(runs)
    epochs = curves["epoch"].values
    nearest = int(np.abs(epochs - 0.75 * epochs[-1]).argmin())
    print(f"  similarity to the end at epoch {epochs[nearest]:g} of {epochs[-1]:g}")
    for layer in runs[0].layers:
        at = curves.sel(layer=layer).isel(step=nearest)
        published = f"{PUBLISHED[layer]:.2f}" if layer in PUBLISHED else "   –"
        chance = float(at["chance"])
        print(f"    {layer:7s} {said(at)}  chance {chance:.2f}  published {published}")


def print_blocks(runs, normed):
    """Similarity, at the end, of a layer with its batch norm or with what stands in its place.

    By `cca` too, which looks at all directions: batch norm is affine, and so 1; pools and layers
    behind an activation are not. (Logits are linear in fc2: 1 by algebra, with or without it.)
    """
    for measure in ("svcca", "cca"):
        print(f"  blocks at the end, {measure}")
        grids = [pane(run, "final", measure=measure) for run in runs]
        for (layer, norm), published in BLOCKS.items():
            other = norm if normed else CONTROL[layer]
            cells = [grid.sel(layer=layer, reference_layer=other) for grid in grids]
            chance = np.mean([float(cell["chance"]) for cell in cells])
            expected = f"  published {published:.2f}" if normed and measure == "svcca" else ""
            print(f"    {layer}/{other}: {shown(cells)}  chance {chance:.2f}{expected}")


def draw(nets):
    """Panes as means over seeds, and the curves of both kinds of net with their intervals."""
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    rows = figure.subplots(2, 1 + len(MOMENTS), width_ratios=[1] * len(MOMENTS) + [1.35])
    for axes_of_row, (normed, runs) in zip(rows, nets.items(), strict=True):
        epochs, steps = np.array(runs[0].epochs), runs[0].steps
        kind = f"{'with' if normed else 'without'} batch norm"
        for axes, moment in zip(axes_of_row, MOMENTS, strict=False):
            i = int(np.abs(epochs - moment * epochs[-1]).argmin())
            grid = sum(pane(run, steps[i]).values for run in runs) / len(runs)
            image = axes.imshow(grid, origin="lower", vmin=0, vmax=1, cmap="viridis")
            names = runs[0].layers
            axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axes.set_yticks(range(len(names)), names, fontsize=7)
            axes.set_title(f"epoch {epochs[i]:g}", fontsize=9)
            axes.set_xlabel("layer at the end", fontsize=8)
        axes_of_row[0].set_ylabel(f"{kind}\nlayer during training", fontsize=9)
        axes_of_row[-1].set_title(f"{kind}: to its own end", fontsize=9)
        draw_curves(axes_of_row[-1], runs)
    figure.colorbar(
        image, ax=rows[:, :-1], shrink=0.5, location="bottom", pad=0.02,
        label=f"svcca similarity, mean of {len(nets[True])} seeds",
    )  # fmt: skip
    return figure


def draw_curves(axes, runs):
    curves = dynamics_over_seeds(runs)
    mean, lower, upper = curves.values
    epochs = curves["epoch"].values
    for i, layer in enumerate(runs[0].layers):
        shade = (i / len(runs[0].layers), 0.25, 1 - i / len(runs[0].layers))
        axes.plot(epochs, mean[:, i], color=shade, lw=1.2, label=layer)
        axes.fill_between(epochs, lower[:, i], upper[:, i], color=shade, alpha=0.12, lw=0)
    axes.set(xlabel="epoch", ylim=(0, 1.02))
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], fontsize=7, frameon=False,
        loc="center left", bbox_to_anchor=(1.0, 0.5),
    )  # fmt: skip


if __name__ == "__main__":
    main()
