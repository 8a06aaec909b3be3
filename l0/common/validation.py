"""Check numbers, vectors and matrices from the user. Each error names the argument."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from l0.common.errors import InputError, first_few
from l0.common.formatting import counted


def is_whole_number(value: object) -> TypeGuard[int]:
    """Tell whether a value is an integer. True and False do not count as integers.

    Examples
    --------
    >>> from l0.common.validation import is_whole_number
    >>> is_whole_number(3), is_whole_number(3.0), is_whole_number(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def flag(value: object, argument: str) -> bool:
    """Check that a value is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"`{argument}` must be True or False, got {value!r}")
    return bool(value)


def check_path(value: object, argument: str, what: str) -> None:
    """Check that a value is the path of a file or folder. `what` says of which one.

    Examples
    --------
    >>> from l0.common.validation import check_path
    >>> check_path(3, "path", "the file to write")
    Traceback (most recent call last):
    l0.common.errors.InputError: `path` is a int; pass the path of the file to write
    """
    if not isinstance(value, (str, os.PathLike)):
        raise InputError(f"`{argument}` is a {type(value).__name__}; pass the path of {what}")


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


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a real number. True and False do not count as numbers."""
    return isinstance(value, Real) and not isinstance(value, bool)


def positive(value: object, argument: str) -> float:
    """Check that a number is finite and above 0."""
    if not is_number(value) or not 0 < value < math.inf:
        raise InputError(f"`{argument}` must be positive and finite, got {value!r}")
    return float(value)


def not_negative(value: object, argument: str) -> float:
    """Check that a number is finite and at least 0."""
    if not is_number(value) or not 0 <= value < math.inf:
        raise InputError(f"`{argument}` must be finite and at least 0, got {value!r}")
    return float(value)


def above_one(value: object, argument: str) -> float:
    """Check that a number is finite and above 1."""
    if not is_number(value) or not 1 < value < math.inf:
        raise InputError(f"`{argument}` must be finite and above 1, got {value!r}")
    return float(value)


def share(value: object, argument: str) -> float:
    """Check that a number is from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise InputError(f"`{argument}` must be a number from 0 to 1, got {value!r}")
    return float(value)


def positive_share(value: object, argument: str) -> float:
    """Check that a number is above 0 and at most 1."""
    if not is_number(value) or not 0 < value <= 1:
        raise InputError(f"`{argument}` must be a number above 0 and up to 1, got {value!r}")
    return float(value)


def inner_share(value: object, argument: str) -> float:
    """Check that a number is above 0 and below 1."""
    if not is_number(value) or not 0 < value < 1:
        raise InputError(f"`{argument}` must be a number above 0 and below 1, got {value!r}")
    return float(value)


def check_settings(settings: object, **checks: Callable[[object, str], object]) -> None:
    """Check the fields of a new frozen dataclass, and store the checked values in them."""
    for name, check in checks.items():
        object.__setattr__(settings, name, check(getattr(settings, name), name))


def as_plain(value: Any) -> Any:
    """Write numbers and text of numpy as those of Python, also inside of lists and mappings.

    Anything else stays as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.common.validation import as_plain
    >>> as_plain([np.int64(3), (np.str_("state"), np.bool_(True))])
    [3, ('state', True)]
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {as_plain(name): as_plain(each) for name, each in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(as_plain, value))
    return value


def real_numbers(source: Any, argument: str) -> NDArray[Any]:
    """Take real numbers as an array of any shape; booleans, integers and floats stay as they are.

    Objects become float64, a missing or masked one NaN. Text and complex numbers are refused, as
    are dates: a number made of them would be a guess.
    """
    try:
        array = np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"`{argument}` must be numbers; cast them ({error})") from None
    if array.dtype.kind == "O":
        array = _numbers_of_objects(array, argument)
    if array.dtype.kind not in "biuf":
        what = {"U": "text", "S": "text", "c": "complex numbers"}.get(array.dtype.kind)
        raise InputError(
            f"`{argument}` must be numbers; cast them (these are {what or array.dtype})"
        )
    if np.ma.is_masked(source):
        array = np.where(np.ma.getmaskarray(source), np.nan, array)
    return array


