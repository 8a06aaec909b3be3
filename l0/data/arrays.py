"""Rows, columns and numbers of tensors, arrays and frames.

Data are a torch tensor or a numpy array whose first axis is the rows, an object that numpy can turn
into such an array, or a pandas, polars or pyarrow table. Rows and columns that are taken from data
are of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.data.columns import as_numbers, encode_with_null, is_label, is_number
from l0.data.tables import read_table, take_values, wrap_frame
from l0.data.tables import take_rows as take_rows_of_frame

#: A label column with more levels than this does not become indicators.
LEVELS = 50


@dataclass(frozen=True)
class Columns:
    """Data as a matrix of numbers.

    Attributes
    ----------
    values : ndarray of float64, shape (n, p)
        Finite numbers.
    names : list of str, length p
        The name of a level of a label column is ``column=level``.
    """

    values: NDArray[np.float64]
    names: list[str]


def is_frame(data: Any, argument: str = "data") -> bool:
    """Tell whether the data are a pandas, polars or pyarrow table. Errors name the `argument`."""
    return isinstance(_wrap(data, argument), nw.DataFrame)


def shape(data: Any, argument: str = "data") -> tuple[int, ...]:
    """Return the shape of the data, (rows, ..., columns). Errors name the `argument`."""
    return tuple(_wrap(data, argument).shape)


def take_rows(data: Any, rows: NDArray[np.int64]) -> Any:
    """Take rows by position. The index of a frame does not matter.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.data.arrays import take_rows
    >>> take_rows(np.array([[1, 2], [3, 4], [5, 6]]), np.array([0, 2]))
    array([[1, 2],
           [5, 6]])
    """
    data = _wrap(data)
    if isinstance(data, torch.Tensor):
        return data[_on(rows, data)]
    if isinstance(data, np.ndarray):
        return data[rows]
    if isinstance(data, nw.DataFrame):
        return take_rows_of_frame(nw.to_native(data), rows)
    values = nw.to_native(data)
    if isinstance(values, pa.ChunkedArray):
        return take_values(values, rows)
    return nw.to_native(data[rows.tolist()])


def take_columns(data: Any, columns: NDArray[np.int64]) -> Any:
    """Take columns of a frame, or entries along the last axis of an array, by position.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.data.arrays import take_columns
    >>> take_columns(np.array([[1, 2, 3], [4, 5, 6]]), np.array([0, 2]))
    array([[1, 3],
           [4, 6]])
    """
    data = _wrap(data)
    if isinstance(data, torch.Tensor):
        return data[..., _on(columns, data)]
    if isinstance(data, np.ndarray):
        return data[..., columns]
    return nw.to_native(data[:, columns.tolist()])


def positions(indices: NDArray[np.int64], data: Any) -> Any:
    """Give positions as a LongTensor if the data are a tensor, else as an array."""
    return _on(indices, data) if isinstance(data, torch.Tensor) else indices


def scale(values: Any, factors: NDArray[np.float64]) -> Any:
    """Multiply a vector of any kind by factors. A tensor keeps its dtype, device and gradient."""
    values = _wrap(values)
    if isinstance(values, torch.Tensor):
        dtype = values.dtype if values.is_floating_point() else torch.get_default_dtype()
        return values * torch.from_numpy(factors).to(values.device, dtype)
    if isinstance(values, np.ndarray):
        kept = values.dtype if np.issubdtype(values.dtype, np.floating) else np.float64
        return values * factors.astype(kept)
    return nw.to_native(values * nw.new_series("factor", factors, backend=values.implementation))


def as_columns(data: Any, argument: str) -> Columns:
    """Read data as numbers: numeric and boolean columns as they are, and indicators of labels.

    Parameters
    ----------
    data : tensor, array, frame or series
        Axes after the first are flattened into columns.
    argument : str
        The name of the data in error messages.

    Returns
    -------
    Columns
        A text, categorical or date column of a frame, or text in an array with one axis, becomes
        a column of zeros and ones for each of its levels. Missing values are a level.

    Raises
    ------
    InputError
        If a column has NaN, masked or infinite values, more than `LEVELS` levels, or another type.
        The message names the columns.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.arrays import as_columns
    >>> columns = as_columns(pa.table({"age": [40, 8], "sex": ["f", "m"]}), "data")
    >>> columns.names
    ['age', 'sex=f', 'sex=m']
    >>> columns.values
    array([[40.,  1.,  0.],
           [ 8.,  0.,  1.]])
    """
    source = _table_or_array(data, argument)
    if isinstance(source, pa.Table):
        parts = [_frame_column(source[name], name, argument) for name in source.column_names]
        columns = Columns(
            np.concatenate([np.empty((len(source), 0)), *(part.values for part in parts)], axis=1),
            [name for part in parts for name in part.names],
        )
    else:
        columns = _array_columns(source, argument)
    if not columns.values.size:
        raise InputError(f"`{argument}` is empty; pass at least one row and one column")
    bad = ~np.isfinite(columns.values).all(axis=0)
    if bad.any():
        names = [columns.names[column] for column in np.flatnonzero(bad)]
        raise InputError(
            f"`{argument}` is NaN or infinite in the columns {first_few(names)}; "
            "fill those values, or leave the rows or columns out"
        )
    return columns


def as_vector(values: Any, length: int, argument: str) -> NDArray[np.float64]:
    """Read a vector of numbers of a given length. True counts as 1.

    Raises
    ------
    InputError
        If the shape is another one, or if the values are not finite numbers.

    Examples
    --------
    >>> from l0.data.arrays import as_vector
    >>> as_vector([True, False, True], 3, "y")
    array([1., 0., 1.])
    """
    found = shape(values, argument)
    if found != (length,):
        raise InputError(f"`{argument}` has shape {found}; pass {length:,} numbers")
    source = _table_or_array(values, argument)
    if isinstance(source, pa.Table) and not is_number(kind := source.column(0).type):
        raise InputError(f"`{argument}` has the type {kind}, not numbers; convert it")
    return as_columns(source, argument).values[:, 0]


def _wrap(data: Any, argument: str = "data") -> Any:
    if isinstance(data, (torch.Tensor, np.ndarray)):
        return data
    try:
        return wrap_frame(data, argument, allow_series=True)
    except TypeError:
        pass
    try:
        return np.asarray(data)
    except (TypeError, ValueError, RuntimeError) as error:  # such as rows of different lengths
        raise InputError(
            f"`{argument}` cannot become an array ({error}); pass rows of the same length, or a "
            "frame"
        ) from None


def _table_or_array(data: Any, argument: str) -> pa.Table | torch.Tensor | NDArray[Any]:
    """Convert frames, series and text to an Arrow table. Arrays of numbers stay as they are."""
    wrapped = _wrap(data, argument)
    if isinstance(wrapped, np.ndarray) and wrapped.dtype.kind in "OUST":
        if wrapped.ndim != 1:
            raise InputError(
                f"`{argument}` is an array of {wrapped.dtype}; pass numbers, or a frame"
            )
        try:
            return pa.table({argument: pa.array(wrapped.tolist())})
        except (pa.ArrowException, OverflowError):
            raise InputError(
                f"`{argument}` has mixed or unknown types; convert its values to one type"
            ) from None
    if isinstance(wrapped, nw.Series):
        wrapped = wrapped.to_frame()
    if isinstance(wrapped, nw.DataFrame):
        return read_table(nw.to_native(wrapped), argument, ignore_index=True)[0]
    return wrapped


def _on(indices: NDArray[np.int64], tensor: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(indices).to(tensor.device)


def _array_columns(array: Any, argument: str) -> Columns:
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = array.numpy() if array.is_complex() else array.double().numpy()
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise InputError(
            f"`{argument}` is an array of {array.dtype} with {array.ndim} axes; "
            "pass real numbers with a row for each item"
        )
    p = int(np.prod(array.shape[1:]))
    numbers = np.asarray(array).reshape(len(array), p).astype(np.float64)
    if np.ma.is_masked(array):  # as in `real_numbers`: a masked number is missing
        numbers[np.ma.getmaskarray(array).reshape(numbers.shape)] = np.nan
    return Columns(numbers, [f"column {j}" for j in range(p)])


def _frame_column(column: pa.ChunkedArray, name: str, argument: str) -> Columns:
    if is_number(column.type):
        return Columns(as_numbers(column)[:, None], [name])
    if not is_label(column.type):
        raise InputError(
            f"`{argument}` has the column {name!r} of type {column.type}; convert it to numbers or "
            "text, or leave it out of `fit`"
        )
    codes, levels = encode_with_null(column)
    if len(levels) > LEVELS:
        raise InputError(
            f"`{argument}` has the column {name!r} with {len(levels):,} levels, and at most "
            f"{LEVELS} become indicators; encode it as numbers, or leave it out of `fit`"
        )
    indicators = codes[:, None] == np.arange(len(levels))
    return Columns(indicators.astype(np.float64), [f"{name}={level}" for level in levels])
