"""A look at the layers of a model: captured on the probe set, and factorised."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from operator import is_
from typing import Any

from ..activations import Representation
from ..parallel import one_blas_thread
from ..probe import ProbeSet
from ..run import LayerInfo
from ..subspace import Subspace
from .backends import host_value
from .capture import Capture
from .recording import Snapshot
from .selection import Selection

# Larger weights stay on the device: what changes a model changes its biases and norms as well.
_SMALL = 2**16


class Observer:
    """Looks at a model again and again, by one traced graph for as long as its layers are the same.

    Args:
        layers: Which layers, see `SVCCAMonitor`.
        representation: How outputs become matrices.
        batch_size: Examples in one pass.
    """

    def __init__(self, *, layers: Selection, representation: Representation, batch_size: int):
        self.layers = layers
        self.representation = representation
        self.batch_size = batch_size
        self._capture: Capture | None = None
        self._traced: list[Any] = []
        self._seen: str | None = None

    def look(
        self,
        model: Any,
        probe: ProbeSet,
        *,
        of_layer: Callable[[str], AbstractContextManager[Any]] = nullcontext,
    ) -> tuple[Snapshot, float]:
        """The factors of every layer, and the seconds that they took.

        Args:
            model: A Keras model.
            probe: What it is called on.
            of_layer: Makes the context in which the layer of that name is factorised; if it holds
                back errors, a layer that went NaN is left out, but not the others.

        Raises:
            ValueError: If the model cannot be looked at.
        """
        started = time.perf_counter()
        capture = self._capture_of(model)
        matrices = capture(probe)
        layers = {}
        with one_blas_thread():
            for name, matrix in matrices.items():
                with of_layer(name):
                    layers[name] = Subspace.from_activations(matrix, name=name)
        self._seen = _digest(model)
        return layers, time.perf_counter() - started

    @property
    def layer_info(self) -> Sequence[LayerInfo]:
        """What is known about each layer, after a first look."""
        return [] if self._capture is None else self._capture.layer_info

    def has_seen(self, model: Any) -> bool:
        """Whether the weights are those of the last look, by all small ones among them."""
        return self._seen == _digest(model)

    def _capture_of(self, model: Any) -> Capture:
        # Layers that were added, taken away or replaced since are another graph.
        layers = list(model._flatten_layers())
        same = len(layers) == len(self._traced) and all(map(is_, layers, self._traced))
        if self._capture is None or self._capture.model is not model or not same:
            self._capture = Capture(
                model,
                layers=self.layers,
                representation=self.representation,
                batch_size=self.batch_size,
            )
            self._traced = layers
        return self._capture


def _digest(model: Any) -> str:
    digest = hashlib.sha256()
    for variable in model.weights:
        if math.prod(variable.shape) <= _SMALL:
            digest.update(host_value(variable).tobytes())
    return digest.hexdigest()
