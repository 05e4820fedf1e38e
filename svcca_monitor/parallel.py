"""Many independent pieces of linear algebra on a few cores."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this many floating-point operations in all, starting threads costs more than they save.
WORTH_IT = 2e8
# What a pass over a number takes, in floating-point operations: it comes from memory.
PASS = 150.0
# Set in the threads of a pool: what they do in turn starts no threads of its own.
_worker = threading.local()


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], costs: Sequence[float]
) -> list[Result]:
    """`[function(item) for item in items]`, in threads with one BLAS thread each.

    Threads of one matrix product wait for each other, actively: with a core busy elsewhere, as in
    training, they take several times as long. Independent products do not.

    Args:
        function: What to do with an item; NumPy's linear algebra lets other threads run.
        items: In any order.
        costs: Floating-point operations of each, roughly: the longest begin first.

    Raises:
        Exception: Of the first item that has one; what has not begun by then is left out.
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    if getattr(_worker, "inside", False) or len(items) < 2:
        return [function(item) for item in items]
    if cores < 2 or sum(costs) < WORTH_IT:
        with one_blas_thread():  # whose other threads would go on waiting, actively, for a while
            return [function(item) for item in items]
    order = sorted(range(len(items)), key=lambda i: -costs[i])
    with one_blas_thread(), ThreadPoolExecutor(cores, initializer=_enter) as pool:
        try:
            futures = {i: pool.submit(function, items[i]) for i in order}
        except RuntimeError:  # an interpreter that exits starts no thread any more
            return [function(item) for item in items]
        try:
            return [futures[i].result() for i in range(len(items))]
        finally:  # after an error, or Ctrl+C, nothing more begins
            pool.shutdown(wait=False, cancel_futures=True)


@lru_cache(maxsize=1)
def _libraries(_n_modules: int) -> ThreadpoolController:
    """Those loaded now: looking for them takes a millisecond, and new ones come with modules."""
    return ThreadpoolController()


class _OneThread:
    """The number of BLAS threads is the whole process's, and calls of several threads overlap."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._controller = _libraries(len(sys.modules)).select(user_api="blas")
                with _anyones(self._controller):
                    self._limits = self._controller.limit(limits=1)

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:  # the last one puts back what the first one found
                with _anyones(self._controller):
                    self._limits.restore_original_limits()


@contextmanager
def _anyones(controller: ThreadpoolController) -> Iterator[None]:
    """Within this context, the calling thread may set the number of BLAS threads.

    From version 3.8 on, threadpoolctl leaves it to the thread that did so first, and what others
    set is silently ignored.
    """
    _let_go(controller)
    yield
    _let_go(controller)


def _let_go(controller: ThreadpoolController) -> None:
    for library in controller.lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


_blas = _OneThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Within this context, linear algebra of NumPy and SciPy runs in the calling thread alone.

    A monitor shares the machine with training: where a core is busy, threads of one matrix product
    wait for each other, actively, and what takes a second can take half a minute.
    """
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()


def _enter() -> None:
    _worker.inside = True
