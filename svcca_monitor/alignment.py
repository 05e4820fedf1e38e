"""One layer in two runs: do aligned directions agree where neurons do not?"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .directions import DirectionPairs, aligned_directions, class_share, raw_neurons
from .messages import unknown_name, warn
from .run import Run
from .subspace import Subspace

KINDS = ("aligned", "loudest neurons", "matched neurons")


def alignment(
    run_a: Run,
    run_b: Run,
    layer: str,
    *,
    k: int = 5,
    step: int | None = None,
    labels: ArrayLike | None = None,
    explained_variance: float | None = 0.99,
    n_permutations: int = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Aligned directions of a layer in two runs beside its raw neurons, with numbers.

    The seed picture of Raghu et al. 2017 (figure 1): sorted by class, neurons of two nets look
    unrelated, while aligned directions coincide and switch between classes.

    Args:
        run_a: A run.
        run_b: A run on the same probe set, such as one of another seed.
        layer: Name of a layer of both.
        k: How many pairs of each kind.
        step: A step of both; the last of each if left out.
        labels: Class indices (n_samples,); those of the run if left out.
        explained_variance: The cut of SVCCA.
        n_permutations: For the chance levels.
        seed: Of the permutations.

    Returns:
        Dataset over `kind` (`"aligned"`; `"loudest neurons"`, those of most variance;
        `"matched neurons"`, the best pairs that neurons can make, see `raw_neurons`), `pair` (from
        1; nan where a kind has fewer), `run` ("a", "b") and `sample`:

        * `correlation`, `correlation_chance` and `correlation_chance_upper` (kind, pair): of the
          traces of a pair, and what permutations give on average and in 97.5 % of cases;
        * `class_share` and `class_share_chance_upper` (kind, run, pair): η², see `class_share`,
          which is 0-dimensional `class_share_chance` by chance;
        * `trace` (kind, run, pair, sample), of variance 1; and `neuron` (kind, run, pair), the
          index of a raw neuron, -1 for a direction.

        With the coordinate `label` (sample) and, in the attributes, the class names.

    Raises:
        KeyError: If a run has no snapshot of the step.
        ProbeMismatchError: If the runs were taken on different probe sets.
        ValueError: If a run lacks the layer, its examples have several rows, or there are no
            labels.

    Warns:
        UserWarning: If a store cut directions away: neurons are then put together from the rest.
    """
    run_a.require_probe_of(run_b)
    known = run_a.facts.get("labels") if labels is None else labels
    if known is None:
        raise ValueError(
            f"The run in {run_a.path} has no labels of its probe set. Pass `labels`, or give them "
            "to the probe when the run is made: ProbeSet(x, labels)."
        )
    a, b = (_layer(run, layer, step) for run in (run_a, run_b))
    classes = np.asarray(known)
    if a.n_samples != len(classes):
        raise ValueError(
            f"Layer {layer!r} has {a.n_samples} rows for {len(classes)} labels: traces need one "
            'row an example, as the representation "mean" gives.'
        )
    settings: dict[str, Any] = {"k": k, "n_permutations": n_permutations, "seed": seed}
    found = (
        aligned_directions(a, b, explained_variance=explained_variance, **settings),
        raw_neurons(a, b, by="variance", **settings),
        raw_neurons(a, b, by="correlation", **settings),
    )
    parts = [_numbers(pairs, classes, n_permutations, seed) for pairs in found]
    data = xr.concat(parts, dim=xr.DataArray(list(KINDS), dims="kind", name="kind"), join="outer")
    present = len(np.unique(classes))
    return data.assign(class_share_chance=(present - 1) / (len(classes) - 1)).assign_attrs(
        layer=layer,
        class_names=run_a.facts.get("class_names") or [],
        run_names=[run.path.parent.name for run in (run_a, run_b)],
    )


def _layer(run: Run, layer: str, step: int | None) -> Subspace:
    if layer not in run.layers:
        raise ValueError(unknown_name("layer", layer, run.layers, where=f"in {run.path}"))
    steps = run.steps
    if not steps:
        raise ValueError(f"The run in {run.path} has no snapshot yet.")
    chosen = steps[-1] if step is None else step
    snapshot = run.snapshot(chosen)
    if layer not in snapshot:
        raise ValueError(f"Layer {layer!r} has no value at step {chosen} of {run.path}.")
    s = snapshot[layer]
    if s.rank < len(s.spectrum):
        held = float(np.sum(s.singular_values**2) / s.total_variance)
        warn(
            f"{run.path} holds {s.rank} of {len(s.spectrum)} directions of {layer!r} ({held:.1%} "
            "of the variance), as its store has `dims`. Raw neurons are put together from these."
        )
    return s


def _numbers(
    pairs: DirectionPairs, labels: np.ndarray, n_permutations: int, seed: int
) -> xr.Dataset:
    sides = (pairs.x_traces, pairs.y_traces)
    shares = [class_share(t, labels, n_permutations=n_permutations, seed=seed) for t in sides]
    weights = [np.asarray(w) for w in (pairs.x_directions, pairs.y_directions)]
    of_pair, of_side = ("pair",), ("run", "pair")
    return xr.Dataset(
        {
            "correlation": (of_pair, pairs.correlations),
            "correlation_chance": (of_pair, pairs.chance),
            "correlation_chance_upper": (of_pair, pairs.chance_upper),
            "class_share": (of_side, [share.values for share in shares]),
            "class_share_chance_upper": (of_side, [share.chance_upper for share in shares]),
            "trace": (("run", "pair", "sample"), list(sides)),
            "neuron": (of_side, [[_single(row) for row in side] for side in weights]),
        },
        coords={
            "pair": 1 + np.arange(len(pairs.correlations)),
            "run": ["a", "b"],
            "label": ("sample", labels),
        },
    )


def _single(weights: np.ndarray) -> float:
    """Index of the only neuron with a weight, or -1."""
    there = np.flatnonzero(weights)
    return float(there[0]) if len(there) == 1 else -1.0
