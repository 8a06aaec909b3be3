"""Frames in and frames out: pandas, polars, pyarrow or a file; Arrow tables inside."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, Literal, cast

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from l0.errors import InputError, closest, first_few

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
        text. Without it types are inferred, and codes like ``01`` stay text.

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


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type can be added up."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_label(kind: pa.DataType) -> bool:
    """Whether a column of this type can be written as text, to tell groups of rows apart."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        is_text(kind)
        or is_number(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_time(kind)
        or pa.types.is_null(kind)
    )


def as_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Take a numeric column as float64; nulls read NaN, and integers over 2^53 are rounded."""
    return np.ascontiguousarray(pc.cast(values, pa.float64(), safe=False).to_numpy())


def known_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Take a numeric column as float64, 0 where a number is null, NaN or infinite."""
    return np.nan_to_num(as_numbers(values), nan=0.0, posinf=0.0, neginf=0.0)


def plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One array in place of chunks, dictionaries decoded, so that values compare by value."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values


def as_text(values: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """Write values as labels; NaN and empty text read None.

    One value reads the same whatever type holds it: 2012, 2012.0 and the decimal 2012.00 all
    read ``2012``, and midnight reads as its date.
    """
    values = plain(values)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    texts = values.cast(pa.string())
    if pa.types.is_timestamp(values.type):
        texts = pc.replace_substring_regex(texts, r"( 00:00:00)?(\.0+)?$", "")
    if pa.types.is_floating(values.type):
        special = {"nan": None, "-0": "0"}
        return [special.get(text, text) for text in texts.to_pylist()]
    return [text or None for text in texts.to_pylist()]


def as_level(text: str, kind: pa.DataType) -> str:
    """Write a label that is asked for in the way `as_text` writes a column of this type.

    ``2012.0`` asks for 2012 where the column holds numbers, and ``True`` for true.
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for wanted in (kind, pa.float64()) if is_number(kind) else (kind,):
        try:
            return as_text(pa.array([text]).cast(wanted))[0] or text
        except pa.ArrowException:
            continue  # not written like a value of this type
    return text


def encode(values: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Code a column of labels.

    Returns
    -------
    codes : ndarray of int64
        Index into `levels`; -1 where the value is null, NaN or empty text.
    levels : list of str
        The levels in use, sorted, whatever order the rows have.
    """
    coded = plain(values).dictionary_encode()
    texts = as_text(coded.dictionary)
    levels = sorted({text for text in texts if text is not None})
    place: dict[str | None, int] = {level: code for code, level in enumerate(levels)}
    # Two values may share a text (0.0 and -0.0); the extra entry at the end is for nulls.
    recode = np.array([place.get(text, -1) for text in [*texts, None]], dtype=np.int64)
    return recode[coded.indices.fill_null(len(texts)).to_numpy()], levels


def _read_frame(source: Any, argument: str) -> tuple[pa.Table, Kind]:
    try:
        frame = nw.from_native(source, eager_only=True)
    except TypeError:
        raise InputError(
            f"`{argument}` is a {type(source).__name__}; pass a pandas, polars or pyarrow table "
            "(collect a lazy one first), or the path of a .parquet or .csv file"
        ) from None
    except nw.exceptions.DuplicateError:
        names = source.column_names if isinstance(source, pa.Table) else source.columns
        _check_unique([str(name) for name in names], argument)
        raise
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


def _read_file(path: Path, argument: str, column_types: dict[str, pa.DataType] | None) -> pa.Table:
    if not path.exists():
        raise FileNotFoundError(f"`{argument}`: there is no file {str(path)!r}")
    if path.is_dir():
        raise InputError(f"`{argument}`: {str(path)!r} is a folder; pass a .parquet or .csv file")
    if path.stat().st_size == 0:
        raise InputError(f"`{argument}`: the file {str(path)!r} is empty; write it again")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    try:
        if suffixes[-1:] in ([".parquet"], [".pq"]):
            return pa.parquet.ParquetFile(path).read()
        if suffixes[-1:] == [".csv"] or suffixes[-2:] == [".csv", ".gz"]:
            return _read_csv(path, argument, column_types)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise InputError(f"`{argument}`: cannot read {str(path)!r}: {error}") from None
    raise InputError(
        f"`{argument}`: {str(path)!r} is neither a .parquet nor a .csv file; convert it"
    )


def _read_csv(path: Path, argument: str, column_types: dict[str, pa.DataType] | None) -> pa.Table:
    with pa.csv.open_csv(path) as head:
        names = head.schema.names
    _check_unique(names, argument)
    if column_types is not None:
        return _read_typed(path, {name: column_types.get(name, pa.string()) for name in names})
    table = pa.csv.read_csv(path)
    not_text = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if not_text:
        raise InputError(
            f"`{argument}`: columns {first_few(not_text)} of {str(path)!r} are not UTF-8 text; "
            "save the file as UTF-8"
        )
    whole = [field.name for field in table.schema if pa.types.is_integer(field.type)]
    if whole:
        texts = _read_typed(path, dict.fromkeys(whole, pa.string()))
        for name in whole:
            if pc.any(pc.match_substring_regex(texts[name], r"^0\d")).as_py():
                table = table.set_column(names.index(name), name, texts[name])
    return table


def _read_typed(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    """Read some columns as what they are said to be; only an empty cell is null (NA is a code)."""
    options = pa.csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=True,
    )
    return pa.csv.read_csv(path, convert_options=options)


def _check_unique(names: list[str], argument: str) -> None:
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise InputError(
            f"`{argument}` has the columns {first_few(repeated)} more than once; rename all but one"
        )
