"""The callback: snapshots of the layers as training goes on."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from operator import index
from pathlib import Path
from typing import Any, Literal, Self

import keras

from .. import schedule
from ..activations import Representation
from ..measures import get_measure
from ..messages import warn
from ..probe import ProbeSet
from ..sample_size import few_samples
from ..schedule import Frequency
from ..store import Store
from .clock import Clock
from .ending import Ending
from .faults import Faults
from .observation import Observer
from .opening import Claim, open_run
from .overhead import Overhead
from .recording import Recording, Snapshot
from .selection import Selection


class SVCCAMonitor(keras.callbacks.Callback):
    """Watches each layer of a model converge while it trains.

    Takes a snapshot of the layers on the probe set before the first step and then on schedule,
    compares it with earlier ones, and at the end of training compares all of them with the last.
    Writes `<log_dir>/svcca`: a run (see `Run`) and what TensorBoard shows of it. `fit` trains
    bit for bit as without it. An epoch's `logs` get two numbers: `svcca_mean` and `svcca_min`,
    over the layers, of the similarity to the previous snapshot (of a second monitor in one `fit`,
    with `_<name of its log_dir>` behind).

    The final snapshot is of the model as the callbacks before the monitor leave it. So list
    `EarlyStopping(restore_best_weights=True)` before it: the weights that are put back then have a
    snapshot of their own, one step behind the last.

    In a loop of your own, call `set_model`, `snapshot` and `close`, or use a `with` statement.

    Bad arguments raise before the first step. Whatever goes wrong later is a warning, and training
    goes on.

    Args:
        probe: A `ProbeSet`, or the arrays for one: some hundreds of examples, prepared as the
            training data; at least 5 to 10 for each feature of the widest layer.
        log_dir: Where to write; the same as for `keras.callbacks.TensorBoard` will do. Goes on with
            the run that it holds, if that has the same probe set and layers.
        layers: Which layers: None for every one that computes; or names, globs, classes,
            functions ``layer -> bool`` and sets of `callbacks.collections`, alone or in a list.
        measure: A name in `MEASURES`.
        representation: `"mean"` over positions; `"sample"`, the same positions of every layer;
            `"flatten"`; `"fourier"`, the low frequencies; one of `activations` with options, such
            as `Sample(positions=8)`; a function of a layer's output that returns a matrix
            (n_samples, n_features); or a dict of these by names and globs of layers.
        snapshot_freq: `"epoch"`, a number of batches, a list of steps (numbers of batches), or a
            function ``batches -> bool`` such as `log_spaced(4)`. Steps count what this counts.
        measure_options: Options of the measure, such as `{"explained_variance": 0.95}`.
        batch_size: Examples in one forward pass: more need more memory beside that of training.
        max_overhead: Largest share of the training time that scheduled snapshots may take, such as
            0.02. Those beyond it are left out, with one warning; the first and the final snapshot
            are always taken. None, the default, leaves none out: with a limit, the machine decides
            which snapshots a run has, and a run of some seconds has hardly any.
        store: Bounds of what stays on disk, such as
            ``{"dims": 64, "dtype": "float16", "keep": "log"}``, see `Store`; left out: what the run
            has, at the start everything.
        on_error: `"warn"`; or `"raise"`, to stop training at the first fault.

    Example:
        >>> model.fit(x, y, callbacks=[SVCCAMonitor(probe, "logs/cnn")])  # doctest: +SKIP

        In a loop of your own:

        >>> with SVCCAMonitor(probe, "logs/loop") as monitor:  # doctest: +SKIP
        ...     monitor.set_model(model)
        ...     for step, batch in enumerate(batches):
        ...         if step % 100 == 0:
        ...             monitor.snapshot(step)
        ...         train_step(batch)
    """

    def __init__(
        self,
        probe: Any,
        log_dir: str | os.PathLike[str],
        *,
        layers: Selection = None,
        measure: str = "svcca",
        representation: Representation = "mean",
        snapshot_freq: Frequency = "epoch",
        measure_options: Mapping[str, Any] | None = None,
        batch_size: int = 64,
        max_overhead: float | None = None,
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
        self.measure_options = {} if measure_options is None else measure_options
        self.batch_size = batch_size
        self.max_overhead = max_overhead
        self.store = store
        self.on_error = on_error
        # Epochs alone are observed: batches may be dispatched without waiting for us.
        self.async_safe = isinstance(snapshot_freq, str) and snapshot_freq == "epoch"
        self.similarities: dict[str, float] = {}
        """Of the last snapshot: similarity of each layer to the snapshot before."""
        self._observer = Observer(
            layers=layers, representation=representation, batch_size=batch_size
        )
        self._recording: Recording | None = None
        self._ending: Ending | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check everything that can be wrong, and look at the model before the first step."""
        self._schedule = schedule.parse(self.snapshot_freq)
        self._overhead = Overhead(self.max_overhead)
        self._clock: Clock | None = None
        self._initial = [self._begin(self._schedule.unit)]

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Before the first step: write the snapshot that was taken then."""
        if self._clock is None:
            # Not before: until then the other monitor of this `fit`, if any, has made its claim.
            self._claim.require()
            self._clock = Clock(self._schedule, epoch, self._resumed_at)
            if self._resumed_at is None:
                self._add(self._clock.step, self._clock.epoch, {}, self._initial.pop)
            self._initial.clear()  # memory that training can have
            self._overhead = Overhead(self.max_overhead)  # training begins now
        self._clock.begin_epoch(epoch, (self.params or {}).get("steps"))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Take a snapshot if one is due after this batch."""
        if self._schedule.unit == "batch" and self._clock is not None:
            ended, due = self._clock.end_batch(batch), False
            with self._faults.contained("the schedule", step=self._clock.step):
                due = self._clock.is_due(ended)
            if due:
                self._scheduled(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take a snapshot if snapshots follow epochs, and add our numbers to the epoch's logs."""
        assert self._clock is not None
        if self._clock.end_epoch(epoch):
            self._scheduled(logs)
        with self._faults.contained("the labels of the epoch", step=self._clock.step):
            assert self._recording is not None
            for step, label in self._clock.relabelled():
                self._recording.run.relabel(step, epoch=label)
        known = [value for value in self.similarities.values() if math.isfinite(value)]
        if logs is not None and known:
            other = f"_{Path(self.log_dir).name}" if "svcca_mean" in logs else ""
            logs[f"svcca_mean{other}"] = sum(known) / len(known)
            logs[f"svcca_min{other}"] = min(known)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Take the final snapshot, if there is none of this state, and compare all with it."""
        if self._recording is None:
            return
        if self._clock is not None:  # else no epoch was trained
            last, step = self._recording.last_step, self._clock.step
            moved = False
            with self._faults.contained("the look at the weights", step=step):
                # A fit that was interrupted within an epoch ends with what was complete.
                moved = not self._clock.within_epoch and not self._observer.has_seen(self.model)
            if last != step or moved:
                self._snapshot(
                    step if last is None else max(step, last + 1), self._clock.epoch, logs
                )
        self.close()

    def snapshot(
        self, step: int, *, epoch: float | None = None, logs: Mapping[str, Any] | None = None
    ) -> dict[str, float]:
        """Take a snapshot now, in a training loop of your own.

        The first one starts the run, or goes on with the run in `log_dir`. Call `set_model` before,
        and `close` at the end.

        Args:
            step: Number of the snapshot, above that of every earlier one; what it counts is yours.
            epoch: Epochs completed; `step` if left out.
            logs: Numbers to keep with it, such as the loss.

        Returns:
            Similarity of each layer to the snapshot before; empty for the first.

        Raises:
            RuntimeError: If there is no model.
            ValueError: If the first snapshot shows that an argument is bad, see the class; or if
                `step` is below 0. Later faults are warnings.
            TypeError: If `step` is no integer.
        """
        if self.model is None:
            raise RuntimeError(
                "SVCCAMonitor has no model to look at. Call monitor.set_model(model) before "
                "monitor.snapshot(step)."
            )
        if index(step) < 0:
            raise ValueError(f"`step` counts from 0. Received: step={step}")
        label = float(step if epoch is None else epoch)
        if self._recording is None:
            layers, seconds = self._begin("step")
            assert self._recording is not None
            self._recording.add(int(step), layers, epoch=label, logs=logs or {}, seconds=seconds)
            self.similarities = self._recording.similarities
        else:
            self._snapshot(int(step), label, logs)
        return dict(self.similarities)

    def close(self) -> None:
        """Compare every snapshot with the last one. `fit` does it itself; twice does no harm."""
        if self._recording is None:
            return
        assert self._ending is not None
        self._ending.make()
        self._recording = self._ending = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self, unit: str) -> tuple[Snapshot, float]:
        """Start or take up the run; factors of the layers now, and the seconds they took."""
        if not isinstance(self.probe, ProbeSet):
            self.probe = ProbeSet(self.probe)
        self._faults = Faults(self.on_error)
        kind = get_measure(self.measure)
        settings = kind.settings(self.measure_options)
        initial, seconds = self._observer.look(self.model, self.probe)
        for s in initial.values():
            kind.cut(s, settings)  # an option out of range raises now, not after an epoch
        run = open_run(
            self.log_dir,
            self._observer.layer_info,
            self.probe,
            model=self.model.name,
            measure=self.measure,
            measure_options=self.measure_options,
            step_unit=unit,
            store=self.store,
        )
        few = few_samples(initial, kind, self.measure_options)
        if few:
            warn(few)
        self._claim = Claim(run)
        self._recording = Recording(run, self.measure, self.measure_options)
        if run.steps:
            self._recording.warn_if_moved(initial)
        # Read now, for a damaged file must raise before the first step.
        self._resumed_at = (run.steps[-1], run.epochs[-1]) if run.steps else None
        if self._ending is not None:  # of a fit that was interrupted
            self._ending.give_up()
        self._ending = Ending(self._recording, self._faults)
        return initial, seconds

    def _scheduled(self, logs: Mapping[str, Any] | None) -> None:
        """Take a snapshot that is due, unless it would take too much of the training time."""
        assert self._clock is not None
        if not self._overhead.allows_another():
            if self._overhead.left_out == 1:
                self._faults.say(self._overhead.explain(self._clock.step))
            return
        started = time.perf_counter()
        self._snapshot(self._clock.step, self._clock.epoch, logs)
        self._overhead.charge(time.perf_counter() - started)

    def _snapshot(self, step: int, epoch: float, logs: Mapping[str, Any] | None) -> None:
        def look() -> tuple[Snapshot, float]:
            contained = partial(self._faults.contained, "the snapshot", step)
            return self._observer.look(self.model, self.probe, of_layer=contained)

        self._add(step, epoch, logs or {}, look)

    def _add(
        self,
        step: int,
        epoch: float,
        logs: Mapping[str, Any],
        capture: Callable[[], tuple[Snapshot, float]],
    ) -> None:
        self.similarities = {}  # should this fail, old numbers must not pass for new ones
        with self._faults.contained("the snapshot", step=step):
            self._claim.require()
            layers, seconds = capture()
            assert self._recording is not None
            self._recording.add(step, layers, epoch=epoch, logs=logs, seconds=seconds)
            self.similarities = self._recording.similarities
