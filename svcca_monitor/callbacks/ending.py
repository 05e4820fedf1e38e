"""The comparison of every snapshot with the last one, made once: at the end, whatever ends it."""

from __future__ import annotations

import atexit
import logging

from .faults import Faults
from .recording import Recording

logger = logging.getLogger("svcca_monitor")


class Ending:
    """Due until it is made, or given up; an interpreter that exits makes it.

    After an interruption Keras calls nothing. This holds on to the run alone: the model may go.
    """

    def __init__(self, recording: Recording, faults: Faults):
        self._recording = recording
        self._faults = faults
        atexit.register(self.make)

    def make(self) -> None:
        """Compare now."""
        with self._faults.contained(
            "the comparison with the end", step=self._recording.last_step or 0
        ):
            self._recording.finish()
        self.give_up()
        logger.info("%s, in %s", self._recording.cost(), self._recording.run.path)

    def give_up(self) -> None:
        """Leave it to whoever goes on with the run."""
        atexit.unregister(self.make)
