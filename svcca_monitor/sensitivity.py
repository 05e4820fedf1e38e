"""Which classes a layer tells apart, through depth and through training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from .arguments import require_share, require_whole
from .chance import correlation_mean
from .classes import indicators, require_labels_of, unit_columns
from .cuts import Criterion, check_cut
from .run import Run
from .subspace import Array, Subspace, as_subspace

# Columns that are multiplied with a basis at a time: bounds the memory that permutations take.
BLOCK = 2000


def class_sensitivity(
    source: Run | Mapping[str, Subspace | ArrayLike],
    labels: ArrayLike | None = None,
    *,
    steps: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    explained_variance: float | None = 0.99,
    criterion: Criterion = "variance",
    dims: int | None = None,
    n_permutations: int = 100,
    level: float = 0.95,
    seed: int = 0,
) -> xr.DataArray:
    """Correlation of each class with each layer (Raghu et al. 2017, §4.3 and figure 6).

    The largest correlation that a linear function of the neurons reaches with the class: the
    canonical correlation of the layer and the class' column alone, which is the multiple
    correlation R = ‖Uᴴ y‖ of the centred column y of length 1 and an orthonormal basis U of the
    layer. R² is the share of the column's variance that the layer explains.

    The paper takes convolutional layers by the discrete Fourier transform, where a class meets the
    zero frequency alone. That is the mean over space times its size, so the representation
    `"mean"` spans the same subspace: the numbers are those of the paper's way.

    More directions correlate more with anything. So beside each layer stands its null: what the
    same labels in random order score.

    Args:
        source: A run; or one snapshot, a mapping from names of layers to their `Subspace` or their
            activations of shape (n_samples, n_features).
        labels: Class indices (n_samples,), or one column a class (n_samples, n_classes), such as
            the logits of the net. Left out: the labels that the run has of its probe set.
        steps: Of a run, the steps to look at; all of them if left out.
        class_names: Names of the classes by index; those of the run, or the indices.
        explained_variance: The cut of SVCCA: the fewest leading directions of a layer that hold
            this share. None for all of them.
        criterion: What the share is of, see `Subspace.truncate`.
        dims: Keep this many directions at most.
        n_permutations: How often the labels are put in random order, the same orders for all
            layers and steps. 0 leaves the null nan, but for `chance`.
        level: Share of permutations between `null_lower` and `null_upper`, over all classes.
        seed: The same seed gives the same permutations.

    Returns:
        Array (step, layer, class), of one snapshot (layer, class), values in [0, 1]. nan where a
        layer is missing or constant, or a class has no example. Coordinates by step and layer:

        * `rank`, the directions that the cut kept;
        * `chance`, the mean of R where R² has the law Beta(k/2, (n − 1 − k)/2), k directions
          of n samples: exact for a column of normal noise, whatever the layer. nan where an
          example has several rows (representation `"sample"`), as rows are not independent;
        * `null_mean`, `null_lower`, `null_upper`: mean and quantiles of the permutations. The
          permutation mean of R² is k/(n − 1), exactly.

    Raises:
        ValueError: If there are no labels, they do not fit the samples, or a setting is out of
            range.
        KeyError: If the run has no snapshot of a step.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(300) % 3
        >>> layer = rng.normal(size=(300, 4)) + 9.0 * (labels == 2)[:, None]
        >>> class_sensitivity({"layer": layer}, labels).round(1).values.tolist()
        [[0.5, 0.5, 1.0]]
    """
    check_cut(explained_variance, dims, criterion)
    require_whole("n_permutations", n_permutations, least=0)
    require_share("level", level, within="(0, 1)")
    snapshots: Iterable[Mapping[str, Subspace | ArrayLike]]
    if isinstance(source, Run):
        labels, class_names = _labels_of(source, labels, class_names)
        layers, chosen = source.layers, _chosen(source, steps)
        snapshots = map(source.snapshot, chosen)
        several_rows = [info.representation.startswith("sample") for info in source.layer_info]
    else:
        if labels is None:
            raise ValueError("A snapshot has no labels of its own. Pass `labels`.")
        layers, chosen, snapshots = list(source), [0], [source]
        several_rows = [False] * len(layers)
    columns, names = indicators(labels, class_names)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(columns)) for _ in range(n_permutations)]
    values = np.full((len(chosen), len(layers), len(names)), np.nan)
    beside = {
        key: np.full(values.shape[:2], np.nan)
        for key in ("rank", "chance", "null_mean", "null_lower", "null_upper")
    }
    for t, snapshot in enumerate(snapshots):
        for i, layer in enumerate(layers):
            if layer not in snapshot:
                continue
            s = as_subspace(snapshot[layer], layer).truncate(
                explained_variance=explained_variance, criterion=criterion, dims=dims
            )
            rows = s.n_samples // len(columns) if several_rows[i] else 1
            require_labels_of(rows * len(columns), s.n_samples, f"layer {layer!r}")
            values[t, i] = _multiple_correlations(s, columns, rows)
            null = _null(s, columns, orders, rows)
            for key, value in _summary(s, null, rows, level).items():
                beside[key][t, i] = value
    return _labelled(source, chosen, layers, names, values, beside, level)


def class_gaps(sensitivity: xr.DataArray) -> xr.DataArray:
    """How far apart the curves of each two classes run: array (class, other_class).

    The mean over depth (and steps) of the absolute difference of their correlations: in the paper
    0.02 to 0.05 for two breeds of dogs, and above 0.1 between these and a fire truck.

    Args:
        sensitivity: Of `class_sensitivity`.
    """
    other = sensitivity.rename({"class": "other_class"})
    gaps = abs(sensitivity - other)
    found = gaps.mean([d for d in gaps.dims if d not in ("class", "other_class")])
    return found.transpose("class", "other_class").rename("gap")


def _labels_of(
    run: Run, labels: ArrayLike | None, class_names: Sequence[str] | None
) -> tuple[ArrayLike, Sequence[str] | None]:
    """The labels that were passed, or those of the run; names only where they fit."""
    stored = run.facts.get("class_names")
    if labels is not None:
        columns = np.shape(labels)[1:]
        fits = stored is not None and columns in ((), (len(stored),))
        return labels, stored if class_names is None and fits else class_names
    if run.facts.get("labels") is None:
        raise ValueError(
            f"The run in {run.path} has no labels of its probe set. Pass `labels`, or give them to "
            "the probe when the run is made: ProbeSet(x, labels)."
        )
    return run.facts["labels"], stored if class_names is None else class_names


def _chosen(run: Run, steps: Sequence[int] | None) -> list[int]:
    there = run.steps
    if not there:
        raise ValueError(f"The run in {run.path} has no snapshot yet.")
    for step in steps or ():
        if step not in there:
            raise KeyError(f"The run has no snapshot of step {step}. Steps: {there}.")
    return there if steps is None else [int(step) for step in steps]


def _multiple_correlations(s: Subspace, columns: Array, rows: int) -> Array:
    """R of each column, shape (n_columns,); nan of a constant column or layer."""
    if not s.rank:
        return np.full(columns.shape[1], np.nan)
    repeated = np.repeat(columns, rows, axis=0)
    # The basis is centred, but for rounding: so is what is left of a column.
    return np.minimum(np.linalg.norm(s.basis.conj().T @ unit_columns(repeated), axis=0), 1.0)


def _null(s: Subspace, columns: Array, orders: Sequence[Array], rows: int) -> Array:
    """R of all columns in each order; examples keep their rows together."""
    if not (s.rank and orders):
        return np.empty(0)
    each = max(1, BLOCK // columns.shape[1])
    parts = [orders[i : i + each] for i in range(0, len(orders), each)]
    found = [
        _multiple_correlations(s, np.concatenate([columns[order] for order in part], axis=1), rows)
        for part in parts
    ]
    null = np.concatenate(found)
    return null[np.isfinite(null)]


def _summary(s: Subspace, null: Array, rows: int, level: float) -> dict[str, float]:
    found = {"rank": float(s.rank)}
    if rows == 1 and s.rank:
        found["chance"] = correlation_mean(n_samples=s.n_samples, dims_x=1, dims_y=s.rank)
    if len(null):
        lower, upper = np.quantile(null, [(1 - level) / 2, (1 + level) / 2])
        found |= {"null_mean": null.mean(), "null_lower": lower, "null_upper": upper}
    return found


def _labelled(
    source: Any,
    steps: list[int],
    layers: list[str],
    names: list[str],
    values: Array,
    beside: dict[str, Array],
    level: float,
) -> xr.DataArray:
    coords: dict[str, Any] = {
        "step": steps,
        "layer": layers,
        "class": names,
        "depth": ("layer", np.arange(len(layers))),
        **{key: (("step", "layer"), value) for key, value in beside.items()},
    }
    if isinstance(source, Run):
        coords["epoch"] = ("step", [float(source.header(step)["epoch"]) for step in steps])
    found = xr.DataArray(
        values,
        dims=("step", "layer", "class"),
        coords=coords,
        name="correlation",
        attrs={"level": level},
    )
    return found if isinstance(source, Run) else found.isel(step=0, drop=True)
