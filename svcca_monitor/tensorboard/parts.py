"""Long series of matrices: under several tags, and in two bytes a number where there are many.

TensorBoard holds every step of a tag in memory, and to read some it reads all of that tag, of which
it then has three copies. So a series goes on under another tag, `svcca/history/1` and so on, after
every `PART` numbers; its first tag is that of the series. Matrices of more than `MANY` layers are
int16: similarities in units of 1/32767, and nan as the lowest number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

PART = 2**20
MANY = 64
_UNIT = 2**15 - 1
_UNKNOWN = -(2**15)


def part(tag: str, before: int) -> str:
    """The tag under which a series goes on after so many numbers."""
    return tag if before < PART else f"{tag}/{before // PART}"


def gathered(tags: Iterable[str]) -> dict[str, list[str]]:
    """The tags of each series, in order, by the first of them."""
    names = set(tags)
    found: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        later = re.fullmatch(r"(.+)/([1-9][0-9]{0,8})", name, re.ASCII | re.DOTALL)
        series, number = (later[1], int(later[2])) if later else (name, 0)
        if series not in names:
            series, number = name, 0
        found.setdefault(series, []).append((number, name))
    return {series: [name for _, name in sorted(each)] for series, each in found.items()}


def packed(similarities: np.ndarray) -> np.ndarray:
    """Similarities in [-1, 1] as int16, to 1.6e-5."""
    units = np.round(np.clip(similarities, -1, 1) * _UNIT)
    return np.where(np.isnan(units), _UNKNOWN, units).astype("<i2")


def unpacked(values: np.ndarray) -> np.ndarray:
    """Numbers of a tensor as float32, whether they were packed or not."""
    numbers = np.asarray(values, dtype="<f4")
    if values.dtype == np.int16:
        numbers = np.where(values == _UNKNOWN, np.float32(np.nan), numbers / np.float32(_UNIT))
    return numbers
