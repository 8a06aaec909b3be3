"""Check numbers, vectors and matrices from the user. Each error names the argument."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from l0.common.errors import InputError, first_few


def is_whole_number(value: object) -> TypeGuard[int]:
    """Tell whether a value is an integer. True and False do not count as integers.

    Examples
    --------
    >>> from l0.common.validation import is_whole_number
    >>> is_whole_number(3), is_whole_number(3.0), is_whole_number(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def whole_number(
    value: object, argument: str, least: int, most: int | None = None, what: str = ""
) -> int:
    """Check that a value is an integer from `least` to `most`. `what` describes `most`.

    Examples
    --------
    >>> from l0.common.validation import whole_number
    >>> whole_number(12, "n_records", 1, 10, "the number of records")
    Traceback (most recent call last):
    l0.common.errors.InputError: `n_records` must be an integer from 1 to the number of records, \
10, got 12
    """
    if is_whole_number(value) and least <= value and (most is None or value <= most):
        return int(value)
    span = f"of at least {least}" if most is None else f"from {least} to {what}, {most:,}"
    raise InputError(f"`{argument}` must be an integer {span}, got {value!r}")


def positive(value: float, argument: str) -> float:
    """Check that a number is finite and above 0."""
    if not isinstance(value, Real) or not 0 < value < math.inf:
        raise InputError(f"`{argument}` must be positive and finite, got {value!r}")
    return float(value)


def not_negative(value: float, argument: str) -> float:
    """Check that a number is finite and at least 0."""
    if not isinstance(value, Real) or not 0 <= value < math.inf:
        raise InputError(f"`{argument}` must be finite and at least 0, got {value!r}")
    return float(value)


def checked_matrix(source: Any, argument: str) -> sp.csr_array:
    """Take a sparse or dense matrix as CSR with sorted, unique and finite entries.

    float32 stays float32, and all other types become float64. The input does not change.

    Examples
    --------
    >>> from l0.common.validation import checked_matrix
    >>> matrix = checked_matrix([[1, 0], [0, 2]], "A")
    >>> matrix.nnz, matrix.dtype
    (2, dtype('float64'))
    """
    try:
        shape = np.shape(source)
    except ValueError as error:  # a list of rows that differ in length
        raise InputError(f"`{argument}` must be real numbers; convert them ({error})") from None
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"`{argument}` has shape {shape}; it needs two dimensions, none empty")
    try:
        matrix = sp.csr_array(source)
        if matrix.dtype != np.float32:
            # "same_kind" refuses complex numbers, whose imaginary part would be dropped.
            matrix = matrix.astype(np.float64, casting="same_kind")
    except (TypeError, ValueError) as error:
        raise InputError(f"`{argument}` must be real numbers; convert them ({error})") from None
    if not np.isfinite(matrix.data).all():
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        bad = np.unique(rows[~np.isfinite(matrix.data)])
        raise InputError(
            f"`{argument}` has NaN or infinite entries in {bad.size:,} rows "
            f"({first_few(bad.tolist())}); fill them or drop the rows"
        )
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def checked_vector(source: ArrayLike, length: int, argument: str, what: str) -> NDArray[np.float64]:
    """Take `length` finite numbers as float64. `what` names what they are for: "rows of `A`".

    Examples
    --------
    >>> from l0.common.validation import checked_vector
    >>> checked_vector([1, 2], 2, "values", "rows of `A`")
    array([1., 2.])
    """
    try:
        if np.iscomplexobj(source):
            raise TypeError("they are complex")
        vector = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{argument}` must be real numbers; convert them ({error})") from None
    if vector.ndim != 1:
        raise InputError(f"`{argument}` has shape {vector.shape}; pass one dimension")
    check_length(len(vector), length, argument, what)
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(
            f"`{argument}` is NaN or infinite at {bad.size:,} positions "
            f"({first_few(bad.tolist())}); give each a number or drop it"
        )
    return vector


def check_length(found: int, expected: int, argument: str, what: str) -> None:
    """Check that there is one entry for each of the `what`."""
    if found != expected:
        raise InputError(
            f"`{argument}` has {found:,} entries for {expected:,} {what}; "
            f"pass one for each of the {what}"
        )
