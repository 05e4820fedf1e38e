"""A run from weights that were saved while a model trained."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from ..probe import ProbeSet
from ..run import Run
from .backends import host_value
from .monitor import SVCCAMonitor

_ENDINGS = (".weights.h5", ".keras")


class CheckpointError(ValueError):
    """A file of weights that a model cannot take."""


def replay(
    model: Any,
    checkpoints: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    probe: Any,
    log_dir: str | os.PathLike[str],
    *,
    steps: Sequence[int] | None = None,
    **options: Any,
) -> Run:
    """Make the run that a monitor would have made, from a file of weights for each snapshot.

    The model has its own weights again afterwards, and nothing is trained.

    Args:
        model: A Keras model of the architecture that was saved.
        checkpoints: `.weights.h5` or `.keras` files, or a pattern such as `"ckpt/*.weights.h5"`.
        probe: As for `SVCCAMonitor`.
        log_dir: Where to write; a place without a run.
        steps: Step of each file, in the order of the files of a list; left out, the number in the
            names in which they differ: 3 of `epoch-003-0.91.weights.h5`. Files are taken in the
            order of their steps, and steps are epochs, as in the names that
            `keras.callbacks.ModelCheckpoint` makes.
        **options: Of `SVCCAMonitor`: `layers`, `measure`, `representation` and so on.

    Returns:
        The run.

    Raises:
        FileNotFoundError: If there is no such file.
        FileExistsError: If `log_dir` holds a run.
        CheckpointError: If a file cannot be loaded into the model.
        ValueError: If steps are not to be had from the names, or are not one for each file.

    Example:
        >>> replay(model, "ckpt/*.weights.h5", probe, "logs/replayed")  # doctest: +SKIP
    """
    files = _files(checkpoints)
    of_files = _steps(files) if steps is None else _given(steps, files)
    ordered = sorted(zip(of_files, files, strict=True))
    if (Path(log_dir) / "svcca" / "run.json").exists():
        raise FileExistsError(f"{log_dir} holds a run already. Choose another log_dir.")
    if not isinstance(probe, ProbeSet):
        probe = ProbeSet(probe)
    if not model.built:
        model.build(keras.tree.map_structure(lambda a: (None, *a.shape[1:]), probe.inputs))
    monitor = SVCCAMonitor(probe, log_dir, **{"on_error": "raise", **options})
    monitor.set_model(model)
    with _weights_returned(model), monitor:
        for step, file in ordered:
            _load(model, file)
            monitor.snapshot(step)
    return Run(log_dir)


def _files(checkpoints: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    if isinstance(checkpoints, str | os.PathLike):
        pattern = os.fspath(checkpoints)
        files = [Path(pattern)] if os.path.isfile(pattern) else map(Path, glob.glob(pattern))
        found = sorted(files)
        if not found:
            raise FileNotFoundError(
                f"No checkpoint matches {pattern!r}. Pass files that end in {' or '.join(_ENDINGS)}"
                ", or a pattern such as 'ckpt/*.weights.h5'."
            )
    else:
        found = [Path(file) for file in checkpoints]
        if not found:
            raise ValueError("`checkpoints` is empty: pass at least one file of weights.")
    for file in found:
        if not file.is_file():
            raise FileNotFoundError(f"There is no checkpoint {file}.")
        if not file.name.endswith(_ENDINGS):
            raise CheckpointError(
                f"{file} is no file of weights by its name; expected {' or '.join(_ENDINGS)}."
            )
    return found


def _given(steps: Sequence[int], files: Sequence[Path]) -> list[int]:
    given = [int(step) for step in steps]
    if len(given) != len(files) or len(set(given)) != len(given):
        raise ValueError(
            f"`steps` must have one step for each of the {len(files)} checkpoints, all different. "
            f"Received: {given}."
        )
    return given


def _steps(files: Sequence[Path]) -> list[int]:
    """The first number of the names that is another one in each file."""
    names = [_stem(file) for file in files]
    numbers = [[int(digits) for digits in re.findall(r"\d+", name)] for name in names]
    # A name that differs in more than its numbers is of another series.
    if len({re.sub(r"\d+", "#", name) for name in names}) == 1:
        for column in zip(*numbers, strict=True):
            if len(set(column)) == len(files):
                return list(column)
    raise ValueError(
        f"The names {', '.join(f.name for f in files[:4])}{' …' if len(files) > 4 else ''} do not "
        "tell their steps: they must differ in a number, such as epoch-03.weights.h5. Or pass "
        "steps=, one for each file."
    )


def _stem(file: Path) -> str:
    for ending in _ENDINGS:
        if file.name.endswith(ending):
            return file.name.removesuffix(ending)
    return file.name


def _load(model: Any, file: Path) -> None:
    try:
        with warnings.catch_warnings():
            # The optimizer's state is saved too, but this model is not going to train.
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            model.load_weights(file)
    except Exception as error:
        raise CheckpointError(
            f"{file} cannot be loaded into model {model.name!r}: {error}. Pass weights that were "
            "saved from a model of the same architecture."
        ) from error


@contextmanager
def _weights_returned(model: Any) -> Iterator[None]:
    """Afterwards the model and its optimizer are as they were."""
    optimizer = getattr(model, "optimizer", None)
    variables = [*model.variables, *(optimizer.variables if optimizer is not None else ())]
    before = [host_value(variable).copy() for variable in variables]
    try:
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
