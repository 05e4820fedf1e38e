"""Data by name: images, vectors or sequences with class labels, ready for a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .names import require_parameters, resolve
from .sections import DataConfig
from .text import characters

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_CIFAR10 = [
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
]  # fmt: skip
_FASHION = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
]  # fmt: skip
_DIGITS = [str(d) for d in range(10)]
CLASS_NAMES = {"digits": _DIGITS, "mnist": _DIGITS, "fashion_mnist": _FASHION, "cifar10": _CIFAR10}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test examples; labels are class indices, of sequences one a step."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: list[str] | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes, from the labels of both parts."""
        return int(max(self.y_train.max(), self.y_test.max())) + 1

    @property
    def test_classes(self) -> np.ndarray:
        """One class for each test example, (n,); of a sequence, that of its last step."""
        return self.y_test if self.y_test.ndim == 1 else self.y_test[:, -1]


def load(config: DataConfig, *, seed: int) -> Dataset:
    """Load data, scale 8-bit images to [0, 1], and draw the sizes that were asked for.

    Args:
        config: What to load.
        seed: Draws the examples, unless the config has a seed of its own for that.

    Raises:
        ValueError: If the name is unknown, a file lacks an array, or a size exceeds the data.
        RuntimeError: If a data set that must be downloaded cannot be.
    """
    x_train, y_train, x_test, y_test = _four(_arrays(config), config)
    rng = np.random.default_rng(seed if config.seed is None else config.seed)
    x_train, y_train = _draw(x_train, y_train, config.train_size, rng, "train_size")
    x_test, y_test = _draw(x_test, y_test, config.test_size, rng, "test_size")
    y_train = _indices(y_train)
    if config.random_labels is not None:
        # Shuffled, not drawn: each class keeps its share, so that only the images' part is gone.
        y_train = np.random.default_rng(config.random_labels).permutation(y_train)
    return Dataset(
        _prepared(x_train),
        y_train,
        _prepared(x_test),
        _indices(y_test),
        CLASS_NAMES.get(config.name),
    )


def digits() -> tuple[Any, ...]:
    """1,797 handwritten digits of 8 × 8 pixels that come with scikit-learn; a third for testing."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise RuntimeError(
            "data.name=digits comes with scikit-learn, which is not installed. "
            "Install it: pip install 'svcca-monitor[demo]'"
        ) from error
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16.0).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        x, labels, test_size=600, random_state=0, stratify=labels
    )
    return x_train, y_train, x_test, y_test


def _from_keras(name: str) -> Callable[[], tuple[Any, ...]]:
    def download() -> tuple[Any, ...]:
        import keras

        try:
            (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
        except Exception as error:
            raise RuntimeError(
                f"Could not load {name} through keras.datasets: {error}. Without a network, pass a "
                "file with x_train, y_train, x_test, y_test: --set data.path=FILE.npz"
            ) from error
        return x_train, y_train, x_test, y_test

    return download


def _needs_path() -> tuple[Any, ...]:
    raise ValueError("data.name=npz needs a file: --set data.path=FILE.npz")


SOURCES: dict[str, Callable[[], tuple[Any, ...]]] = {
    "digits": digits,
    "mnist": _from_keras("mnist"),
    "fashion_mnist": _from_keras("fashion_mnist"),
    "cifar10": _from_keras("cifar10"),
    "npz": _needs_path,
}


def _arrays(config: DataConfig) -> tuple[Any, ...]:
    path = config.path
    if config.name == "text":
        source: Callable[..., tuple[Any, ...]] = partial(characters, path)
    elif path is not None:
        source = partial(_npz, path)
    elif ":" in config.name:
        source = resolve(config.name, "data.name")
    else:
        source = SOURCES[config.name]
    require_parameters(source, config.parameters, f"of data {config.name!r}")
    return source(**config.parameters)


def _four(arrays: Any, config: DataConfig) -> tuple[np.ndarray, ...]:
    """The arrays of a source, if they are what they should be.

    Raises:
        ValueError: If there are not four, a part has not one label for each example, or labels are
            no class indices.
    """
    source = f"data.name: {config.name!r}" if config.path is None else f"data.path: {config.path}"
    if not isinstance(arrays, tuple | list) or len(arrays) != len(_ARRAYS):
        kind = type(arrays).__name__
        came = f"{kind} of {len(arrays)}" if isinstance(arrays, tuple | list) else kind
        raise ValueError(f"{source} must give {', '.join(_ARRAYS)}. Received: a {came}")
    found = tuple(np.asarray(array) for array in arrays)
    for part, x, y in (("train", found[0], found[1]), ("test", found[2], found[3])):
        if not (x.ndim and y.ndim and len(x) == len(y) > 0):
            raise ValueError(
                f"{source} must give a label for each example. Received: x_{part} of shape "
                f"{x.shape} and y_{part} of shape {y.shape}"
            )
        if y.dtype.kind not in "biuf" or (y < 0).any() or (y != np.floor(y)).any():
            raise ValueError(
                f"{source}: y_{part} must be class indices, whole numbers from 0. Received: "
                f"{y.dtype} such as {y.ravel()[:3].tolist()}"
            )
    return found


def _npz(path: Path) -> tuple[Any, ...]:
    if not path.exists():
        raise ValueError(f"data.path: {path} does not exist.")
    expected = ", ".join(_ARRAYS)
    try:
        # Without pickle a file is data only.
        file = np.load(path, allow_pickle=False)
        names = list(getattr(file, "files", ()))  # none: a single array
        arrays = tuple(file[name] for name in _ARRAYS if name in names)
    except Exception as error:  # of zipfile, zlib and NumPy, by what is wrong with the file
        raise ValueError(
            f"data.path: {path} is no .npz file with plain arrays {expected}: {error}"
        ) from error
    missing = [name for name in _ARRAYS if name not in names]
    if missing:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}. Expected: {expected}; it holds: "
            f"{', '.join(names) or 'no named array'}."
        )
    return arrays


def _draw(
    x: np.ndarray, y: np.ndarray, size: int | None, rng: np.random.Generator, key: str
) -> tuple[np.ndarray, np.ndarray]:
    if size is None:
        return x, y
    if size > len(x):
        raise ValueError(f"data.{key} is {size}, but there are only {len(x)} examples.")
    chosen = np.sort(rng.choice(len(x), size, replace=False))
    return x[chosen], y[chosen]


def _prepared(x: np.ndarray) -> np.ndarray:
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / 255.0
    if x.ndim == 3:  # grey images: one channel
        x = x[..., None]
    return x.astype(np.float32)


def _indices(y: np.ndarray) -> np.ndarray:
    """Class indices; of one-hot rows, and of sequences (n, steps) one a step."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    elif y.ndim == 2 and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
        y = y.argmax(axis=1)
    return y.astype(np.int64)
