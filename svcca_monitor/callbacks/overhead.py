"""What a monitor may take of the time of a training."""

from __future__ import annotations

import time
from numbers import Real


class Overhead:
    """Keeps the snapshots of a schedule within a share of the training time so far.

    The snapshot before the first step and the one at the end are not counted: they are taken in any
    case.

    Args:
        limit: Largest share, such as 0.02; None for no limit.

    Raises:
        ValueError: If the limit is not in (0, 1].
        TypeError: If it is no number.
    """

    def __init__(self, limit: float | None):
        if limit is not None:
            if isinstance(limit, bool) or not isinstance(limit, Real):
                raise TypeError(
                    "`max_overhead` must be a share of the training time, such as 0.02, or None. "
                    f"Received: {limit!r}"
                )
            if not 0 < limit <= 1:
                raise ValueError(
                    "`max_overhead` is a share of the training time and must be in (0, 1], such as "
                    f"0.02 for 2 %. Received: {limit}"
                )
        self.limit = None if limit is None else float(limit)
        self.spent = 0.0
        """Seconds that scheduled snapshots took."""
        self.last = 0.0
        """Seconds that the last of them took."""
        self.left_out = 0
        """Scheduled snapshots that were not taken."""
        self._started = time.perf_counter()

    @property
    def training(self) -> float:
        """Seconds of training so far, without the snapshots."""
        return time.perf_counter() - self._started - self.spent

    def allows_another(self) -> bool:
        """Whether another snapshot, as costly as the last, stays within the limit."""
        if self.limit is None or self.spent + self.last <= self.limit * self.training:
            return True
        self.left_out += 1
        return False

    def explain(self, step: int) -> str:
        """What to tell when snapshots begin to be left out, at `step`."""
        return (
            f"SVCCAMonitor leaves out snapshots from step {step} on: the last one took "
            f"{self.last:.2g} s, and with it snapshots would take more than max_overhead="
            f"{self.limit} of the {self.training:.2g} s of training so far. There are more as "
            "training goes on, and the final one in any case. To have all: fewer probe examples, "
            "fewer layers, or a larger max_overhead."
        )

    def charge(self, seconds: float) -> None:
        """Count a scheduled snapshot."""
        self.spent += seconds
        self.last = seconds
