"""The description of a run, `run.json`: its layers, its probe set and where it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1


class RunFormatError(ValueError):
    """A file of a run is not what this version of the package can read."""


class RunMismatchError(ValueError):
    """A directory holds the run of another model."""


@dataclass(frozen=True)
class LayerInfo:
    """What a run knows about a layer.

    Attributes:
        name: Name or path within the model.
        layer_class: Class of the layer.
        depth: Position in the order in which the model calls its layers, from 0.
        output_shape: Shape of its output with None for the examples.
        representation: How the output became a matrix.
    """

    name: str
    layer_class: str
    depth: int
    output_shape: tuple[int | None, ...]
    representation: str


def parse(text: str, path: Path) -> dict[str, Any]:
    """The entries of a description, checked."""
    try:
        facts = json.loads(text)
        version = facts["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunFormatError(f"{path} is not the description of a run: {error!r}.") from error
    if version != FORMAT_VERSION:
        raise RunFormatError(
            f"{path} has format version {version!r}; this svcca_monitor reads version "
            f"{FORMAT_VERSION}. Upgrade the package that reads, or the one that wrote."
        )
    missing = {"layers", "probe_fingerprint"} - set(facts)
    if missing:
        raise RunFormatError(f"{path} lacks {sorted(missing)}.")
    return facts
