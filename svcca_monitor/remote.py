"""Runs at a URL: any file system that fsspec knows, such as s3://, gs:// or memory://.

What a training writes grows and is renamed, which object stores do not do. A run that is written to
a URL is therefore written to a temporary directory and copied, file by whole file; a run that is
read from one is copied first. Where a path is given nothing of this happens.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

from .messages import warn

Place = str | os.PathLike[str]


def is_url(place: Place) -> bool:
    """Whether a place is not on this machine; `file://` is."""
    text = os.fspath(place)
    return "://" in text and not text.startswith(("file://", "local://"))


def as_path(place: Place) -> Path:
    """A place on this machine, as a path."""
    text = os.fspath(place)
    return Path(text.partition("://")[2] if "://" in text else text)


def within(place: Place, *names: str) -> Place:
    """A place in a place."""
    if is_url(place):
        return "/".join([os.fspath(place).rstrip("/"), *names])
    return as_path(place).joinpath(*names)


def exists(place: Place) -> bool:
    """Whether there is a file or folder."""
    if not is_url(place):
        return as_path(place).exists()
    files, path = _file_system(place)
    return bool(files.exists(path))


def read_text(place: Place) -> str:
    """What a file holds.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not is_url(place):
        return as_path(place).read_text("utf-8")
    files, path = _file_system(place)
    return bytes(files.cat_file(path)).decode()


def folders_with(place: Place, name: str) -> list[str]:
    """Names of the folders in a place that hold a file of this name, in order."""
    if not is_url(place):
        return sorted(path.parent.name for path in as_path(place).glob(f"*/{name}"))
    files, path = _file_system(place)
    return sorted(found.split("/")[-2] for found in files.glob(f"{path}/*/{name}"))


def matching(pattern: str) -> list[str]:
    """Places that match a glob, in order; of URLs, as URLs."""
    if not is_url(pattern):
        return sorted(glob(os.fspath(as_path(pattern))))
    files, path = _file_system(pattern)
    return sorted(files.unstrip_protocol(found) for found in files.glob(path))


def fetch(url: Place) -> Path:
    """Copy a folder to a temporary directory, which is removed when the process ends.

    Raises:
        FileNotFoundError: If there is no such folder.
        ImportError: If fsspec lacks what this kind of URL needs; it says what.
    """
    files, path = _file_system(url)
    if not files.isdir(path):
        raise FileNotFoundError(f"No folder at {url}.")
    folder = tempfile.mkdtemp(prefix="svcca_monitor-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = Path(folder) / path.rstrip("/").rpartition("/")[2]
    for found in files.find(path):
        # Names that lead elsewhere are no names of files of a run.
        parts = found[len(path.rstrip("/")) + 1 :].split("/")
        if ".." not in parts:
            file = target.joinpath(*parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            files.get_file(found, str(file))
    return target


@contextmanager
def written_to(place: Place) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder to write in, and a function that copies to the place what is new there.

    At a path that is the folder itself, and there is nothing to copy. At a URL it is a temporary
    directory, and what is new is copied at the end too, also if that is an error. Where copying
    fails before, there is a warning and it is tried again with the next copy.

    Raises:
        OSError: If copying at the end fails; the temporary directory is then left, and named.
    """
    if not is_url(place):
        yield as_path(place), lambda: None
        return
    folder = Path(tempfile.mkdtemp(prefix="svcca_monitor-"))
    copied: dict[Path, tuple[int, int]] = {}

    def copy() -> None:
        try:
            _copy(folder, place, copied)
        except Exception as error:  # whatever the store of the URL raises
            warn(f"Copying to {place} failed, and will be tried again: {error}")

    try:
        yield folder, copy
    finally:
        try:
            _copy(folder, place, copied)
        except Exception as error:
            raise OSError(f"Copying to {place} failed: {error}. It is all in {folder}.") from error
        shutil.rmtree(folder, ignore_errors=True)


def send(folder: Path, url: Place, *, last: str) -> None:
    """Copy a folder to a URL, the file of this name behind all others."""
    _copy(folder, url, {}, last)


def _copy(
    folder: Path, url: Place, copied: dict[Path, tuple[int, int]], last: str | None = None
) -> None:
    files, target = _file_system(url)
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".tmp")
    for path in sorted(found, key=lambda p: p.name == last):
        facts = path.stat()
        seen = facts.st_size, facts.st_mtime_ns
        if copied.get(path) != seen:
            files.pipe_file(_in(target, folder, path), path.read_bytes())
            copied[path] = seen
    for path in copied.keys() - set(found):  # such as snapshots that a store lets go
        files.rm_file(_in(target, folder, path))
        del copied[path]


def _in(target: str, folder: Path, path: Path) -> str:
    return f"{target.rstrip('/')}/{path.relative_to(folder).as_posix()}"


def _file_system(url: Place) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    files, path = url_to_fs(os.fspath(url))
    return files, path
