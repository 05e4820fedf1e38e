"""Freeze layers from the bottom while training goes on (Raghu et al. 2017, §4, figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras

from ..messages import unknown_name
from .monitor import SVCCAMonitor
from .selection import Selection, select

SCHEDULES = ("linear",)
# A layer has converged once its similarity to the snapshot before has stayed here for so long.
THRESHOLD, PATIENCE = 0.99, 2


class FreezeTraining(keras.callbacks.Callback):
    """Freeze layers from the bottom: by a schedule, or when a monitor sees them converged.

    A frozen layer is not trained any more: its weights stay as they are, bit for bit. Batch
    normalisation that is frozen normalises by its moving averages, as everywhere in Keras. The top
    layer is never frozen, as nothing would be left to train. When `fit` ends, all layers can be
    trained again.

    On tensorflow and torch; Keras' own `fit` cannot do it on jax.

    Args:
        schedule: `"linear"`: of L layers the i-th from the bottom (from 1) is frozen after the
            share i/L of the epochs, as in the paper. Or a list: the epochs after which the first,
            second, … layer is frozen. None: when `monitor` sees that it has converged.
        monitor: An `SVCCAMonitor` in the same list of callbacks, in front of this one.
        threshold: A layer has converged once its similarity to the previous snapshot has stayed at
            or above this …
        patience: … for so many snapshots in a row, and those below it have converged too.
        layers: Which layers, as for `SVCCAMonitor`; all with weights to train if left out. Of a
            block and its layers the layers are taken, one at a time.
        dry_run: Freeze nothing, and only say in the logs what would be frozen.

    Keras' logs and `History` get `frozen_layers`, how many are frozen at the end of each epoch.
    With a schedule, a `fit` that goes on from an `initial_epoch` freezes what is due before its
    first step (of a model that is not built yet, after it); with a monitor, it counts anew.

    Raises:
        ValueError: If there are both or neither of `schedule` and `monitor`, a list of epochs is
            empty or descends, or a number is out of range.

    Example:
        ``model.fit(x, y, epochs=20, callbacks=[FreezeTraining("linear")])``
    """

    def __init__(
        self,
        schedule: Literal["linear"] | Sequence[float] | None = None,
        *,
        monitor: SVCCAMonitor | None = None,
        threshold: float = THRESHOLD,
        patience: int = PATIENCE,
        layers: Selection = None,
        dry_run: bool = False,
    ):
        super().__init__()
        if (schedule is None) == (monitor is None):
            raise ValueError(
                "Layers are frozen by a `schedule`, such as 'linear', or by what a `monitor` sees: "
                f"give one of the two. Received: schedule={schedule!r}, monitor={monitor!r}"
            )
        if isinstance(schedule, str) and schedule not in SCHEDULES:
            raise ValueError(unknown_name("schedule", schedule, (*SCHEDULES, "a list of epochs")))
        if not isinstance(schedule, str | None):
            _check_epochs(schedule)
        if not 0 < threshold <= 1 or not (isinstance(patience, int) and patience >= 1):
            raise ValueError(
                "`threshold` must be in (0, 1] and `patience` a whole number from 1 on. "
                f"Received: threshold={threshold!r}, patience={patience!r}"
            )
        self.schedule, self.watched = schedule, monitor
        self.threshold, self.patience = threshold, patience
        self.selection, self.dry_run = layers, dry_run
        self.frozen: list[str] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Look for the layers, before the first step."""
        if keras.backend.backend() == "jax":
            raise RuntimeError(
                "FreezeTraining works on tensorflow and torch: on jax, `fit` fixes what is trained "
                "when an epoch begins, and fails where that changes. Set `layer.trainable`, "
                "compile and call `fit` again instead."
            )
        self._layers: dict[str, Any] | None = None
        self._calm: dict[str, int] = {}
        self._seen: dict[str, float] | None = None
        self.frozen = []
        if self.model.built:
            self._find()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Freeze what is due by the schedule."""
        self._epoch = epoch
        if self.schedule is not None and self._layers is not None:
            self._freeze(self._due(epoch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A model that was not built has its layers now."""
        if self._layers is None:
            self._find()
            self.on_epoch_begin(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Freeze what is due, or has converged."""
        due = self._converged() if self.schedule is None else self._due(epoch + 1)
        self._freeze(due)
        if logs is not None:
            logs["frozen_layers"] = len(self.frozen)

    def on_train_end(self, logs: Any = None) -> None:
        """Let all layers be trained again."""
        if self.frozen and not self.dry_run:
            for name in self.frozen:
                self._layers[name].trainable = True  # type: ignore[index]
            self.model.make_train_function(force=True)

    def _find(self) -> None:
        chosen = select(self.model, self.selection)
        self._layers = {
            name: layer
            for name, layer in chosen.items()
            if layer.trainable
            and layer.trainable_weights
            and not any(other.startswith(f"{name}/") for other in chosen)
        }

    def _due(self, epoch: int) -> int:
        """How many layers are frozen after this many epochs."""
        n = len(self._layers or ())
        if self.schedule == "linear":
            return int(n * epoch / self.params["epochs"] + 1e-9)
        return min(n, sum(epoch >= due for due in self.schedule or ()))

    def _converged(self) -> int:
        """How many layers from the bottom have converged; those that were frozen stay so."""
        assert self.watched is not None
        known = self.watched.similarities
        if known is self._seen:  # no snapshot was taken since
            return len(self.frozen)
        self._seen = known
        for name in self._layers or ():
            calm = known.get(name, 0.0) >= self.threshold
            self._calm[name] = self._calm.get(name, 0) + 1 if calm else 0
        count = len(self.frozen)
        for name in list(self._layers or ())[count:]:
            if self._calm[name] < self.patience:
                break
            count += 1
        return count

    def _freeze(self, count: int) -> None:
        names = list(self._layers or ())[:-1][:count]
        new = [name for name in names if name not in self.frozen]
        if not new:
            return
        self.frozen += new
        if self.dry_run:
            return
        for name in new:
            self._layers[name].trainable = False  # type: ignore[index]
        # The compiled step holds the list of what it trains.
        self.model.make_train_function(force=True)


def _check_epochs(schedule: Sequence[float]) -> None:
    if not len(schedule):
        raise ValueError(
            "A `schedule` of no epochs freezes nothing. List those after which layers are frozen, "
            f"or leave FreezeTraining out. Received: {schedule!r}"
        )
    if list(schedule) != sorted(schedule):
        raise ValueError(
            "A `schedule` lists the epochs after which layers are frozen from the bottom, so it "
            f"cannot descend. Received: {list(schedule)}"
        )
