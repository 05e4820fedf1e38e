"""Parameters of the built-in data and models, with their types and ranges.

They stand here and not only where they are used, so that a wrong one is told of before Keras is
loaded, and editors know them by the schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.config import JsonDict
from typing_extensions import TypedDict

from ..messages import unknown_name

Count = Annotated[int, Field(ge=1)]
_FORM = ConfigDict(extra="forbid", strict=True)


class Nothing(TypedDict, total=False):
    """Of data that are as they are."""

    __pydantic_config__ = _FORM  # type: ignore[misc]


class Text(TypedDict, total=False):
    """Of `text`."""

    __pydantic_config__ = _FORM  # type: ignore[misc]
    length: Count


class Mlp(TypedDict, total=False):
    """Of `mlp`."""

    __pydantic_config__ = _FORM  # type: ignore[misc]
    units: Sequence[Count]
    activation: str
    batch_norm: bool


class Convnet(TypedDict, total=False):
    """Of `convnet`."""

    __pydantic_config__ = _FORM  # type: ignore[misc]
    filters: Annotated[Sequence[Count], Field(min_length=5, max_length=5)]
    units: Annotated[Sequence[Count], Field(min_length=2, max_length=2)]
    width: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    batch_norm: bool


class Resnet(TypedDict, total=False):
    """Of `resnet`."""

    __pydantic_config__ = _FORM  # type: ignore[misc]
    blocks: Count
    filters: Annotated[Sequence[Count], Field(min_length=1)]
    skips: bool


class Lstm(TypedDict, total=False):
    """Of `lstm`."""

    __pydantic_config__ = _FORM  # type: ignore[misc]
    embedding: Count
    units: Sequence[Count]


DATA: Mapping[str, type] = {
    **dict.fromkeys(("digits", "mnist", "fashion_mnist", "cifar10", "npz"), Nothing),
    "text": Text,
}
MODELS: Mapping[str, type] = {"mlp": Mlp, "convnet": Convnet, "resnet": Resnet, "lstm": Lstm}


def by_name(built_in: Mapping[str, type]) -> JsonDict:
    """As JSON schema: of a built-in name only the parameters that it takes."""
    return {
        "allOf": [
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"properties": {"parameters": TypeAdapter(known).json_schema()}},
            }
            for name, known in built_in.items()
        ]
    }


def require_parameters(
    parameters: Mapping[str, Any], kind: str, name: str, built_in: Mapping[str, type]
) -> None:
    """Raise ValueError if a built-in name does not take a parameter, or not such a value."""
    if name not in built_in:
        return
    where = f"of {kind} {name!r}"
    try:
        TypeAdapter(built_in[name]).validate_python(dict(parameters))
    except ValidationError as error:
        entry = error.errors()[0]
        key = str(entry["loc"][0])
        if entry["type"] == "extra_forbidden":
            known = built_in[name].__annotations__
            raise ValueError(unknown_name("parameter", key, known, where=where)) from None
        received = f"Received: {key}={parameters[key]!r}"
        raise ValueError(f"`{key}` {where}: {entry['msg']}. {received}") from None
