"""Configs of many runs: all combinations of some settings."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

from ..messages import nearest
from .config import Config, ConfigError, as_yaml, change, check, read

# What an override of the matrix begins with.
MATRIX = "matrix."
# Characters of a value in the name of a directory, for which 255 are all that there is room for.
LONGEST = 60


class Cell(NamedTuple):
    """One run of a sweep.

    Attributes:
        name: Of its directory, such as `seed=0,batch_norm=true`.
        settings: The keys of the matrix with their values here.
        config: The whole config.
    """

    name: str
    settings: dict[str, Any]
    config: Config


@dataclass(frozen=True)
class Sweep:
    """Runs that differ in some settings."""

    cells: list[Cell]

    @classmethod
    def load(cls, path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Sweep:
        """Read a config with a `matrix` and, if some of its runs are not wanted, `exclude`.

        Args:
            path: YAML file: the sections of a config; `matrix`, lists of values by
                `section.key`, of which all combinations are run; `exclude`, a list of settings
                whose combinations are left out.
            overrides: Changes as `section.key=value` to what all runs have in common, or to the
                matrix, as `matrix.seed=[0, 1]`.

        Raises:
            ConfigError: If the file cannot be read, there is nothing to combine, or one of the
                runs has an unknown key or a value out of range.
        """
        raw = read(path, [o for o in overrides if not o.startswith(MATRIX)])
        said, exclude = raw.pop("matrix", None), raw.pop("exclude", [])
        if said is None:
            check(raw, path)  # a typo of `matrix` is told as such
        matrix = _matrix(said, overrides, path)
        _require_known(exclude, matrix, path)
        names = _short(matrix)
        cells = []
        for values in product(*matrix.values()):
            settings = dict(zip(matrix, values, strict=True))
            if any(all(settings[key] == entry[key] for key in entry) for entry in exclude):
                continue
            own = deepcopy(raw)
            for key, value in settings.items():
                # A copy: another key of the matrix may lie within this value.
                change(own, key, deepcopy(value))
            name = ",".join(f"{names[key]}={_as_name(value)}" for key, value in settings.items())
            cells.append(Cell(name, settings, check(own, f"{path} ({name})", functions=True)))
        twice = {cell.name for cell in cells if sum(c.name == cell.name for c in cells) > 1}
        if twice or not cells:
            what = f"has runs of one name, {sorted(twice)[0]}" if twice else "excludes every run"
            raise ConfigError(f"The matrix of {path} {what}: each value may stand there once.")
        return cls(cells)


def _matrix(
    matrix: Any, overrides: Sequence[str], path: str | os.PathLike[str]
) -> dict[str, list[Any]]:
    matrix = dict(matrix) if isinstance(matrix, dict) else matrix
    for override in overrides:
        if override.startswith(MATRIX):
            # Its keys have dots of their own, and are not sections within sections.
            key, _, text = override.removeprefix(MATRIX).partition("=")
            matrix = (matrix or {}) | {key: as_yaml(text, override)}
    lists = isinstance(matrix, dict) and all(isinstance(v, list) and v for v in matrix.values())
    if not (matrix and lists):
        raise ConfigError(
            f"{path} needs a `matrix` of lists by section.key, such as {{seed: [0, 1, 2]}}. "
            f"Received: {matrix!r}"
        )
    return {str(key): values for key, values in matrix.items()}


def _require_known(exclude: Any, matrix: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    if not (isinstance(exclude, list) and all(isinstance(e, dict) and e for e in exclude)):
        raise ConfigError(
            f"`exclude` of {path} must be a list of settings, such as [{{seed: 0}}]. "
            f"Received: {exclude!r}"
        )
    for key, value in (each for entry in exclude for each in entry.items()):
        if key not in matrix:
            raise ConfigError(
                f"`exclude` of {path} names {key!r}, which is not in its matrix."
                f"{nearest(str(key), matrix)}"
            )
        if value not in matrix[key]:
            raise ConfigError(
                f"`exclude` of {path} names {key}: {value!r}, which is not among the values of its "
                f"matrix: {matrix[key]!r}"
            )


def _short(matrix: Mapping[str, Any]) -> dict[str, str]:
    """Of each key the last part, or the whole where two would be the same."""
    last = {key: key.rpartition(".")[2] for key in matrix}
    return {
        key: name if list(last.values()).count(name) == 1 else key for key, name in last.items()
    }


def _as_name(value: Any) -> str:
    """A value as part of a directory's name, as YAML writes it."""
    words = {True: "true", False: "false", None: "null"}
    text = words[value] if isinstance(value, bool | None) else str(value)
    name = re.sub(r"[^\w.+-]+", "_", text).strip("_.") or "none"
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}-{digest}"
