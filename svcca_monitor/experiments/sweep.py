"""Run many configs, one process each, here or on a cluster; begun sweeps are gone on with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import uuid4

from ..files import write_atomically
from ..remote import Place, as_path, exists, folders_with, is_url, read_text, send, within
from .cell import FINISHED
from .config import ConfigError, check
from .documents import parse, written
from .matrix import Cell, Sweep

# Runs that have not ended, beside those that have.
ATTEMPTS = ".attempts"
# What the settings of a run are kept in, beside its config.
SETTINGS = "settings.yaml"

State = Literal["finished", "found", "failed"]


class SweepRun(NamedTuple):
    """A run of a sweep that has ended.

    Attributes:
        name: Of its directory.
        settings: What sets it apart from the others.
        path: Its log directory, or the URL of it, for `Run`.
    """

    name: str
    settings: dict[str, Any]
    path: Place


class Outcome(NamedTuple):
    """What became of one run.

    Attributes:
        name: Of the cell.
        state: `finished`; `found`, if it had been there before; or `failed`.
        seconds: It took.
        logs: Losses and metrics at the end.
        error: The end of what a failed run printed, with its traceback.
    """

    name: str
    state: State
    seconds: float = 0.0
    logs: Mapping[str, float] = {}
    error: str = ""


def sweep_runs(log_dir: str | os.PathLike[str]) -> list[SweepRun]:
    """The runs of a sweep that have ended, in the order of their names.

    Raises:
        FileNotFoundError: If there is none.
    """
    names = folders_with(log_dir, FINISHED)
    if not names:
        raise FileNotFoundError(
            f"{log_dir} holds no run of a sweep that has ended. Expected the directory that "
            "`svcca-monitor sweep` wrote to."
        )
    return [
        SweepRun(name, parse(read_text(within(folder, SETTINGS))), folder)
        for name in names
        for folder in [within(log_dir, name)]
    ]


def run_sweep(
    sweep: Sweep,
    log_dir: str | os.PathLike[str],
    *,
    jobs: int = 1,
    client: Any = None,
    report: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Train all runs of a sweep that are not there yet, each in a process of its own.

    A run appears in `log_dir` when it has ended. Those that have are not run again, those that were
    killed begin anew; one that fails stops no other.

    Args:
        sweep: The runs.
        log_dir: A directory, of this sweep alone, or a URL of any file system that fsspec knows. On
            a cluster, one that all workers see.
        jobs: How many run at a time on this machine.
        client: A `dask.distributed.Client`: the runs go to its cluster instead. Where a worker
            dies, Dask gives its run to another.
        report: Called with what became of each run, as it ends.

    Returns:
        What became of the runs, in the order of the sweep.

    Raises:
        ConfigError: If `log_dir` holds a run of the same name and another config.
        ValueError: If `jobs` is no whole number from 1 on.
    """
    if not (isinstance(jobs, int) and jobs >= 1):
        raise ValueError(f"`jobs` must be a whole number, at least 1. Received: jobs={jobs!r}")
    folder: Place = log_dir if is_url(log_dir) else as_path(log_dir).absolute()
    for cell in sweep.cells:
        _require_same(within(folder, cell.name), cell)
    found = {}
    for outcome in (_on_cluster(client) if client is not None else _here(jobs))(sweep, folder):
        found[outcome.name] = outcome
        if report is not None:
            report(outcome)
    if not is_url(folder) and all(outcome.state != "failed" for outcome in found.values()):
        shutil.rmtree(within(folder, ATTEMPTS), ignore_errors=True)
    return [found[cell.name] for cell in sweep.cells]


def run_cell(
    name: str, settings: Mapping[str, Any], config: str, log_dir: str, directory: str
) -> Outcome:
    """Train one run in a process of its own, and put it in its place when it has ended.

    It works in the `directory` that the sweep was started in, where the functions are that a config
    may name; on a worker that does not see it, in the worker's own.

    A directory takes its place by a single step of the file system, a copy at a URL counts from its
    last file on: of two processes that train the same run, as when a worker was given up too early,
    the first one counts.
    """
    place = within(log_dir, name)
    if exists(within(place, FINISHED)):
        return Outcome(name, "found", **_facts(place))
    scratch = Path(tempfile.mkdtemp() if is_url(place) else within(log_dir, ATTEMPTS))
    attempt = scratch / f"{name}-{uuid4().hex[:8]}"
    attempt.mkdir(parents=True)
    start = time.perf_counter()
    error = _train(config, attempt, directory if os.path.isdir(directory) else None)
    if error:
        shutil.rmtree(scratch if is_url(place) else attempt, ignore_errors=True)
        return Outcome(name, "failed", time.perf_counter() - start, error=error)
    write_atomically(attempt / SETTINGS, written(dict(settings)).encode())
    if not is_url(place):
        _take_place(attempt, Path(place))
    else:
        if not exists(within(place, FINISHED)):
            send(attempt, place, last=FINISHED)
        shutil.rmtree(scratch, ignore_errors=True)
    return Outcome(name, "finished", **_facts(place))


