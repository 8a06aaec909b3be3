"""Frames in and frames out: pandas, polars, pyarrow or a file; Arrow tables inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeGuard, TypeVar, cast, get_args

import narwhals as nw
import pyarrow as pa

from l0.common.errors import InputError, closest, first_few
from l0.data.columns import check_unique
from l0.data.readers import READERS, reader_of

Kind = Literal["pandas", "polars", "pyarrow"]
#: The frames of a result: of the kind that the records had, or that was asked for.
FrameT = TypeVar("FrameT")
#: Any other table that comes in and goes out.
TableT = TypeVar("TableT")


def is_path(source: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether a source is the path of a file, not a frame."""
    return isinstance(source, (str, os.PathLike))


def checked_kind(kind: Kind | None, default: Kind) -> Kind:
    """Take a kind of frame that was asked for, or the default where none was."""
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
) -> tuple[pa.Table, Kind]:
    """Take a frame or a file as an Arrow table.

    Parameters
    ----------
    source : pandas.DataFrame, polars.DataFrame, pyarrow.Table, str or Path
        The frame, or the path of a ``.parquet`` or ``.csv`` file (``.csv.gz`` too).
    argument : str
        What the caller calls it; error messages name it.
    column_types : dict, optional
        For a CSV file: the type of each named column; every other column is then read as
        text. Without it types are inferred, and a column with codes that a number would change
        stays text: with a leading zero (``01``, ``05.10``, ``0x1F``), or of more digits than
        the number holds.
    key : str, optional
        For a CSV file: the column that tells rows apart. It stays text too where it holds
        anything but whole numbers (``5.10``, ``12E1``).

    Returns
    -------
    table : pyarrow.Table
    kind : {"pandas", "polars", "pyarrow"}
        The kind that came in, for `native`. Files count as pyarrow.

    Raises
    ------
    FileNotFoundError
        When the path does not exist.
    InputError
        When the file is empty or unreadable, a cell is not of the type it must be, the frame
        has no rows or a repeated column name, or `source` is of another type.
    """
    if is_path(source):
        table, kind = _read_file(Path(source), argument, column_types, key), "pyarrow"
    else:
        table, kind = _read_frame(source, argument)
    if table.num_rows == 0:
        raise InputError(f"`{argument}` has no rows; pass at least one")
    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):  # Arrow cannot take rows of it yet
            table = table.set_column(place, field.name, table[place].cast(pa.large_string()))
    return table, kind  # type: ignore[return-value]


def native(table: pa.Table, kind: Kind | str) -> Any:
    """Give an Arrow table as a frame of the wanted kind (see `read_table`)."""
    if kind == "pyarrow":
        return table
    try:
        return nw.from_arrow(table, backend=cast(Kind, kind)).to_native()
    except ModuleNotFoundError:
        raise ImportError(f"{kind} frames need {kind}: pip install {kind}") from None


def column(table: pa.Table, name: str, argument: str, meaning: str) -> pa.ChunkedArray:
    """Take a column by name, or say which columns there are."""
    if name not in table.column_names:
        raise InputError(
            f"`{argument}` has no column {name!r} to use as {meaning}; "
            f"{closest(name, table.column_names)}"
        )
    return table.column(name)


def wrap_frame(source: Any, argument: str, allow_series: bool = False) -> Any:
    """Take a frame, or a series where that will do, as narwhals does.

    Raises
    ------
    TypeError
        Where it is neither.
    InputError
        Where it repeats a column name.
    """
    try:
        return nw.from_native(source, eager_only=True, allow_series=allow_series)  # type: ignore[call-overload]
    except nw.exceptions.DuplicateError:
        names = source.column_names if isinstance(source, pa.Table) else source.columns
        check_unique([str(name) for name in names], argument)
        raise


def _read_frame(source: Any, argument: str) -> tuple[pa.Table, Kind]:
    try:
        frame = wrap_frame(source, argument)
    except TypeError:
        raise InputError(
            f"`{argument}` is a {type(source).__name__}; pass a pandas, polars or pyarrow table "
            "(collect a lazy one first), or the path of a .parquet or .csv file"
        ) from None
    try:
        table = nw.maybe_reset_index(frame).to_arrow()  # pandas' index is no column
    except (pa.ArrowException, OverflowError, TypeError) as error:
        raise InputError(
            f"`{argument}` has a column of mixed or unknown types "
            f"({'; '.join(map(str, error.args))}); make each column one type"
        ) from None
    implementation = frame.implementation
    kind = (
        "pandas"
        if implementation.is_pandas()
        else "polars"
        if implementation.is_polars()
        else "pyarrow"
    )
    return table, kind  # type: ignore[return-value]


def _read_file(
    path: Path, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    if not path.exists():
        raise FileNotFoundError(f"`{argument}`: there is no file {str(path)!r}")
    if path.is_dir():
        raise InputError(f"`{argument}`: {str(path)!r} is a folder; pass a .parquet or .csv file")
    if path.stat().st_size == 0:
        raise InputError(f"`{argument}`: the file {str(path)!r} is empty; write it again")
    found = reader_of(path)
    if found is None:
        raise InputError(f"`{argument}`: {str(path)!r} is none of {', '.join(READERS)}; convert it")
    read, advice = found
    try:
        return read(path, argument, column_types, key)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"`{argument}`: cannot read {str(path)!r}: {error}; {advice}") from None
