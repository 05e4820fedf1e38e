"""Order in which the layers of a language model settle (Morcos et al. 2018, fig. 6).

svcca-monitor sweep configs/austen_lstm.yaml --log-dir LOGS
python examples/austen_lstm.py LOGS -o figure.png

Logits are linear in the layer below and span the same directions: `cca` has both as one layer, and
so has Kendall's tau of depth.

Against the end, every curve reaches 1 at the last step, where it is compared with itself. The
lagged view, each snapshot against the one before, does not know the end and has no such jump.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import kendalltau
from seeds import said, shown

from svcca_monitor import Run, dynamics_over_seeds, learning_dynamics
from svcca_monitor.experiments.sweep import sweep_runs

REFERENCES = {"final": "against the end", "previous": "against the epoch before (lagged)"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="austen_lstm.png")
    arguments = parser.parse_args()
    runs = [Run(path) for _, _, path in sweep_runs(arguments.logs)]
    of_run = {
        reference: np.array([learning_dynamics(run, reference, measure="cca") for run in runs])
        for reference in REFERENCES
    }
    curves = {
        reference: dynamics_over_seeds(runs, reference, measure="cca") for reference in REFERENCES
    }
    layers, epochs = runs[0].layers, curves["final"]["epoch"].values
    print(f"{len(runs)} seeds, {epochs[-1]:g} epochs; mean canonical correlation (cca)")
    last = len(epochs) - 1
    for which, i in (("early", last // 4), ("half way", last // 2), ("late", last - 1)):
        now = of_run["final"][:, i]
        apart = distinct(now)
        tau = [kendalltau(apart, values[apart]).statistic for values in now]
        print(f"  {which}, epoch {epochs[i]:g}: Kendall's tau of depth and similarity to the end")
        print(f"    {shown(tau)}; −1 is strictly from the bottom up, 0 no order")
        for j, layer in enumerate(layers):
            at = curves["final"][:, i, j]
            print(f"    {layer:10s} {said(at, 3)}  chance {float(at['chance']):.2f}")
    # By how much the last step of the mean curve exceeds the step before it.
    for reference, values in of_run.items():
        steps = np.diff(values.mean(axis=2), axis=1)
        print(f"  last step of the curves {REFERENCES[reference]}: {shown(steps[:, -1], 4)}")
        print(f"    the step before: {shown(steps[:, -2], 4)}")
    draw(curves, layers).savefig(arguments.output, dpi=80)


def distinct(similarities):
    """Indices of the layers that are not, but for rounding, as similar as the layer below.

    Args:
        similarities: Shape (runs, layers).
    """
    apart = np.abs(np.diff(similarities)).max(axis=0) > 1e-4
    return np.flatnonzero([True, *apart])


def draw(curves, layers):
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (reference, title) in zip(
        figure.subplots(1, 2, sharex=True, sharey=True), REFERENCES.items(), strict=True
    ):
        mean, lower, upper = curves[reference].values
        epochs = curves[reference]["epoch"].values
        for i, layer in enumerate(layers):
            shade = (i / len(layers), 0.25, 1 - i / len(layers))
            dashes = "--" if layer == "logits" else "-"  # which cover the layer below
            axes.plot(epochs, mean[:, i], dashes, color=shade, marker="o", ms=3, label=layer)
            axes.fill_between(epochs, lower[:, i], upper[:, i], color=shade, alpha=0.15, lw=0)
        axes.set(title=title, xlabel="epoch", ylim=(0, 1.02))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"cca similarity, mean of {curves['final'].attrs['n_runs']} seeds")
    figure.axes[1].legend(reverse=True, frameon=False)
    return figure


if __name__ == "__main__":
    main()