def refuse_masked(source: object, argument: str) -> None:
    """Refuse an array with masked values, for functions that would take what is behind a mask."""
    if np.ma.is_masked(source):
        raise InputError(
            f"`{argument}` has masked values; fill them, or leave out their rows or columns"
        )


def _numbers_of_objects(array: NDArray[Any], argument: str) -> NDArray[np.float64]:
    numbers, wrong = np.empty(array.shape), []
    for place, value in np.ndenumerate(array):
        if is_missing(value):
            numbers[place] = np.nan
        elif isinstance(value, (Real, Decimal, np.bool_)):
            try:
                numbers[place] = value
            except OverflowError:  # an integer that is larger than any float
                numbers[place] = np.inf
        else:
            wrong.append((value, place[0] if len(place) == 1 else place))
    if wrong:
        values, places = zip(*wrong, strict=True)
        raise InputError(
            f"`{argument}` must be numbers; cast them ({first_few(values)} at the positions "
            f"{first_few(places)})"
        )
    return numbers


def as_csr(source: Any, argument: str) -> sp.csr_array:
    """Take a sparse or dense matrix of real numbers as CSR, without an unnecessary copy."""
    if not sp.issparse(source):
        source = real_numbers(source, argument)
        if source.dtype not in (np.float32, np.float64) and source.dtype.kind == "f":
            source = source.astype(np.float64)  # scipy has no half precision
    elif source.dtype.kind not in "biuf":
        real_numbers(np.empty(0, source.dtype), argument)  # raises the error
    if source.ndim != 2 or 0 in source.shape:
        raise InputError(
            f"`{argument}` has shape {source.shape}; it needs two dimensions, none empty"
        )
    return sp.csr_array(source)


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
    matrix = as_csr(source, argument)
    if matrix.dtype != np.float32:
        matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix.data).all():
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        bad = np.unique(rows[~np.isfinite(matrix.data)])
        raise InputError(
            f"`{argument}` has NaN or infinite entries in {counted(bad.size, 'row')} "
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
    vector = np.asarray(real_numbers(source, argument), dtype=np.float64)
    if vector.ndim != 1:
        raise InputError(f"`{argument}` has shape {vector.shape}; pass one dimension")
    check_length(len(vector), length, argument, what)
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(
            f"`{argument}` is NaN or infinite at {counted(bad.size, 'position')} "
            f"({first_few(bad.tolist())}); give each a number or drop it"
        )
    return vector


def checked_labels(source: Any, length: int, argument: str, what: str) -> list[Any]:
    """Take `length` labels, one for each of the `what`. A missing label is an error."""
    if isinstance(source, (str, bytes)) or not isinstance(source, Iterable):
        raise InputError(f"`{argument}` is {source!r}; pass one for each of the {what}")
    # A list, because a pandas Series is indexed by its labels and not by position.
    labels = list(source)
    check_length(len(labels), length, argument, what)
    bad = [place for place, label in enumerate(labels) if is_missing(label)]
    if bad:
        raise InputError(
            f"`{argument}` is None or NaN at {counted(len(bad), 'position')} ({first_few(bad)}); "
            f"pass one for each of the {what}"
        )
    return labels


def is_missing(value: object) -> bool:
    """Tell whether a value is None, NaN, NA of pandas, or what a masked array has for one."""
    try:
        return value is None or value is np.ma.masked or bool(value != value)
    except TypeError:
        # pandas' NA: the comparison gives NA, which has no truth value.
        return True
    except ValueError:  # an array
        return False


def check_length(found: int, expected: int, argument: str, what: str) -> None:
    """Check that there is one entry for each of the `what`."""
    if found != expected:
        raise InputError(
            f"`{argument}` has {counted(found, 'entry', 'entries')} for {expected:,} {what}; "
            f"pass one for each of the {what}"
        )
