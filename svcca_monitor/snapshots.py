"""Snapshot files: one a step, in the safetensors format, each there whole or not at all."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .factors import orthonormalised
from .files import RunFormatError
from .probe import ProbeMismatchError
from .subspace import Subspace

# Other names in the folder are temporary files of a writer that was interrupted.
_NAME = re.compile(r"step-([0-9]{8,19})\.safetensors")
_FACTORS = ("basis", "singular_values", "loadings", "mean", "spectrum")
Factors = dict[str, np.ndarray]
# Directions in half precision are orthonormal up to 5e-4 a column; some hundreds add up to less.
HALF_NOISE = 0.5


def file_name(step: int) -> str:
    """Name of the file of a step."""
    return f"step-{step:08d}.safetensors"


def steps_in(folder: Path) -> list[int]:
    """Steps with a snapshot, ascending."""
    names = os.listdir(folder) if folder.is_dir() else []
    steps = {int(m.group(1)): m.group() for m in map(_NAME.fullmatch, names) if m}
    return sorted(step for step in steps if file_name(step) in names and step < 2**63)


def encode(
    step: int,
    layers: Mapping[str, Subspace],
    *,
    epoch: float,
    logs: Mapping[str, Any],
    probe: str,
    dtype: str = "float32",
) -> bytes:
    """The file of a snapshot: factors as tensors `<layer>/<factor>`, the rest in its header.

    Args:
        step: Its step.
        layers: The factorised activations.
        epoch: Epochs completed.
        logs: What of it is a number is kept.
        probe: Fingerprint of the probe set.
        dtype: Of the directions: `"float32"` or `"float16"`.
    """
    from safetensors.numpy import save

    tensors = {
        f"{name}/{factor}": _narrowed(factor, getattr(s, factor), dtype)
        for name, s in layers.items()
        for factor in _FACTORS
    }
    head = json.dumps({"step": int(step), "epoch": float(epoch), "logs": _numbers(logs)})
    sums = {"crc32.head": _sum_of_head(head), "crc32.tensors": _sum_of_tensors(tensors)}
    return save(tensors, metadata={"svcca": head, "probe": probe, **sums})


def relabelled(payload: bytes, epoch: float) -> bytes:
    """The same file with another epoch in its header; tensors stay byte for byte."""
    # The format: length of the header in eight bytes, the header in JSON, the tensors.
    length = int.from_bytes(payload[:8], "little")
    header = json.loads(payload[8 : 8 + length])
    metadata = header["__metadata__"]
    head = json.dumps({**json.loads(metadata["svcca"]), "epoch": float(epoch)})
    metadata.update({"svcca": head, "crc32.head": _sum_of_head(head)})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + payload[8 + length :]


def read(
    path: Path, names: Collection[str], *, step: int, probe: str, n_samples: int | None = None
) -> dict[str, Subspace]:
    """The factors of the layers that a file has.

    Args:
        path: The file.
        names: Layers that it may have.
        step: Whose file it is.
        probe: Fingerprint of the probe set of the run.
        n_samples: Size of that probe set, if known.

    Raises:
        RunFormatError: If the file is damaged or does not belong here.
        ProbeMismatchError: If it was taken on another probe set.
    """
    handle, metadata = _open(path, step)
    if metadata.get("probe", probe) != probe:
        raise ProbeMismatchError(probe, metadata["probe"], f"{path} and its run")
    try:
        # Not as the library's own errors only: NumPy has no name for some dtypes of the format.
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
    except Exception as error:
        raise _damaged(path, str(error)) from error
    if not _is_whole(metadata, "crc32.tensors", _sum_of_tensors(tensors)):
        raise _damaged(path, "its numbers are not those that were written")
    layers: dict[str, Factors] = {}
    for key, array in tensors.items():
        name, _, factor = key.rpartition("/")
        if name not in names or factor not in _FACTORS:
            raise _damaged(path, f"it holds {key!r:.80}, which is nothing of this run")
        layers.setdefault(name, {})[factor] = array
    for name, factors in layers.items():
        fault = _fault(factors, n_samples)
        if fault:
            raise _damaged(path, f"of layer {name!r} {fault}")
    return {name: _subspace(layers[name]) for name in names if name in layers}


def read_header(path: Path, *, step: int) -> dict[str, Any]:
    """Step, epoch and logs of a file.

    Raises:
        RunFormatError: If the file is damaged or of another step.
    """
    return _head(path, _open(path, step)[1], step)


def _open(path: Path, step: int) -> tuple[Any, dict[str, str]]:
    from safetensors import safe_open

    try:
        handle: Any = safe_open(path, framework="numpy")
        metadata = handle.metadata() or {}
    except Exception as error:
        raise _damaged(path, str(error)) from error
    _head(path, metadata, step)
    return handle, metadata


def _head(path: Path, metadata: Mapping[str, str], step: int) -> dict[str, Any]:
    text = metadata.get("svcca")
    if text is None:
        raise _damaged(path, "it has no entry 'svcca'")
    if not _is_whole(metadata, "crc32.head", _sum_of_head(text)):
        raise _damaged(path, "its header is not the one that was written")
    try:
        head = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is no JSON: {error}") from error
    logs = head.get("logs") if isinstance(head, dict) else None
    if not isinstance(logs, dict) or not all(map(_is_number, logs.values())):
        raise _damaged(path, f"its header is {text!r:.80}")
    if not _is_number(head.get("epoch")) or not math.isfinite(head["epoch"]):
        raise _damaged(path, f"its epoch is {head.get('epoch')!r:.80}")
    if head.get("step") != step:
        raise _damaged(path, f"it is the snapshot of step {head.get('step')!r:.80}")
    return head


def _fault(factors: Factors, n_samples: int | None) -> str | None:
    """What keeps factors from being those of one layer; None if nothing does."""
    missing = [factor for factor in _FACTORS if factor not in factors]
    if missing:
        return f"it lacks {missing[0]}"
    for factor, array in factors.items():
        real = factor in ("singular_values", "spectrum")
        if array.dtype.kind not in ("f" if real else "fc"):
            return f"{factor} has dtype {array.dtype}"
        if not np.isfinite(array).all():
            return f"{factor} has values that are NaN or infinite"
        if real and (array < 0).any():
            return f"{factor} has values below 0"
        if array.dtype == np.float16 and not _nearly_orthonormal(array):
            return f"{factor} has columns that are not orthonormal"
    shapes = {factor: factors[factor].shape for factor in _FACTORS}
    if len(shapes["basis"]) != 2 or len(shapes["loadings"]) != 2:
        return f"the shapes are {shapes}"
    (n, k), (p, beside) = shapes["basis"], shapes["loadings"]
    whole = shapes["spectrum"] >= (k,) and len(shapes["spectrum"]) == 1
    if not whole or shapes["singular_values"] != (k,) or shapes["mean"] != (p,):
        return f"the shapes are {shapes}"
    if beside not in (0, k):  # 0: loadings were left out
        return f"the shapes are {shapes}"
    # A sample of positions makes several rows of each example.
    if n_samples is not None and n % n_samples:
        return f"there are {n} samples, no multiple of the {n_samples} in the probe set"
    return None


def _nearly_orthonormal(columns: np.ndarray) -> bool:
    if columns.ndim != 2:
        return False
    wide = columns.astype(np.float64)
    return bool(np.linalg.norm(wide.T @ wide - np.eye(wide.shape[1])) < HALF_NOISE)


def _damaged(path: Path, what: str) -> RunFormatError:
    return RunFormatError(f"{path} is damaged: {what}. Remove it to go on without its step.")


def _is_whole(metadata: Mapping[str, str], key: str, found: str) -> bool:
    return metadata.get(key, found) == found  # files of the first versions have no sums


def _sum_of_head(head: str) -> str:
    return f"{zlib.crc32(head.encode()):08x}"


def _sum_of_tensors(tensors: Mapping[str, np.ndarray]) -> str:
    total = 0
    for name in sorted(tensors):
        array = tensors[name]
        total = zlib.crc32(f"{name}:{array.dtype.str}:{array.shape};".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array).data.cast("B") if array.size else b"", total)
    return f"{total:08x}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # JSON has whole numbers that no float can hold.
    return isinstance(value, float) or abs(value) <= sys.float_info.max


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """What of the logs is a number: other callbacks may put anything there."""
    numbers = {}
    for name, value in logs.items():
        try:
            numbers[str(name)] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def _narrowed(factor: str, array: np.ndarray, dtype: str) -> np.ndarray:
    """The large factors, orthonormal columns, in low precision; the rest in double."""
    if np.iscomplexobj(array):
        return np.ascontiguousarray(array, dtype=np.complex64)  # all that the format has
    narrow = factor in ("basis", "loadings")
    return np.ascontiguousarray(array, dtype=dtype if narrow else np.float64)


def _subspace(factors: Factors) -> Subspace:
    # They come with the digits of float32 at most, whatever the activations had.
    return Subspace(
        coarse=True,
        basis=_widened(factors["basis"]),
        singular_values=_widened(factors["singular_values"]),
        loadings=_widened(factors["loadings"]),
        mean=_widened(factors["mean"]),
        spectrum=_widened(factors["spectrum"]),
    )


def _widened(array: np.ndarray) -> np.ndarray:
    """In double precision; directions that came in half are turned back to orthonormal ones.

    Their rounding would change PWCCA of 64 neurons on 100 samples by 0.04; so it changes nothing by
    more than 1e-4.
    """
    wide = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    return orthonormalised(wide) if array.dtype == np.float16 else wide
