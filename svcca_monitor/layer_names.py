"""Layers by their names: those that patterns choose, those that several runs share."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from .messages import unknown_name
from .run import Run


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Those of the names that a name or glob matches; ValueError for a pattern that none does."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(unknown_name("layer", pattern, names))
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]


def common_layers(runs: Sequence[Run], patterns: Sequence[str] | None) -> list[str]:
    """Layers by these names or globs that every run has, in the order of the first run.

    Raises:
        ValueError: If there is none.
    """
    names = [name for name in runs[0].layers if all(name in run.layers for run in runs[1:])]
    if not names:
        each = "; ".join(f"{run.path}: {', '.join(run.layers)}" for run in runs)
        raise ValueError(f"No layer is in all runs, and the same layers are compared. {each}.")
    return names if patterns is None else matching(names, patterns)
