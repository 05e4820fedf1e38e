"""Memory that is free, given back to the system."""

from __future__ import annotations


def give_back() -> None:
    """Give back what answers took.

    TensorBoard answers each request in a thread of its own, and glibc keeps what such a thread has
    freed: after some dozen large answers that would be as much again as TensorBoard itself takes.
    Other C libraries do so by themselves.
    """
    try:
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    except (ImportError, OSError, TypeError, AttributeError):
        pass
