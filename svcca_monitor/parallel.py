"""Many independent pieces of linear algebra on a few cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

Item = TypeVar("Item")
Result = TypeVar("Result")

# Below this many floating-point operations in all, starting threads costs more than they save.
WORTH_IT = 2e8
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
    """
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    inside = getattr(_worker, "inside", False)
    if inside or min(cores, len(items)) < 2 or sum(costs) < WORTH_IT:
        return [function(item) for item in items]
    order = sorted(range(len(items)), key=lambda i: -costs[i])
    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(cores, initializer=_enter) as pool,
    ):
        try:
            futures = {i: pool.submit(function, items[i]) for i in order}
        except RuntimeError:  # an interpreter that exits starts no thread any more
            return [function(item) for item in items]
        return [futures[i].result() for i in range(len(items))]


def _enter() -> None:
    _worker.inside = True
