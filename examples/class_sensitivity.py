"""How strongly each class correlates with each layer (Raghu et al. 2017, fig. 6).

svcca-monitor sweep configs/class_sensitivity.yaml --log-dir LOGS
python examples/class_sensitivity.py LOGS -o figure.png

The gap of two classes is the difference of their curves through depth, mean of layers.
"""

import argparse
from itertools import combinations

import numpy as np
from seeds import shown

from svcca_monitor import Run, class_gaps, class_sensitivity, plots
from svcca_monitor.experiments.sweep import sweep_runs

ALIKE = (("automobile", "truck"), ("cat", "dog"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="class_sensitivity.png")
    arguments = parser.parse_args()
    runs = [Run(path) for _, _, path in sweep_runs(arguments.logs)]
    found = [class_sensitivity(run) for run in runs]

    print(f"{len(runs)} seeds; correlation of classes with layers at the end, mean of classes")
    for layer in runs[0].layers:
        ends = [each.isel(step=-1).sel(layer=layer) for each in found]
        null, high = (np.mean([end[key] for end in ends]) for key in ("null_mean", "null_upper"))
        classes = shown([end.mean() for end in ends])
        print(f"  {layer:7s} {classes}  chance {null:.2f}, 97.5 % below {high:.2f}")
    print_gaps([class_gaps(each.isel(step=-1)) for each in found])
    plots.class_curves(mean_of(found)).savefig(arguments.output, dpi=80)


def print_gaps(gaps):
    """Do the curves of alike classes lie closer together than those of other pairs?"""
    names = gaps[0]["class"].values.tolist()
    of_pairs = {
        pair: [gap.sel({"class": pair[0], "other_class": pair[1]}) for gap in gaps]
        for pair in combinations(names, 2)
    }
    alike = [pair for pair in ALIKE if pair in of_pairs]
    others = [of_pairs[pair] for pair in of_pairs if pair not in alike]
    print("gap of two classes; published for alike classes 0.02 to 0.05, for others 0.1 and more")
    rest = np.mean(others, axis=0)
    for pair in alike:
        print(f"  {' and '.join(pair)}: {shown(of_pairs[pair])}")
        print(f"    minus other pairs, seed by seed: {shown(np.subtract(of_pairs[pair], rest))}")
    print(f"  other pairs, mean: {shown(rest)}")


def mean_of(found):
    """The mean over seeds, of what labels in another order score too."""
    mean = found[0].copy(data=np.mean([each.values for each in found], axis=0))
    for end in ("null_lower", "null_upper"):
        mean[end] = (("step", "layer"), np.mean([each[end].values for each in found], axis=0))
    return mean


if __name__ == "__main__":
    main()
