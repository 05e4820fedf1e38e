"""The probe set: the fixed inputs on which every snapshot of a run is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from . import datasets
from .structure import Array, Inputs, map_arrays, walk_arrays


class ProbeMismatchError(ValueError):
    """Two things that were to be compared come from different probe sets."""

    def __init__(
        self,
        expected: str,
        received: str,
        what: str = "The snapshots",
        *,
        other: str = "this is",
        way_out: str = "use the probe set of the run, or another log_dir",
    ):
        super().__init__(
            f"{what} belong to probe set {expected[:16]}…, but {other} probe set "
            f"{received[:16]}…: not the same inputs in the same order. Similarities compare "
            f"example by example; {way_out}."
        )


class ProbeSet:
    """Fixed examples, in a fixed order.

    Args:
        inputs: What the model is called on: an array, or a dict, list or tuple of arrays with
            equal first axes. Or a finite data set whose batches are as `Model.fit` takes them: a
            `tf.data.Dataset`, a `keras.utils.PyDataset` or a torch `DataLoader`, read here and
            never again, in its order, which must be the same each time.
        labels: Class indices of shape (n_samples,) or one-hot rows; those of the data set, if it
            has them, when left out. Not used for similarities.
        ids: A name or index for each example; its position if left out.
        class_names: Names of the classes, by index.

    Raises:
        ValueError: If there are fewer than two examples, lengths differ, or an input is NaN; if a
            data set is infinite, shuffled, not batched, or of examples of several shapes.
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
        if datasets.is_dataset(inputs):
            inputs, found = datasets.read(inputs)
            labels = found if labels is None else labels
        self.inputs = map_arrays(inputs, "inputs", _checked)
        self.n_samples = _n_samples(self.inputs)
        n = self.n_samples
        self.labels = None if labels is None else _aligned(_class_indices(labels), "labels", n)
        self.ids = np.arange(n) if ids is None else _aligned(ids, "ids", n)
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
            x: Arrays or a data set as for `ProbeSet`. Of arrays, also in an HDF5 file, only the
                examples that are drawn are read.
            y: Labels: class indices of shape (n,) or one-hot rows.
            size: Number of examples at most; all of `x` if it has fewer.
            seed: The same seed draws the same examples.
            stratify: Keep the shares of the classes of `y`, to one example.
            class_names: Names of the classes, by index.

        Returns:
            The examples in the order in which they stand in `x`; `ids` are their positions there.
        """
        if size < 2:
            raise ValueError(f"`size` must be at least 2. Received: size={size}")
        if datasets.is_dataset(x):
            x, found = datasets.read(x)
            y = found if y is None else y
        x = map_arrays(x, "inputs", _examples)
        n_samples = _n_samples(x)
        labels = None if y is None else _aligned(_class_indices(y), "labels", n_samples)
        size = min(size, n_samples)
        rng = np.random.default_rng(seed)
        if labels is None or not stratify:
            chosen = rng.choice(n_samples, size, replace=False)
        else:
            chosen = _stratified(labels, size, rng)
        chosen = np.sort(chosen)
        return cls(
            map_arrays(x, "inputs", lambda array, _: array[chosen]),
            None if labels is None else labels[chosen],
            ids=chosen,
            class_names=class_names,
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the inputs' names, bytes, shapes, dtypes and order."""
        digest = hashlib.sha256()
        for path, array in walk_arrays(self.inputs, "inputs"):
            digest.update(f"{path}:{array.dtype.str}:{array.shape};".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return self.n_samples

    def __repr__(self) -> str:
        shapes = {path: array.shape for path, array in walk_arrays(self.inputs, "inputs")}
        return f"ProbeSet({shapes}, fingerprint={self.fingerprint[:12]!r})"

    def batches(self, size: int) -> Iterator[Inputs]:
        """Consecutive parts of the inputs, in their structure, of `size` examples at most."""
        for start in range(0, self.n_samples, size):
            rows = slice(start, start + size)

            def part(array: Array, _: str, rows: slice = rows) -> Array:
                return array[rows]

            yield map_arrays(self.inputs, "inputs", part)


def _n_samples(inputs: Inputs) -> int:
    """How many examples all of the inputs have."""
    lengths = {path: len(array) for path, array in walk_arrays(inputs, "inputs")}
    if not lengths:
        raise ValueError("The probe set is empty: `inputs` holds no array.")
    n_samples = next(iter(lengths.values()))
    if len(set(lengths.values())) > 1:
        raise ValueError(f"All inputs need the same number of examples. Received: {lengths}.")
    if n_samples < 2:
        raise ValueError(
            f"A probe set needs at least two examples, better some hundreds. Received inputs "
            f"with {n_samples}."
        )
    return n_samples


def _aligned(values: ArrayLike, name: str, n_samples: int) -> Array:
    array = np.asarray(values)
    if array.shape[:1] != (n_samples,):
        raise ValueError(
            f"`{name}` must have one entry for each of the {n_samples} examples. "
            f"Received shape {array.shape}."
        )
    return array


def _examples(value: Any, path: str) -> Any:
    """Something that `[positions]` takes examples from, without reading the others."""
    if not (hasattr(value, "__array__") or isinstance(value, list)):
        raise TypeError(_no_array(value, path))
    in_file = type(value).__module__.partition(".")[0] in ("h5py", "zarr")
    array = value if in_file else np.asarray(value)
    if array.ndim == 0:
        raise ValueError(f"`{path}` is a single number; its first axis must be the examples.")
    return array


def _no_array(value: Any, path: str) -> str:
    return (
        f"`{path}` must be an array, a dict, list or tuple of arrays, or a tf.data.Dataset, "
        f"PyDataset or DataLoader. Received: {type(value).__name__}. Of another data set, take the "
        "arrays of a fixed part first."
    )


def _checked(value: Any, path: str) -> Array:
    if not (hasattr(value, "__array__") or isinstance(value, list)):
        raise TypeError(_no_array(value, path))
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"`{path}` makes no array, with examples of one shape: {error}") from error
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
    if array.dtype.kind == "T":  # its bytes are references, which say nothing of the words
        return np.array(array.tolist(), dtype=str)
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
