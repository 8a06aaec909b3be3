"""What numpy would take for numbers although it is none: text, dates, categories, masked values."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.common.validation import is_missing, refuse_masked
from l0.data.tables import is_lazy

CATEGORICAL, TEXT, DATES = "categorical columns", "columns of text", "columns of dates or times"
INDICATORS = (
    "make indicators of them (`OneHotEncoder`), with a label for each in `groups`, or numbers if "
    "they are some"
)
AS_NUMBERS = "encode them as numbers, such as days since a date"
REMEDIES = {CATEGORICAL: INDICATORS, TEXT: INDICATORS, DATES: AS_NUMBERS}
#: The kinds by the types of columns in polars and pyarrow.
OF_TYPES: dict[Any, str] = {
    **dict.fromkeys((nw.Categorical, nw.Enum), CATEGORICAL),
    nw.String: TEXT,
    **dict.fromkeys((nw.Date, nw.Datetime, nw.Duration, nw.Time), DATES),
}
#: The kinds by the letter of a numpy type.
OF_LETTERS = {**dict.fromkeys("UST", TEXT), **dict.fromkeys("Mm", DATES)}
#: The kinds by the type of an object.
OF_OBJECTS: dict[type, str] = {
    **dict.fromkeys((str, bytes), TEXT),
    **dict.fromkeys((date, time, timedelta, np.datetime64, np.timedelta64), DATES),
}


def check_kinds(x: Any, y: Any, several: bool = False) -> None:
    """Refuse `X` and `y` of kinds that no fit takes, with what to pass.

    Parameters
    ----------
    x : array, sparse matrix or frame
    y : array
        Of numbers or labels. None is left to scikit-learn.
    several : bool, default False
        Whether `y` may have several columns.

    Raises
    ------
    InputError
        As in `check_columns`; if `y` is a lazy frame, or has masked or missing values, or several
        columns.
    """
    check_columns(x)
    if y is None:
        return
    _refuse_lazy(y, "y")
    refuse_masked(y, "y")
    if hasattr(y, "dtype") and np.ndim(y) == 1 and np.asarray(y).dtype != object:
        return
    try:
        values = np.asarray(y, dtype=object)
    except ValueError:  # ragged: scikit-learn says so
        return
    if values.ndim == 2 and values.shape[1] > 1 and not several:
        raise InputError(
            f"`y` has {values.shape[1]:,} columns; pass one of them. For several outcomes at once "
            'there is `L0Regressor(loss="squared")`'
        )
    if values.ndim == 1 and (without := [row for row, v in enumerate(values) if is_missing(v)]):
        raise InputError(
            f"`y` contains NaN or None in the rows {first_few(without)}; leave these rows out"
        )


def check_columns(x: Any) -> None:
    """Refuse an `X` that is no matrix of numbers, although numpy might make one of it.

    Parameters
    ----------
    x : array, sparse matrix or frame

    Raises
    ------
    InputError
        If it is a lazy frame, has masked values, or has categories, text, dates or times.
    """
    _refuse_lazy(x, "X")
    columns = _columns_by_kind(x)
    if columns is None:
        check_numbers(x, "X")
        return
    for kind, remedy in REMEDIES.items():
        if kind in columns:
            raise InputError(f"`X` has {kind}: {first_few(columns[kind])}; {remedy}")


def check_numbers(values: Any, argument: str, form: str = "") -> None:
    """Refuse an array or frame that numpy might make numbers of although it has none.

    Parameters
    ----------
    values : array, frame, or anything else
        What cannot become an array is left to scikit-learn.
    argument : str
        The name of the values in error messages.
    form : str, optional
        What to pass, where that is more than numbers.

    Raises
    ------
    InputError
        If it is a lazy frame, has masked values, or has text, dates or times.

    Examples
    --------
    >>> from l0.linear_model.kinds import check_numbers
    >>> check_numbers(["01", "02"], "y")
    Traceback (most recent call last):
    l0.common.errors.InputError: `y` has text; pass numbers
    """
    _refuse_lazy(values, argument)
    refuse_masked(values, argument)
    try:
        kind = _kind_of(np.asarray(values))
    except (TypeError, ValueError, RuntimeError):  # such as rows of different lengths
        return
    if kind == TEXT:
        raise InputError(f"`{argument}` has text; {form or 'pass numbers'}")
    if kind == DATES:
        raise InputError(f"`{argument}` has dates or times; {form or AS_NUMBERS}")


def _refuse_lazy(source: Any, argument: str) -> None:
    # A frame of dask is lazy too, but numpy can read it.
    if is_lazy(source) and not hasattr(source, "__array__"):
        collected = f"`{argument}.collect()`" if hasattr(source, "collect") else "a table of it"
        raise InputError(f"`{argument}` is lazy (a {type(source).__name__}); pass {collected}")


def _columns_by_kind(x: Any) -> dict[str, list[Any]] | None:
    """Name the columns of a frame that have no numbers, by their kind; None if it is no frame."""
    types: Any = getattr(x, "dtypes", None)
    if hasattr(types, "items"):  # pandas, where names may repeat
        kinds = [
            (name, _kind_of_pandas(kind, x, place))
            for place, (name, kind) in enumerate(types.items())
        ]
    else:
        try:
            frame = nw.from_native(x, eager_only=True)
        except TypeError:  # an array, or a sparse matrix
            return None
        kinds = [(name, _kind_of_column(kind, frame[name])) for name, kind in frame.schema.items()]
    found: dict[str, list[Any]] = {}
    for name, what in kinds:
        found.setdefault(what, []).append(name)
    return found


def _kind_of_column(kind: Any, column: Any) -> str:
    """Return the kind of a column of polars or pyarrow; "" if it may have numbers."""
    if kind.is_numeric() or kind == nw.Boolean:
        return ""
    what = next((what for known, what in OF_TYPES.items() if kind == known), None)
    # Objects have any values, and bytes have no type in older versions of narwhals.
    return _kind_of(column.to_numpy()) if what is None else what


def _kind_of_pandas(kind: Any, frame: Any, place: int) -> str:
    """Return the kind of a column of pandas; "" if it may have numbers."""
    if str(kind) == "category":
        return CATEGORICAL
    if str(kind).startswith("period"):
        return DATES
    if kind.kind == "O":  # objects, and also most of pandas' own types and of Arrow's
        return _kind_of(np.asarray(frame.iloc[:, place], object))
    return OF_LETTERS.get(kind.kind, "")


def _kind_of(values: NDArray[Any]) -> str:
    """Return whether an array has text, or dates or times; "" if neither."""
    if values.dtype.kind != "O":
        return OF_LETTERS.get(values.dtype.kind, "")
    types = set(map(type, values.ravel()))
    found = (what for known, what in OF_OBJECTS.items() if any(issubclass(t, known) for t in types))
    return next(found, "")
