"""Activations of chosen layers on the probe set, reduced inside one traced graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from ..activations import Representation, reduction, representation_name
from ..probe import ProbeSet
from ..run import LayerInfo
from .selection import Selection, select

_HALF = ("float16", "bfloat16")


class Capture:
    """One graph that takes a batch of inputs to a matrix for each layer.

    The model is traced once, with `call` of the chosen layers borrowed meanwhile; nothing is
    left on its layers. Weights are read at each call. The forward pass is stateless: random state
    and statistics of the model stay as they are.

    Args:
        model: A built Keras model.
        layers: Which layers, see `SVCCAMonitor`.
        representation: How outputs become matrices.
        batch_size: Examples in one pass.

    Raises:
        ValueError: If no layer matches, or a representation is unknown.
        NotImplementedError: On a backend other than tensorflow.
    """

    def __init__(
        self,
        model: Any,
        *,
        layers: Selection = None,
        representation: Representation = "mean",
        batch_size: int = 128,
    ):
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError(
                f"Keras runs on {keras.backend.backend()!r} here; activations are captured on "
                "'tensorflow' only. Set KERAS_BACKEND=tensorflow."
            )
        self.model = model
        self.layers = select(model, layers)
        self.representation = representation
        self.batch_size = batch_size
        self.layer_info: list[LayerInfo] = []
        self._reduce = reduction(representation)
        self._forward: Callable[[Any], dict[str, Any]] | None = None

    def __call__(self, probe: ProbeSet) -> dict[str, np.ndarray]:
        """Matrices (n_samples, n_features) of every layer, in the order of the calls.

        Raises:
            ValueError: If the probe does not fit the model, or an output makes no matrix.
        """
        if self._forward is None:
            if not self.model.built:
                # A model without an input is built at its first batch. Its initial weights hang on
                # the seeds that its layers were made with, so that building it now changes nothing.
                self.model.build(
                    keras.tree.map_structure(lambda a: (None, *a.shape[1:]), probe.inputs)
                )
            _require_fit(self.model, probe)
            self._forward = self._trace(next(probe.batches(self.batch_size)))
        parts = [self._forward(batch) for batch in probe.batches(self.batch_size)]
        return {
            info.name: np.concatenate([np.asarray(part[info.name]) for part in parts])
            for info in self.layer_info
        }

    def _trace(self, batch: Any) -> Callable[[Any], dict[str, Any]]:
        import tensorflow as tf

        def spec(array: np.ndarray) -> Any:
            return tf.TensorSpec((None, *array.shape[1:]), tf.as_dtype(array.dtype))

        def forward(inputs: Any) -> dict[str, Any]:
            # A stateless pass opens no scope for the model, and at the root TensorFlow refuses
            # names that it takes within, such as "_hidden".
            with tf.name_scope("svcca"):
                return self._reduced(self._outputs(inputs))

        function = tf.function(forward, autograph=False)
        return function.get_concrete_function(keras.tree.map_structure(spec, batch))

    def _outputs(self, inputs: Any) -> list[tuple[str, Any, Any]]:
        """Path, layer and output of every call of the chosen layers in one forward pass."""
        seen: list[tuple[str, Any, Any]] = []
        try:
            with borrowed_calls(self.layers, lambda *call: seen.append(call)):
                # In a stateless pass updates of seeds and statistics go nowhere.
                self.model.stateless_call(
                    [v.value for v in self.model.trainable_variables],
                    [v.value for v in self.model.non_trainable_variables],
                    inputs,
                    training=False,
                )
        except Exception as error:
            shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
            raise ValueError(
                f"Model {self.model.name!r} could not be called on the probe set (inputs of "
                f"shape {shapes}): {error}"
            ) from error
        return seen

    def _reduced(self, outputs: list[tuple[str, Any, Any]]) -> dict[str, Any]:
        """A matrix of each floating-point output, under a name of its own."""
        matrices: dict[str, Any] = {}
        calls: Counter[str] = Counter()
        self.layer_info.clear()
        for path, layer, output in outputs:
            name = f"{path}:{calls[path]}" if calls[path] else path
            calls[path] += 1
            for i, x in enumerate(keras.tree.flatten(output)):
                if len(x.shape) < 2 or not keras.backend.is_float_dtype(x.dtype):
                    continue
                key = f"{name}.{i}" if i else name
                matrices[key] = self._matrix(key, layer, x)
                info = LayerInfo(
                    name=key,
                    layer_class=type(layer).__name__,
                    depth=len(self.layer_info),
                    output_shape=tuple(x.shape),
                    representation=representation_name(self.representation),
                )
                self.layer_info.append(info)
        return matrices

    def _matrix(self, name: str, layer: Any, x: Any) -> Any:
        if keras.backend.standardize_dtype(x.dtype) in _HALF:
            x = ops.cast(x, "float32")
        try:
            matrix = self._reduce(x, ops, _channels_axis(layer, len(x.shape)))
            rank = len(matrix.shape)
        except Exception as error:
            raise ValueError(
                f"Representation {representation_name(self.representation)!r} failed on layer "
                f"{name!r}, whose output has shape {tuple(x.shape)}: {error}"
            ) from error
        if rank != 2:
            raise ValueError(
                f"Representation {representation_name(self.representation)!r} must give a matrix "
                f"(n_samples, n_features). Of layer {name!r} it gave shape {tuple(matrix.shape)}."
            )
        return matrix


@contextmanager
def borrowed_calls(
    layers: dict[str, Any], record: Callable[[str, Any, Any], None]
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
        seen: set[int] = set()
        for path, layer in layers.items():
            if id(layer) in seen:  # one layer under two paths: its first path names it
                continue
            seen.add(id(layer))
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


def _channels_axis(layer: Any, rank: int) -> int:
    if rank <= 2:
        return -1
    axis = getattr(layer, "axis", None)
    if isinstance(layer, keras.layers.BatchNormalization) and isinstance(axis, int):
        return axis
    form = getattr(layer, "data_format", None)
    if form is None and rank >= 4:
        form = keras.config.image_data_format()
    return 1 if form == "channels_first" else -1


def _require_fit(model: Any, probe: ProbeSet) -> None:
    """Compare the probe's shapes with those the model declares, where it declares them."""
    declared = getattr(model, "inputs", None)
    if not declared:
        return
    given = probe.inputs
    if isinstance(given, Mapping) and all(tensor.name in given for tensor in declared):
        given = [given[tensor.name] for tensor in declared]
    expected = [tuple(tensor.shape) for tensor in declared]
    received = [(None, *array.shape[1:]) for array in keras.tree.flatten(given)]
    if len(expected) != len(received) or not all(map(_fits, expected, received)):
        raise ValueError(
            f"The probe set does not fit model {model.name!r}: it takes inputs of shape "
            f"{', '.join(map(str, expected))}; the probe's are {', '.join(map(str, received))}. "
            "Prepare the probe set as the training data."
        )


def _fits(expected: tuple[int | None, ...], received: tuple[int | None, ...]) -> bool:
    # Keras adds or drops a last axis of one.
    forms = (received, (*received, 1), received[:-1] if received[-1] == 1 else received)
    return any(
        len(expected) == len(form)
        and all(e is None or e == r for e, r in zip(expected[1:], form[1:], strict=True))
        for form in forms
    )
