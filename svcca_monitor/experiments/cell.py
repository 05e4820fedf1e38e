"""One run of a sweep, in a process of its own.

    python -m svcca_monitor.experiments.cell LOG_DIR < config.yaml

A Keras process has one backend and one random state: runs that share one are not what each of them
would be alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import write_atomically
from .config import check
from .documents import parse

if TYPE_CHECKING:
    from .train import Progress

# Written last: a directory without it is of a run that did not end.
FINISHED = "finished.json"


def main() -> None:
    """Train the config on standard input and leave the run in the directory named."""
    folder = Path(sys.argv[1])
    config = check(parse(sys.stdin.read()), "the config of this run")
    parent = os.getppid()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from .train import train

    def report(progress: Progress) -> None:
        if os.getppid() != parent:
            sys.exit("The process that started this run has ended: nobody would take the result.")
        if progress.epoch_ended:
            numbers = "  ".join(f"{name} {value:.3f}" for name, value in progress.logs.items())
            done = f"epoch {progress.epochs_done:g}/{progress.epochs}"
            print(f"{done}  {numbers}", flush=True)

    start = time.perf_counter()
    logs = train(config, folder, report=report)
    facts = {"seconds": time.perf_counter() - start, "logs": logs}
    write_atomically(folder / FINISHED, json.dumps(facts).encode())


if __name__ == "__main__":
    main()
