"""What follows from a snapshot: it is kept, compared with earlier ones, and shown."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..measures import get_measure
from ..messages import warn
from ..panes import dims_of, pane_of
from ..parallel import one_blas_thread
from ..run import Run
from ..subspace import Subspace
from ..tensorboard.board import Board
from .history import History

Snapshot = dict[str, Subspace]


class Recording:
    """One run while it is being written.

    Args:
        run: Where snapshots go; those that it has already are taken up again.
        measure: A name in `MEASURES`.
        options: Options of the measure.
    """

    def __init__(self, run: Run, measure: str, options: Mapping[str, Any]):
        self.run = run
        self.measure = measure
        self.options = dict(options)
        self.similarities: dict[str, float] = {}
        self._kind = get_measure(measure)
        self._settings = self._kind.settings(options)
        self._cost: dict[str, list[float]] = {"steps": [], "seconds": [], "bytes": []}
        self._cost.update(run.facts.get("cost", {}))
        self._board = Board(run.path, measure, run.layers, run.facts.get("n_samples"))
        self._history = History(run.layers)
        steps = run.steps
        self.last_step: int | None = steps[-1] if steps else None
        """Step of the last snapshot; None before the first."""
        published = self._board.last_step() if steps else None
        # Columns of the history count the snapshots that were taken, whether they stayed or not.
        taken = {int(step) for step in self._cost["steps"] if steps and step < steps[-1]}
        for step in sorted(taken.union(steps)):
            if step not in steps:
                self._history.skip()
                continue
            cut = self._cut(run.snapshot(step))
            # A process that was killed may have written a snapshot and not shown it yet.
            if published is None or step > published:
                first_of_all = published is None and step == steps[0]
                self._show(step, cut, run.header(step)["epoch"], first=first_of_all)
            self._history.add(cut)

    def add(
        self, step: int, layers: Snapshot, *, epoch: float, logs: Mapping[str, Any], seconds: float
    ) -> None:
        """Write a snapshot, compare it with earlier ones and show both.

        Args:
            step: Above every step of the run.
            layers: The factorised activations.
            epoch: Epochs completed.
            logs: Numbers to keep with the snapshot.
            seconds: What capture and factorisation took.
        """
        started = time.perf_counter()
        self.similarities = {}
        layers = self.run.store.cut(layers)
        size = self.run.write_snapshot(step, layers, epoch=epoch, logs=logs)
        first, self.last_step = self.last_step is None, step
        cut = self._cut(layers)
        try:
            self._show(step, cut, epoch, first=first)
        finally:  # the snapshot is part of the run, whether it could be shown or not
            self._history.add(cut)
            self._cost["steps"].append(step)
            self._cost["seconds"].append(round(seconds + time.perf_counter() - started, 4))
            self._cost["bytes"].append(size)
            self.run.record(cost=self._cost)

    def finish(self) -> None:
        """Compare every snapshot with the last one."""
        steps = self.run.steps
        if steps:
            end = self._cut(self.run.snapshot(steps[-1]))
            with one_blas_thread():
                self._board.final(self._final_panes(steps, end), chance=self._chance(end))

    def warn_if_moved(self, now: Snapshot) -> None:
        """Warn if a model goes on in a run, but not from where its last snapshot left it."""
        last = self.run.steps[-1]
        before = self.run.snapshot(last)
        moved = [name for name in before if name in now and not _alike(before[name], now[name])]
        if moved:
            warn(
                f"The model is not where the last snapshot in {self.run.path} (step {last}) left "
                f"it: {len(moved)} of {len(before)} layers differ. New snapshots are added to that "
                "run; if this is another training, give it another log_dir."
            )

    def cost(self) -> str:
        """Seconds and bytes of a snapshot, in a sentence."""
        seconds, size = self._cost["seconds"], self._cost["bytes"]
        if not seconds:
            return "no snapshot"
        return (
            f"{len(seconds)} snapshots of {len(self.run.layers)} layers, each "
            f"{np.mean(seconds):.2f} s and {np.mean(size) / 1e6:.1f} MB"
        )

    def _show(self, step: int, cut: Snapshot, epoch: float, *, first: bool) -> None:
        with one_blas_thread():
            history = self._history.compare(cut, measure=self.measure, **self.options)
            pane = self._pane(cut)
        if history.shape[1]:
            self.similarities = dict(zip(self.run.layers, history[:, -1].tolist(), strict=True))
        self._board.snapshot(
            step,
            pane,
            history,
            chance=self._chance(cut),
            first=first,
            epoch=epoch,
            dims=dims_of(self.run.layers, cut, self._kind),
        )

    def _final_panes(self, steps: list[int], end: Snapshot) -> Iterator[tuple[int, np.ndarray]]:
        for step in steps:
            yield step, self._pane(self._cut(self.run.snapshot(step)), end)

    def _cut(self, layers: Snapshot) -> Snapshot:
        return {name: self._kind.cut(s, self._settings) for name, s in layers.items()}

    def _chance(self, cut: Snapshot) -> list[float | None]:
        """What each layer would score against an independent layer of its own size."""
        return [
            self._kind.chance_of(cut[name], cut[name]) if name in cut else None
            for name in self.run.layers
        ]

    def _pane(self, rows: Snapshot, columns: Snapshot | None = None) -> np.ndarray:
        return pane_of(self.run.layers, rows, columns, measure=self.measure, **self.options)


def _alike(before: Subspace, now: Subspace) -> bool:
    """Whether two factorisations are of the same activations, up to single precision."""
    return len(before.spectrum) == len(now.spectrum) and np.allclose(
        before.spectrum, now.spectrum, rtol=1e-3
    )
