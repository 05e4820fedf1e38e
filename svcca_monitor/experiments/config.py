"""Configs: YAML, checked before anything heavy begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, Field, ValidationError

from ..messages import nearest
from .sections import (
    AnalysisConfig,
    DataConfig,
    FreezeConfig,
    ModelConfig,
    MonitorConfig,
    Section,
    TrainingConfig,
)

# Of a config of many runs, beside the sections of one.
SWEEP_KEYS = ("matrix", "exclude")


class ConfigError(ValueError):
    """A config that cannot be run; says which key of which file, and the way out."""


class Config(Section):
    """One experiment."""

    seed: int = Field(0, ge=0)
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
                "description": "Lists of values by section.key: a sweep runs all combinations.",
            },
            "exclude": {
                "type": "array",
                "items": {"type": "object"},
                "description": "Settings of the matrix whose combinations are left out.",
            },
        }
        return schema

    def to_yaml(self) -> str:
        """Every key with its value; reads back as the same config."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


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
    return check(raw, path)


def read(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """What a YAML file and the overrides say, unchecked.

    Raises:
        ConfigError: If the file cannot be read or holds no sections, or an override is none.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        raw = yaml.safe_load(text)
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
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override}: {value!r} is not valid YAML: {error}") from error


def check(raw: Mapping[str, Any], path: str | os.PathLike[str]) -> Config:
    """The config that a file says.

    Args:
        raw: Its sections.
        path: The file, for errors.

    Raises:
        ConfigError: If there is an unknown key or a value out of range.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(entry, path) for entry in error.errors()]
        raise ConfigError("\n".join(lines)) from error


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


def _explain(entry: Any, path: str | os.PathLike[str]) -> str:
    # Of a union, pydantic appends the alternative that it tried.
    parts = [str(part) for part in entry["loc"] if str(part) not in _ALTERNATIVES]
    *sections, key = parts or ["config"]
    where = f"in [{'.'.join(sections)}] of {path}" if sections else f"in {path}"
    if entry["type"] == "extra_forbidden":
        return f"Unknown key {key!r} {where}.{nearest(key, _keys(sections))}"
    if entry["type"] == "missing":
        return f"Missing key {key!r} {where}."
    message = entry["msg"].removeprefix("Value error, ")
    received = "" if isinstance(entry["input"], dict) else f" Received: {entry['input']!r}."
    return f"Key {key!r} {where}: {message.rstrip('.')}.{received}"


_ALTERNATIVES = (
    "str",
    "float",
    "constrained-float",
    "list[union[str,dict[str,any]]]",
    "int",
    "list[str]",
    "list[int]",
    "list[float]",
    "literal['linear']",
    "dict[str,any]",
    "dict[str,int]",
    "dict[str,str]",
)


def _keys(sections: Sequence[str]) -> list[str]:
    model: type[BaseModel] = Config
    for section in sections:
        inner = model.model_fields[section].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
