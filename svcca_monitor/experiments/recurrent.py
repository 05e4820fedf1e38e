"""Recurrent nets on sequences of class indices, such as characters."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers


def lstm(
    input_shape: tuple[int, ...],
    n_classes: int,
    *,
    embedding: int = 32,
    units: Sequence[int] = (128, 128),
) -> keras.Model:
    """A language model: `embedding`, then `lstm1`, `lstm2`, …, then `logits` at each step.

    Args:
        input_shape: Steps of a sequence, (t,); its entries are class indices.
        n_classes: Size of the vocabulary, of inputs and outputs.
        embedding: Dimensions of the embedding.
        units: Units of each recurrent layer.
    """
    if len(input_shape) != 1:
        raise ValueError(
            "lstm takes sequences of class indices, of shape (n, steps). "
            f"Received examples of shape {tuple(input_shape)}."
        )
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Embedding(n_classes, embedding, name="embedding"),
            *(
                layers.LSTM(width, return_sequences=True, name=f"lstm{i}")
                for i, width in enumerate(units, start=1)
            ),
            layers.Dense(n_classes, name="logits"),
        ],
        name="lstm",
    )
