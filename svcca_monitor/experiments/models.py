"""Models by name. A builder takes (input_shape, n_classes, **parameters) and gives logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from .names import GIVEN_TO_MODELS, require_parameters, resolve
from .recurrent import lstm
from .residual import resnet
from .sections import ModelConfig


def mlp(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    units: Sequence[int] = (64, 64, 64, 64),
    activation: str = "relu",
    batch_norm: bool = False,
) -> keras.Model:
    """Dense layers fc1, fc2, … (with bn1, bn2, … behind them), then logits."""
    stack: list[Any] = [keras.Input(input_shape)]
    if len(input_shape) > 1:
        stack.append(layers.Flatten(name="flatten"))
    for i, width in enumerate(units, start=1):
        stack.append(layers.Dense(width, activation=activation, name=f"fc{i}"))
        if batch_norm:
            stack.append(layers.BatchNormalization(name=f"bn{i}"))
    return keras.Sequential([*stack, layers.Dense(n_classes, name="logits")], name="mlp")


def convnet(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    filters: Sequence[int] = (32, 32, 64, 64, 64),
    units: Sequence[int] = (128, 64),
    width: float = 1.0,
    batch_norm: bool = True,
) -> keras.Model:
    """The convolutional net of Raghu et al. 2017: conv conv bn pool conv³ bn pool fc bn fc bn out.

    Args:
        input_shape: Height, width and channels.
        n_classes: Number of logits.
        filters: Channels of the five convolutions c1 … c5.
        units: Units of fc1 and fc2.
        width: Multiplies filters and units.
        batch_norm: Leave the four batch normalisations out with False.
    """
    if len(filters) != 5 or len(units) != 2:
        raise ValueError(
            "convnet takes five filters and two units. "
            f"Received: filters={list(filters)}, units={list(units)}"
        )
    if not width > 0:
        raise ValueError(f"`width` multiplies filters and units. Received: width={width}")
    filters, units = ([max(1, round(width * n)) for n in sizes] for sizes in (filters, units))

    def norm(i: int) -> list[Any]:
        # Snapshots see the moving averages: let them follow within an epoch of some dozen batches.
        return [layers.BatchNormalization(momentum=0.9, name=f"bn{i}")] if batch_norm else []

    def conv(i: int) -> Any:
        return layers.Conv2D(filters[i - 1], 3, padding="same", activation="relu", name=f"c{i}")

    return keras.Sequential(
        [
            keras.Input(input_shape),
            conv(1),
            conv(2),
            *norm(1),
            layers.MaxPooling2D(name="p1"),
            conv(3),
            conv(4),
            conv(5),
            *norm(2),
            layers.MaxPooling2D(name="p2"),
            layers.Flatten(name="flatten"),
            layers.Dense(units[0], activation="relu", name="fc1"),
            *norm(3),
            layers.Dense(units[1], activation="relu", name="fc2"),
            *norm(4),
            layers.Dense(n_classes, name="logits"),
        ],
        name="convnet",
    )


MODELS: dict[str, Callable[..., keras.Model]] = {
    "mlp": mlp,
    "convnet": convnet,
    "resnet": resnet,
    "lstm": lstm,
}


def build(config: ModelConfig, input_shape: tuple[int, ...], n_classes: int) -> keras.Model:
    """Build the model that a config names.

    Raises:
        ValueError: If a parameter is unknown, or what is built is no model.
    """
    builder = resolve(config.name, "model.name") if ":" in config.name else MODELS[config.name]
    where = f"of model {config.name!r}"
    require_parameters(builder, config.parameters, where, given=GIVEN_TO_MODELS)
    model = builder(input_shape, n_classes, **config.parameters)
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"model.name: {config.name!r} must give a keras.Model. Received: a "
            f"{type(model).__name__}"
        )
    return model
