"""Configs: YAML, checked before anything heavy begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from ..messages import nearest
from .documents import parse, written
from .sections import (
    AnalysisConfig,
    DataConfig,
    FreezeConfig,
    ModelConfig,
    MonitorConfig,
    Section,
    TrainingConfig,
)
from .signatures import unknown_parameters
from .values import MOST_SEED

# Of a config of many runs, beside the sections of one.
SWEEP_KEYS = ("matrix", "exclude")


class ConfigError(ValueError):
    """A config that cannot be run; says which key of which file, and the way out."""


class Config(Section):
    """One experiment."""

    seed: int = Field(0, ge=0, le=MOST_SEED)
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    monitor: MonitorConfig = MonitorConfig()
    freeze: FreezeConfig | None = None
    analysis: AnalysisConfig = AnalysisConfig()

    @classmethod
    def schema_of_files(cls) -> dict[str, Any]:
        """The JSON schema of a file: of one experiment or, with a matrix, of many."""
        schema = cls.model_json_schema()
        anything: dict[str, Any] = {"type": "array", "items": {}, "minItems": 1}
        schema["properties"] |= {
            "matrix": {
                "type": "object",
                "additionalProperties": anything,
                "minProperties": 1,
                "description": "Lists of values by section.key: a sweep runs all combinations.",
            },
            "exclude": {
                "type": "array",
                "items": {"type": "object", "minProperties": 1},
                "description": "Settings of the matrix whose combinations are left out.",
            },
        }
        return schema

    def to_yaml(self) -> str:
        """Every key with its value; reads back as the same config."""
        return written(self.model_dump(mode="json"))


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read the config of one experiment; of a sweep, what its runs have in common.

    Args:
        path: YAML file.
        overrides: Changes as `section.key=value`, the value in YAML.

    Raises:
        ConfigError: If the file cannot be read, or has an unknown key or a value out of range.
    """
    raw = read(path, overrides)
    for key in SWEEP_KEYS:
        raw.pop(key, None)
    return check(raw, path, functions=True)


def read(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What a YAML file and the overrides say, unchecked.

    Raises:
        ConfigError: If the file cannot be read or holds no sections, or an override is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        raw = parse(text)
    except OSError as error:
        raise ConfigError(f"Cannot read the config {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{path} must hold the sections {', '.join(Config.model_fields)}. Received: {raw!r:.80}"
        )
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set takes section.key=value. Received: {override!r}")
        change(raw, key, as_yaml(value, override))
    return raw


def as_yaml(value: str, override: str) -> Any:
    """The value of an override.

    Raises:
        ConfigError: If it is not valid YAML.
    """
    try:
        return parse(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {value!r} is not valid YAML: {error}") from error


def check(
    raw: Mapping[str, Any], path: str | os.PathLike[str], *, functions: bool = False
) -> Config:
    """The config that a file says.

    Args:
        raw: Its sections.
        path: The file, for errors.
        functions: Read in the source of each `module:function` too what parameters it takes.

    Raises:
        ConfigError: If there is an unknown key or a value out of range.
    """
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(_explained(error, raw, path))) from error
    if functions:
        unknown = list(unknown_parameters(config.data, config.model, config.training))
        if unknown:
            raise ConfigError("\n".join(f"{path}: {sentence}" for sentence in unknown))
    return config


def change(raw: dict[str, Any], key: str, value: Any) -> None:
    """Set `section.key` in what a file says.

    Raises:
        ConfigError: If the way there leads through a value.
    """
    *sections, last = key.split(".")
    place = raw
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"Cannot set {key}: {section!r} is a value, not a section.")
    place[last] = value


def _explained(
    error: ValidationError, raw: Mapping[str, Any], path: str | os.PathLike[str]
) -> list[str]:
    """A line for each key that is wrong; of one of several kinds, all that it may be."""
    lines = []
    may_be: dict[tuple[str, str], tuple[list[str], str]] = {}
    for entry in error.errors():
        *sections, key = _place(entry, raw) or ["config"]
        where = f"in [{'.'.join(sections)}] of {path}" if sections else f"in {path}"
        if entry["type"] == "extra_forbidden":
            lines.append(f"Unknown key {key!r} {where}.{nearest(key, _keys(sections))}")
        elif entry["type"] == "missing":
            lines.append(f"Missing key {key!r} {where}.")
        else:
            message = entry["msg"].removeprefix("Value error, ").rstrip(".")
            if entry["type"] == "model_type":
                message = (
                    f"Input should be a section with keys, such as {_keys([*sections, key])[0]!r}"
                )
            received = "" if isinstance(entry["input"], dict) else f" Received: {entry['input']!r}."
            may_be.setdefault((key, where), ([], received))[0].append(message)
    for (key, where), (messages, received) in may_be.items():
        first, *others = messages
        rest = "".join(f", or {other.removeprefix('Input should be ')}" for other in others)
        lines.append(f"Key {key!r} {where}: {first}{rest}.{received}")
    return lines


def _place(entry: Any, raw: Any) -> list[str]:
    """The keys that lead to what is wrong, without the alternatives that pydantic tried."""
    found, value = [], raw
    for part in entry["loc"]:
        if isinstance(value, Mapping) and (part in value or entry["type"] == "missing"):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        found.append(str(part))
    return found


def _keys(sections: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Config
    for section in sections:
        annotation = model.model_fields[section].annotation
        inner = [each for each in (annotation, *get_args(annotation)) if _is_section(each)]
        if not inner:
            return []
        model = inner[0]
    return [*model.model_fields, *(() if sections else SWEEP_KEYS)]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
