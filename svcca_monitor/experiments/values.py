"""What keys of a config may hold: names, files and times, checked and as JSON schema."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.config import JsonDict

from ..activations import REPRESENTATIONS
from ..dynamics import REFERENCES
from ..measures import MEASURES
from ..messages import unknown_name
from ..schedule import parse as parse_frequency
from ..store import DTYPES

FUNCTION = "module:function"
FUNCTION_PATTERN = "[^:]+:[^:]+"
URL = "[a-z][a-z0-9+.-]+:/"
# Built-in names, beside which there are functions, with the parameters that each takes: known here
# too, so that a wrong one is told of before Keras is loaded.
DATA: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("digits", "mnist", "fashion_mnist", "cifar10", "npz"), ()),
    "text": ("length",),
}
MODELS: Mapping[str, tuple[str, ...]] = {
    "mlp": ("units", "activation", "batch_norm"),
    "convnet": ("filters", "units", "width", "batch_norm"),
    "resnet": ("blocks", "filters", "skips"),
    "lstm": ("embedding", "units"),
}
# The largest seed that Keras sets.
MOST_SEED = 2**32 - 1


def _known(kind: str, names: Iterable[str], *others: str) -> AfterValidator:
    """Refuses a name that is none of these; `others` are what may stand there beside names."""

    def check(name: str) -> str:
        if name not in names and not (FUNCTION in others and re.fullmatch(FUNCTION_PATTERN, name)):
            raise ValueError(unknown_name(kind, name, (*names, *others)))
        return name

    return AfterValidator(check)


def _enum(names: Iterable[str]) -> Any:
    return Field(json_schema_extra={"enum": list(names)})


def _pattern(names: Iterable[str]) -> Any:
    return Field(json_schema_extra={"pattern": f"^({'|'.join(names)}|{FUNCTION_PATTERN})$"})


def own_parameters(built_in: Mapping[str, Iterable[str]]) -> JsonDict:
    """As JSON schema: of a built-in name only the parameters that it takes."""

    def among(known: Iterable[str]) -> JsonDict:
        return {"enum": [*known]} if known else {"not": {}}

    return {
        "allOf": [
            {
                "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
                "then": {"properties": {"parameters": {"propertyNames": among(known)}}},
            }
            for name, known in built_in.items()
        ]
    }


def require_parameters(
    parameters: Mapping[str, Any], kind: str, name: str, built_in: Mapping[str, Iterable[str]]
) -> None:
    """Raise ValueError if a built-in name does not take one of the parameters."""
    for key in parameters:
        if name in built_in and key not in built_in[name]:
            where = f"of {kind} {name!r}"
            raise ValueError(unknown_name("parameter", key, built_in[name], where=where))


def _found_from_anywhere(path: Path) -> Path:
    """The path from the root on, as the config is kept with a run and may be read elsewhere."""
    if re.match(URL, str(path)):  # of whose slashes `Path` has left one
        raise ValueError("`path` takes a file that this machine can open, not a URL")
    return Path(os.path.expanduser(path)).absolute()


def _frequency(value: Any) -> Any:
    try:
        parse_frequency(value)
    except TypeError as error:
        raise ValueError(str(error)) from error
    return value


def _step(least: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least}


# As `schedule.parse` takes it, whose errors say more than those of the alternatives one by one.
_FREQUENCY = WithJsonSchema(
    {
        "anyOf": [
            {"const": "epoch"},
            _step(1),
            {"type": "array", "items": _step(0), "minItems": 1},
            {
                "type": "object",
                "properties": {"log_spaced": _step(1)},
                "required": ["log_spaced"],
                "additionalProperties": False,
            },
        ]
    }
)


DataName = Annotated[str, _known("data", DATA, FUNCTION), _pattern(DATA)]
ModelName = Annotated[str, _known("model", MODELS, FUNCTION), _pattern(MODELS)]
MeasureName = Annotated[str, _known("measure", MEASURES), _enum(MEASURES)]
RepresentationName = Annotated[
    str, _known("representation", REPRESENTATIONS), _enum(REPRESENTATIONS)
]
StoredType = Annotated[str, _known("dtype", DTYPES), _enum(DTYPES)]
ReferenceName = Annotated[str, _known("reference", REFERENCES, "a step"), _enum(REFERENCES)]
Frequency = Annotated[
    str | int | list[int] | dict[str, int], AfterValidator(_frequency), _FREQUENCY
]
DataFile = Annotated[
    Path,
    Field(strict=False, json_schema_extra={"pattern": f"^(?!{URL})"}),
    AfterValidator(_found_from_anywhere),
]
Epochs = Annotated[float, Field(ge=0, allow_inf_nan=False)]
