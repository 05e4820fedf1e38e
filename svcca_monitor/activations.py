"""How a layer's output of any rank becomes a matrix (n_samples, n_features).

Each representation is written once against an array namespace: NumPy for arrays at hand,
`keras.ops` inside a traced graph, so that full feature maps never travel to the host.

Outputs have shape (n, …, channels), positions in between: height and width of an image, the time
steps of a sequence. Of a sequence with a mask (n, steps), only the steps where it is true count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

import numpy as np

from .messages import nearest, unknown_name
from .spatial import frequencies_of, waves


class Reduction(Protocol):
    """Takes an output to a matrix."""

    def __call__(self, x: Any, ops: Any = np, channels_axis: int = -1, mask: Any = None) -> Any:
        """The matrix.

        Args:
            x: Output of shape (n, …, channels) or, with `channels_axis=1`, (n, channels, …).
            ops: Array namespace: `numpy` or `keras.ops`.
            channels_axis: Axis of the channels.
            mask: Which steps of a sequence count, shape (n, steps); all of them if None.
        """


Representation = str | Callable[..., Any] | Mapping[str, Any]


@dataclass(frozen=True)
class Mean:
    """Mean over all positions: one feature a channel, (n, channels); a matrix stays as it is."""

    def __call__(self, x: Any, ops: Any = np, channels_axis: int = -1, mask: Any = None) -> Any:
        """See `Reduction`."""
        rank = len(x.shape)
        axes = tuple(a for a in range(1, rank) if a != channels_axis % rank)
        if not axes:
            return x
        steps = _steps(x, channels_axis, mask, ops)
        if steps is None:
            return ops.mean(x, axis=axes)
        share = ops.where(steps, ops.ones_like(x), ops.zeros_like(x))
        total = ops.sum(ops.where(steps, x, ops.zeros_like(x)), axis=axes)
        return total / ops.maximum(ops.sum(share, axis=axes), 1)


@dataclass(frozen=True)
class Flatten:
    """Every position of every channel a feature, (n, positions × channels); masked steps are zero.

    Attributes:
        max_bytes: Refuse matrices that take more, all flattened layers of the probe set together.
    """

    max_bytes: int = 1_000_000_000

    def __call__(self, x: Any, ops: Any = np, channels_axis: int = -1, mask: Any = None) -> Any:
        """See `Reduction`."""
        if len(x.shape) == 2:
            return x
        size = _known(x.shape[1:], "flatten")
        return ops.reshape(_silenced(x, channels_axis, mask, ops), (-1, int(np.prod(size))))


@dataclass(frozen=True)
class Sample:
    """Some positions, the same of every layer: each is a sample, (n × positions, channels).

    Positions are drawn once, relative to the size of the map, so that rows of different layers
    belong to the same place of the same example. Of a masked sequence they are relative to the
    steps that count. A matrix has each row repeated.

    Attributes:
        positions: Positions of each example.
        seed: The same seed draws the same positions.
    """

    positions: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        if not (isinstance(self.positions, int) and self.positions >= 1):
            raise ValueError(
                "`positions` must be a whole number, at least 1. "
                f"Received: positions={self.positions!r}"
            )

    def __call__(self, x: Any, ops: Any = np, channels_axis: int = -1, mask: Any = None) -> Any:
        """See `Reduction`."""
        rank = len(x.shape)
        if rank == 2:
            return ops.repeat(x, self.positions, axis=0)
        steps = _steps(x, channels_axis, mask, ops)
        x = ops.moveaxis(x, channels_axis, -1)
        # Drawn position by position: more positions keep those of fewer.
        places = np.random.default_rng(self.seed).random((self.positions, 8))[:, : rank - 2]
        sizes, channels = x.shape[1:-1], x.shape[-1]
        if steps is not None:
            first = _of_those_that_count(mask, places[:, 0], ops)  # (n, positions)
        else:
            first = _along(sizes[0], ops.shape(x)[1], places[:, 0], ops)  # (positions,)
        flat = first
        for axis, size in enumerate(sizes[1:], start=1):
            [known] = _known((size,), "sample")
            flat = flat * known + (places[:, axis] * known).astype("int32")
        x = ops.reshape(x, (ops.shape(x)[0], -1, channels))
        if steps is None:
            x = ops.take(x, flat, axis=1)
        else:
            x = ops.take_along_axis(x, flat[:, :, None], axis=1)
        return ops.reshape(x, (-1, channels))


@dataclass(frozen=True)
class Fourier:
    """The low-frequency block of the orthonormal DFT, (n, channels × coefficients).

    Real and imaginary parts of one of each two conjugate coefficients, scaled so that the matrix
    holds the variance of the map that is left when the higher frequencies are taken out. The same
    block of maps of any size, so that they can be compared. Masked steps count as zero.

    Attributes:
        max_frequency: Take frequencies up to this many cycles over the map, along each axis.
    """

    max_frequency: int = 1

    def __call__(self, x: Any, ops: Any = np, channels_axis: int = -1, mask: Any = None) -> Any:
        """See `Reduction`."""
        rank = len(x.shape)
        if rank == 2:
            return x
        if rank > 4:
            raise ValueError(
                "it takes maps (n, height, width, channels) and sequences (n, steps, channels)"
            )
        x = ops.moveaxis(_silenced(x, channels_axis, mask, ops), channels_axis, -1)
        sizes = _known(x.shape[1:-1], "fourier")
        height, width = sizes if len(sizes) == 2 else (1, *sizes)
        block = _low_frequencies((height, width), self.max_frequency)  # (coefficients, positions)
        channels = x.shape[-1]
        x = ops.reshape(x, (-1, block.shape[1], channels))
        coefficients = ops.matmul(ops.transpose(x, (0, 2, 1)), block.T.astype("float32"))
        return ops.reshape(coefficients, (-1, channels * block.shape[0]))


@dataclass(frozen=True)
class UserDefined:
    """A user's function ``output -> (n, features)``."""

    function: Callable[[Any], Any]

    def __call__(self, x: Any, ops: Any = np, channels_axis: int = -1, mask: Any = None) -> Any:  # noqa: ARG002
        """See `Reduction`."""
        return self.function(x)


