"""Run many configs, one process each, here or on a cluster; begun sweeps are gone on with."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from uuid import uuid4

import yaml

from ..files import write_atomically
from .cell import FINISHED
from .config import ConfigError
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
        path: Its log directory, for `Run`.
    """

    name: str
    settings: dict[str, Any]
    path: Path


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
    folders = sorted(path.parent for path in Path(log_dir).glob(f"*/{FINISHED}"))
    if not folders:
        raise FileNotFoundError(
            f"{log_dir} holds no run of a sweep that has ended. Expected the directory that "
            "`svcca-monitor sweep` wrote to."
        )
    return [
        SweepRun(folder.name, yaml.safe_load((folder / SETTINGS).read_text("utf-8")), folder)
        for folder in folders
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
        log_dir: A directory, of this sweep alone. On a cluster, one that all workers see.
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
    folder = Path(log_dir).absolute()
    for cell in sweep.cells:
        _require_same(folder / cell.name, cell)
    (folder / ATTEMPTS).mkdir(parents=True, exist_ok=True)
    found = {}
    for outcome in (_on_cluster(client) if client is not None else _here(jobs))(sweep, folder):
        found[outcome.name] = outcome
        if report is not None:
            report(outcome)
    if all(outcome.state != "failed" for outcome in found.values()):
        shutil.rmtree(folder / ATTEMPTS, ignore_errors=True)
    return [found[cell.name] for cell in sweep.cells]


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """A client of the Dask scheduler at an address, or None where none is given.

    Raises:
        ImportError: If Dask is not installed.
        OSError: If no scheduler answers there.
    """
    if address is None:
        yield None
        return
    try:
        from dask.distributed import Client
    except ImportError as error:
        raise ImportError(
            "--scheduler needs Dask: pip install 'svcca-monitor[distributed]'"
        ) from error
    with Client(address, timeout="20s") as client:
        yield client


def run_cell(name: str, settings: Mapping[str, Any], config: str, log_dir: str) -> Outcome:
    """Train one run in a process of its own, and move it to its place when it has ended.

    The place is taken by a single step of the file system: of two that train the same run, as when
    a worker was given up too early, the first one counts.
    """
    folder = Path(log_dir) / name
    if (folder / FINISHED).exists():
        return Outcome(name, "found", **_facts(folder))
    attempt = Path(log_dir) / ATTEMPTS / f"{name}-{uuid4().hex[:8]}"
    attempt.mkdir(parents=True)
    log = attempt.with_name(f"{attempt.name}.log")
    command = [sys.executable, "-m", "svcca_monitor.experiments.cell", str(attempt)]
    start = time.perf_counter()
    with open(log, "w+", encoding="utf-8") as output:
        done = subprocess.run(
            command, input=config, text=True, stdout=output, stderr=output, check=False
        )
        output.seek(0)
        printed = output.read()
    if done.returncode:
        shutil.rmtree(attempt, ignore_errors=True)
        seconds = time.perf_counter() - start
        return Outcome(name, "failed", seconds, error=_ending(printed, done.returncode))
    write_atomically(attempt / SETTINGS, yaml.safe_dump(dict(settings)).encode())
    try:
        os.rename(attempt, folder)
    except OSError:
        if not (folder / FINISHED).exists():
            raise
        shutil.rmtree(attempt, ignore_errors=True)
    for other in (Path(log_dir) / ATTEMPTS).glob(f"{_literal(name)}-????????*"):
        shutil.rmtree(other) if other.is_dir() else other.unlink(missing_ok=True)
    return Outcome(name, "finished", **_facts(folder))


def _here(jobs: int) -> Callable[[Sweep, Path], Iterator[Outcome]]:
    def outcomes(sweep: Sweep, folder: Path) -> Iterator[Outcome]:
        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(run_cell, *_arguments(cell, folder)) for cell in sweep.cells]
            try:
                for future in as_completed(futures):
                    yield future.result()
            finally:  # after Ctrl-C, those that have not begun do not
                pool.shutdown(wait=False, cancel_futures=True)

    return outcomes


def _on_cluster(client: Any) -> Callable[[Sweep, Path], Iterator[Outcome]]:
    def outcomes(sweep: Sweep, folder: Path) -> Iterator[Outcome]:
        from dask.distributed import as_completed

        futures = {
            client.submit(run_cell, *_arguments(cell, folder), pure=False): cell.name
            for cell in sweep.cells
        }
        for future in as_completed(futures):
            try:
                yield future.result()
            except Exception as error:  # of the cluster: the run itself reports its own
                yield Outcome(futures[future], "failed", error=f"{type(error).__name__}: {error}")

    return outcomes


def _arguments(cell: Cell, folder: Path) -> tuple[str, dict[str, Any], str, str]:
    return cell.name, cell.settings, cell.config.to_yaml(), str(folder)


def _require_same(folder: Path, cell: Cell) -> None:
    if not (folder / FINISHED).exists():
        if folder.exists():
            raise ConfigError(f"{folder} is no run of a sweep. Choose another --log-dir.")
        return
    there = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    wanted = yaml.safe_load(cell.config.to_yaml())
    if there != wanted:
        differ = ", ".join(_differing(there, wanted))
        raise ConfigError(
            f"{folder} holds a run with another config; they differ in {differ}. Choose another "
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


def _facts(folder: Path) -> dict[str, Any]:
    facts = json.loads((folder / FINISHED).read_text("utf-8"))
    return {"seconds": facts["seconds"], "logs": facts["logs"]}


def _ending(printed: str, code: int) -> str:
    """The end of what a run printed: its traceback, or how it was killed."""
    last = "\n".join(printed.rstrip().splitlines()[-30:])
    return f"{last}\nended with exit code {code}" if code < 0 or not last else last
