"""What goes wrong while training goes on: said once for each layer and kind, never in its way."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from ..messages import unknown_name, warn

logger = logging.getLogger("svcca_monitor")

ON_ERROR = ("warn", "raise")


class Faults:
    """Keeps what goes wrong in a monitor out of the training that it watches.

    Args:
        on_error: `"warn"`, or `"raise"` to have training stop at the first fault.

    Raises:
        ValueError: If `on_error` is something else.
    """

    def __init__(self, on_error: str = "warn"):
        if on_error not in ON_ERROR:
            raise ValueError(unknown_name("on_error", on_error, ON_ERROR))
        self.on_error = on_error
        self._said: set[Hashable] = set()

    @contextmanager
    def contained(self, what: str, step: int, layer: str | None = None) -> Iterator[None]:
        """A fault within becomes a warning, and so do warnings that were to be errors.

        Args:
            what: What is being done, such as "the snapshot".
            step: Of which step.
            layer: With which layer, if it is with one; it is left out, but not the others.
        """
        try:
            with self._warnings_stay_warnings():
                yield
        except Exception as error:
            if self.on_error == "raise":
                of_layer = f" of layer {layer!r}" if layer else ""
                error.add_note(f"Raised by SVCCAMonitor in {what}{of_layer} of step {step}.")
                raise
            logger.debug("Failed on %s of step %d", what, step, exc_info=True)
            name = layer or getattr(error, "layer", None)
            key = (what, name, *_kind(error))
            if key not in self._said:
                self._said.add(key)
                self.say(_sentence(what, step, layer, error))

    def say(self, message: str) -> None:
        """Warn; where warnings are errors, write it to the log instead."""
        try:
            warn(message)
        except Warning:  # warnings are errors here, and this one would end the training
            logger.warning(message)

    @contextmanager
    def _warnings_stay_warnings(self) -> Iterator[None]:
        """Where a filter turns warnings into errors, one of ours would end what it warns of."""
        caught: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            for w in caught:
                self._pass_on(w)

    def _pass_on(self, w: warnings.WarningMessage) -> None:
        """Warn as if nothing had been in between, once: the user's filters decide what is shown."""
        key = (w.category, str(w.message))
        if key in self._said:
            return
        self._said.add(key)
        try:
            warnings.warn_explicit(w.message, w.category, w.filename, w.lineno, _module(w.filename))
        except Warning as error:
            if self.on_error == "raise":
                raise
            logger.warning("%s", error)


def _sentence(what: str, step: int, layer: str | None, error: Exception) -> str:
    if layer is not None:
        return f"Layer {layer!r} is left out of {what} of step {step}: {error}"
    return (
        f"SVCCAMonitor could not finish {what} of step {step}: "
        f"{type(error).__name__}: {str(error).rstrip('.')}. Training goes on."
    )


def _module(filename: str) -> str | None:
    """Name of the module in a file, by which filters may go."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get("__file__") == filename:
            return name
    return None


def _kind(error: Exception) -> tuple[Any, ...]:
    """What tells faults apart: the class and, of the system, its number; else where it arose."""
    if isinstance(error, OSError):
        return type(error), error.errno
    place = traceback.extract_tb(error.__traceback__)[-1]
    return type(error), place.filename, place.lineno
