"""Residual nets for small images (He et al. 2016, arXiv:1512.03385), with or without skips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers


def resnet(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    blocks: int = 3,
    filters: Sequence[int] = (16, 32, 64),
    skips: bool = True,
) -> keras.Model:
    """A residual net; stages after the first halve the map.

    A node is called after its stage and block: `s2b1_conv1`, `s2b1_bn1`, `s2b1_conv2`, `s2b1_bn2`
    and, at the end of the block, `s2b1_residual`. Before them stand `conv0`, `bn0` and `relu0`,
    behind them `pool` and `logits`.

    Args:
        input_shape: Height, width and channels.
        n_classes: Number of logits.
        blocks: Blocks a stage, each of two convolutions.
        filters: Channels of each stage.
        skips: False leaves the shortcuts out, and nothing else: the same convolutions, and
            `…_residual` is the activation at the same place.
    """
    if blocks < 1 or not filters:
        raise ValueError(
            "resnet takes at least one block a stage and the filters of at least one stage. "
            f"Received: blocks={blocks}, filters={list(filters)}"
        )
    inputs = keras.Input(input_shape)
    x = _norm("bn0")(_conv(filters[0], "conv0")(inputs))
    x = layers.ReLU(name="relu0")(x)
    for stage, channels in enumerate(filters, start=1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            x = _block(x, channels, stride, f"s{stage}b{block}", skips=skips)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(n_classes, name="logits")(x), name="resnet")


def _block(x: Any, channels: int, stride: int, name: str, *, skips: bool) -> Any:
    y = _norm(f"{name}_bn1")(_conv(channels, f"{name}_conv1", stride)(x))
    y = layers.ReLU(name=f"{name}_relu1")(y)
    y = _norm(f"{name}_bn2")(_conv(channels, f"{name}_conv2")(y))
    if skips:
        if stride != 1 or x.shape[-1] != channels:
            # Option B of the paper: a projection where the shapes differ.
            x = _norm(f"{name}_shortcut_bn")(
                _conv(channels, f"{name}_shortcut_conv", stride, size=1)(x)
            )
        y = layers.Add(name=f"{name}_add")([y, x])
    return layers.ReLU(name=f"{name}_residual")(y)


def _conv(channels: int, name: str, stride: int = 1, size: int = 3) -> Any:
    return layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="same",
        use_bias=False,  # the normalisation behind it shifts
        kernel_initializer="he_normal",
        name=name,
    )


def _norm(name: str) -> Any:
    # As in `convnet`: snapshots see the moving averages, which follow within a short epoch.
    return layers.BatchNormalization(momentum=0.9, name=name)
