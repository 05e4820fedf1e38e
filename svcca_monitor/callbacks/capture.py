"""Activations of chosen layers on the probe set, reduced inside the forward pass."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from ..activations import Flatten, Reduction, Representation, reduction, reductions
from ..arguments import require_whole
from ..messages import warn
from ..probe import ProbeSet
from ..run import LayerInfo
from . import backends
from .forward import ForwardPass, borrowed_calls, computed_once
from .rows import RowCounts, require_equal_rows
from .selection import Selection, select, sublayers


class Capture:
    """One forward pass that takes a batch of inputs to a matrix for each layer.

    On tensorflow and jax it is traced once and compiled. Meanwhile `call` of the chosen layers is
    borrowed; nothing is left on them. Weights are read at each call. The pass is stateless: random
    state and statistics of the model stay as they are.

    Args:
        model: A Keras model. One that has no weights yet is built at its first batch.
        layers: Which layers, see `SVCCAMonitor`.
        representation: How outputs become matrices.
        batch_size: Examples in one pass, at most.

    Raises:
        ValueError: If a representation is unknown, or `batch_size` is no number of examples.
        NotImplementedError: On a backend other than tensorflow, jax and torch.
    """

    def __init__(
        self,
        model: Any,
        *,
        layers: Selection = None,
        representation: Representation = "mean",
        batch_size: int = 64,
    ):
        self.model = model
        self.selection = layers
        self.representation = representation
        self.batch_size = batch_size
        self.layer_info: list[LayerInfo] = []
        require_whole("batch_size", batch_size, least=1)
        self._backend = backends.current()
        self._forward: backends.Forward | None = None
        takes_training = "training" in inspect.signature(model.call).parameters
        self._inference = {"training": False} if takes_training else {}
        values = representation.values() if isinstance(representation, Mapping) else ()
        for value in values or (representation,):
            reduction(value)

    def __call__(self, probe: ProbeSet) -> dict[str, np.ndarray]:
        """Matrices (n_samples, n_features) of every layer, in the order of the calls.

        Raises:
            ValueError: If no layer matches, the probe does not fit the model, or an output makes no
                matrix.
        """
        counts = RowCounts()
        forward = self._forward or self._prepared(probe, counts)
        parts: list[dict[str, np.ndarray]] = []
        for batch, examples, size in self._batches(probe):
            matrices = forward(batch)
            counts.count(matrices, size)
            # Rows of one example follow each other.
            parts.append({name: m[: len(m) // size * examples] for name, m in matrices.items()})
        self._require_same_calls(parts)
        if self._forward is None:
            self._leave_out_strays(counts)
            self._forward = forward
        captured = {
            info.name: np.concatenate([part[info.name] for part in parts])
            for info in self.layer_info
        }
        require_equal_rows(captured, probe)
        return captured

    def _prepared(self, probe: ProbeSet, counts: RowCounts) -> backends.Forward:
        """The compiled pass, once the model is built and the layers are known."""
        require_fit(self.model, probe)
        first, *_ = next(self._batches(probe))
        if not all(layer.built for layer in (self.model, *sublayers(self.model))):
            self._build(first)
        self._layers = select(self.model, self.selection)
        self._reductions: dict[str, Reduction] = reductions(self.representation, self._layers)
        self._n_samples = probe.n_samples
        forward = self._backend.compiled(self.model, self._matrices, first)
        half = len(keras.tree.flatten(first)[0]) // 2
        again = not self._backend.fixed_batch  # else another size takes another trace
        if half and self._fixed_size() is None and (again or not self._known_by_example()):
            look = self._backend.of_any_size(self.model, self._matrices, forward)
            # Rows that stay as many for fewer examples are not theirs. Some models take no fewer.
            with suppress(Exception):
                counts.count(look(keras.tree.map_structure(lambda a: a[:half], first)), half)
        return forward

    def _known_by_example(self) -> bool:
        """Whether Keras itself calls every chosen layer, and knows that its rows are examples."""
        nodes = [getattr(layer, "_inbound_nodes", ()) for layer in self._layers.values()]
        return all(nodes) and all(
            len(x.shape) and x.shape[0] is None for calls in nodes for n in calls for x in n.outputs
        )

    def _build(self, batch: Any) -> None:
        # Initial weights hang on the seeds that the layers were made with, so that building them
        # now changes nothing; what two examples do to random state and statistics goes nowhere.
        few = keras.tree.map_structure(lambda array: array[:2], batch)
        with keras.StatelessScope():
            self._called(lambda: self.model(few, **self._inference), few)

    def _matrices(
        self, trainable: list[Any], non_trainable: list[Any], inputs: Any
    ) -> dict[str, Any]:
        """A matrix of each output in one forward pass, under a name of its own."""
        seen = ForwardPass(self._reductions, self._backend, blocks=self.selection is not None)

        def call() -> None:
            with computed_once(self.model), borrowed_calls(self._layers, seen.record):
                # In a stateless pass updates of seeds and statistics go nowhere.
                self.model.stateless_call(trainable, non_trainable, inputs, **self._inference)
            seen.close()

        self._called(call, inputs, seen)
        if not self.layer_info:
            self._accept(seen)
        return seen.matrices

    def _called(self, call: Any, inputs: Any, seen: ForwardPass | None = None) -> None:
        try:
            call()
        except Exception as error:
            if seen is not None and seen.fault is not None:
                raise seen.fault from None
            shapes = keras.tree.map_structure(lambda x: tuple(x.shape), inputs)
            raise ValueError(
                f"Model {self.model.name!r} could not be called on the probe set (inputs of "
                f"shape {shapes}): {error}"
            ) from error

    def _accept(self, seen: ForwardPass) -> None:
        """Keep what the first pass tells about the layers, and say which gave nothing."""
        without = {
            "never called": set(self._layers) - seen.called,
            "called only within a loop or a function compiled for itself": seen.unreachable,
        }
        named = [
            f"{', '.join(path for path in self._layers if path in paths)} ({why})"
            for why, paths in without.items()
            if paths
        ]
        if not seen.matrices:
            why = "; ".join(named) or f"{', '.join(self._layers)}: no floating-point outputs"
            raise ValueError(f"No chosen layer of model {self.model.name!r} can be watched: {why}.")
        self._require_memory(seen)
        if named:
            warn(f"Layers of model {self.model.name!r} that are not watched: {'; '.join(named)}.")
        self.layer_info = seen.layer_info
        self._reduction_of = {info.name: seen.reduction_of(info.name) for info in seen.layer_info}

    def _leave_out_strays(self, counts: RowCounts) -> None:
        """Go on without outputs whose rows are not of the examples, and say so."""
        strays = counts.strays(self._reduction_of)
        if not strays:
            return
        why = "; ".join(f"{name} (its rows are not the examples)" for name in strays)
        kept = [info for info in self.layer_info if info.name not in strays]
        if not kept:
            raise ValueError(f"No chosen layer of model {self.model.name!r} can be watched: {why}.")
        warn(f"Layers of model {self.model.name!r} that are not watched: {why}.")
        self.layer_info = [replace(info, depth=depth) for depth, info in enumerate(kept)]

    def _require_memory(self, seen: ForwardPass) -> None:
        """Refuse flattened layers that would take too much, before any is computed."""
        sizes = {
            info.name: math.prod(n or 1 for n in info.output_shape[1:]) * 4 * self._n_samples
            for info in seen.layer_info
            if isinstance(seen.reduction_of(info.name), Flatten)
        }
        bounds = [seen.reduction_of(name).max_bytes for name in sizes]  # type: ignore[attr-defined]
        if sizes and sum(sizes.values()) > min(bounds):
            largest = max(sizes, key=sizes.__getitem__)
            shape = {info.name: info.output_shape for info in seen.layer_info}[largest]
            raise ValueError(
                f"Flattened, {self._n_samples} examples of {len(sizes)} layers take "
                f"{sum(sizes.values()) / 1e6:,.0f} MB in memory, most of them layer {largest!r} "
                f"of shape {shape} with {sizes[largest] / 1e6:,.0f} MB, and each snapshot up to "
                f"twice that; the bound is {min(bounds) / 1e6:,.0f} MB. Use 'mean', 'sample' or "
                "'fourier' for large maps, fewer examples, or activations.Flatten(max_bytes=…)."
            )

    def _require_same_calls(self, parts: list[dict[str, np.ndarray]]) -> None:
        for part in parts:
            missing = [info.name for info in self.layer_info if info.name not in part]
            if missing:
                raise ValueError(
                    f"{', '.join(missing)} had an output in the first forward pass, but not in "
                    "this one. A layer that is called now and then cannot be watched; leave it out "
                    "with layers=."
                )

    def _batches(self, probe: ProbeSet) -> Iterator[tuple[Any, int, int]]:
        """Inputs with how many examples they are of, and how many they were filled up to.

        Where the batch has one size, as a program of jax or as the model declares it, the last is
        filled up with its last example.
        """
        size = self._fixed_size()
        fixed = size is not None or self._backend.fixed_batch
        # Of nearly equal parts the last lacks least.
        parts = math.ceil(probe.n_samples / self.batch_size)
        size = size or math.ceil(probe.n_samples / parts)
        for batch in probe.batches(size):
            examples = len(keras.tree.flatten(batch)[0])
            if fixed and examples < size:
                rows = np.minimum(np.arange(size), examples - 1)
                batch = keras.tree.map_structure(lambda array, rows=rows: array[rows], batch)
                yield batch, examples, size
            else:
                yield batch, examples, examples

    def _fixed_size(self) -> int | None:
        """The one size of batches that the model declares, if it does."""
        declared = [tensor.shape[0] for tensor in getattr(self.model, "inputs", None) or ()]
        return next((n for n in declared if n is not None), None)


def require_fit(model: Any, probe: ProbeSet) -> None:
    """Compare the probe's shapes and kinds with those that the model declares, if it does.

    Raises:
        ValueError: If they differ, or the model cannot be called on anything.
    """
    if type(model).call is keras.Model.call:
        raise ValueError(
            f"Model {model.name!r} has no `call`, and so no forward pass to look at. Watch a part "
            "of it as in a loop of your own: monitor.set_model(model.part), then "
            "monitor.snapshot(epoch) in a callback, and monitor.close()."
        )
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
    for tensor, array in zip(declared, keras.tree.flatten(given), strict=True):
        if (tensor.dtype == "string") != (array.dtype.kind in "UST"):
            raise ValueError(
                f"The probe set does not fit model {model.name!r}: its input {tensor.name!r} takes "
                f"{tensor.dtype}, the probe's has dtype {array.dtype}. Prepare the probe set as "
                "the training data."
            )


def _fits(expected: tuple[int | None, ...], received: tuple[int | None, ...]) -> bool:
    # Keras adds or drops a last axis of one.
    forms = (received, (*received, 1), received[:-1] if received[-1] == 1 else received)
    return any(
        len(expected) == len(form)
        and all(e is None or e == r for e, r in zip(expected[1:], form[1:], strict=True))
        for form in forms
    )
