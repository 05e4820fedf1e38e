"""Are there enough samples? What a layer with many features would score by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .definition import Measure
from .pairs import PERMUTATIONS, Sides
from .subspace import Subspace

AFFINE = {"affine", "affine of y"}
# Samples times permutations that give a level to about 0.01: a value spreads as 1 / n_samples.
ENOUGH = 1500


def few_samples(layers: Mapping[str, Subspace], kind: Measure, options: Mapping[str, Any]) -> str:
    """A warning about layers with as many features as centred samples span; empty if there is none.

    It gives the level at which two unrelated layers of that size would score.
    """
    settings = kind.settings(options)
    parts = []
    for name, s in layers.items():
        if s.rank and s.n_features >= s.n_samples - 1:
            parts.append(
                f"{name} has {s.n_features} features for {s.n_samples} samples "
                f"(chance level {own_level(kind, s, settings):.2f})"
            )
    if not parts:
        return ""
    return (
        f"Few samples: {'; '.join(parts)}. Unrelated layers score at chance level: take 5 to 10 "
        "probe examples for each feature."
    )


def own_level(kind: Measure, s: Subspace, settings: Mapping[str, Any]) -> float:
    """What a layer and an unrelated one of its size would score, to about 0.01."""
    cut = kind.cut(s, settings)
    n = cut.n_samples
    if kind.chance is None and kind.invariances & AFFINE and cut.rank >= n - 1:
        return 1.0  # an affine map away from every other layer
    # As many neurons as samples tell a mean over all neurons …
    chosen = np.random.default_rng(0).permutation(cut.n_features)[:n]
    thin = replace(cut, loadings=cut.loadings[chosen], mean=cut.mean[chosen])
    # … and few permutations the mean of values that spread less the more samples there are.
    permutations = max(1, min(PERMUTATIONS, ENOUGH // n))
    return float(Sides(kind, [thin], [thin], kind.rest(settings)).chance(permutations)[0, 0])
