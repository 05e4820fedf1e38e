"""What the similarity engine costs beside the published ways: ratios measured in one run.

    python tests/benchmarks/engine.py [--only W1 W3] [--repeats 3] [--quick]

W1  16 layers of 64 to 512 features against 16 of the end, 2,000 samples
W2  20 snapshots of these, each against the end
W3  8 layers of 2,048 features among themselves, 4,096 samples
W4  6 layers of maps among themselves at every frequency, 512 samples
W5  8 layers of 20,000 features among themselves, 2,000 samples

Long ways are timed on some of the pairs, evenly spread, and reported for all; the table says on how
many. Everyone has the threads that NumPy takes by default. Errors are the largest against an SVD in
float64 on the same sample of pairs. Peak memory is that of a process of its own beside its input.
"""

import argparse
import importlib.util
import os
from itertools import combinations_with_replacement, product

import exact
import live
import numpy as np
import published
from exact import ERRORS, errors, spread
from memory import measure_peak, peaks
from timing import COLUMNS, Contender, markdown, row, side_by_side, whole
from workloads import MIDDLE, SNAPSHOTS, full, quick

from svcca_monitor import Subspace, fourier_grid, similarity_grid
from svcca_monitor.parallel import one_blas_thread

PUBLISHED = {"svcca": published.svcca, "cca": published.cca, "pwcca": published.pwcca}
TARGETS = {("W1", "svcca"): 20, ("W1", "cca"): 15, ("W1", "pwcca"): 15, ("W1", "cka"): 2.5}
TARGETS |= {("W2", "svcca"): 23, ("W2", "cka"): 10, ("W3", "svcca"): 10, ("W5", "svcca"): 10}
TARGETS |= {("W4", "DFT-CCA"): 14}


def sampled(name, of_pair, pairs, count, before=()):
    """A way that pays for every pair, and `before` once, extrapolated from some pairs."""
    some = spread(pairs, count)
    parts = [*before, (lambda: [of_pair(*pair) for pair in some], len(pairs) / len(some))]
    return Contender(f"{name} ({len(some)} of {len(pairs)} pairs)", parts)


def hoisted(layers, pairs, count):
    """The published CCA of layers that were denoised once each."""
    reduced = [published.denoised(x) for x in layers]
    some = spread(range(len(layers)), 6)
    once = (
        lambda: [published.denoised(layers[i]) for i in some],
        len(layers) / len(some),
    )
    return sampled(
        "published, SVD once a layer",
        lambda i, j: published.cca(reduced[i], reduced[j]),
        pairs,
        count,
        [once],
    )


def products_per_pair(layers, pairs):
    return sampled("products per pair", lambda i, j: published.cka(layers[i], layers[j]), pairs, 64)


def installed():
    """Other packages to compare with."""
    return ["repsim"] if importlib.util.find_spec("repsim") else []


def repsim_of(measure, layers, n_pairs):
    """PyPI's repsim, where installed: all pairs of four layers in one call of its own."""
    if not installed():
        return []
    import repsim

    some = spread(layers, 4)
    options = {"cka": {"kernel_type": "linear"}}.get(measure, {})
    among_some = len(some) * (len(some) - 1) / 2
    work = (lambda: getattr(repsim, measure)(some, **options), n_pairs / among_some)
    return [Contender(f"repsim {repsim.__version__} ({among_some:.0f} of {n_pairs} pairs)", [work])]


def floor(grams, crosses):
    """Seconds of the products alone, in float64."""
    arrays = [np.asarray(x, np.float64) for x in grams]
    work = whole("", lambda: [x.T @ x if x.shape[1] <= len(x) else x @ x.T for x in arrays])
    left, right = (np.asarray(side, np.float64) for side in crosses)
    return sum(min(seconds_of(w, 3)) for w in (work, whole("", lambda: left.T @ right)))


def products():
    """What ratios depend on: the published ways wait for memory, ours for products."""
    a = np.random.default_rng(0).normal(size=(2_000, 1_000))
    work, operations = whole("", lambda: a.T @ a[::-1]), 2 * a.size * a.shape[1]
    with one_blas_thread():
        alone = min(seconds_of(work, 5))
    return f"{1e-9 * operations / alone:.0f} on one core, " + (
        f"{1e-9 * operations / min(seconds_of(work, 5)):.0f} on all"
    )


def seconds_of(contender, repeats):
    return [contender.seconds() for _ in range(repeats)]


def among(layers):
    return list(combinations_with_replacement(range(len(layers)), 2))


