"""The numbers of a run, put before the user: one event file that grows, one for the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary

from . import summary
from .events import EventWriter, last_step, replace_final
from .parts import MANY, part


@dataclass
class Board:
    """Publishes one run to TensorBoard.

    Attributes:
        directory: TensorBoard's run directory.
        measure: Name of the measure.
        layers: Names of the layers, in the order of the model.
        n_samples: Rows of the activations, if known.
    """

    directory: Path
    measure: str
    layers: Sequence[str]
    n_samples: int | None = None
    _writer: EventWriter = field(init=False)

    def __post_init__(self) -> None:
        self._writer = EventWriter(self.directory)

    def snapshot(
        self,
        step: int,
        pane: np.ndarray,
        history: np.ndarray,
        *,
        chance: Sequence[float | None],
        first: bool,
        epoch: float | None = None,
        dims: Sequence[float] | None = None,
    ) -> None:
        """Publish a snapshot as it arrives.

        Args:
            step: Its step.
            pane: Layers × layers at this step.
            history: Layers × earlier snapshots, column r for the r-th of the run; nan where it
                was not compared.
            chance: What each layer would score against an independent one of its size, if known.
            first: Whether the run begins here; then the layout of the charts goes along.
            epoch: Epochs completed; a viewer without it counts in steps.
            dims: Dimensions of each layer that chance depends on, which change as it trains.
        """
        n, earlier = history.shape
        values = [summary.chart_layout()] if first else []
        if epoch is not None:
            values.append(self._tensor(summary.EPOCH_TAG, np.array([epoch]), chance))
        if dims is not None:
            values.append(self._tensor(summary.DIMS_TAG, np.array(dims), chance))
        values.append(self._matrix(summary.LAYERS_TAG, pane, chance, before=earlier * n * n))
        if earlier:
            before = n * (earlier * (earlier - 1) // 2)
            values.append(self._matrix(summary.HISTORY_TAG, history, chance, before=before))
            previous = dict(zip(self.layers, history[:, -1].tolist(), strict=True))
            values += summary.scalars(summary.CONVERGENCE_PREFIX, previous)
        values.append(summary.pane_image(pane))
        self._writer.add(step, values)

    def final(
        self, panes: Iterable[tuple[int, np.ndarray]], *, chance: Sequence[float | None]
    ) -> None:
        """Publish the comparison of every snapshot (step, layers × layers) with the last one."""
        replace_final(
            self.directory,
            (
                (
                    step,
                    [
                        self._matrix(summary.FINAL_TAG, pane, chance, before=k * pane.size),
                        *summary.scalars(
                            summary.FINAL_PREFIX,
                            dict(zip(self.layers, np.diagonal(pane).tolist(), strict=True)),
                        ),
                    ],
                )
                for k, (step, pane) in enumerate(panes)
            ),
        )

    def last_step(self) -> int | None:
        """Last step that was published as it arrived; None if there is none."""
        return last_step(self.directory)

    def _matrix(
        self, tag: str, values: np.ndarray, chance: Sequence[float | None], *, before: int
    ) -> Summary.Value:
        """A matrix of a series, which has so many numbers before it."""
        return self._tensor(part(tag, before), values, chance, pack=len(values) > MANY)

    def _tensor(
        self,
        tag: str,
        values: np.ndarray,
        chance: Sequence[float | None],
        *,
        pack: bool = False,
    ) -> Summary.Value:
        return summary.tensor(
            tag,
            values,
            measure=self.measure,
            layers=self.layers,
            chance=chance,
            n_samples=self.n_samples,
            pack=pack,
        )
