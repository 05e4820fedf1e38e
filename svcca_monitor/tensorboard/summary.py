"""Summaries of a run: tensors for the tab, scalars, one-pixel-a-cell panes and a chart layout."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
from tensorboard.compat.proto import summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalar
from tensorboard.plugins.image import metadata as image
from tensorboard.plugins.scalar import metadata as scalar

from .parts import packed

PLUGIN_NAME = "svcca"
CONTENT_VERSION = 2  # 1 had float32 alone, each series under one tag
LAYERS_TAG, HISTORY_TAG, FINAL_TAG = "svcca/layers", "svcca/history", "svcca/final"
EPOCH_TAG, DIMS_TAG = "svcca/epoch", "svcca/dims"
PANE_TAG = "svcca/pane"
CONVERGENCE_PREFIX, FINAL_PREFIX = "svcca_convergence", "svcca_final"

# Viridis (van der Walt and Smith 2015), perceptually uniform, at nine even places.
_VIRIDIS = np.array(
    [
        (68, 1, 84),
        (71, 45, 123),
        (59, 82, 139),
        (44, 114, 142),
        (33, 145, 140),
        (40, 174, 128),
        (94, 201, 98),
        (173, 220, 48),
        (253, 231, 37),
    ]
)
_UNKNOWN = (128, 128, 128)


def tensor(
    tag: str,
    values: np.ndarray,
    *,
    measure: str,
    layers: Sequence[str],
    chance: Sequence[float | None],
    n_samples: int | None = None,
    pack: bool = False,
) -> Summary.Value:
    """Numbers for the tab, as float32 or packed.

    Args:
        tag: Its name.
        values: Matrix or vector; its rows are the layers, but for the epoch of a step.
        measure: Name of the measure.
        layers: Names of the layers.
        chance: What each layer would score against an independent layer of its own size, if known.
        n_samples: Rows of the activations, on which chance depends.
        pack: Whether they are similarities to be written in two bytes each, see `parts.py`.
    """
    known = [None if level is None or not np.isfinite(level) else level for level in chance]
    content = {
        "version": CONTENT_VERSION,
        "measure": measure,
        "layers": list(layers),
        "chance": known,
        "n_samples": n_samples,
    }
    metadata = SummaryMetadata(
        data_class=summary_pb2.DATA_CLASS_TENSOR,
        plugin_data=SummaryMetadata.PluginData(
            plugin_name=PLUGIN_NAME, content=json.dumps(content).encode()
        ),
    )
    numbers = _tensor(types_pb2.DT_INT16, packed(values)) if pack else _float_tensor(values)
    return Summary.Value(tag=tag, metadata=metadata, tensor=numbers)


def scalars(prefix: str, values: Mapping[str, float]) -> list[Summary.Value]:
    """A point `<prefix>/<layer>` for each layer; nan has no place on a chart and is left out."""
    metadata = scalar.create_summary_metadata(display_name="", description="")
    metadata.data_class = summary_pb2.DATA_CLASS_SCALAR
    return [
        Summary.Value(
            tag=f"{prefix}/{layer}", metadata=metadata, tensor=_float_tensor(np.float32(value))
        )
        for layer, value in values.items()
        if np.isfinite(value)
    ]


def pane_image(grid: np.ndarray) -> Summary.Value:
    """A pane as a picture of one pixel a cell, the layer nearest the input at the bottom left."""
    png = encode_pane(grid)
    metadata = image.create_summary_metadata(display_name="", description="")
    metadata.data_class = summary_pb2.DATA_CLASS_BLOB_SEQUENCE
    height, width = (str(n).encode() for n in grid.shape)
    strings = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        string_val=[width, height, png],
        tensor_shape=_shape(3),
    )
    return Summary.Value(tag=PANE_TAG, metadata=metadata, tensor=strings)


def chart_layout() -> Summary.Value:
    """Custom Scalars layout: all layers in one chart."""

    def chart(title: str, prefix: str) -> layout_pb2.Chart:
        lines = layout_pb2.MultilineChartContent(tag=[f"^{prefix}/.*"])
        return layout_pb2.Chart(title=title, multiline=lines)

    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="svcca",
                chart=[
                    chart("similarity to the previous snapshot", CONVERGENCE_PREFIX),
                    chart("similarity to the final snapshot", FINAL_PREFIX),
                ],
            )
        ]
    )
    metadata = custom_scalar.create_summary_metadata()
    metadata.data_class = summary_pb2.DATA_CLASS_TENSOR
    text = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        string_val=[layout.SerializeToString()],
        tensor_shape=_shape(),
    )
    return Summary.Value(tag=custom_scalar.CONFIG_SUMMARY_TAG, metadata=metadata, tensor=text)


def encode_pane(grid: np.ndarray) -> bytes:
    """PNG of a matrix with values in [0, 1]; grey where it is nan."""
    from PIL import Image

    place = np.clip(np.nan_to_num(grid), 0, 1) * (len(_VIRIDIS) - 1)
    colours = np.stack(
        [np.interp(place, np.arange(len(_VIRIDIS)), channel) for channel in _VIRIDIS.T], axis=-1
    )
    colours[~np.isfinite(grid)] = _UNKNOWN
    buffer = io.BytesIO()
    Image.fromarray(np.round(colours[::-1]).astype(np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def _float_tensor(values: np.ndarray | np.float32) -> tensor_pb2.TensorProto:
    # asarray, for ascontiguousarray would make a rank-1 tensor of a scalar, which is not shown.
    return _tensor(types_pb2.DT_FLOAT, np.asarray(values, dtype="<f4"))


def _tensor(kind: int, array: np.ndarray) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto(
        dtype=kind,
        tensor_shape=_shape(*array.shape),
        tensor_content=array.tobytes(),
    )


def _shape(*sizes: int) -> tensor_shape_pb2.TensorShapeProto:
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=n) for n in sizes]
    return tensor_shape_pb2.TensorShapeProto(dim=dims)
