"""Convert frames (pandas, polars, pyarrow) and files to Arrow tables, and tables to frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeGuard, TypeVar, cast, get_args

import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.common.errors import InputError, closest, first_few
from l0.data.codings import without_missing_codes
from l0.data.columns import Unreadable, check_unique, unreadable
from l0.data.locations import locate
from l0.data.pandas_index import with_named_index, without_unnamed_index
from l0.data.readers import AGAIN, READ, reader_of
from l0.data.readers.parquet_files import read_folder

Kind = Literal["pandas", "polars", "pyarrow"]
#: The frames of a result, of the kind of the records or of the kind that was asked for.
FrameT = TypeVar("FrameT")
#: Another table that is returned in its own kind.
TableT = TypeVar("TableT")


def is_path(source: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Tell whether a source is the path of a file and not a frame."""
    return isinstance(source, (str, os.PathLike))


def is_frame(source: Any) -> bool:
    """Tell whether a source is a frame of pandas, polars or pyarrow, or a lazy one."""
    try:
        wrapped = nw.from_native(source, pass_through=True)
    except nw.exceptions.DuplicateError:  # a frame that repeats the name of a column
        return True
    return isinstance(wrapped, (nw.DataFrame, nw.LazyFrame))


def checked_kind(kind: Kind | None, default: Kind) -> Kind:
    """Check a kind of frame. None means the default."""
    if kind is None:
        return default
    if kind not in get_args(Kind):
        raise InputError(f"`kind` is {kind!r}; pass one of {first_few(get_args(Kind))}")
    return kind


def read_table(
    source: Any,
    argument: str,
    column_types: dict[str, pa.DataType] | None = None,
    key: str | None = None,
    *,
    ignore_index: bool = False,
) -> tuple[pa.Table, Kind]:
    """Read a frame or a file as an Arrow table.

    Parameters
    ----------
    source : pandas.DataFrame, polars.DataFrame, pyarrow.Table, str or Path
        The frame (see `collected` for others), or the path of a file (see `READERS`).
    argument : str
        The name of the source in error messages.
    column_types : dict, optional
        For a CSV file: the types of columns. All other columns are then read as text. Without
        it, types are inferred, and a column of codes that a number would change stays text: codes
        with a leading zero (``01``, ``05.10``, ``0x1F``), or with more digits than a number can
        have.
    key : str, optional
        For a CSV file: the column that identifies rows. It also stays text if its cells are not
        all whole numbers (``5.10``, ``12E1``).
    ignore_index : bool
        Whether to take the columns of a frame exactly as they are. By default, the index of pandas
        counts as in `pandas_index`: its named parts are columns, and the others are not, even if a
        file or an Arrow table stores them as columns.

    Returns
    -------
    table : pyarrow.Table
        A column that Arrow cannot hold, or take rows of, is `Unreadable`, which is no label, no
        number and no key, so that it stops nobody who does not use it.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the source, for `native`. The kind of a file is pyarrow.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    InputError
        If the file is empty or unreadable, if a cell has the wrong type, if the frame has no rows
        or a repeated column name, or if `source` has another type.

    Examples
    --------
    >>> import pandas as pd
    >>> from l0.data.tables import read_table
    >>> table, kind = read_table(pd.DataFrame({"id": [1, 2]}), "records")
    >>> table.column_names, kind
    (['id'], 'pandas')
    """
    if is_path(source):
        table, kind = read_file(source, argument, column_types, key), "pyarrow"
    else:
        table, kind = _read_frame(source, argument, ignore_index)
    if not ignore_index:
        table = without_unnamed_index(table)
    if table.num_rows == 0:
        raise InputError(f"`{argument}` has no rows; pass at least one")
    return with_rows(table), kind  # type: ignore[return-value]


