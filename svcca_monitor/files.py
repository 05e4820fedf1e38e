"""Files that exist whole or not at all."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_atomically(path: Path, payload: bytes) -> None:
    """Write, flush to the disk, rename: a reader sees the old file or the whole new one."""
    # Not the final name with an ending: readers that go by parts of names would take it.
    temporary = path.with_name(f".writing-{os.getpid()}-{threading.get_ident()}.tmp")
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
