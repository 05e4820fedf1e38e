"""Configs: YAML, checked before anything heavy begins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..activations import REPRESENTATIONS
from ..measures import MEASURES, get_measure
from ..messages import nearest, unknown_name
from ..schedule import parse as parse_frequency
from ..store import Store
from ..subspace import Criterion

# Of a config of many runs, beside the sections of one.
SWEEP_KEYS = ("matrix", "exclude")


class ConfigError(ValueError):
    """A config that cannot be run; says which key of which file, and the way out."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """What to train on: a built-in name, or `module:function`."""

    name: str
    path: Path | None = None
    """An .npz file with x_train, y_train, x_test and y_test, instead of the built-in source; of
    `text`, a text file."""
    train_size: int | None = Field(None, ge=1)
    """Train on this many examples, drawn with the seed; all if left out."""
    test_size: int | None = Field(None, ge=2)
    seed: int | None = Field(None, ge=0)
    """Draws the examples and the probe set; the seed of the experiment if left out. Runs of several
    seeds that are to be compared need the same probe set, and so this."""
    random_labels: int | None = Field(None, ge=0)
    """Shuffle the labels of the training examples, the same way for the same number; those of the
    test examples stay true."""


class ModelConfig(_Section):
    """What to train: a built-in name, or `module:function`, and its parameters."""

    name: str
    parameters: dict[str, Any] = {}


class TrainingConfig(_Section):
    """How to train."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(64, ge=1)
    optimizer: str | dict[str, Any] = "adam"
    learning_rate: float | None = Field(None, gt=0)


class MonitorConfig(_Section):
    """What to watch."""

    probe_size: int = Field(1024, ge=2)
    layers: str | list[str] | None = None
    measure: str = "svcca"
    representation: str | dict[str, str] = "mean"
    """For all layers, or by names and globs of layers."""
    snapshot_freq: str | int | list[int] | dict[str, int] = "epoch"
    """`epoch`, a number of batches, a list of steps, or `{log_spaced: 4}`."""
    max_overhead: float | None = Field(None, gt=0, le=1)
    store: dict[str, Any] | None = None
    """Bounds of what stays on disk: `dims`, `dtype` and `keep`."""
    explained_variance: float | None = Field(None, gt=0, le=1)
    criterion: Criterion | None = None
    dims: int | None = Field(None, ge=1)

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, name: str) -> str:
        if name not in MEASURES:
            raise ValueError(unknown_name("measure", name, MEASURES))
        return name

    @field_validator("representation")
    @classmethod
    def _known_representation(cls, value: str | dict[str, str]) -> str | dict[str, str]:
        for name in value.values() if isinstance(value, dict) else (value,):
            if name not in REPRESENTATIONS:
                raise ValueError(unknown_name("representation", name, REPRESENTATIONS))
        return value

    @field_validator("snapshot_freq", "store")
    @classmethod
    def _known_choice(cls, value: Any, field: ValidationInfo) -> Any:
        try:
            if field.field_name == "snapshot_freq":
                parse_frequency(value)
            elif value is not None:
                Store.of(value)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _measure_takes_options(self) -> MonitorConfig:
        try:
            get_measure(self.measure).settings(self.measure_options)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def measure_options(self) -> dict[str, Any]:
        """The options that were set, for the measure."""
        options = {
            "explained_variance": self.explained_variance,
            "criterion": self.criterion,
            "dims": self.dims,
        }
        return {key: value for key, value in options.items() if value is not None}


class Config(_Section):
    """One experiment."""

    seed: int = Field(0, ge=0)
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    monitor: MonitorConfig = MonitorConfig()

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
        try:
            change(raw, key, yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: {value!r} is not valid YAML: {error}") from error
    return raw


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
    "int",
    "list[str]",
    "list[int]",
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
