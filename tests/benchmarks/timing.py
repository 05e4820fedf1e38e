"""Seconds side by side, and the rows of the table."""

import time
from dataclasses import dataclass

COLUMNS = (
    "workload",
    "measure",
    "against",
    "seconds theirs",
    "seconds ours",
    "ratio",
    "target",
    "error f32",
    "error f64",
    "× floor",
    "peak MB",
    "theirs, a pair",
)
# Threads of BLAS go on waiting, actively, for some 20 ms after what came before: alone on the
# machine is alone.
PAUSE = 0.2


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@dataclass
class Contender:
    """Something to time.

    Attributes:
        name: For the table.
        parts: (work, how many times the whole is of it): a sample is timed, the whole reported.
    """

    name: str
    parts: list

    def seconds(self):
        time.sleep(PAUSE)
        return sum(seconds(work) * times for work, times in self.parts)


def side_by_side(contenders, repeats):
    """The least time of each, all in turns, so that all see the same machine."""
    rounds = [[c.seconds() for c in contenders] for _ in range(repeats)]
    return [min(times) for times in zip(*rounds, strict=True)]


def whole(name, work):
    return Contender(name, [(work, 1)])


def row(workload, measure, against, theirs, ours, ratio=None, **others):
    """One row of the table; `ratio` is theirs / ours unless given."""
    ratio = theirs / ours if ratio is None else ratio
    cells = {"workload": workload, "measure": measure, "against": against}
    cells |= {"seconds theirs": brief(theirs), "seconds ours": brief(ours)}
    cells["ratio"] = ratio if isinstance(ratio, str) else f"{ratio:.2f}"
    return cells | others


def brief(number):
    return f"{number:.3g}"


def markdown(cells):
    return "| " + " | ".join(str(cells.get(column, "")) for column in COLUMNS) + " |"