def with_rows(table: pa.Table) -> pa.Table:
    """Replace the columns that Arrow cannot take rows of: by other text, or by `Unreadable`.

    Dictionaries of parts may need a larger type of codes together than each of them alone.
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):  # Arrow cannot take rows of this type yet
            table = table.set_column(place, field.name, table[place].cast(pa.large_string()))
        elif pa.types.is_dictionary(field.type):
            values = _with_room(table[place])
            table = table.set_column(place, field.with_type(values.type), values)
        elif not _takes_rows(table[place]):
            table = table.set_column(place, field.name, unreadable(f"{field.type}", len(table)))
    return table


def native(table: pa.Table, kind: Kind | str) -> Any:
    """Convert an Arrow table to a frame of a kind (see `read_table`)."""
    if kind == "pyarrow":
        return table
    try:
        return nw.from_arrow(table, backend=cast(Kind, kind)).to_native()
    except ModuleNotFoundError:
        raise ImportError(f"{kind} frames need {kind}: pip install {kind}") from None


def checked_name(name: Any, argument: str) -> str:
    """Check that an argument is the name of a column, and not the column itself."""
    if not isinstance(name, str):
        raise InputError(f"`{argument}` is a {type(name).__name__}; pass the name of a column")
    return str.__str__(name)  # text of numpy becomes that of Python


def column(table: pa.Table, name: str, argument: str, meaning: str) -> pa.ChunkedArray:
    """Take a column by name. An unknown name is an error that lists the closest columns."""
    if name not in table.column_names:
        raise InputError(
            f"`{argument}` has no column {name!r} to use as {meaning}; "
            f"{closest(name, table.column_names)}"
        )
    return table.column(name)


def wrap_frame(source: Any, argument: str, allow_series: bool = False) -> Any:
    """Convert a frame, or a series if `allow_series` is true, to narwhals.

    Raises
    ------
    TypeError
        If the source is neither.
    InputError
        If the source repeats a column name.
    """
    try:
        return nw.from_native(source, eager_only=True, allow_series=allow_series)  # type: ignore[call-overload]
    except nw.exceptions.DuplicateError:
        names = source.column_names if isinstance(source, pa.Table) else source.columns
        check_unique([str(name) for name in names], argument)
        raise


def is_lazy(source: Any) -> bool:
    """Tell whether a source is lazy: of polars, a relation of DuckDB, or a data set of pyarrow."""
    if type(source).__module__ == "pyarrow._dataset":
        return True
    try:
        return isinstance(nw.from_native(source, pass_through=True), nw.LazyFrame)
    except nw.exceptions.DuplicateError:  # an eager frame, whose names are checked when it is read
        return False


def collected(source: Any) -> Any:
    """Collect a lazy frame: of polars, a relation of DuckDB, or a data set of pyarrow.

    Any other source is returned as it is. A lazy frame of polars becomes one of polars, and all
    others a pyarrow table.
    """
    if not is_lazy(source):
        return source
    if type(source).__module__ == "pyarrow._dataset":
        return source.to_table()
    return nw.from_native(source).collect().to_native()


def _read_frame(source: Any, argument: str, ignore_index: bool) -> tuple[pa.Table, Kind]:
    source = collected(source)
    try:
        frame = wrap_frame(source, argument)
    except TypeError:
        raise InputError(
            f"`{argument}` is a {type(source).__name__}; pass a pandas, polars or pyarrow table, "
            "or the path of a file, such as .parquet, .csv, .dta, .sav or .xlsx"
        ) from None
    # 0 and "0" are two names in pandas.
    check_unique([str(name) for name in frame.columns], argument)
    frame = nw.maybe_reset_index(frame) if ignore_index else with_named_index(frame)
    names = [str(name) for name in frame.columns]
    table = _as_arrow(frame)
    if table.column_names != names:
        table = table.rename_columns(names)
    implementation = frame.implementation
    kind = (
        "pandas"
        if implementation.is_pandas()
        else "polars"
        if implementation.is_polars()
        else "pyarrow"
    )
    return table, kind  # type: ignore[return-value]


def _as_arrow(frame: nw.DataFrame[Any]) -> pa.Table:
    """Convert a frame to an Arrow table: as a whole if possible, else column by column."""
    # For columns of objects, polars would return addresses in memory.
    objects = frame.implementation.is_polars() and nw.Object in frame.schema.values()
    if not objects:
        try:
            return frame.to_arrow()
        except Exception:  # the kind of error depends on the type of the column
            pass
    columns: dict[str, Any] = {}
    for name in frame.columns:
        columns[str(name)] = _column_as_arrow(frame, name)
    return pa.table(columns)


def _column_as_arrow(frame: nw.DataFrame[Any], name: str) -> pa.ChunkedArray | pa.ExtensionArray:
    column = frame[name]
    what = str(getattr(column.to_native(), "dtype", column.dtype))
    if frame.implementation.is_polars() and column.dtype == nw.Object:
        return unreadable(what, len(frame))
    try:
        return frame.select(name).to_arrow().column(0)
    except Exception as error:  # as above
        why = error.args[0] if error.args else type(error).__name__
        return unreadable(f"{what} ({why})", len(frame))


def _with_room(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Widen the codes of dictionaries that do not fit into their type together."""
    try:
        values.unify_dictionaries()
    except pa.ArrowInvalid:
        return pa.chunked_array(
            pa.DictionaryArray.from_arrays(
                chunk.indices.cast(pa.int32()), chunk.dictionary, ordered=values.type.ordered
            )
            for chunk in values.chunks
        )
    except pa.ArrowNotImplementedError:  # nested values, which are no labels
        pass
    return values


