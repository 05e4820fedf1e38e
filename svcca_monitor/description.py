"""The description of a run, `run.json`: its layers, its probe set and where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .files import RunFormatError, require_own
from .store import Store

FORMAT_VERSION = 1
# Bytes of a description, labels and ids of some million examples included.
LARGEST = 200_000_000


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


class _Part(BaseModel):
    # Strict, or "3" would pass for a number. A later version may add entries.
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


Count = Annotated[int, Field(ge=0, lt=2**63)]


class _Layer(_Part):
    name: str
    layer_class: str
    depth: Count
    output_shape: list[Count | None]
    representation: str


class _Cost(_Part):
    steps: list[Count] = []
    seconds: list[float] = []
    bytes: list[Count] = []


class _Description(_Part):
    layers: list[_Layer]
    probe_fingerprint: str
    n_samples: Annotated[int, Field(ge=2, lt=2**63)] | None = None
    labels: list[Any] | None = None
    class_names: list[str] | None = None
    ids: list[Any] | None = None
    measure: str = "svcca"
    measure_options: dict[str, Any] = {}
    step_unit: Literal["epoch", "batch", "step"] = "epoch"
    cost: _Cost = _Cost()
    store: dict[str, Any] = {}


def encode(facts: Mapping[str, Any]) -> bytes:
    """The file of a description; numbers and arrays of NumPy become those of JSON.

    Raises:
        TypeError: If a fact has no form in JSON.
    """
    return json.dumps(facts, indent=1, default=_plain).encode()


def as_recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as they read back: tuples as lists, numbers of NumPy as plain ones."""
    return json.loads(encode(facts))


def read(path: Path) -> dict[str, Any]:
    """The entries of a description, checked.

    Raises:
        RunFormatError: If it is damaged, of an unknown format version, or leads out of the run.
    """
    require_own(path, path.parent, limit=LARGEST)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        version = facts["format_version"]
    # RecursionError: brackets in brackets in brackets.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise RunFormatError(
            f"{path} has format version {version!r:.80}; this svcca_monitor reads version "
            f"{FORMAT_VERSION}. Upgrade the package that reads, or the one that wrote."
        )
    try:
        description = _Description.model_validate(facts)
        Store.of(description.store)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        what = f"{key}: {first['msg']}"
        received = "" if first["type"] == "missing" else f". Received: {first['input']!r:.80}"
        raise _damaged(path, what + received) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    names = [layer.name for layer in description.layers]
    if len(set(names)) < len(names):
        raise _damaged(path, "two layers have one name")
    for key in ("labels", "ids"):
        values = getattr(description, key)
        if None not in (values, description.n_samples) and len(values) != description.n_samples:
            raise _damaged(path, f"{len(values)} {key} for {description.n_samples} examples")
    return facts


def layer_info(facts: Mapping[str, Any]) -> list[LayerInfo]:
    """The layers that a checked description lists."""
    return [
        LayerInfo(
            name=entry["name"],
            layer_class=entry["layer_class"],
            depth=entry["depth"],
            output_shape=tuple(entry["output_shape"]),
            representation=entry["representation"],
        )
        for entry in facts["layers"]
    ]


def _damaged(path: Path, what: str) -> RunFormatError:
    return RunFormatError(
        f"{path} is not the description of a run: {what}. Restore it from a copy, or begin a new "
        "run in another log_dir."
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be kept in a run.")
