"""One forward pass of a model, seen layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras import ops
from keras.src.backend import get_keras_mask

from ..activations import Reduction, representation_name
from ..run import LayerInfo
from .selection import is_block

_HALF = ("float16", "bfloat16")


class ForwardPass:
    """Makes a matrix of each output as the layers are called.

    An output is reduced when the next layer returns: by then Keras has put its mask on it, and a
    backend that runs as it goes can free the full feature maps.

    Args:
        reductions: The representation of each path.
        scope: Tells what operations belong to; an output that was made elsewhere (in a loop, in a
            function that is compiled for itself) cannot leave that place.
        blocks: Keep the output of a block also where it is the output of the layer called last
            within it.
    """

    def __init__(
        self,
        reductions: Mapping[str, Reduction],
        scope: Callable[[], object],
        *,
        blocks: bool,
    ):
        self.matrices: dict[str, Any] = {}
        self.layer_info: list[LayerInfo] = []
        self.called: set[str] = set()
        self.unreachable: set[str] = set()
        self.fault: Exception | None = None
        """What went wrong in making a matrix, and not in the model."""
        self._reductions = reductions
        self._scope = scope
        self._here = scope()
        self._blocks = blocks
        self._by_name: dict[str, Reduction] = {}
        self._calls: Counter[str] = Counter()
        self._last: tuple[str, Any, Any] | None = None
        self._reduced = True

    def record(self, path: str, layer: Any, output: Any) -> None:
        """Take note of a call."""
        self.called.add(path)
        if self._scope() != self._here:
            self.unreachable.add(path)
            return
        within = self._last is not None and output is self._last[2]
        if within and not self._blocks and is_block(layer):
            return
        self.finish()
        self._last, self._reduced = (path, layer, output), False

    def finish(self) -> None:
        """Reduce the last output."""
        if self._last is None or self._reduced:
            return
        self._reduced = True
        try:
            self._reduce(*self._last)
        except Exception as error:
            self.fault = error
            raise

    def reduction_of(self, name: str) -> Reduction:
        """The representation of an output, by its name."""
        return self._by_name[name]

    def _reduce(self, path: str, layer: Any, output: Any) -> None:
        name = f"{path}:{self._calls[path]}" if self._calls[path] else path
        self._calls[path] += 1
        reduction = self._reductions[path]
        for place, x in keras.tree.flatten_with_path(output):
            if not is_activation(x):
                continue
            # The first of several in a tuple has the layer's name, others their place or key.
            key = ".".join(map(str, (name, *place))) if any(p != 0 for p in place) else name
            self._by_name[key] = reduction
            self.matrices[key] = _matrix(key, layer, x, reduction)
            info = LayerInfo(
                name=key,
                layer_class=type(layer).__name__,
                depth=len(self.layer_info),
                output_shape=(None, *x.shape[1:]),
                representation=representation_name(reduction),
            )
            self.layer_info.append(info)


@contextmanager
def borrowed_calls(
    layers: Mapping[str, Any], record: Callable[[str, Any, Any], None]
) -> Iterator[None]:
    """Within this context, every call of a layer is reported: `record(path, layer, output)`."""
    borrowed: list[tuple[Any, Any]] = []

    def wrap(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            outputs = call(*args, **kwargs)
            record(path, layer, outputs)
            return outputs

        return recorded

    try:
        for path, layer in layers.items():
            borrowed.append((layer, vars(layer).get("call")))
            # Past Keras' own __setattr__, which would track or refuse it.
            object.__setattr__(layer, "call", wrap(path, layer, layer.call))
        yield
    finally:
        for layer, call in borrowed:
            if call is None:
                vars(layer).pop("call", None)
            else:
                object.__setattr__(layer, "call", call)


def is_activation(x: Any) -> bool:
    """Whether an output is of floating-point numbers with an axis beside the examples."""
    return hasattr(x, "dtype") and len(x.shape) >= 2 and keras.backend.is_float_dtype(x.dtype)


def _matrix(name: str, layer: Any, x: Any, reduction: Reduction) -> Any:
    mask = get_keras_mask(x)
    if keras.backend.standardize_dtype(x.dtype) in _HALF:
        x = ops.cast(x, "float32")
    label = representation_name(reduction)
    try:
        matrix = reduction(x, ops, channels_axis(layer, len(x.shape)), mask)
        rank = len(matrix.shape)
    except Exception as error:
        raise ValueError(
            f"Representation {label!r} failed on layer {name!r}, whose output has shape "
            f"{(None, *x.shape[1:])}: {error}"
        ) from error
    if rank != 2:
        raise ValueError(
            f"Representation {label!r} must give a matrix (n_samples, n_features). Of layer "
            f"{name!r} it gave shape {tuple(matrix.shape)}."
        )
    return matrix


def channels_axis(layer: Any, rank: int) -> int:
    """Axis of the channels in a layer's output: the last, or 1 where the layer puts them first."""
    if rank <= 2:
        return -1
    if isinstance(layer, keras.layers.TimeDistributed):
        of_a_step = channels_axis(layer.layer, rank - 1)
        return of_a_step + 1 if of_a_step > 0 else of_a_step
    axis = getattr(layer, "axis", None)
    if isinstance(layer, keras.layers.BatchNormalization) and isinstance(axis, int):
        return axis
    form = getattr(layer, "data_format", None)
    if form is None and rank >= 4:
        form = keras.config.image_data_format()
    return 1 if form == "channels_first" else -1
