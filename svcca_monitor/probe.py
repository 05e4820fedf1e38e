"""The probe set: the fixed inputs on which every snapshot of a run is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
# Arrays as the model takes them: one, or a dict, list or tuple of them.
Inputs = Any


class ProbeMismatchError(ValueError):
    """Two things that were to be compared come from different probe sets."""

    def __init__(self, expected: str, received: str, what: str = "The snapshots"):
        super().__init__(
            f"{what} belong to probe set {expected[:16]}…, but this is probe set "
            f"{received[:16]}…: not the same inputs in the same order. Similarities compare "
            "example by example; use the probe set of the run, or another log_dir."
        )


class ProbeSet:
    """Fixed examples, in a fixed order.

    Args:
        inputs: What the model is called on: an array, or a dict, list or tuple of arrays with
            equal first axes.
        labels: Class indices of shape (n_samples,) or one-hot rows. Not used for similarities.
        ids: A name or index for each example; its position if left out.
        class_names: Names of the classes, by index.

    Raises:
        ValueError: If there are fewer than two examples, lengths differ, or an input is NaN.
        TypeError: If `inputs` holds no arrays of numbers or strings.

    Example:
        >>> import numpy as np
        >>> ProbeSet(np.zeros((8, 4, 4))).fingerprint == ProbeSet(np.ones((8, 4, 4))).fingerprint
        False
    """

    def __init__(
        self,
        inputs: Inputs,
        labels: ArrayLike | None = None,
        *,
        ids: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
    ):
        self.inputs = _map(inputs, "inputs", _checked)
        lengths = {path: len(array) for path, array in _walk(self.inputs, "inputs")}
        if not lengths:
            raise ValueError("The probe set is empty: `inputs` holds no array.")
        self.n_samples = next(iter(lengths.values()))
        if len(set(lengths.values())) > 1:
            raise ValueError(f"All inputs need the same number of examples. Received: {lengths}.")
        if self.n_samples < 2:
            raise ValueError(
                f"A probe set needs at least two examples, better some hundreds. Received inputs "
                f"with {self.n_samples}."
            )
        self.labels = None if labels is None else self._aligned(_class_indices(labels), "labels")
        self.ids = np.arange(self.n_samples) if ids is None else self._aligned(ids, "ids")
        self.class_names = None if class_names is None else [str(name) for name in class_names]

    @classmethod
    def sample(
        cls,
        x: Inputs,
        y: ArrayLike | None = None,
        *,
        size: int = 1024,
        seed: int = 0,
        stratify: bool = True,
        class_names: Sequence[str] | None = None,
    ) -> ProbeSet:
        """Draw a probe set from a larger one, without replacement.

        Args:
            x: Arrays as for `ProbeSet`.
            y: Labels: class indices of shape (n,) or one-hot rows.
            size: Number of examples at most; all of `x` if it has fewer.
            seed: The same seed draws the same examples.
            stratify: Keep the shares of the classes of `y`, to one example.
            class_names: Names of the classes, by index.

        Returns:
            The examples in the order in which they stand in `x`; `ids` are their positions there.
        """
        whole = cls(x, y)
        if size < 2:
            raise ValueError(f"`size` must be at least 2. Received: size={size}")
        size = min(size, whole.n_samples)
        rng = np.random.default_rng(seed)
        if whole.labels is None or not stratify:
            chosen = rng.choice(whole.n_samples, size, replace=False)
        else:
            chosen = _stratified(whole.labels, size, rng)
        chosen = np.sort(chosen)
        return cls(
            _map(whole.inputs, "inputs", lambda array, _: array[chosen]),
            None if whole.labels is None else whole.labels[chosen],
            ids=chosen,
            class_names=class_names,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the inputs' names, bytes, shapes, dtypes and order."""
        digest = hashlib.sha256()
        for path, array in _walk(self.inputs, "inputs"):
            digest.update(f"{path}:{array.dtype.str}:{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        shapes = {path: array.shape for path, array in _walk(self.inputs, "inputs")}
        return f"ProbeSet({shapes}, fingerprint={self.fingerprint[:12]!r})"

    def batches(self, size: int) -> Iterator[Inputs]:
        """Consecutive parts of the inputs, in their structure, of `size` examples at most."""
        for start in range(0, self.n_samples, size):
            rows = slice(start, start + size)
            yield _map(self.inputs, "inputs", lambda array, _, rows=rows: array[rows])

    def _aligned(self, values: ArrayLike, name: str) -> Array:
        array = np.asarray(values)
        if array.shape[:1] != (self.n_samples,):
            raise ValueError(
                f"`{name}` must have one entry for each of the {self.n_samples} examples. "
                f"Received shape {array.shape}."
            )
        return array


def _map(tree: Inputs, path: str, function: Any) -> Inputs:
    """The same dicts, lists and tuples with `function(array, path)` in place of the arrays."""
    if isinstance(tree, Mapping):
        return {key: _map(tree[key], f"{path}[{key!r}]", function) for key in tree}
    if isinstance(tree, tuple) or (isinstance(tree, list) and any(map(_is_array, tree))):
        return type(tree)(_map(v, f"{path}[{i}]", function) for i, v in enumerate(tree))
    return function(tree, path)


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") and np.ndim(value) > 0


def _walk(tree: Inputs, path: str) -> Iterator[tuple[str, Array]]:
    """Every array with its path; the keys of a dict in alphabetical order, as they have none."""
    if isinstance(tree, Mapping):
        for key in sorted(tree):
            yield from _walk(tree[key], f"{path}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(tree):
            yield from _walk(value, f"{path}[{i}]")
    else:
        yield path, tree


def _checked(value: Any, path: str) -> Array:
    if not (hasattr(value, "__array__") or isinstance(value, list)):
        raise TypeError(
            f"`{path}` must be an array, or a dict, list or tuple of arrays. Received: "
            f"{type(value).__name__}. Of a data set, take the arrays of a fixed part first."
        )
    array = np.asarray(value)
    if array.dtype.kind not in "fciubUST" and array.dtype.name != "bfloat16":
        raise TypeError(f"`{path}` has dtype {array.dtype}; numbers or strings are expected.")
    if array.ndim == 0:
        raise ValueError(f"`{path}` is a single number; its first axis must be the examples.")
    if array.dtype.kind in "fc" and not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        raise ValueError(
            f"`{path}` has NaN or infinite values in {len(rows)} of {len(array)} examples, first "
            f"in example {rows[0]}. Leave those examples out of the probe set."
        )
    # The run stands on these examples: what the caller does with their array must not reach them.
    return array.copy()


def _class_indices(labels: ArrayLike) -> Array:
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    if array.ndim == 2 and array.shape[1] > 1:
        return array.argmax(axis=1)
    return array


def _stratified(labels: Array, size: int, rng: np.random.Generator) -> Array:
    """Positions of `size` examples with the classes in their shares (largest remainders)."""
    classes, index = np.unique(labels, return_inverse=True)
    exact = np.bincount(index) * (size / len(labels))
    quota = np.floor(exact).astype(int)
    short = size - quota.sum()
    # Stable, so that equal remainders go to the lower class whatever the platform's sort does.
    quota[np.argsort(quota - exact, kind="stable")[:short]] += 1
    parts = [
        rng.choice(np.flatnonzero(index == c), quota[c], replace=False) for c in range(len(classes))
    ]
    return np.concatenate(parts)
