"""Files that exist whole or not at all, and that lead nowhere else."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

# Not the final name with an ending: readers that go by parts of names would take it.
_TEMPORARY = ".writing-{process}-{thread}.tmp"


class RunFormatError(ValueError):
    """A file of a run is not what this version of the package can read."""


def write_atomically(path: Path, payload: bytes) -> None:
    """Write, flush to the disk, rename: a reader sees the old file or the whole new one."""
    temporary = path.with_name(_TEMPORARY.format(process=os.getpid(), thread=threading.get_ident()))
    try:
        with open(temporary, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name != "posix":
        return  # elsewhere a directory cannot be flushed
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def remove_unfinished(folder: Path) -> None:
    """Remove what a writer that was killed had begun; no other may be at work in the folder."""
    for path in folder.glob(_TEMPORARY.format(process="*", thread="*")):
        path.unlink(missing_ok=True)


def require_own(path: Path, folder: Path, *, limit: int | None = None) -> None:
    """Raise RunFormatError unless a path is a plain file within a folder.

    A run may come from anywhere: a link would have another file read as part of it, and a pipe or a
    device would never end.

    Args:
        path: The file.
        folder: Where it must be, after all links.
        limit: Size in bytes that is refused above.
    """
    there = path.resolve()
    if not there.is_relative_to(folder.resolve()):
        raise RunFormatError(
            f"{path} leads out of the run, to {there}. A run holds its own files: copy it there."
        )
    facts = there.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise RunFormatError(f"{path} is no plain file. Remove it to go on without it.")
    if limit is not None and facts.st_size > limit:
        raise RunFormatError(
            f"{path} has {facts.st_size} bytes; {limit} at most are expected. It is not of a run."
        )
