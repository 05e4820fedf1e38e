"""Neurons of two nets look unrelated, aligned directions coincide (Raghu et al. 2017, fig. 1).

svcca-monitor sweep configs/two_seeds.yaml --log-dir LOGS
python examples/two_seeds.py LOGS -o figure.png

Loudest neurons: those of most variance of each net, in that order. Matched neurons: the best pairs
that an optimal one-to-one matching by absolute correlation finds: the best case for neurons.
η² is the share of a direction's variance that lies between classes. Numbers are means over the
pairs of seeds, with intervals by the jackknife over seeds; the figure is of the first two.
"""

import argparse
from itertools import combinations

import numpy as np
from seeds import said

from svcca_monitor import Run, alignment, plots
from svcca_monitor.experiments.sweep import sweep_runs
from svcca_monitor.over_runs import pair_mean_interval

N_PERMUTATIONS = 20  # of each pair of seeds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="two_seeds.png")
    parser.add_argument("--layer", default="fc2", help="layer that is drawn")
    arguments = parser.parse_args()
    runs = [Run(path) for _, _, path in sweep_runs(arguments.logs)]

    print(f"mean of the top pairs of directions, over all pairs of {len(runs)} seeds")
    for layer in runs[0].layers:
        found = {
            pair: alignment(*(runs[i] for i in pair), layer, n_permutations=N_PERMUTATIONS)
            for pair in combinations(range(len(runs)), 2)
        }
        print(layer)
        for kind in found[0, 1]["kind"].values:
            means = {pair: each.sel(kind=kind).mean() for pair, each in found.items()}
            r, eta = (over_seeds(means, key, len(runs)) for key in ("correlation", "class_share"))
            chance = np.mean([float(mean["correlation_chance"]) for mean in means.values()])
            print(f"  {kind:15s} correlation {said(r)}, chance {chance:.2f}; η² {said(eta)}")
        gain = {pair: gain_of(each) for pair, each in found.items()}
        print(f"  η² of aligned minus loudest {said(over_seeds(gain, 'class_share', len(runs)))}")
    print(f"chance of η²: {float(found[0, 1]['class_share_chance']):.3f}")
    figure = plots.aligned_directions(alignment(*runs[:2], arguments.layer))
    figure.savefig(arguments.output, dpi=74)


def gain_of(found):
    """What aligned directions have above the loudest neurons, of one pair of seeds."""
    return found.sel(kind="aligned").mean() - found.sel(kind="loudest neurons").mean()


def over_seeds(means, key, n):
    """Mean, lower and upper end over the pairs of n seeds of a number of each pair."""
    table = np.full((1, n, n), np.nan)
    for (i, j), mean in means.items():
        table[0, i, j] = table[0, j, i] = float(mean[key])
    # Correlations and shares of variance, and differences of these: none is beyond ±1.
    return [float(np.clip(end[0], -1, 1)) for end in pair_mean_interval(table, range(n))]


if __name__ == "__main__":
    main()