BUILT_IN = (Mean, Flatten, Sample, Fourier)
REPRESENTATIONS: dict[str, Reduction] = {kind.__name__.lower(): kind() for kind in BUILT_IN}


def reduction(representation: Any) -> Reduction:
    """The reduction behind a name, one with options, or a user's ``output -> (n, features)``.

    Raises:
        ValueError: If the name is unknown.
        TypeError: If it is neither a name nor a callable.
    """
    if isinstance(representation, (*BUILT_IN, UserDefined)):
        return representation
    if callable(representation):
        return UserDefined(representation)
    if not isinstance(representation, str):
        raise TypeError(
            "`representation` must be a name or a function of a layer's output, or a dict of them "
            f"for each layer. Received: {representation!r}"
        )
    if representation not in REPRESENTATIONS:
        raise ValueError(unknown_name("representation", representation, REPRESENTATIONS))
    return REPRESENTATIONS[representation]


def reductions(representation: Representation, layers: Iterable[str]) -> dict[str, Reduction]:
    """The reduction of each layer.

    Args:
        representation: One for all, or a dict from names and globs to one; a name goes before a
            glob, and the first glob that matches before later ones. Other layers have `"mean"`.
        layers: Names of the layers.

    Raises:
        ValueError: If a name is unknown, or a key of the dict matches no layer.
        TypeError: If a representation is neither a name nor a callable.
    """
    names = list(layers)
    if not isinstance(representation, Mapping):
        return dict.fromkeys(names, reduction(representation))
    known = {key: reduction(value) for key, value in representation.items()}
    for key in known:
        if not isinstance(key, str) or not any(fnmatchcase(name, key) for name in names):
            raise ValueError(
                f"`representation` has {key!r}, which is none of the monitored layers."
                f"{nearest(str(key), names)} They are: {', '.join(names)}."
            )

    def of(name: str) -> Reduction:
        globs = (known[key] for key in known if fnmatchcase(name, key))
        return known[name] if name in known else next(globs, REPRESENTATIONS["mean"])

    return {name: of(name) for name in names}


