"""One forward pass of a model, seen layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
from keras import ops
from keras.src.backend import get_keras_mask

from ..activations import Reduction, representation_name
from ..run import LayerInfo
from .backends import Backend
from .selection import is_block

_HALF = ("float16", "bfloat16")


class ForwardPass:
    """Makes a matrix of each output as the layers are called.

    Reduced at once, so that a backend that runs as it goes can free the full feature maps.

    Args:
        reductions: The representation of each path.
        backend: Its scope tells what operations belong to; an output that was made elsewhere (in a
            loop, in a function that is compiled for itself) cannot leave that place.
        blocks: Keep the output of a block also where it is the output of the layer called last
            within it.
    """

    def __init__(
        self,
        reductions: Mapping[str, Reduction],
        backend: Backend,
        *,
        blocks: bool,
    ):
        self.matrices: dict[str, Any] = {}
        self.layer_info: list[LayerInfo] = []
        self.called: set[str] = set()
        self.unreachable: set[str] = set()
        self.fault: Exception | None = None
        """What went wrong in making a matrix, and not in the model; its `layer` is the path."""
        self._reductions = reductions
        self._backend = backend
        self._here = backend.scope()
        self._blocks = blocks
        self._paths: dict[str, str] = {}
        self._calls: Counter[str] = Counter()
        self._last: Any = self  # the output of the last call

    def record(self, path: str, layer: Any, output: Any, masks: list[Any]) -> None:
        """Take note of a call, and reduce its outputs."""
        self.called.add(path)
        if self._backend.scope() != self._here:
            self.unreachable.add(path)
            return
        if output is self._last and not self._blocks and is_block(layer):
            return
        self._last = output
        self._backend.wait_for(output)  # what fails until here is no fault of the representation
        try:
            self._reduce(path, layer, output, masks)
        except Exception as error:
            error.layer = path  # type: ignore[attr-defined]
            self.fault = error
            raise

    def close(self) -> None:
        """Let go of layers that were called in a loop too.

        Keras calls the cell of an RNN once outside, to learn its shapes.
        """
        inner = [name for name, path in self._paths.items() if path in self.unreachable]
        for name in inner:
            del self.matrices[name]
        kept = (info for info in self.layer_info if info.name in self.matrices)
        self.layer_info = [replace(info, depth=depth) for depth, info in enumerate(kept)]

    def reduction_of(self, name: str) -> Reduction:
        """The representation of an output, by its name."""
        return self._reductions[self._paths[name]]

    def _reduce(self, path: str, layer: Any, output: Any, masks: list[Any]) -> None:
        name = f"{path}:{self._calls[path]}" if self._calls[path] else path
        self._calls[path] += 1
        reduction = self._reductions[path]
        for (place, x), mask in zip(keras.tree.flatten_with_path(output), masks, strict=True):
            if not is_activation(x):
                continue
            # The first of several in a tuple has the layer's name, others their place or key.
            key = ".".join(map(str, (name, *place))) if any(p != 0 for p in place) else name
            self._paths[key] = path
            self.matrices[key] = self._matrix(key, layer, x, mask, reduction)
            info = LayerInfo(
                name=key,
                layer_class=type(layer).__name__,
                depth=len(self.layer_info),
                output_shape=(None, *x.shape[1:]),
                representation=representation_name(reduction),
            )
            self.layer_info.append(info)

    def _matrix(self, name: str, layer: Any, x: Any, mask: Any, reduction: Reduction) -> Any:
        if keras.backend.standardize_dtype(x.dtype) in _HALF:
            x = ops.cast(x, "float32")
        label = representation_name(reduction)
        try:
            matrix = reduction(x, ops, channels_axis(layer, len(x.shape)), mask)
            rank = len(matrix.shape)
            self._backend.wait_for(matrix)
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


@contextmanager
def borrowed_calls(
    layers: Mapping[str, Any], record: Callable[[str, Any, Any, list[Any]], None]
) -> Iterator[None]:
    """Within this context, calls are reported: `record(path, layer, output, masks)`."""
    borrowed: list[tuple[Any, Any]] = []

    def wrap(path: str, layer: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **kwargs: Any) -> Any:
            first = args[0] if args else next(iter(kwargs.values()), None)
            # As Keras does, before the call: an attention takes the masks off its inputs.
            mask = kwargs.get("mask")
            if mask is None:
                mask = keras.tree.map_structure(get_keras_mask, first)
            outputs = call(*args, **kwargs)
            record(path, layer, outputs, _masks(layer, first, mask, outputs))
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


@contextmanager
def computed_once(model: Any) -> Iterator[None]:
    """Within this context, layers under a `keras.RematScope` are called as those without.

    There is no backward pass to compute them again for, and on jax what they compute for it stays
    in a function of its own.
    """
    modes = {
        layer: mode
        for layer in model._flatten_layers()
        if (mode := getattr(layer, "_remat_mode", None)) is not None
    }
    try:
        for layer in modes:
            object.__setattr__(layer, "_remat_mode", None)
        yield
    finally:
        for layer, mode in modes.items():
            object.__setattr__(layer, "_remat_mode", mode)


def _masks(layer: Any, inputs: Any, mask: Any, outputs: Any) -> list[Any]:
    """The mask of each output: its own, or the one that Keras will put on it."""
    own = [get_keras_mask(x) for x in keras.tree.flatten(outputs)]
    if all(m is not None for m in own):
        return own
    computed = layer.compute_mask(inputs, mask)
    given = [] if computed is None else keras.tree.flatten(computed)
    given += [None] * (len(own) - len(given))
    return [m if m is not None else g for m, g in zip(own, given, strict=False)]


def is_activation(x: Any) -> bool:
    """Whether an output is of floating-point numbers, some for each example."""
    if not hasattr(x, "dtype") or len(x.shape) < 2 or 0 in x.shape[1:]:
        return False
    return bool(keras.backend.is_float_dtype(x.dtype))


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
