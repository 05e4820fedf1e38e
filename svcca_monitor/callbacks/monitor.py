"""The callback: snapshots of the layers as training goes on."""

from __future__ import annotations

import atexit
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import keras
import numpy as np

from .. import schedule
from ..activations import Representation
from ..description import as_recorded
from ..measures import get_measure
from ..messages import warn
from ..probe import ProbeSet
from ..run import Run, RunMismatchError
from ..sample_size import few_samples
from ..schedule import Due, Schedule
from ..store import Store
from ..subspace import Subspace
from .capture import Capture
from .faults import Faults
from .recording import Recording, Snapshot, one_blas_thread
from .selection import Selection

logger = logging.getLogger("svcca_monitor")


class SVCCAMonitor(keras.callbacks.Callback):
    """Watches each layer of a model converge while it trains.

    Takes a snapshot of the layers on the probe set before the first step and then on schedule,
    compares it with earlier ones, and at the end of training compares all of them with the last.
    Writes `<log_dir>/svcca`: a run (see `Run`) and what TensorBoard shows of it. `fit` trains
    bit for bit as without it. An epoch's `logs` get two numbers: `svcca_mean` and `svcca_min`,
    over the layers, of the similarity to the previous snapshot.

    Bad arguments raise before the first step. Whatever goes wrong later is a warning that names
    layer and step, once for each kind, and training goes on, also where warnings are errors. After
    an interruption (Ctrl-C) the comparison with the end is made when the interpreter exits, or by
    `monitor.on_train_end()`.

    Args:
        probe: A `ProbeSet`, or the arrays for one: some hundreds of examples, prepared as the
            training data; at least 5 to 10 for each feature of the widest layer.
        log_dir: Where to write; the same as for `keras.callbacks.TensorBoard` will do. Goes on with
            the run that it holds, if that has the same probe set and layers.
        layers: Which layers: None for every one that computes; or names, globs, classes and
            functions ``layer -> bool``, alone or in a list.
        measure: A name in `MEASURES`.
        representation: `"mean"` over positions, `"flatten"`, or a function of a layer's output
            that returns a matrix (n_samples, n_features).
        snapshot_freq: `"epoch"`, a number of batches, or a function ``batches -> bool`` such as
            `log_spaced(4)`. Steps count what this counts.
        measure_options: Options of the measure, such as `{"explained_variance": 0.95}`.
        batch_size: Examples in one forward pass.
        store: Bounds of what stays on disk, such as
            ``{"dims": 64, "dtype": "float16", "keep": "log"}``, see `Store`; left out: what the run
            has, at the start everything.
        on_error: `"warn"`; or `"raise"`, to stop training at the first fault.

    Example:
        >>> model.fit(x, y, callbacks=[SVCCAMonitor(probe, "logs/cnn")])  # doctest: +SKIP
    """

    def __init__(
        self,
        probe: Any,
        log_dir: str | os.PathLike[str],
        *,
        layers: Selection = None,
        measure: str = "svcca",
        representation: Representation = "mean",
        snapshot_freq: str | int | Due = "epoch",
        measure_options: Mapping[str, Any] | None = None,
        batch_size: int = 128,
        store: Store | Mapping[str, Any] | None = None,
        on_error: Literal["warn", "raise"] = "warn",
    ):
        super().__init__()
        self.probe = probe
        self.log_dir = log_dir
        self.layers = layers
        self.measure = measure
        self.representation = representation
        self.snapshot_freq = snapshot_freq
        self.measure_options = dict(measure_options or {})
        self.batch_size = batch_size
        self.store = store
        self.on_error = on_error
        # Epochs alone are observed: batches may be dispatched without waiting for us.
        self.async_safe = snapshot_freq == "epoch"
        self.similarities: dict[str, float] = {}
        """Of the last snapshot: similarity of each layer to the snapshot before."""
        self._capture: Capture | None = None
        self._underway = False
        self._at_exit: Callable[[], None] = _nothing_to_do

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check everything that can be wrong, and look at the model before the first step."""
        if not isinstance(self.probe, ProbeSet):
            self.probe = ProbeSet(self.probe)
        self._faults = Faults(self.on_error)
        kind = get_measure(self.measure)
        settings = kind.settings(self.measure_options)
        self._schedule: Schedule = schedule.parse(self.snapshot_freq)
        if self._capture is None or self._capture.model is not self.model:
            self._capture = Capture(
                self.model,
                layers=self.layers,
                representation=self.representation,
                batch_size=self.batch_size,
            )
        started = time.perf_counter()
        matrices = self._capture(self.probe)
        with one_blas_thread():
            initial = {
                name: Subspace.from_activations(m, name=name) for name, m in matrices.items()
            }
        for s in initial.values():
            kind.cut(s, settings)  # an option out of range raises now, not after an epoch
        few = few_samples(initial, kind, self.measure_options)
        facts = as_recorded(self._facts())
        run = Run.create(
            self.log_dir, self._capture.layer_info, self.probe, store=self.store, **facts
        )
        for key in ("measure", "measure_options", "step_unit"):
            if run.facts.get(key, facts[key]) != facts[key]:
                raise RunMismatchError(
                    f"{run.path} holds a run with {key} {run.facts[key]!r}, but this monitor has "
                    f"{facts[key]!r}. Nothing was changed; use another log_dir."
                )
        if few:
            warn(few)
        self._recording = Recording(run, self.measure, self.measure_options)
        if run.steps:
            self._recording.warn_if_moved(initial)
        # Read now, for a damaged file must raise before the first step.
        self._resumed_at = (run.steps[-1], run.epochs[-1]) if run.steps else None
        self._initial: tuple[Snapshot, float] | None = (initial, time.perf_counter() - started)
        self._underway = True
        # After an interruption Keras calls nothing, but an interpreter that exits calls this. It
        # holds on to the run alone: the model may go.
        atexit.unregister(self._at_exit)
        self._at_exit = partial(_compare_with_end, self._recording, self._faults)
        atexit.register(self._at_exit)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Before the first step: write the snapshot that was taken then."""
        self._epoch = epoch
        if self._initial is not None:
            layers, seconds = self._initial
            self._initial = None
            last_step, last_epoch = self._resumed_at or (0, 0.0)
            # A `fit` that counts from 0 again goes on where the last one stopped.
            self._epoch_offset = max(0, math.ceil(last_epoch) - epoch)
            self._batches = last_step
            if self._resumed_at is None:
                step = epoch if self._schedule.unit == "epoch" else 0
                self._add(step, float(epoch), {}, lambda: (layers, seconds))
        self._batches_before_epoch = self._batches

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Take a snapshot if one is due after this batch."""
        if self._schedule.unit != "batch":
            return
        # With steps_per_execution > 1 several batches end at once, and the last may be beyond the
        # end of the epoch.
        of_epoch = min(batch + 1, (self.params or {}).get("steps") or batch + 1)
        done = self._batches_before_epoch + of_epoch
        ended = range(self._batches + 1, done + 1)
        self._batches = done
        due = False
        with self._faults.contained("the schedule", step=done):
            due = any(map(self._schedule.due, ended))
        if due:
            self._snapshot(done, self._epoch_fraction(of_epoch), logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take a snapshot if snapshots follow epochs, and add our numbers to the epoch's logs."""
        if self._schedule.unit == "epoch":
            done = epoch + 1 + self._epoch_offset
            self._snapshot(done, float(done), logs)
        known = [value for value in self.similarities.values() if math.isfinite(value)]
        if logs is not None and known:
            logs["svcca_mean"] = sum(known) / len(known)
            logs["svcca_min"] = min(known)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare every snapshot with the final one. Once: a second call does nothing."""
        if not self._underway:
            return
        if self._initial is None:  # else no epoch was trained
            if self._schedule.unit == "batch" and self._recording.last_step != self._batches:
                self._snapshot(self._batches, self._epoch + 1.0 + self._epoch_offset, logs)
            self._at_exit()
        self._underway = False
        atexit.unregister(self._at_exit)
        logger.info("%s, in %s", self._recording.cost(), self._recording.run.path)

    def _snapshot(self, step: int, epoch: float, logs: Mapping[str, Any] | None) -> None:
        def capture() -> tuple[Snapshot, float]:
            started = time.perf_counter()
            return self._factorised(step), time.perf_counter() - started

        self._add(step, epoch, logs or {}, capture)

    def _add(
        self,
        step: int,
        epoch: float,
        logs: Mapping[str, Any],
        capture: Callable[[], tuple[Snapshot, float]],
    ) -> None:
        self.similarities = {}  # should this fail, old numbers must not pass for new ones
        with self._faults.contained("the snapshot", step=step):
            layers, seconds = capture()
            self._recording.add(step, layers, epoch=epoch, logs=logs, seconds=seconds)
            self.similarities = self._recording.similarities

    def _factorised(self, step: int) -> Snapshot:
        """Factors of every layer; one that went NaN is left out, with a warning."""
        assert self._capture is not None
        matrices = self._capture(self.probe)
        layers = {}
        with one_blas_thread():
            for name, matrix in matrices.items():
                with self._faults.contained("the snapshot", step=step, layer=name):
                    layers[name] = Subspace.from_activations(matrix, name=name)
        return layers

    def _epoch_fraction(self, batches: int) -> float:
        per_epoch = (self.params or {}).get("steps")
        within = batches / per_epoch if per_epoch else 0.0
        return self._epoch + self._epoch_offset + within

    def _facts(self) -> dict[str, Any]:
        return {
            "model": self.model.name,
            "measure": self.measure,
            "measure_options": self.measure_options,
            "step_unit": self._schedule.unit,
            "versions": {
                "svcca_monitor": version("svcca-monitor"),
                "keras": keras.version(),
                "backend": keras.backend.backend(),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "cost": {"seconds": [], "bytes": []},
        }


def _nothing_to_do() -> None:
    pass


def _compare_with_end(recording: Recording, faults: Faults) -> None:
    with faults.contained("the comparison with the end", step=recording.last_step or 0):
        recording.finish()