def pane(net, args):
    """W1: a snapshot in the middle of training against the end."""
    rows, columns = (list(net.layers(share).values()) for share in (MIDDLE, 1.0))
    layers, half = rows + columns, len(rows)
    pairs = [(i, half + j) for i, j in product(range(half), range(half))]
    cuts = {"svcca": 0.99, "cca": None}
    least = {m: floor(layers, [_bases(s, cut) for s in (rows, columns)]) for m, cut in cuts.items()}
    least["pwcca"] = least["cca"]
    weights = {whose: peaks("W1", args.quick, whose) for whose in ("published", *installed())}
    for measure in ("svcca", "cca", "pwcca", "cka"):

        def ours(given=layers, measure=measure):
            grid = similarity_grid(given[:half], given[half:], measure=measure)
            return lambda i, j: grid[i, j - half]

        if measure == "cka":
            others = [products_per_pair(layers, pairs)]
        else:
            per_pair = PUBLISHED[measure]
            others = [
                sampled(
                    "published per pair",
                    lambda i, j, f=per_pair: f(layers[i], layers[j]),
                    pairs,
                    12,
                )
            ]
            if measure == "svcca":
                others.insert(0, hoisted(layers, pairs, 48))
        others += repsim_of(measure, layers, len(pairs))
        times = side_by_side([whole("", ours), *others], args.repeats)
        accuracy = errors(measure, ours, layers, pairs, 24)
        for other, theirs in zip(others, times[1:], strict=True):
            target = TARGETS["W1", measure] if other is others[0] else ""
            cells = {"target": target} | accuracy
            if measure in least:
                cells["× floor"] = f"{times[0] / least[measure]:.1f}"
            if measure == "svcca":
                cells |= weights["repsim" if other.name.startswith("repsim") else "published"]
            yield row("W1", measure, other.name, theirs, times[0], **cells)
    yield from live.one_core_busy(rows, columns, args.repeats)


def _bases(layers, cut=0.99):
    """The directions of each layer that hold this share of its variance, side by side."""
    return np.hstack([Subspace.from_activations(x, explained_variance=cut).basis for x in layers])


