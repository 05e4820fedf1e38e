"""Activations with a few directions left of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arguments import is_whole
from .rounding import Array, checked


def project(x: ArrayLike, directions: ArrayLike, k: int | None = None) -> Array:
    """Activations with only their part along the first k directions left (Raghu et al. 2017, §4.1).

    The centred activations are projected at right angles on what the first k directions span
    together, whatever the angles between these, and the mean is added again.

    Args:
        x: Activations of shape (n_samples, n_features). Not modified.
        directions: In the space of the neurons, most important first, shape (m, n_features), such
            as `DirectionPairs.x_directions` or `CCAResult.x_weights`.
        k: How many to use; all if left out.

    Returns:
        Shape (n_samples, n_features), of rank k at most beside the mean.

    Raises:
        ValueError: If shapes do not fit, or `k` exceeds the number of directions.

    Example:
        >>> project([[1.0, 5.0], [3.0, 7.0]], [[2.0, 0.0]]).tolist()
        [[1.0, 6.0], [3.0, 6.0]]
    """
    matrix, _ = checked(x, "x")
    rows = np.asarray(directions)
    if rows.ndim != 2 or rows.shape[1] != matrix.shape[1]:
        raise ValueError(
            f"`directions` must have shape (m, {matrix.shape[1]}), a row a direction and a column "
            f"a neuron of `x`. Received: shape {rows.shape}."
        )
    count = len(rows) if k is None else k
    if not is_whole(count, 1) or count > len(rows):
        raise ValueError(
            f"`k` must be a whole number, at least 1 and at most {len(rows)}, the number of "
            f"directions. Received: k={k}"
        )
    lengths = np.linalg.norm(rows[:count], axis=1, keepdims=True)
    units = rows[:count] / np.where(lengths > 0, lengths, 1.0)
    _, values, spanned = np.linalg.svd(units, full_matrices=False)
    spanned = spanned[values > max(units.shape) * np.finfo(np.float64).eps * values[0]]
    mean = matrix.mean(axis=0)
    return mean + (matrix - mean) @ spanned.conj().T @ spanned
