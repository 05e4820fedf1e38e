"""What keys of a config may hold: names, files and times, checked and as JSON schema."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from ..activations import REPRESENTATIONS
from ..dynamics import REFERENCES
from ..measures import MEASURES
from ..messages import unknown_name
from ..schedule import parse as parse_frequency
from ..store import DTYPES
from .parameters import DATA, MODELS

FUNCTION = "module:function"
FUNCTION_PATTERN = "[^:]+:[^:]+"
URL = "[a-z][a-z0-9+.-]+:/"
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
