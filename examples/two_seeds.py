"""Neurons of two nets look unrelated, aligned directions coincide (Raghu et al. 2017, fig. 1).

svcca-monitor sweep configs/two_seeds.yaml --log-dir LOGS
python examples/two_seeds.py LOGS -o figure.png

Aligned directions are the first canonical pairs of a layer in both nets, after the cut at 99 % of
the variance. Raw neurons are those of most variance in the first net, each with the neuron at the
same place in the second net, or with the one that an optimal one-to-one matching by absolute
correlation gives it: the best case for neurons. η² is the share of a direction's variance that lies
between classes.
"""

import argparse

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from svcca_monitor import Run, cca
from svcca_monitor.experiments.sweep import sweep_runs

TOP = 5  # pairs that the numbers are means of
DRAWN = 3
N_PERMUTATIONS = 50
KINDS = {
    "aligned": "aligned directions",
    "matched": "raw neurons, best matched",
    "raw": "raw neurons, same place",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="log directory of the sweep")
    parser.add_argument("-o", "--output", default="two_seeds.png")
    parser.add_argument("--layer", default="fc1", help="layer that is drawn")
    arguments = parser.parse_args()
    one, two = (Run(path) for _, _, path in sweep_runs(arguments.logs)[:2])
    labels = np.array(one.facts["labels"])
    ends = [run.snapshot(run.steps[-1]) for run in (one, two)]

    print(f"mean of the top {TOP} pairs of two seeds, {len(labels)} images; (chance)")
    for layer in one.layers:
        found = traces(ends[0][layer], ends[1][layer])
        shuffled = null(ends[0][layer], ends[1][layer])
        cells = []
        for kind in KINDS:
            x, y = found[kind]
            r, chance_of_r = correlation(x, y).mean(), shuffled[kind].mean()
            eta = np.mean([eta_squared(x, labels), eta_squared(y, labels)])
            cells.append(f"{kind} r {r:.2f} ({chance_of_r:.2f}) η² {eta:.2f}")
        print(f"  {layer:7s} {'   '.join(cells)}")
    # Of labels that say nothing: (classes − 1) / (n − 1), whatever the direction.
    print(f"  chance of η²: {(len(set(labels.tolist())) - 1) / (len(labels) - 1):.3f}")
    shown = traces(ends[0][arguments.layer], ends[1][arguments.layer])
    names = one.facts["class_names"]
    draw(shown, labels, names, arguments.layer).savefig(arguments.output, dpi=80)


def traces(x, y, top=TOP):
    """Pairs of each kind, two arrays (top, n_samples) of zero mean and unit variance."""
    aligned = cca(x, y, explained_variance=0.99)
    a, b = neurons(x), neurons(y)
    dearest = np.argsort(a.std(axis=1))[::-1]
    both = np.corrcoef(unit(a), unit(b))[: len(a), len(a) :]
    rows, columns = linear_sum_assignment(-np.abs(both))
    partner = dict(zip(rows, columns, strict=True))
    chosen = [i for i in dearest if i in partner][:top]
    other = [partner[i] for i in chosen]
    signs = np.sign(both[chosen, other])[:, None]
    return {
        "aligned": (unit(aligned.x_variates[:top]), unit(aligned.y_variates[:top])),
        "matched": (unit(a[chosen]), unit(b[other]) * signs),
        "raw": (unit(a[dearest[:top]]), unit(b[dearest[:top]])),
    }


def neurons(subspace):
    """Centred activations (n_features, n_samples); noise in place of neurons that never vary."""
    activations = ((subspace.basis * subspace.singular_values) @ subspace.loadings.T).T
    dead = activations.std(axis=1) <= 1e-6 * activations.std()
    activations[dead] = np.random.default_rng(0).normal(size=activations[dead].shape)
    return activations


def unit(traces):
    traces = traces - traces.mean(axis=1, keepdims=True)
    return traces / traces.std(axis=1, keepdims=True)


def correlation(x, y):
    return np.mean(x * y, axis=1)


def eta_squared(traces, labels):
    """Variance of class means over variance, of traces of unit variance; mean of the traces."""
    share = [(labels == c).mean() * traces[:, labels == c].mean(axis=1) ** 2 for c in set(labels)]
    return float(np.sum(share, axis=0).mean())


def null(x, y, seed=0):
    """Mean correlation of the pairs where the images of the second net are in another order."""
    rng = np.random.default_rng(seed)
    draws = {kind: [] for kind in KINDS}
    for _ in range(N_PERMUTATIONS):
        order = rng.permutation(y.n_samples)
        found = traces(x, y.resampled(order))
        for kind, pairs in found.items():
            draws[kind].append(correlation(*pairs).mean())
    return {kind: np.array(values) for kind, values in draws.items()}


def draw(found, labels, names, layer):
    order = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[order])) + 0.5
    figure = Figure(figsize=(14, 6), layout="constrained")
    grid = figure.subplots(DRAWN, len(KINDS), sharex=True, sharey=True)
    for column, (kind, title) in enumerate(KINDS.items()):
        x, y = found[kind]
        for row in range(DRAWN):
            axes = grid[row, column]
            for trace, colour, net in ((x, "C0", "seed 0"), (y, "C1", "seed 1")):
                axes.plot(trace[row][order], ".", ms=1.5, color=colour, label=net, alpha=0.6)
            for border in borders:
                axes.axvline(border, color="0.6", lw=0.6)
            r = correlation(x, y)[row]
            eta = eta_squared(x[row : row + 1], labels), eta_squared(y[row : row + 1], labels)
            axes.set_title(f"r = {r:.2f}, η² = {eta[0]:.2f}, {eta[1]:.2f}", fontsize=9)
            axes.set_ylim(-4, 4)
        grid[0, column].set_title(f"{layer}: {title}\n{grid[0, column].get_title()}", fontsize=10)
        middles = [np.flatnonzero(labels[order] == c).mean() for c in sorted(set(labels))]
        grid[-1, column].set_xticks(middles, names, rotation=45, ha="right", fontsize=8)
    grid[DRAWN // 2, 0].set_ylabel("activation, standardised")
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(),
        loc="outside lower center", ncols=2, markerscale=6, frameon=False,
    )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