def _train(config: str, attempt: Path, directory: str | None) -> str:
    """Train into a directory; what went wrong, or nothing."""
    command = [sys.executable, "-m", "svcca_monitor.experiments.cell", str(attempt)]
    with open(attempt.with_name(f"{attempt.name}.log"), "w+", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            cwd=directory,
            input=config,
            text=True,
            stdout=output,
            stderr=output,
            check=False,
        )
        output.seek(0)
        printed = output.read()
    return _ending(printed, done.returncode) if done.returncode else ""


def _take_place(attempt: Path, folder: Path) -> None:
    try:
        os.rename(attempt, folder)
    except OSError:
        if not (folder / FINISHED).exists():
            raise
        shutil.rmtree(attempt, ignore_errors=True)
    for other in attempt.parent.glob(f"{_literal(folder.name)}-????????*"):
        shutil.rmtree(other) if other.is_dir() else other.unlink(missing_ok=True)


def _here(jobs: int) -> Callable[[Sweep, Place], Iterator[Outcome]]:
    def outcomes(sweep: Sweep, folder: Place) -> Iterator[Outcome]:
        with ThreadPoolExecutor(jobs) as pool:
            futures = {
                pool.submit(run_cell, *_arguments(cell, folder)): cell.name for cell in sweep.cells
            }
            try:
                for future in as_completed(futures):
                    yield _outcome(futures[future], future)
            finally:  # after Ctrl-C, those that have not begun do not
                pool.shutdown(wait=False, cancel_futures=True)

    return outcomes


def _on_cluster(client: Any) -> Callable[[Sweep, Place], Iterator[Outcome]]:
    def outcomes(sweep: Sweep, folder: Place) -> Iterator[Outcome]:
        from dask.distributed import as_completed

        futures = {
            client.submit(run_cell, *_arguments(cell, folder), pure=False): cell.name
            for cell in sweep.cells
        }
        for future in as_completed(futures):
            yield _outcome(futures[future], future)

    return outcomes


def _outcome(name: str, future: Any) -> Outcome:
    """What a run came to; errors of the place or the cluster stop no other, as its own do not."""
    try:
        found: Outcome = future.result()
    except Exception as error:
        return Outcome(name, "failed", error=f"{type(error).__name__}: {error}")
    return found


def _arguments(cell: Cell, folder: Place) -> tuple[str, dict[str, Any], str, str, str]:
    return cell.name, cell.settings, cell.config.to_yaml(), str(folder), os.getcwd()


def _require_same(place: Place, cell: Cell) -> None:
    if not exists(within(place, FINISHED)):
        if not is_url(place) and exists(place):
            raise ConfigError(f"{place} is no run of a sweep. Choose another --log-dir.")
        return
    file = within(place, "config.yaml")
    # Checked, and not as it stands: a key that is new since then has its default there too.
    there = check(parse(read_text(file)), str(file)).model_dump(mode="json")
    wanted = cell.config.model_dump(mode="json")
    if there != wanted:
        differ = ", ".join(_differing(there, wanted))
        raise ConfigError(
            f"{place} holds a run with another config; they differ in {differ}. Choose another "
            "--log-dir, or remove that run."
        )


def _differing(a: Any, b: Any, at: str = "") -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in {**a, **b}:
            yield from _differing(a.get(key), b.get(key), f"{at}.{key}" if at else str(key))
    elif a != b:
        yield f"{at} ({a!r} there, {b!r} here)"


def _literal(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _facts(place: Place) -> dict[str, Any]:
    facts = json.loads(read_text(within(place, FINISHED)))
    return {"seconds": facts["seconds"], "logs": facts["logs"]}


def _ending(printed: str, code: int) -> str:
    """The end of what a run printed: its traceback, or how it was killed."""
    last = "\n".join(printed.rstrip().splitlines()[-30:])
    told = code > 0 and "Traceback" in last
    return last if told else f"{last}\nended with exit code {code}".lstrip()
