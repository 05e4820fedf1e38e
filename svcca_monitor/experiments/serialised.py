"""Optimizers, losses, metrics and callbacks as configs write them: by Keras' own serialisation.

A name such as `adam`, or `{class_name: Adam, config: {learning_rate: 0.01}}`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from ..messages import nearest
from .names import resolve
from .sections import TrainingConfig


def optimizer(training: TrainingConfig) -> Any:
    """The optimizer, with the learning rate or its schedule.

    Raises:
        ValueError: If Keras knows no such optimizer or schedule, or an argument is wrong.
    """
    found = _get(keras.optimizers.get, training.optimizer, "optimizer", keras.optimizers)
    rate = training.learning_rate
    if isinstance(rate, dict):
        schedules = keras.optimizers.schedules
        rate = _get(schedules.deserialize, rate, "learning_rate", schedules)
    if rate is None:
        return found
    # Made anew, for an optimizer that has a number does not take a schedule.
    return type(found).from_config(found.get_config() | {"learning_rate": rate})


def loss(training: TrainingConfig) -> Any:
    """The loss; of logits and indices of classes, if the config names none.

    Raises:
        ValueError: If Keras knows no such loss, or an argument is wrong.
    """
    if training.loss is None:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return _get(keras.losses.get, training.loss, "loss", keras.losses)


def metrics(training: TrainingConfig) -> list[Any]:
    """The metrics as `compile` takes them: `accuracy` is resolved there, by the shape of labels.

    Raises:
        ValueError: If Keras knows no such metric, or an argument is wrong.
    """
    found = [_get(keras.metrics.get, each, "metrics", keras.metrics) for each in training.metrics]
    return [
        each if isinstance(each, str) else made
        for each, made in zip(training.metrics, found, strict=True)
    ]


# Arguments of Keras' own callbacks that say where they write.
PLACES = ("filename", "filepath", "backup_dir", "log_dir", "directory")


def callbacks(training: TrainingConfig, folder: Path) -> list[Any]:
    """The callbacks: names of classes in `keras.callbacks`, or `module:function` that makes one.

    What Keras' own write is in the folder of the run, where a config says no absolute path or URL:
    runs of a sweep, and repeated ones, would overwrite each other's files.

    Raises:
        ValueError: If there is no such callback, or an argument is wrong.
    """
    made = [_callback(each, folder) for each in training.callbacks]
    for each in made:
        # The only one that makes no folder for its file.
        if isinstance(each, keras.callbacks.CSVLogger) and "://" not in each.filename:
            Path(each.filename).parent.mkdir(parents=True, exist_ok=True)
    return made


def _callback(entry: str | dict[str, Any], folder: Path) -> Any:
    given: dict[str, Any] = {"class_name": entry} if isinstance(entry, str) else entry
    name, config = given.get("class_name"), given.get("config") or {}
    if not isinstance(name, str) or set(given) - {"class_name", "config"}:
        raise ValueError(f"{_KEY.format('callbacks')} {_FORM} Received: {entry!r}")
    if ":" in name:
        maker: Callable[..., Any] = resolve(name, "training.callbacks")
    else:
        maker = getattr(keras.callbacks, name, None)  # type: ignore[assignment]
        if not (isinstance(maker, type) and issubclass(maker, keras.callbacks.Callback)):
            raise ValueError(_unknown("callbacks", name, keras.callbacks))
    try:
        # What `module:function` makes is not known here: it takes its arguments as they are.
        made = maker(**config) if ":" in name else maker(**config | _places(maker, config, folder))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_KEY.format('callbacks')} {name} takes no {config}: {error}") from error
    if not isinstance(made, keras.callbacks.Callback):
        raise ValueError(
            f"{_KEY.format('callbacks')} {name} made a {type(made).__name__}, not a callback."
        )
    return made


def _places(maker: Callable[..., Any], config: dict[str, Any], folder: Path) -> dict[str, str]:
    """Where a callback of Keras writes, by its arguments or their defaults."""
    defaults = {name: each.default for name, each in inspect.signature(maker).parameters.items()}
    return {
        name: os.path.join(folder, place)
        for name, place in (defaults | config).items()
        if name in PLACES and isinstance(place, str) and "://" not in place
    }


_KEY = "Key '{}' in [training]:"
_FORM = "Expected a name, or {class_name: Name, config: {argument: value}}."


def _get(get: Callable[[Any], Any], entry: Any, key: str, names: ModuleType) -> Any:
    name = entry.get("class_name") if isinstance(entry, dict) else entry
    if not isinstance(name, str):
        raise ValueError(f"{_KEY.format(key)} {_FORM} Received: {entry!r}")
    if isinstance(entry, dict):
        entry = {"config": {}} | entry
    try:
        found = get(entry)
    except (TypeError, ValueError) as error:
        known = isinstance(entry, dict) and hasattr(names, name)
        why = f"{_KEY.format(key)} {name}: {error}" if known else _unknown(key, name, names)
        raise ValueError(why) from error
    if isinstance(found, str):  # Keras gives some names back that it does not know
        raise ValueError(_unknown(key, name, names))
    return found


def _unknown(key: str, name: str, names: ModuleType) -> str:
    there = [each for each, what in vars(names).items() if inspect.isclass(what)]
    return (
        f"{_KEY.format(key)} {names.__name__.removesuffix('.api')} has no {name!r}."
        f"{nearest(name, there)} {_FORM}"
    )
