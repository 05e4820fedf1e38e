"""The usual sets of layers, for `layers=`: `SVCCAMonitor(..., layers=collections.convolutions)`.

Each is a function ``layer -> bool``; several go in a list.
"""

from __future__ import annotations

from typing import Any

from keras import layers

from .selection import computes, is_block

_CONVOLUTIONS = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.Conv1DTranspose,
    layers.Conv2DTranspose,
    layers.Conv3DTranspose,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
)
_RECURRENT = (
    layers.RNN,  # and with it LSTM, GRU, SimpleRNN and ConvLSTM
    layers.ConvLSTM1D,
    layers.ConvLSTM2D,
    layers.ConvLSTM3D,
    layers.Bidirectional,
)
_ATTENTION = (
    layers.MultiHeadAttention,
    layers.GroupQueryAttention,
    layers.Attention,
    layers.AdditiveAttention,
)
_NORMALIZATIONS = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.UnitNormalization,
    layers.RMSNormalization,
)
_POOLING = tuple(
    getattr(layers, f"{kind}Pooling{n}D")
    for kind in ("Max", "Average", "GlobalMax", "GlobalAverage")
    for n in (1, 2, 3)
)
_ACTIVATIONS = (
    layers.Activation,
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.ELU,
    layers.Softmax,
)


def convolutions(layer: Any) -> bool:
    """Convolutions of any kind, also those applied to each time step."""
    return isinstance(_applied(layer), _CONVOLUTIONS)


def dense(layer: Any) -> bool:
    """Dense layers, also those applied to each time step."""
    return isinstance(_applied(layer), layers.Dense | layers.EinsumDense)


def recurrent(layer: Any) -> bool:
    """LSTM, GRU, convolutional LSTM and other RNNs, and both directions of one as one layer."""
    return isinstance(layer, _RECURRENT)


def attention(layer: Any) -> bool:
    """Attention layers, each as a whole."""
    return isinstance(layer, _ATTENTION)


def embeddings(layer: Any) -> bool:
    """Embeddings of tokens."""
    return isinstance(layer, layers.Embedding)


def normalizations(layer: Any) -> bool:
    """Batch, layer, group, unit and RMS normalisations."""
    return isinstance(layer, _NORMALIZATIONS)


def pooling(layer: Any) -> bool:
    """Maximum and average pooling, local and global."""
    return isinstance(layer, _POOLING)


def activations(layer: Any) -> bool:
    """Activations that are layers of their own."""
    return isinstance(layer, _ACTIVATIONS)


def blocks(layer: Any) -> bool:
    """Layers and models of one's own that are made of other layers."""
    return is_block(layer)


def trainable(layer: Any) -> bool:
    """Layers that training can change."""
    return computes(layer) and bool(layer.trainable_weights)


def _applied(layer: Any) -> Any:
    return layer.layer if isinstance(layer, layers.TimeDistributed) else layer