def _takes_rows(values: pa.ChunkedArray) -> bool:
    if isinstance(values.type, Unreadable):
        return True
    try:
        values.slice(0, 0).take(pa.array([], pa.int64()))
    except pa.ArrowNotImplementedError:
        return False
    return True


def take_rows(source: TableT, rows: NDArray[np.int64]) -> TableT:
    """Take rows of a frame by position, of all its columns, also those that no Arrow table holds.

    Parameters
    ----------
    source : pandas.DataFrame, polars.DataFrame or pyarrow.Table
    rows : ndarray of int64, shape (k,)

    Returns
    -------
    frame
        Of the kind that came in; rows of a pandas frame keep their index.
    """
    if isinstance(source, pa.Table):
        columns = [take_values(values, rows) for values in source.columns]
        fields = [
            field.with_type(values.type)
            for field, values in zip(source.schema, columns, strict=True)
        ]
        schema = pa.schema(fields, metadata=source.schema.metadata)
        return cast(TableT, pa.Table.from_arrays(columns, schema=schema))
    frame = nw.from_native(source, eager_only=True)  # type: ignore[call-overload]
    return cast(TableT, nw.to_native(frame[rows.tolist()]))


def take_values(values: pa.ChunkedArray, rows: NDArray[np.int64]) -> pa.ChunkedArray:
    """Take values of an Arrow column of any type by position."""
    if pa.types.is_dictionary(values.type):
        values = _with_room(values)
    if _takes_rows(values):
        return values.take(pa.array(rows))
    # Adjacent positions are taken in one piece.
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []
    pieces = [chunk for run in runs for chunk in values.slice(run[0], len(run)).chunks]
    return pa.chunked_array([pa.concat_arrays(pieces)] if pieces else [], values.type)


def take_weighted_rows(
    source: TableT,
    rows: NDArray[np.int64],
    name: str,
    values: NDArray[Any],
    without: Sequence[str] = (),
) -> TableT:
    """Take rows of a frame with new row numbers, and append or replace a column.

    Named parts of a pandas index, such as the key, become columns. The columns in `without` are
    left out. Names are those of `read_table`, which are text: "0" is the column 0 of a pandas
    frame.
    """
    frame = with_named_index(nw.from_native(source, eager_only=True))
    own = {str(column): column for column in frame.columns}
    frame = frame.drop([own[column] for column in without])
    taken = nw.from_native(take_rows(nw.to_native(frame), rows))
    taken = nw.maybe_reset_index(taken)
    weights = nw.new_series(own.get(name, name), values, backend=taken.implementation)
    return cast(TableT, nw.to_native(taken.with_columns(weights)))


def read_file(
    source: str | os.PathLike[str],
    argument: str,
    column_types: dict[str, pa.DataType] | None = None,
    key: str | None = None,
    keep_codes: bool = False,
) -> pa.Table:
    """Read a file as `read_table` does, without a conversion of its columns.

    Missing codes of Stata, SPSS and SAS are nulls, unless `keep_codes` is true.
    """
    location = locate(source)
    path, shown = location.path, str(location)
    if not path.exists():
        raise FileNotFoundError(f"`{argument}`: there is no file {str(path)!r}")
    if not path.is_dir() and path.stat().st_size == 0:
        raise InputError(f"`{argument}`: the file {str(path)!r} is empty; write it again")
    found = (read_folder, AGAIN) if path.is_dir() else reader_of(location)
    if found is None:
        raise InputError(
            f"`{argument}`: the suffix of {str(path)!r} is none of {', '.join(READ)}; convert it"
        )
    read, advice = found
    try:
        table = read(location, argument, column_types, key)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeError) as error:
        raise InputError(f"`{argument}`: cannot read {shown!r}: {error}; {advice}") from None
    return table if keep_codes else without_missing_codes(table)
