"""The run that a monitor writes: begun, or taken up where it is the same."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np

from .. import description
from ..probe import ProbeSet
from ..run import LayerInfo, Run, RunMismatchError
from ..store import Store


class RunInUseError(RuntimeError):
    """Two monitors write in one place."""


def open_run(
    log_dir: str | os.PathLike[str],
    layers: Sequence[LayerInfo],
    probe: ProbeSet,
    *,
    model: str,
    measure: str,
    measure_options: Mapping[str, Any],
    step_unit: str,
    store: Store | Mapping[str, Any] | None,
) -> Run:
    """Begin a run in `log_dir`, or go on with the one that it holds.

    Raises:
        ProbeMismatchError: If it holds a run on another probe set.
        RunMismatchError: If it holds a run of another model, measure or unit of steps.
        TypeError: If it is no path.
    """
    if not isinstance(log_dir, str | os.PathLike):
        raise TypeError(f"`log_dir` must be the path of a folder. Received: {log_dir!r}")
    facts = description.as_recorded(
        {
            "model": model,
            "measure": measure,
            "measure_options": dict(measure_options),
            "step_unit": step_unit,
            "versions": {
                "svcca_monitor": _own_version(),
                "keras": keras.version(),
                "backend": keras.backend.backend(),
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "cost": {"seconds": [], "bytes": []},
        }
    )
    run = Run.create(log_dir, layers, probe, store=store, **facts)
    for key in ("measure", "measure_options", "step_unit"):
        if run.facts.get(key, facts[key]) != facts[key]:
            raise RunMismatchError(
                f"{run.path} holds a run with {key} {run.facts[key]!r}, but this monitor has "
                f"{facts[key]!r}. Nothing was changed; use another log_dir."
            )
    return run


class Claim:
    """Says in a run who writes it, so that no two monitors write in one place."""

    def __init__(self, run: Run):
        self._run = run
        self._writer = uuid.uuid4().hex
        run.record(writer=self._writer)

    def require(self) -> None:
        """Go on only if nobody else has claimed the run since.

        Raises:
            RunInUseError: If somebody has.
        """
        facts = description.read(self._run.path / "run.json")
        if facts.get("writer") != self._writer:
            raise RunInUseError(
                f"Another SVCCAMonitor writes in {self._run.path} too. Give each monitor a log_dir "
                "of its own, such as logs/x/train and logs/x/validation."
            )


def _own_version() -> str:
    """Of this package; a source tree may be used without being installed."""
    try:
        return version("svcca-monitor")
    except PackageNotFoundError:
        return "unknown"
