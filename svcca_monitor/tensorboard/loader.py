"""Where TensorBoard comes in (entry point `tensorboard_plugins`).

An exception while this module is imported, or in `fix_flags`, would end TensorBoard itself, and its
start waits for both. So nothing but the base class is imported here, and nothing is raised.
"""

from __future__ import annotations

import logging
from typing import Any

from tensorboard.plugins.base_plugin import TBContext, TBLoader, TBPlugin

PLUGIN_NAME = "svcca"
# TensorBoard keeps a random choice of steps: 100 of them, or 10, of a plugin that it does not know.
SAMPLES = 5000


class SvccaLoader(TBLoader):
    """Loads the tab, or leaves a line in the log and TensorBoard as it is."""

    def fix_flags(self, flags: Any) -> None:
        """Keep every step, unless `--samples_per_plugin svcca=…` says otherwise."""
        try:
            flags.samples_per_plugin.setdefault(PLUGIN_NAME, SAMPLES)
        except Exception:
            _tell("could not ask for every step; --samples_per_plugin svcca=5000 does")

    def load(self, context: TBContext) -> TBPlugin | None:
        """The plugin, or None if it cannot be had."""
        try:
            from .plugin import SvccaPlugin

            return SvccaPlugin(context)
        except Exception:
            _tell("the SVCCA tab is not shown")
            return None


def _tell(what: str) -> None:
    logging.getLogger(__name__).warning("svcca_monitor: %s", what, exc_info=True)
