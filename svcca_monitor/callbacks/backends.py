"""What differs between Keras' backends: how a forward pass is compiled, and run on a batch.

The only module that imports a backend, and only the one that Keras runs on.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

# (trainable variables, non-trainable variables, inputs) -> {name: matrix}
StatelessForward = Callable[[list[Any], list[Any], Any], dict[str, Any]]
# inputs as NumPy arrays -> {name: matrix as a NumPy array}
Forward = Callable[[Any], dict[str, np.ndarray]]
# The same, of which only the shapes of the matrices count
Sized = Callable[[Any], Mapping[str, Any]]


class TensorFlow:
    """One concrete function for batches of any size; variables are read when it runs."""

    fixed_batch = False

    def compiled(self, model: Any, forward: StatelessForward, batch: Any) -> Forward:
        """Trace `forward` once, for inputs like `batch`."""
        import tensorflow as tf

        def spec(array: np.ndarray) -> Any:
            return tf.TensorSpec((None, *array.shape[1:]), tf.as_dtype(array.dtype))

        def traced(inputs: Any) -> dict[str, Any]:
            # A stateless pass opens no scope for the model, and at the root TensorFlow refuses
            # names that it takes within, such as "_hidden".
            with tf.name_scope("svcca"):
                return forward(*_values(model), inputs)

        function = tf.function(traced, autograph=False)
        with _host_random_state():
            graph = function.get_concrete_function(keras.tree.map_structure(spec, batch))
        return lambda inputs: {name: x.numpy() for name, x in graph(inputs).items()}

    def of_any_size(self, model: Any, forward: StatelessForward, compiled: Forward) -> Sized:  # noqa: ARG002
        """What tells the shapes of a batch of another size: the compiled pass itself."""
        return compiled

    def scope(self) -> object:
        """The graph that operations are added to now."""
        import tensorflow as tf

        return tf.compat.v1.get_default_graph()

    def wait_for(self, outputs: Any) -> None:
        """Nothing: within a graph there is nothing to wait for."""


class Jax:
    """One compiled program for batches of one size; variables are its arguments."""

    fixed_batch = True

    def compiled(self, model: Any, forward: StatelessForward, batch: Any) -> Forward:  # noqa: ARG002
        """Compile `forward` at its first batch; all others must have that size."""
        import jax

        program = jax.jit(forward)

        def run(inputs: Any) -> dict[str, np.ndarray]:
            # Within an epoch, `fit` holds the values of the variables, and the model has none.
            model.jax_state_sync()
            with _host_random_state():
                try:
                    matrices = program(*_values(model), inputs)
                    return {name: np.asarray(x) for name, x in matrices.items()}
                except (jax.errors.JaxRuntimeError, ValueError):
                    # It does not tell of which layer: one operation at a time does.
                    with _only_of_a_layer(), jax.disable_jit():
                        forward(*_values(model), inputs)
                    raise

        return run

    def of_any_size(self, model: Any, forward: StatelessForward, compiled: Forward) -> Sized:  # noqa: ARG002
        """What tells the shapes of a batch of another size: a trace, of which nothing is run."""
        import jax

        def look(inputs: Any) -> dict[str, Any]:
            model.jax_state_sync()
            with _host_random_state():
                return dict(jax.eval_shape(forward, *_values(model), inputs))

        return look

    def scope(self) -> object:
        """The trace that operations belong to now."""
        from jax.extend import core

        # Versions of jax that cannot tell cannot leave out what is called in a loop.
        state = getattr(core, "get_opaque_trace_state", None)
        return state(convention="flax") if state is not None else None

    def wait_for(self, outputs: Any) -> None:
        """Until they are computed, outside of a trace: jax runs ahead, and fails later."""
        import jax

        jax.block_until_ready(  # type: ignore[no-untyped-call]
            [x for x in keras.tree.flatten(outputs) if not isinstance(x, jax.core.Tracer)]
        )


class Torch:
    """Plain calls without gradients: nothing is traced."""

    fixed_batch = False

    def compiled(self, model: Any, forward: StatelessForward, batch: Any) -> Forward:  # noqa: ARG002
        """`forward` on the device of the variables."""
        import torch

        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []

        def run(inputs: Any) -> dict[str, np.ndarray]:
            tensors = keras.tree.map_structure(ops.convert_to_tensor, inputs)
            with (
                torch.no_grad(),
                torch.random.fork_rng(devices),  # a layer may draw from torch's own generator
                _host_random_state(),
                _inference_mode(model),
            ):
                matrices = forward(*_values(model), tensors)
            return {name: x.cpu().numpy() for name, x in matrices.items()}

        return run

    def of_any_size(self, model: Any, forward: StatelessForward, compiled: Forward) -> Sized:  # noqa: ARG002
        """What tells the shapes of a batch of another size: the compiled pass itself."""
        return compiled

    def scope(self) -> object:
        """Always the same: operations run as they are called."""
        return None

    def wait_for(self, outputs: Any) -> None:
        """Nothing: what fails in an operation is raised there."""


Backend = TensorFlow | Jax | Torch
BACKENDS: dict[str, type[Backend]] = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}


def current() -> Backend:
    """The backend that Keras runs on.

    Raises:
        NotImplementedError: If activations cannot be captured on it.
    """
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise NotImplementedError(
            f"Keras runs on {name!r} here; activations are captured on {', '.join(BACKENDS)}. "
            "Set KERAS_BACKEND to one of them."
        )
    return BACKENDS[name]()


def host_value(variable: Any) -> np.ndarray:
    """The value of a variable as a NumPy array, which may share its memory.

    The way of Keras to it goes through a call of NumPy that warns, for tensors of torch.
    """
    if keras.backend.backend() != "torch":
        return np.asarray(variable)
    tensor = variable.value.detach().cpu()
    if keras.backend.standardize_dtype(tensor.dtype) == "bfloat16":  # which NumPy does not know
        tensor = tensor.float()
    array: np.ndarray = tensor.numpy()
    return array


def _values(model: Any) -> tuple[list[Any], list[Any]]:
    return (
        [v.value for v in model.trainable_variables],
        [v.value for v in model.non_trainable_variables],
    )


@contextmanager
def _only_of_a_layer() -> Iterator[None]:
    """Out of this context come only errors that have a layer's name."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "layer"):
            raise


@contextmanager
def _host_random_state() -> Iterator[None]:
    """After this context, what a layer's `call` drew from Python or NumPy is as if not drawn."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def _inference_mode(model: Any) -> Iterator[None]:
    """Within this context, torch modules in the model behave as in inference."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training
