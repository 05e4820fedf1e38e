"""Train what a config describes, with the monitor on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from ..callbacks.freeze import FreezeTraining
from ..callbacks.monitor import SVCCAMonitor
from ..callbacks.replay import replay as replay_checkpoints
from ..files import write_atomically
from ..probe import ProbeSet
from ..remote import exists, within, written_to
from ..run import Run
from . import data, models, serialised
from .config import Config
from .provenance import provenance, to_json


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        epochs_done: Epochs completed; a fraction within an epoch.
        epochs: Epochs in all.
        epoch_ended: Whether an epoch has just ended.
        logs: Losses and metrics.
        similarities: Of each layer, to its previous snapshot.
    """

    epochs_done: float
    epochs: int
    epoch_ended: bool
    logs: dict[str, float]
    similarities: dict[str, float]


def train(
    config: Config,
    log_dir: str | os.PathLike[str],
    *,
    report: Callable[[Progress], None] | None = None,
) -> dict[str, float]:
    """Train, and leave a run in `log_dir`, with the config beside it.

    Args:
        config: The experiment.
        log_dir: A directory without a run, or a URL of any file system that fsspec knows: what is
            new is copied there after each epoch.
        report: Called as training goes on.

    Returns:
        Losses and metrics of the last epoch.

    Raises:
        FileExistsError: If `log_dir` holds a run.
        ValueError: If the config names what does not exist, before the first step.
    """
    if exists(within(log_dir, "svcca", "run.json")):
        raise FileExistsError(
            f"{log_dir} holds a run already. Choose another --log-dir, or remove that one."
        )
    with written_to(log_dir) as (folder, copy):
        return _trained(config, folder, report, copy)


def _trained(
    config: Config,
    folder: Path,
    report: Callable[[Progress], None] | None,
    copy: Callable[[], None],
) -> dict[str, float]:
    dataset, model = _data_and_model(config)
    model.compile(
        optimizer=serialised.optimizer(config.training),
        loss=serialised.loss(config.training),
        metrics=serialised.metrics(config.training),
    )
    own = serialised.callbacks(config.training, folder)
    monitor = SVCCAMonitor(_probe(config, dataset), folder, **_options(config))

    def keep_config(_: Any) -> None:
        write_atomically(folder / "config.yaml", config.to_yaml().encode())
        facts = provenance(keras.backend.backend())
        write_atomically(folder / "provenance.json", to_json(facts))

    # Behind the monitor, which refuses what cannot be run: then there is nothing to keep. Before
    # it, callbacks that put weights back at the end, which the final snapshot is to see.
    keep = keras.callbacks.LambdaCallback(on_train_begin=keep_config)
    copying = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: copy())
    callbacks: list[Any] = [*own, monitor, *_freezing(config, monitor), keep, copying]
    if report is not None:
        callbacks.append(_Reporter(monitor, report))
    history = model.fit(
        dataset.x_train,
        dataset.y_train,
        validation_data=(dataset.x_test, dataset.y_test),
        epochs=config.training.epochs,
        batch_size=config.training.batch_size,
        callbacks=callbacks,
        verbose=0,
    )
    return {name: float(values[-1]) for name, values in history.history.items()}


def replay(
    config: Config,
    checkpoints: str,
    log_dir: str | os.PathLike[str],
    *,
    steps: Sequence[int] | None = None,
) -> Run:
    """Make the run of a config whose weights were saved while it trained.

    Args:
        config: The experiment; what it says of training does not matter here.
        checkpoints: A pattern of files.
        log_dir: A directory without a run.
        steps: Step of each file, in the order of their names; by default, from the names.

    Raises:
        FileNotFoundError: If no file matches.
        CheckpointError: If a file is not of the config's model.
    """
    dataset, model = _data_and_model(config)
    run = replay_checkpoints(
        model, checkpoints, _probe(config, dataset), log_dir, steps=steps, **_options(config)
    )
    write_atomically(Path(log_dir) / "config.yaml", config.to_yaml().encode())
    return run


def _data_and_model(config: Config) -> tuple[data.Dataset, Any]:
    keras.utils.set_random_seed(config.seed)
    dataset = data.load(config.data, seed=config.seed)
    return dataset, models.build(config.model, dataset.x_train.shape[1:], dataset.n_classes)


def _probe(config: Config, dataset: data.Dataset) -> ProbeSet:
    return ProbeSet.sample(
        dataset.x_test,
        dataset.test_classes,
        size=config.monitor.probe_size,
        seed=config.seed if config.data.seed is None else config.data.seed,
        class_names=dataset.class_names,
    )


def _freezing(config: Config, monitor: SVCCAMonitor) -> list[Any]:
    if config.freeze is None:
        return []
    options = config.freeze.model_dump(exclude={"schedule", "when"})
    if config.freeze.when is not None:
        return [FreezeTraining(monitor=monitor, **options)]
    return [FreezeTraining(config.freeze.schedule, **options)]


def _options(config: Config) -> dict[str, Any]:
    """What the config says of the monitor."""
    return {
        "layers": config.monitor.layers,
        "measure": config.monitor.measure,
        "representation": config.monitor.representation,
        "snapshot_freq": config.monitor.snapshot_freq,
        "measure_options": config.monitor.measure_options,
        "max_overhead": config.monitor.max_overhead,
        "store": config.monitor.store and config.monitor.store.model_dump(),
    }


class _Reporter(keras.callbacks.Callback):
    def __init__(self, monitor: SVCCAMonitor, report: Callable[[Progress], None]):
        super().__init__()
        self.monitor = monitor
        self.report = report
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done = self._epoch + (batch + 1) / (self.params.get("steps") or batch + 2)
        self._tell(done, ended=False, logs={})

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._tell(float(epoch + 1), ended=True, logs=dict(logs or {}))

    def _tell(self, done: float, *, ended: bool, logs: dict[str, float]) -> None:
        similarities = dict(self.monitor.similarities)
        self.report(Progress(done, self.params["epochs"], ended, logs, similarities))
