"""An existing Dask cluster, which the command line sends work to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Seconds until a scheduler that does not answer is given up.
PATIENCE = 10


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """A client of the Dask scheduler at an address, or None where none is given.

    Raises:
        ImportError: If Dask is not installed.
        ConnectionError: If no scheduler answers there.
        ValueError: If it is no address.
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
    try:
        client = Client(address, timeout=f"{PATIENCE}s")
    except OSError as error:
        raise ConnectionError(
            f"No Dask scheduler answers at {address} within {PATIENCE} seconds. Start one with "
            "`dask scheduler`, and give the address that it prints."
        ) from error
    except ValueError as error:
        raise ValueError(
            f"--scheduler takes an address such as tcp://host:8786. Received: {address!r}: {error}"
        ) from error
    with client:
        yield client
