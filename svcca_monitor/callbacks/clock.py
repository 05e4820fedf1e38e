"""Where a training is, in steps and epochs, counted over every fit of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..schedule import Schedule


class Clock:
    """Counts the batches and epochs of one fit, on from where the run stands.

    A fit that counts from epoch 0 goes on behind the epochs of the run. One with an
    `initial_epoch` says itself which epoch it begins with, an older one too, where a checkpoint was
    restored. Steps increase in any case.

    Args:
        schedule: When snapshots are due.
        epoch: Keras' number of the first epoch of the fit.
        last: Step and epoch of the last snapshot of the run, if it has any.
    """

    def __init__(self, schedule: Schedule, epoch: int, last: tuple[int, float] | None):
        self._schedule = schedule
        self._shift = math.ceil(last[1]) if last and epoch == 0 else 0
        first = epoch + self._shift
        self._ahead = 0
        if schedule.unit == "epoch":
            # Of a run that has later snapshots than the epoch that this fit begins with.
            self._ahead = max(0, last[0] - first) if last else 0
            self.step = first + self._ahead
        else:
            self.step = last[0] if last else 0
        self._epoch: int = first
        self._in_epoch = 0
        self._known_length: int | None = None
        self._learned_length: int | None = None
        self._labelled: list[tuple[int, int]] = []
        self.within_epoch = False
        """Whether an epoch has begun and not ended."""

    @property
    def epoch(self) -> float:
        """Epochs completed: the label of a snapshot that is taken now.

        Within an epoch of unknown length, which only the first can be, none of it counts yet.
        """
        length = self._known_length or self._learned_length
        return self._epoch + (min(1.0, self._in_epoch / length) if length else 0.0)

    def begin_epoch(self, epoch: int, length: int | None) -> None:
        """Epoch number `epoch` of Keras begins, of that many batches if it is known."""
        self._epoch = epoch + self._shift
        self._in_epoch = 0
        self.within_epoch = True
        self._known_length = length
        self._labelled = []

    def end_batch(self, batch: int) -> range:
        """Batch number `batch` of the epoch has ended; the steps that ended with it.

        With `steps_per_execution` several batches end at once, and the last may be beyond the end
        of the epoch.
        """
        before = self._in_epoch
        self._in_epoch = min(batch + 1, self._known_length or batch + 1)
        ended = range(self.step + 1, self.step + self._in_epoch - before + 1)
        self.step += len(ended)
        return ended

    def is_due(self, ended: range) -> bool:
        """Whether a snapshot is due, of the steps that ended."""
        due = any(map(self._schedule.due, ended))
        if due and not self._known_length:
            self._labelled.append((self.step, self._in_epoch))
        return due

    def end_epoch(self, epoch: int) -> bool:
        """Epoch number `epoch` has ended; whether a snapshot is due."""
        self.within_epoch = False
        if self._schedule.unit == "epoch":
            self._epoch, self._in_epoch = epoch + 1 + self._shift, 0
            self.step = self._epoch + self._ahead
            return self._schedule.due(self.step)
        self._learned_length = self._in_epoch or None
        return False

    def relabelled(self) -> Iterator[tuple[int, float]]:
        """Of an epoch whose length is known only now: its snapshots with their right labels."""
        for step, batches in self._labelled:
            if self._learned_length:
                yield step, self._epoch + batches / self._learned_length
        self._labelled = []
