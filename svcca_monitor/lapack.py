"""Routines of BLAS and LAPACK that neither NumPy nor SciPy gives to Python as they are needed here.

They are called as compiled code calls them, at the addresses that SciPy publishes for Cython. Other
threads go on meanwhile, which those of `scipy.linalg.blas` and `scipy.linalg.lapack` keep waiting.
All arguments go by address, as Fortran has it: arrays must be contiguous and as large as the
routine expects, which takes rows for columns.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_blas, cython_lapack

Argument = bytes | int | float | np.floating[Any] | NDArray[Any]

_name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(
    ("PyCapsule_GetName", ctypes.pythonapi)
)
_address_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


@lru_cache
def _routine(module: Any, name: str) -> Callable[..., None]:
    capsule = module.__pyx_capi__[name]
    return ctypes.CFUNCTYPE(None)(_address_of(capsule, _name_of(capsule)))


def is_wide(dscal: Callable[..., None]) -> bool:
    """Whether a BLAS takes whole numbers of 64 bits, for which SciPy can be built.

    This n is 1 in 32 bits; in 64 it is negative, and nothing is scaled.
    """
    n, step = ctypes.c_int64(1 - 2**32), ctypes.c_int64(1)
    factor, number = ctypes.c_double(2.0), ctypes.c_double(1.0)
    dscal(*(ctypes.byref(each) for each in (n, factor, number, step)))
    return number.value == 1.0


_WIDE = is_wide(_routine(cython_blas, "dscal"))
_INTEGER = ctypes.c_int64 if _WIDE else ctypes.c_int
INTEGER = np.dtype(np.int64 if _WIDE else np.intc)


def blas(name: str, *arguments: Argument) -> None:
    """Call a routine of BLAS, which always succeeds."""
    _routine(cython_blas, name)(*map(_by_address, arguments))


def lapack(name: str, *arguments: Argument) -> None:
    """Call a routine of LAPACK.

    Args:
        name: Of the routine.
        *arguments: All but the last one, which says whether it succeeded.

    Raises:
        LinAlgError: If it did not.
    """
    info = _INTEGER()
    _routine(cython_lapack, name)(*map(_by_address, arguments), ctypes.byref(info))
    if info.value:
        raise np.linalg.LinAlgError(f"{name} of LAPACK did not converge (code {info.value}).")


def _by_address(argument: Argument) -> Any:
    if isinstance(argument, np.ndarray):
        assert argument.flags.forc
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, bytes):
        return ctypes.c_char_p(argument)
    if isinstance(argument, np.float32):
        return ctypes.byref(ctypes.c_float(float(argument)))
    if isinstance(argument, float):  # NumPy's of double precision too
        return ctypes.byref(ctypes.c_double(argument))
    return ctypes.byref(_INTEGER(argument))  # of NumPy's whole numbers too
