"""Event files, written without TensorFlow (whose own writer costs two seconds and 500 MB)."""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from ..files import write_atomically

# TensorBoard reads the files of a directory in the order of their names.
_LIVE, _FINAL = "live", "final"


class EventWriter:
    """Appends summaries to one event file, which is made at the first of them.

    Args:
        directory: The run directory; no other writer may be at work in it.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        self.directory = Path(directory)
        self._file: IO[bytes] | None = None

    def add(self, step: int, values: Iterable[Summary.Value]) -> None:
        """Write summaries of one step and flush them: they outlive a killed process.

        Steps must increase, or TensorBoard hides what stands between.
        """
        if self._file is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._file = open(self.directory / _file_name(_LIVE), "wb")  # noqa: SIM115
            self._file.write(_record(Event(wall_time=time.time(), file_version="brain.Event:2")))
        self._file.write(_record(_event(step, values)))
        self._file.flush()

    def close(self) -> None:
        """Close the file; a later `add` begins another."""
        if self._file is not None:
            self._file.close()
            self._file = None


def replace_final(
    directory: str | os.PathLike[str], steps: Iterable[tuple[int, Iterable[Summary.Value]]]
) -> Path:
    """Write the comparisons with the end of training to a file of their own.

    When training goes on, every step has a new end to be compared with. Appended, the steps would
    start again and TensorBoard would mix old and new; so the older file of this kind is removed
    once the new one is there.
    """
    folder = Path(directory)
    older = list(folder.glob(f"events.out.tfevents.*.{_FINAL}"))
    path = folder / _file_name(_FINAL)
    records = [_record(Event(wall_time=time.time(), file_version="brain.Event:2"))]
    records += [_record(_event(step, values)) for step, values in steps]
    write_atomically(path, b"".join(records))
    for file in older:
        if file != path:
            file.unlink()
    return path


def _file_name(kind: str) -> str:
    now = time.time_ns()
    seconds, rest = divmod(now, 10**9)
    return (
        f"events.out.tfevents.{seconds:010d}.{rest:09d}.{socket.gethostname()}.{os.getpid()}.{kind}"
    )


def _event(step: int, values: Iterable[Summary.Value]) -> Event:
    return Event(wall_time=time.time(), step=step, summary=Summary(value=values))


def _record(event: Event) -> bytes:
    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()
