"""An existing Dask cluster, which the command line sends work to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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
