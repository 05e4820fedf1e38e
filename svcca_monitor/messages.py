"""Sentences that errors share: what came, what was expected, the way out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` with the closest of the known names, or nothing if none is close.

    Letters count, be they large or small: `SGD` is close to `sdg`.
    """
    by_letters = {each.casefold(): each for each in reversed(list(known))}
    close = get_close_matches(name.casefold(), by_letters, n=1, cutoff=0.5)
    return f" Did you mean {by_letters[close[0]]!r}?" if close else ""


def unknown_name(kind: str, name: object, known: Iterable[str], *, where: str = "") -> str:
    """Say that `name` is not known, which name is nearest, and which there are."""
    names = list(known)
    place = f" {where}" if where else ""
    hint = nearest(str(name), names)
    there = f"Expected one of: {', '.join(names)}." if names else "It takes none."
    return f"Unknown {kind} {name!r}{place}.{hint} {there}"


def warn(message: str) -> None:
    """Warn at the line of the user's code that called into this package."""
    ours = (__name__.partition(".")[0], "contextlib")  # the latter between two frames of ours
    level, frame = 1, sys._getframe(0)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in ours:
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(message, stacklevel=level)