def representation_name(representation: Any) -> str:
    """What `run.json` records."""
    if isinstance(representation, str):
        return representation
    if isinstance(representation, UserDefined):
        representation = representation.function
    for name, kind in REPRESENTATIONS.items():
        if representation == kind:
            return name
    if isinstance(representation, BUILT_IN):
        return repr(representation)
    return f"callable:{getattr(representation, '__qualname__', type(representation).__name__)}"


mean = REPRESENTATIONS["mean"]
flatten = REPRESENTATIONS["flatten"]


def _steps(x: Any, channels_axis: int, mask: Any, ops: Any) -> Any:
    """A mask of time steps with the rank of `x`, or None if there is none that fits."""
    rank = len(x.shape)
    if mask is None or rank < 3 or len(mask.shape) != 2 or channels_axis % rank == 1:
        return None
    if None not in (mask.shape[1], x.shape[1]) and mask.shape[1] != x.shape[1]:
        return None
    return ops.reshape(mask, (ops.shape(x)[0], -1, *(1,) * (rank - 2)))


def _silenced(x: Any, channels_axis: int, mask: Any, ops: Any) -> Any:
    steps = _steps(x, channels_axis, mask, ops)
    return x if steps is None else ops.where(steps, x, ops.zeros_like(x))


def _along(size: int | None, dynamic: Any, places: np.ndarray, ops: Any) -> Any:
    """Positions on an axis of which these are the relative places."""
    if size is not None:
        return (places * size).astype("int32")
    scaled = ops.cast(places, "float32") * ops.cast(dynamic, "float32")
    return ops.minimum(ops.cast(ops.floor(scaled), "int32"), dynamic - 1)


def _of_those_that_count(mask: Any, places: np.ndarray, ops: Any) -> Any:
    """Steps (n, positions) at relative places among those where the mask (n, steps) is true."""
    counts = ops.cumsum(_cast(mask, "int32", ops), axis=1)  # how many up to each step
    total = counts[:, -1:]
    # The k-th step that counts is behind as many steps as have counted at most k.
    wanted = ops.floor(ops.multiply(places.astype("float32"), _cast(total, "float32", ops)))
    wanted = _cast(wanted, "int32", ops)
    index = ops.sum(ops.where(counts[:, None, :] <= wanted[:, :, None], 1, 0), axis=2)
    return ops.minimum(index, ops.shape(mask)[1] - 1)  # of an example without any, the last


def _cast(x: Any, dtype: str, ops: Any) -> Any:
    return x.astype(dtype) if isinstance(x, np.ndarray) else ops.cast(x, dtype)


def _known(sizes: Iterable[int | None], name: str) -> tuple[int, ...]:
    known = tuple(sizes)
    if None in known:
        raise ValueError(f"{name!r} needs to know the size of an output, here {known}; use 'mean'")
    return known  # type: ignore[return-value]


def _low_frequencies(size: tuple[int, int], max_frequency: int) -> np.ndarray:
    """Orthonormal rows (coefficients, height × width): a real basis of the low frequencies."""
    frequencies, count = frequencies_of(size, half=True, max_frequency=max_frequency)
    rows = []
    for (ky, kx), times in zip(frequencies, count, strict=True):
        along_y = waves(size[0], np.array([ky]), size[0])[0]
        along_x = waves(size[1], np.array([kx]), size[1])[0]
        wave = np.outer(along_y, along_x).ravel() * np.sqrt(times)
        rows += [wave.real] if times == 1 else [wave.real, wave.imag]
    return np.array(rows)
