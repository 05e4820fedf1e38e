"""Labels as columns: what a layer or a direction knows of the classes is asked of these."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .subspace import Array


def indicators(
    labels: ArrayLike, class_names: Sequence[str] | None = None, *, name: str = "labels"
) -> tuple[Array, list[str]]:
    """One column a class, and the names of the classes.

    Args:
        labels: Class indices of shape (n_samples,); or one column a class, (n_samples, n_classes),
            such as one-hot rows, probabilities or logits, which are taken as they are.
        class_names: Names by index; the indices themselves if left out.
        name: What to call `labels` in an error.

    Returns:
        Columns of shape (n_samples, n_classes): of class indices, 1 where an example is of the
        class and else 0.

    Raises:
        ValueError: If the labels are neither, are not finite, or do not fit the names.
    """
    given = np.asarray(labels)
    if given.dtype.kind not in "biuf" or given.ndim not in (1, 2) or not len(given):
        raise ValueError(
            f"`{name}` must be class indices of shape (n_samples,), or one column a class of shape "
            f"(n_samples, n_classes). Received: shape {given.shape} of {given.dtype}."
        )
    bad = int(np.count_nonzero(~np.isfinite(given)))
    if bad:
        raise ValueError(f"`{name}` has {bad} values that are NaN or infinite.")
    if given.ndim == 2:
        columns = given.astype(np.float64)
    else:
        if (given != np.floor(given)).any() or given.min() < 0:
            raise ValueError(
                f"`{name}` of shape (n_samples,) are class indices: whole numbers from 0. For a "
                f"single logit pass a column, shape (n_samples, 1). Received: {given[:3]} …"
            )
        count = int(given.max()) + 1 if class_names is None else len(class_names)
        if given.max() >= count:
            raise ValueError(
                f"`{name}` has class {int(given.max())}, but `class_names` has {count} names."
            )
        columns = (given[:, None] == np.arange(count)).astype(np.float64)
    names = list(map(str, range(columns.shape[1]) if class_names is None else class_names))
    if len(names) != columns.shape[1]:
        raise ValueError(
            f"`class_names` has {len(names)} names, but `{name}` has {columns.shape[1]} columns."
        )
    return columns, names


def unit_columns(columns: Array) -> Array:
    """Columns centred and of length 1; nan where a column is constant."""
    centred = columns - columns.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=0)
    constant = np.ptp(columns, axis=0) == 0
    return centred / np.where(constant, np.nan, lengths)


def require_labels_of(n_labels: int, n_samples: int, what: str) -> None:
    """Raise ValueError unless each sample has a label."""
    if n_labels != n_samples:
        raise ValueError(
            f"`labels` has {n_labels} examples, but {what} has {n_samples} samples. Pass the "
            "labels of the probe set, in its order."
        )
