"""Event files, written without TensorFlow (whose own writer costs two seconds and 500 MB)."""

from __future__ import annotations

import io
import os
import re
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from ..files import write_atomically

# TensorBoard reads the files of a directory in the order of their names.
_LIVE, _FINAL = "live", "final"
_NAME = re.compile(r"events\.out\.tfevents\.([0-9]{10})\.([0-9]{9})\.")


class EventWriter:
    """Appends summaries to one event file, which is made at the first of them.

    The file is open only while it is written to: an interruption leaves nothing open.

    Args:
        directory: The run directory; no other writer may be at work in it.
    """

    def __init__(self, directory: str | os.PathLike[str]):
        self.directory = Path(directory)
        self._path: Path | None = None

    def add(self, step: int, values: Iterable[Summary.Value]) -> None:
        """Write summaries of one step: they outlive a killed process.

        Steps must increase, or TensorBoard hides what stands between.

        Raises:
            OSError: If they could not be written; what stood in the file before stays as it was.
        """
        payload = _record(_event(step, values))
        if self._path is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._path = _new_file(self.directory, _LIVE)
        if not self._path.exists() or not self._path.stat().st_size:
            # If the file of a process that was killed has this step or later ones, they are void.
            start = SessionLog(status=SessionLog.START)
            payload = (
                _head()
                + _record(Event(wall_time=time.time(), step=step, session_log=start))
                + payload
            )
        _append(self._path, payload)


def last_step(directory: str | os.PathLike[str]) -> int | None:
    """The last step in the files of `EventWriter`s in a directory; None if there is none."""
    steps = [
        step
        for path in Path(directory).glob(f"events.out.tfevents.*.{_LIVE}")
        for step in _steps(path)
    ]
    return max(steps, default=None)


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
    path = _new_file(folder, _FINAL)
    records = [_record(_event(step, values)) for step, values in steps]
    write_atomically(path, b"".join([_head(), *records]))
    for file in older:
        if file != path:
            file.unlink()
    return path


def _new_file(directory: Path, kind: str) -> Path:
    """A name behind those of the directory, even if the clock was set back meanwhile."""
    times = [m.groups() for m in map(_NAME.match, os.listdir(directory)) if m]
    newest = max((int(seconds) * 10**9 + int(rest) for seconds, rest in times), default=0)
    seconds, rest = divmod(max(time.time_ns(), newest + 1), 10**9)
    host = socket.gethostname()
    name = f"events.out.tfevents.{seconds:010d}.{rest:09d}.{host}.{os.getpid()}.{kind}"
    return directory / name


def _append(path: Path, payload: bytes) -> None:
    """Append all of it or nothing: behind half a record a reader would find no other."""
    with open(path, "ab", buffering=0) as file:
        before = file.tell()
        try:
            rest = memoryview(payload)
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException:
            file.truncate(before)
            raise


def _steps(path: Path) -> Iterator[int]:
    """Steps of the whole summaries in an event file, up to where it breaks off."""
    data = path.read_bytes()
    at = 0
    # A record: its length (8 bytes) and a checksum (4), the event, and a checksum (4).
    while len(data) - at >= 16:
        length = int.from_bytes(data[at : at + 8], "little")
        if at + 16 + length > len(data):
            return
        try:
            event = Event.FromString(data[at + 12 : at + 12 + length])
        except DecodeError:
            return
        if event.HasField("summary"):
            yield event.step
        at += 16 + length


def _head() -> bytes:
    return _record(Event(wall_time=time.time(), file_version="brain.Event:2"))


def _event(step: int, values: Iterable[Summary.Value]) -> Event:
    return Event(wall_time=time.time(), step=step, summary=Summary(value=values))


def _record(event: Event) -> bytes:
    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()
