"""Routines of BLAS and LAPACK in float32 that let other threads run meanwhile.

The functions of `scipy.linalg.blas` and `scipy.linalg.lapack` hold Python's lock while they
compute. SciPy also gives the addresses of the routines to code in Cython, and a call through ctypes
releases the lock. Arrays are in Fortran's order, and may be a part of larger ones. Results take the
place of an argument. Of symmetric and of triangular arrays, only the lower triangles are read and
written.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cython_blas, cython_lapack

Narrow = NDArray[np.float32]


def _routine(module: Any, name: str) -> Callable[..., None]:
    capsule = module.__pyx_capi__[name]
    signature_of = ctypes.pythonapi.PyCapsule_GetName
    signature_of.restype, signature_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    address_of = ctypes.pythonapi.PyCapsule_GetPointer
    address_of.restype = ctypes.c_void_p
    address_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature: bytes = signature_of(capsule)
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (signature.count(b",") + 1))
    return kind(address_of(capsule, signature))


_SSYRK = _routine(cython_blas, "ssyrk")
_STRSM = _routine(cython_blas, "strsm")
_SPOTRF = _routine(cython_lapack, "spotrf")


def ssyrk(alpha: float, a: Narrow, c: Narrow, transposed: bool = False) -> None:
    """Add alpha a a' to c.

    Parameters
    ----------
    alpha : float
    a : ndarray of float32, shape (n, k), or (k, n) if it is transposed
    c : ndarray of float32, shape (n, n)
        It is overwritten.
    transposed : bool
        Whether the transpose of `a` takes its place.
    """
    (n, k), trans = (a.shape[::-1], b"T") if transposed else (a.shape, b"N")
    _SSYRK(b"L", trans, _int(n), _int(k), _float(alpha), *_array(a), _float(1.0), *_array(c))


def spotrf(a: Narrow) -> int:
    """Factor a symmetric array by Cholesky's method.

    Parameters
    ----------
    a : ndarray of float32, shape (n, n)
        It is overwritten with its factor.

    Returns
    -------
    int
        0, or the number of the first column at which the array is not positive definite.
    """
    failed = ctypes.c_int64(0)
    _SPOTRF(b"L", _int(len(a)), *_array(a), ctypes.byref(failed))
    return ctypes.c_int32(failed.value).value


def strsm(
    triangle: Narrow, b: Narrow, transposed: bool = False, from_the_right: bool = False
) -> None:
    """Solve triangle x = b, or x triangle = b from the right.

    Parameters
    ----------
    triangle : ndarray of float32, shape (n, n)
    b : ndarray of float32, shape (n, p), or (p, n) from the right
        It is overwritten with x.
    transposed : bool
        Whether the transpose of the triangle takes its place.
    from_the_right : bool
    """
    side, trans = b"R" if from_the_right else b"L", b"T" if transposed else b"N"
    rows, columns = b.shape
    _STRSM(
        side, b"L", trans, b"N", _int(rows), _int(columns), _float(1.0),
        *_array(triangle), *_array(b),
    )  # fmt: skip


def _int(value: int) -> Any:
    """Point to an integer, which a routine may read as 32 or as 64 bits."""
    return ctypes.byref(ctypes.c_int64(value))


def _float(value: float) -> Any:
    return ctypes.byref(ctypes.c_float(value))


def _array(array: Narrow) -> tuple[Any, Any]:
    """Point to an array and to the distance of its columns."""
    itemsize = array.itemsize
    (n, columns), (down, across) = array.shape, array.strides
    apart = across // itemsize if columns > 1 and n else n
    if array.dtype != np.float32 or (array.size and n > 1 and down != itemsize) or apart < n:
        raise ValueError("an array is not float32 in Fortran's order")
    return array.ctypes.data, _int(max(apart, 1))
