"""Is it chance? Permutation tests and bootstrap intervals over the probe examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arguments import require_share, require_whole
from .measures import get_measure
from .pairs import Sides, observed_grid, prepare, rescaled
from .preparation import Layer, Layers
from .subspace import Array, Subspace

# Scores closer than this, or than this share of them, are one score: where all orders match alike
# (no more samples than dimensions), rounding must not decide which of them is higher. Products in
# single precision round by a share.
TIE, TIE_SHARE = 1e-9, 1e-6


@dataclass(frozen=True, eq=False)
class PermutationTest:
    """How similarities compare with those of samples that do not belong together.

    Arrays have the shape of the grid, () for a single pair.

    Attributes:
        observed: The similarities.
        chance: Mean over the permutations.
        p_value: Share of permutations that score at least as high, the observed order among them.
        corrected_p_value: The same against the highest score of all pairs in each permutation:
            of all pairs that are below a level together, with that probability none is by chance
            (Westfall and Young 1993).
        n_permutations: How many permutations.
    """

    observed: Array
    chance: Array
    p_value: Array
    corrected_p_value: Array
    n_permutations: int


@dataclass(frozen=True, eq=False)
class SimilarityIntervals:
    """A grid of similarities with its chance levels and bootstrap intervals.

    Arrays have the shape of the grid. A similarity is beyond chance where `lower > chance`.

    Attributes:
        values: The similarities, those of `similarity_grid`.
        chance: What unrelated layers would score, on the scale of `values`: 0 if adjusted.
        lower: Lower ends of the intervals, at most `values`.
        upper: Upper ends, at least `values`.
        rows: Names of the layers of the rows.
        columns: Names of the layers of the columns.
    """

    values: Array
    chance: Array
    lower: Array
    upper: Array
    rows: list[str]
    columns: list[str]


def permutation_test(
    x: Layer | Layers,
    y: Layer | Layers,
    *,
    measure: str = "svcca",
    n_permutations: int = 999,
    seed: int = 0,
    rtol: float | None = None,
    **options: Any,
) -> PermutationTest:
    """Test whether layers are more similar than by chance.

    The samples of x are put in another order, the same for all of its layers.

    Args:
        x: One layer: activations of shape (n_samples, n_features) or a `Subspace`; or a sequence
            or mapping of layers for the rows of a grid.
        y: The same for the columns.
        measure: A name in `MEASURES`.
        n_permutations: The smallest possible p-value is 1 / (n_permutations + 1).
        seed: The same seed gives the same permutations.
        rtol: Relative tolerance for the numerical rank of arrays, see `Subspace.from_activations`.
        **options: Options of the measure.

    Raises:
        ValueError: If the measure is unknown or layers cannot be compared.
    """
    require_whole("n_permutations", n_permutations, least=1)
    require_whole("seed", seed, least=0)
    sides, shape = _sides(x, y, measure, rtol, options)
    observed = observed_grid(sides)
    if not observed.size:
        return PermutationTest(observed, observed, observed, observed, n_permutations)
    rng = np.random.default_rng(seed)
    at_least, highest_at_least, total = (np.zeros(observed.shape) for _ in range(3))
    tied = observed - TIE - TIE_SHARE * np.abs(observed)
    orders = (rng.permutation(sides.n_samples) for _ in range(n_permutations))
    for null in sides.permuted(orders):
        total += null
        at_least += null >= tied
        finite = null[np.isfinite(null)]
        highest_at_least += (finite.max() if finite.size else np.nan) >= tied
    known = np.where(np.isfinite(observed), 1.0, np.nan)
    return PermutationTest(
        observed.reshape(shape),
        (total / n_permutations).reshape(shape),
        (known * (at_least + 1) / (n_permutations + 1)).reshape(shape),
        (known * (highest_at_least + 1) / (n_permutations + 1)).reshape(shape),
        n_permutations,
    )


def bootstrap_interval(
    x: Layer | Layers,
    y: Layer | Layers,
    *,
    measure: str = "svcca",
    level: float = 0.95,
    n_resamples: int = 200,
    seed: int = 0,
    rtol: float | None = None,
    **options: Any,
) -> tuple[Array, Array]:
    """How far a similarity hangs on which probe examples were drawn.

    Basic bootstrap interval (Davison and Hinkley 1997, §5.2) over samples, the same for all layers:
    the quantiles of the resampled values, mirrored at the observed one. Repeated samples resemble
    each other, so that resampled similarities are too high; mirroring takes that bias off. Where
    the bias is so large that the interval would lie below the observed value, it reaches up to it.
    Resamples that have no value, as where all samples drawn are alike, are left out.

    Args:
        x: One layer or several, as for `permutation_test`.
        y: The same for the columns.
        measure: A name in `MEASURES`.
        level: Share of resamples that the interval covers, in (0, 1).
        n_resamples: How many.
        seed: The same seed gives the same resamples.
        rtol: Relative tolerance for the numerical rank of arrays, see `Subspace.from_activations`.
        **options: Options of the measure.

    Returns:
        Lower and upper ends, within the range of the measure and around the observed value, each of
        the shape of the grid; () for a single pair. nan where the similarity is, or where no
        resample has a value.

    Raises:
        ValueError: If the measure is unknown, layers cannot be compared, or `level` is no share.
    """
    _check(level, n_resamples, seed)
    sides, shape = _sides(x, y, measure, rtol, options)
    low, high = _interval(sides, observed_grid(sides), level, n_resamples, seed)
    return low.reshape(shape), high.reshape(shape)


def similarity_intervals(
    rows: Layers,
    columns: Layers | None = None,
    *,
    measure: str = "svcca",
    adjusted: bool = False,
    level: float = 0.95,
    n_resamples: int = 200,
    seed: int = 0,
    rtol: float | None = None,
    **options: Any,
) -> SimilarityIntervals:
    """All that `similarity_grid` gives, with the chance level and an interval for each pair.

    Every layer is factorised once; a resample is as dear as a grid, and of its size.

    Args:
        rows: Activations or `Subspace`s, or a mapping from layer names to them.
        columns: The same; `rows` if left out.
        measure: A name in `MEASURES`.
        adjusted: Rescale values and intervals, so that chance is 0 and identity 1.
        level: Share of resamples that an interval covers, see `bootstrap_interval`.
        n_resamples: How many.
        seed: The same seed gives the same resamples.
        rtol: Relative tolerance for the numerical rank of arrays, see `Subspace.from_activations`.
        **options: Options of the measure, such as `explained_variance`.

    Raises:
        ValueError: If the measure is unknown, layers cannot be compared, or `level` is no share.
        TypeError: If the measure does not take an option.
    """
    _check(level, n_resamples, seed)
    sides = prepare(get_measure(measure), rows, columns, rtol=rtol, options=options)
    values = observed_grid(sides)
    low, high = _interval(sides, values, level, n_resamples, seed)
    chance = np.where(np.isfinite(values), sides.chance(), np.nan)
    if adjusted:
        values, low, high, chance = (rescaled(a, chance) for a in (values, low, high, chance))
    return SimilarityIntervals(values, chance, low, high, *sides.names)


def _check(level: float, n_resamples: int, seed: int) -> None:
    require_share("level", level, within="(0, 1)")
    require_whole("seed", seed, least=0)
    require_whole("n_resamples", n_resamples, least=2)


def _interval(
    sides: Sides, observed: Array, level: float, n_resamples: int, seed: int
) -> tuple[Array, Array]:
    if not observed.size:
        return observed, observed
    rng, n = np.random.default_rng(seed), sides.n_samples
    values = np.array(list(sides.resampled(rng.integers(n, size=n) for _ in range(n_resamples))))
    # A resample of few samples may be constant in a layer: it says nothing, and is left out.
    known = np.isfinite(values).any(axis=0)
    tail = (1 - level) / 2
    known &= np.isfinite(observed)
    quantiles = np.nanquantile(np.where(known, values, 0.0), [1 - tail, tail], axis=0)
    low, high = np.where(known, 2 * observed - quantiles, np.nan)
    bounds = sides.kind.lowest, 1.0
    return np.minimum(np.clip(low, *bounds), observed), np.maximum(np.clip(high, *bounds), observed)


def _sides(
    x: Layer | Layers,
    y: Layer | Layers,
    measure: str,
    rtol: float | None,
    options: Mapping[str, Any],
) -> tuple[Sides, tuple[int, ...]]:
    """Both sides, and the shape of the results."""
    rows, columns = (_layers(side, name) for side, name in ((x, "x"), (y, "y")))
    single = not _several(x) and not _several(y)
    shape = () if single else (len(rows), len(columns))
    return prepare(get_measure(measure), rows, columns, rtol=rtol, options=options), shape


def _several(side: Layer | Layers) -> bool:
    if isinstance(side, Mapping):
        return True
    if isinstance(side, list | tuple):
        # The rows of a nested list of numbers are samples, not layers.
        return not side or isinstance(side[0], Subspace) or np.ndim(side[0]) != 1
    return not isinstance(side, Subspace) and np.ndim(side) == 3  # type: ignore[arg-type]


def _layers(side: Layer | Layers, name: str) -> Layers:
    return side if _several(side) else {name: side}  # type: ignore[return-value,dict-item]
