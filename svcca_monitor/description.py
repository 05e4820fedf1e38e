"""The description of a run, `run.json`: its layers, its probe set and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def encode(facts: Mapping[str, Any]) -> bytes:
    """The file of a description; numbers and arrays of NumPy become those of JSON.

    Raises:
        TypeError: If a fact has no form in JSON.
    """
    return json.dumps(facts, indent=1, default=_plain).encode()


def as_recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as they read back: tuples as lists, numbers of NumPy as plain ones."""
    return json.loads(encode(facts))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be kept in a run.")


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
