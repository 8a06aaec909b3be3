"""Frames in and frames out: pandas, polars, pyarrow or a file; Arrow tables inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from l0.errors import InputError, closest

Kind = Literal["pandas", "polars", "pyarrow"]


def read_table(
    source: Any, argument: str, column_types: dict[str, pa.DataType] | None = None
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
        text, so that codes like ``01`` keep their zero. Without it types are inferred.

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
        When the file is empty or unreadable, the frame has no rows or a repeated column
        name, or `source` is of another type.
    """
    if isinstance(source, (str, os.PathLike)):
        table, kind = _read_file(Path(source), argument, column_types), "pyarrow"
    else:
        table, kind = _read_frame(source, argument)
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if repeated:
        raise InputError(f"`{argument}` has the column {repeated[0]!r} more than once; rename one")
    if table.num_rows == 0:
        raise InputError(f"`{argument}` has no rows; pass at least one")
    return table, kind  # type: ignore[return-value]


def native(table: pa.Table, kind: Kind | str) -> Any:
    """Give an Arrow table as a frame of the wanted kind (see `read_table`)."""
    return nw.from_arrow(table, backend=kind).to_native() if kind != "pyarrow" else table


def column(table: pa.Table, name: str, argument: str, meaning: str) -> pa.ChunkedArray:
    """Take a column by name, or say which columns there are."""
    if name not in table.column_names:
        raise InputError(
            f"`{argument}` has no column {name!r} to use as {meaning}; "
            f"{closest(name, table.column_names)}"
        )
    return table.column(name)


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be added up."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def as_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Take a numeric column as float64; nulls read NaN."""
    return np.ascontiguousarray(pc.cast(values, pa.float64()).to_numpy())


def dictionary(values: pa.ChunkedArray) -> tuple[pa.Array, pa.Array]:
    """Code a column: an int32 code a row (null where the value is), and the levels in use."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    coded = values.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    return coded.indices, coded.dictionary


def as_text(values: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """Write values as labels: 2012 and 2012.0 both read ``2012``; NaN and empty text read None."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_floating(values.type):
        return [
            None if x is None or x != x else str(int(x)) if x == int(x) else repr(x)
            for x in values.to_pylist()
        ]
    return [text or None for text in pc.cast(values, pa.string()).to_pylist()]


def _read_frame(source: Any, argument: str) -> tuple[pa.Table, Kind]:
    try:
        frame = nw.from_native(source, eager_only=True)
    except TypeError:
        raise InputError(
            f"`{argument}` is a {type(source).__name__}; pass a pandas, polars or pyarrow table "
            "(collect a lazy one first), or the path of a .parquet or .csv file"
        ) from None
    try:
        table = frame.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"`{argument}` has a column that mixes types: {error.args[0]}; make each column one type"
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


def _read_file(path: Path, argument: str, column_types: dict[str, pa.DataType] | None) -> pa.Table:
    if not path.exists():
        raise FileNotFoundError(f"`{argument}`: there is no file {str(path)!r}")
    if path.is_dir():
        raise InputError(f"`{argument}`: {str(path)!r} is a folder; pass a .parquet or .csv file")
    if path.stat().st_size == 0:
        raise InputError(f"`{argument}`: the file {str(path)!r} is empty")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        if suffixes[-1:] in ([".parquet"], [".pq"]):
            return pa.parquet.read_table(path)
        if suffixes[-1:] == [".csv"] or suffixes[-2:] == [".csv", ".gz"]:
            return _read_csv(path, column_types)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InputError(f"`{argument}`: cannot read {str(path)!r}: {error}") from None
    raise InputError(f"`{argument}`: {str(path)!r} is neither a .parquet nor a .csv file")


def _read_csv(path: Path, column_types: dict[str, pa.DataType] | None) -> pa.Table:
    if column_types is None:
        return pa.csv.read_csv(path)
    with pa.csv.open_csv(path) as head:
        names = head.schema.names
    types = {name: column_types.get(name, pa.string()) for name in names}
    return pa.csv.read_csv(
        path, convert_options=pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    )
