"""Data sets read into arrays: the batches of a tf.data, PyDataset or DataLoader, once, in order.

They are known by what they can do, so that none of their packages is imported here.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from .structure import Array, Inputs, map_arrays, walk_arrays

# Beyond these a data set is taken for one that was not meant to be read whole.
MAX_EXAMPLES = 200_000
MAX_BYTES = 4 * 2**30

_WAY_OUT = "A probe set is some hundreds of examples: pass a part, such as dataset.take(n)."


def is_dataset(value: object) -> bool:
    """Whether a value gives batches of examples, rather than being an array of them."""
    return _is_tf_data(value) or _is_py_dataset(value) or _is_data_loader(value)


def read(dataset: Any) -> tuple[Inputs, Array | None]:
    """Every example of a finite data set, and the labels if it has class labels.

    Batches are `x`, `(x, y)` or `(x, y, sample_weight)`, as `Model.fit` takes them; weights are not
    kept. The data set is gone through twice: the second time only to see that it gives the same.

    Raises:
        ValueError: If the data set is infinite or too large, empty, not batched, gives another
            order or other values the second time, or batches that do not go together.
    """
    with _random_state_kept():
        batches = list(_bounded(dataset))
        if not batches:
            raise ValueError(f"The {_kind(dataset)} has no batch.")
        first = _digest(batches)
        again = _digest(islice(_batches(dataset), len(batches)))
    if first != again:
        raise ValueError(
            f"The {_kind(dataset)} gave another order or other values when it was read again. "
            "Similarities compare snapshots example by example, so that the probe set must be the "
            "same examples in the same order, also in the next run. Leave out shuffling and "
            "augmentation, such as with shuffle=False."
        )
    _require_alike(dataset, [x for x, _ in batches])
    inputs = _joined([x for x, _ in batches])
    labels = [y for _, y in batches]
    return inputs, _class_labels(labels, inputs)


def _is_tf_data(value: object) -> bool:
    return hasattr(value, "element_spec") and hasattr(value, "as_numpy_iterator")


def _is_py_dataset(value: object) -> bool:
    return hasattr(value, "num_batches") and hasattr(value, "__getitem__")


def _is_data_loader(value: object) -> bool:
    return hasattr(value, "collate_fn") and hasattr(value, "dataset")


def _kind(dataset: object) -> str:
    return f"data set ({type(dataset).__name__})"


def _bounded(dataset: Any) -> Iterator[tuple[Inputs, Any]]:
    """The batches, of no more examples than a probe set may have."""
    endless = (_is_tf_data(dataset) and int(dataset.cardinality()) == -1) or (
        _is_py_dataset(dataset) and dataset.num_batches is None
    )
    if endless:
        raise ValueError(f"The {_kind(dataset)} is infinite. {_WAY_OUT}")
    examples = size = 0
    for x, y in _batches(dataset):
        arrays = [array for _, array in walk_arrays(x, "x")]
        examples += _batch_length(dataset, arrays, y)
        size += sum(array.nbytes for array in arrays)
        if examples > MAX_EXAMPLES or size > MAX_BYTES:
            raise ValueError(
                f"The {_kind(dataset)} has more than {MAX_EXAMPLES:,} examples or "
                f"{MAX_BYTES / 2**30:.0f} GiB, if it ends at all. {_WAY_OUT}"
            )
        yield x, y


def _batches(dataset: Any) -> Iterator[tuple[Inputs, Any]]:
    """Inputs as arrays, and labels, of one batch after another."""
    loader = _is_data_loader(dataset)
    if _is_py_dataset(dataset):
        batches = (dataset[i] for i in range(dataset.num_batches))
    else:
        batches = iter(dataset.as_numpy_iterator() if _is_tf_data(dataset) else dataset)
    for batch in batches:
        # A list is one x of several inputs to Keras, but a DataLoader makes lists of tuples.
        parts = tuple(batch) if loader and isinstance(batch, list) else batch
        if not isinstance(parts, tuple):
            parts = (parts,)
        x, y = parts[0], parts[1] if len(parts) > 1 else None
        yield map_arrays(x, "x", _array), y


def _array(value: Any, path: str) -> Array:
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.dtype == object and array.size and isinstance(array.flat[0], bytes | str):
        return array.astype(type(array.flat[0]))
    if array.dtype == object:
        raise ValueError(
            f"`{path}` of the data set is no array ({type(value).__name__}). Make ragged or sparse "
            "batches dense first."
        )
    return array


def _batch_length(dataset: Any, arrays: list[Array], y: Any) -> int:
    scalar_label = y is not None and not isinstance(y, Mapping | tuple) and np.ndim(y) == 0
    if scalar_label or any(array.ndim == 0 for array in arrays):
        raise ValueError(
            f"The {_kind(dataset)} gives single examples. Batch them first: dataset.batch(128)."
        )
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(
            f"A batch of the {_kind(dataset)} has inputs of shape {shapes}; the first axis must be "
            "the examples of the batch, as many in each."
        )
    return lengths.pop()


def _digest(batches: Any) -> str:
    digest = hashlib.sha256()
    for x, _ in batches:
        for path, array in walk_arrays(x, "x"):
            digest.update(f"{path}:{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _require_alike(dataset: Any, batches: list[Inputs]) -> None:
    """All batches have the inputs of the first, of the same shape but for the examples."""
    first = _form(batches[0])
    for i, batch in enumerate(batches[1:], start=1):
        if _form(batch) != first:
            raise ValueError(
                f"Batch {i} of the {_kind(dataset)} has inputs {_form(batch)} (shape of an example "
                f"and dtype), but batch 0 has {first}. A probe set needs examples of one shape: "
                "pad or crop them."
            )


def _form(x: Inputs) -> dict[str, str]:
    # Strings are as long as the longest of their batch.
    return {
        path: f"{array.shape[1:]} {'string' if array.dtype.kind in 'SU' else array.dtype}"
        for path, array in walk_arrays(x, "x")
    }


def _joined(batches: list[Inputs]) -> Inputs:
    columns = [[array for _, array in walk_arrays(batch, "x")] for batch in batches]
    joined = {
        path: np.concatenate([column[i] for column in columns])
        for i, (path, _) in enumerate(walk_arrays(batches[0], "x"))
    }
    return map_arrays(batches[0], "x", lambda _, path: joined[path])


def _class_labels(labels: list[Any], inputs: Inputs) -> Array | None:
    """Class indices or one-hot rows; None where `y` is something else, such as a regression."""
    if any(y is None or isinstance(y, Mapping | tuple | list) for y in labels):
        return None
    try:
        y = np.concatenate([_array(part, "y") for part in labels])
    except ValueError:
        return None
    n_samples = len(next(walk_arrays(inputs, "x"))[1])
    if len(y) != n_samples:
        raise ValueError(f"The data set has {n_samples} examples, but {len(y)} labels.")
    indices = y.dtype.kind in "iub" and (y.ndim == 1 or y.shape[1:] == (1,))
    one_hot = (
        y.ndim == 2
        and y.shape[1] > 1
        and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())
    )
    return y if indices or one_hot else None


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Reading draws no number that training would have drawn."""
    torch = sys.modules.get("torch")  # a DataLoader draws a seed whenever it is gone through
    legacy = np.random.get_state()  # noqa: NPY002
    states = random.getstate(), torch and torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(legacy)  # noqa: NPY002
        if torch:
            torch.set_rng_state(states[1])
