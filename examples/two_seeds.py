"""Neurons of two nets look unrelated, aligned directions coincide (Raghu et al. 2017, fig. 1).

svcca-monitor sweep configs/two_seeds.yaml --log-dir LOGS
python examples/two_seeds.py LOGS -o figure.png

Loudest neurons: those of most variance of each net, in that order. Matched neurons: the best pairs
that an optimal one-to-one matching by absolute correlation finds: the best case for neurons.
η² is the share of a direction's variance that lies between classes.
"""

import argparse

import numpy as np

from svcca_monitor import Run, alignment, plots
from svcca_monitor.experiments.sweep import sweep_runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="two_seeds.png")
    parser.add_argument("--layer", default="fc2", help="layer that is drawn")
    arguments = parser.parse_args()
    one, two = (Run(path) for _, _, path in sweep_runs(arguments.logs)[:2])

    for layer in one.layers:
        found = alignment(one, two, layer)
        print(f"{layer}: mean of the top {found.sizes['pair']} pairs of two seeds")
        for kind in found["kind"].values:
            pairs = found.sel(kind=kind)
            r, chance, eta = (
                float(np.nanmean(pairs[key]))
                for key in ("correlation", "correlation_chance", "class_share")
            )
            print(f"  {kind:15s} correlation {r:.2f}, chance {chance:.2f}; η² {eta:.2f}")
    print(f"chance of η²: {float(found['class_share_chance']):.3f}")
    figure = plots.aligned_directions(alignment(one, two, arguments.layer))
    figure.savefig(arguments.output, dpi=74)


if __name__ == "__main__":
    main()