def series(net, args):
    """W2: snapshots against the end; each layer is factorised once."""
    snapshots = [list(layers.values()) for layers in net.snapshots(SNAPSHOTS)]
    end = list(net.layers(1.0).values())
    layers, half = [x for snapshot in snapshots for x in snapshot] + end, len(end)
    last = len(layers) - half
    pairs = [(i, last + j) for i, j in product(range(last), range(half))]

    other = hoisted(layers, pairs, 64)
    ours = whole("", lambda: against_the_end(snapshots, end))
    mine, theirs = side_by_side([ours, other], args.repeats)
    # That of the end itself is a twentieth of them, and left out.
    a_snapshot = snapshots[SNAPSHOTS // 2]
    least = SNAPSHOTS * floor(a_snapshot, [_bases(side) for side in (a_snapshot, end)])
    cells = {"target": TARGETS["W2", "svcca"], "× floor": f"{mine / least:.1f}"}
    cells |= peaks("W2", args.quick) | errors_of_a_snapshot("svcca", a_snapshot, end)
    yield row("W2", "svcca", other.name, theirs, mine, **cells)
    factors = [Subspace.from_activations(x) for x in layers]

    def stored():
        return similarity_grid(factors[:last], factors[last:], measure="cka")

    other = products_per_pair(layers, pairs)
    mine, theirs = side_by_side([whole("", stored), other], args.repeats)
    cells = {"target": TARGETS["W2", "cka"]} | errors_of_a_snapshot("cka", a_snapshot, end)
    yield row("W2", "cka from factors", other.name, theirs, mine, **cells)
    yield from live.one_more(net, args.repeats, len(snapshots))


def errors_of_a_snapshot(measure, snapshot, end):
    n = len(end)

    def stored(given):
        factors = [Subspace.from_activations(x) for x in given]
        grid = similarity_grid(factors[:n], factors[n:], measure=measure)
        return lambda i, j: grid[i, j - n]

    pairs = [(i, n + j) for i, j in product(range(n), range(n))]
    return errors(measure, stored, snapshot + end, pairs, 24)


def against_the_end(snapshots, end):
    final = [Subspace.from_activations(x, explained_variance=0.99) for x in end]
    return [similarity_grid(snapshot, final) for snapshot in snapshots]


def wide(name, layers, args):
    """W3 and W5: layers among themselves."""
    pairs = among(layers)

    def ours(given=layers):
        grid = similarity_grid(given)
        return lambda i, j: grid[i, j]

    other = hoisted(layers, pairs, 4)
    repeats = 1 if not args.quick else args.repeats
    mine, theirs = side_by_side([whole("", ours), other], repeats)
    bases = _bases(layers)
    least = floor(layers, (bases, bases))
    cells = {"target": TARGETS[name, "svcca"], "× floor": f"{mine / least:.1f}"}
    cells |= errors("svcca", ours, layers, pairs, 3, dtypes=[np.float32])
    # In double precision the data are decomposed, by both: two layers will do.
    cells |= errors("svcca", ours, spread(layers, 2), [(0, 1)], 1, dtypes=[np.float64])
    cells |= peaks(name, args.quick)
    yield row(name, "svcca", other.name, theirs, mine, **cells)


def maps(layers, args):
    """W4: all spatial frequencies."""
    pairs = among(layers)

    def loop(i, j):
        size = tuple(np.minimum(layers[i].shape[1:3], layers[j].shape[1:3]))
        return published.fourier_cca(spectra[i, size], spectra[j, size])

    sizes = {tuple(np.minimum(a.shape[1:3], b.shape[1:3])) for a in layers for b in layers}

    def transforms():
        return {
            (i, size): published.spectrum(x, size)
            for i, x in enumerate(layers)
            for size in sizes
            if all(np.less_equal(size, x.shape[1:3]))
        }

    spectra = transforms()
    other = sampled(
        "the published maths, frequency by frequency", loop, pairs, 9, [(transforms, 1)]
    )
    ours = whole("", lambda: fourier_grid(layers))
    mine, theirs = side_by_side([ours, other], args.repeats)
    cells = {"target": TARGETS["W4", "DFT-CCA"]} | peaks("W4", args.quick)
    some = spread([(i, j) for i, j in pairs if i != j], 3)
    for dtype, column in ERRORS.items():
        given = [x.astype(dtype) for x in layers]
        grid = fourier_grid(given)
        error = max(abs(grid[i, j] - exact.fourier_cca(given[i], given[j])) for i, j in some)
        cells[column] = f"{error:.0e}"
    yield row("W4", "DFT-CCA", other.name, theirs, mine, **cells)


def to_weigh(name, nets, whose):
    """What `svcca` does in a workload, or to its two largest layers as others have it."""
    net = nets["W1" if name == "W2" else name]
    end = list(net.layers().values())
    if whose != "ours":
        x, y = sorted(end, key=np.size)[-2:]
        if whose == "repsim":
            import repsim

            return lambda: repsim.svcca([x, y])
        if name != "W4":
            return lambda: published.svcca(x, y)
        size = x.shape[1:3]
        return lambda: published.fourier_cca(*(published.spectrum(z, size) for z in (x, y)))
    if name == "W1":
        middle = list(net.layers(MIDDLE).values())
        return lambda: similarity_grid(middle, end)
    if name == "W2":
        snapshots = [list(layers.values()) for layers in net.snapshots(SNAPSHOTS)]
        return lambda: against_the_end(snapshots, end)
    return (lambda: fourier_grid(end)) if name == "W4" else lambda: similarity_grid(end)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=["W1", "W2", "W3", "W4", "W5", "growth"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small layers: a smoke test")
    parser.add_argument("--measure-peak", help=argparse.SUPPRESS)
    parser.add_argument("--whose", default="ours", help=argparse.SUPPRESS)
    args = parser.parse_args()
    nets = quick() if args.quick else full()
    if args.measure_peak:
        print(measure_peak(to_weigh(args.measure_peak, nets, args.whose)))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, NumPy {np.__version__}")
    print(f"Products in float64: {products()} GFLOP/s\n")
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    jobs = {
        "W1": lambda: pane(nets["W1"], args),
        "W2": lambda: series(nets["W1"], args),
        "W3": lambda: wide("W3", list(nets["W3"].layers().values()), args),
        "W4": lambda: maps(list(nets["W4"].layers().values()), args),
        "W5": lambda: wide("W5", list(nets["W5"].layers().values()), args),
        "growth": lambda: live.growth(_base(args), 4 if args.quick else 8, args.repeats),
    }
    for name in args.only:
        for cells in jobs[name]():
            print(markdown(cells), flush=True)
    if not installed():
        print("\nrepsim: not installed, not compared.")


def _base(args):
    """A net of which twice as much is still done in a moment."""
    net = quick()["W1"]
    return net if args.quick else type(net)((256,) * 8, 2_000)


if __name__ == "__main__":
    main()
