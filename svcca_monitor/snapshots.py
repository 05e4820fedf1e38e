"""Snapshot files: one a step, in the safetensors format, each there whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .description import RunFormatError
from .subspace import Subspace

# Other names in the folder are temporary files of a writer that was interrupted.
_NAME = re.compile(r"step-(\d{8,})\.safetensors")
_FACTORS = ("basis", "singular_values", "loadings", "mean", "spectrum")


def file_name(step: int) -> str:
    """Name of the file of a step."""
    return f"step-{step:08d}.safetensors"


def steps_in(folder: Path) -> list[int]:
    """Steps with a snapshot, ascending."""
    names = os.listdir(folder) if folder.is_dir() else []
    return sorted(int(m.group(1)) for m in map(_NAME.fullmatch, names) if m)


def encode(
    step: int, layers: Mapping[str, Subspace], *, epoch: float, logs: Mapping[str, Any]
) -> bytes:
    """The file of a snapshot: factors as tensors `<layer>/<factor>`, the rest in its header."""
    from safetensors.numpy import save

    tensors = {
        f"{name}/{factor}": _narrowed(factor, getattr(s, factor))
        for name, s in layers.items()
        for factor in _FACTORS
    }
    head = {"step": int(step), "epoch": float(epoch), "logs": _numbers(logs)}
    return save(tensors, metadata={"svcca": json.dumps(head)})


def read(path: Path, names: Sequence[str]) -> dict[str, Subspace]:
    """The factors of those of the named layers that a file has.

    Raises:
        RunFormatError: If the file is damaged.
    """
    handle = _open(path)
    try:
        keys = set(handle.keys())
        arrays = {
            name: {f: handle.get_tensor(f"{name}/{f}") for f in _FACTORS}
            for name in names
            if f"{name}/basis" in keys
        }
    except Exception as error:
        raise RunFormatError(f"{path} is damaged: {error}") from error
    # Bases come back with the digits of float32, whatever the activations had.
    return {name: Subspace(coarse=True, **_widened(factors)) for name, factors in arrays.items()}


def read_header(path: Path) -> dict[str, Any]:
    """Step, epoch and logs of a file.

    Raises:
        RunFormatError: If the file is damaged.
    """
    metadata = _open(path).metadata() or {}
    try:
        return json.loads(metadata["svcca"])
    except (KeyError, ValueError) as error:
        raise RunFormatError(f"{path} has no valid header.") from error


def _open(path: Path) -> Any:
    from safetensors import safe_open

    try:
        return safe_open(path, framework="numpy")
    except Exception as error:
        raise RunFormatError(f"{path} is damaged: {error}") from error


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """What of the logs is a number: other callbacks may put anything there."""
    numbers = {}
    for name, value in logs.items():
        try:
            numbers[str(name)] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def _narrowed(factor: str, array: np.ndarray) -> np.ndarray:
    """The large factors, orthonormal columns, in single precision; the rest in double."""
    if np.iscomplexobj(array):
        return np.ascontiguousarray(array, dtype=np.complex64)  # all that the format has
    narrow = factor in ("basis", "loadings")
    return np.ascontiguousarray(array, dtype=np.float32 if narrow else np.float64)


def _widened(factors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        key: a.astype(np.complex128 if np.iscomplexobj(a) else np.float64)
        for key, a in factors.items()
    }
