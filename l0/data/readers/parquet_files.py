"""Parquet files and folders of them, which contain the types of their columns."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet

from l0.common.errors import InputError, first_few
from l0.data.columns import check_unique
from l0.data.locations import Location, options_of
from l0.data.pandas_index import with_named_range, without_unnamed_index

#: Parts of a folder whose names begin with one of these are no data, such as ``_SUCCESS``.
HIDDEN = ("_", ".")
#: The value of a partition without one.
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def read_parquet(
    location: Location, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a parquet file. It contains the types of its columns."""
    options_of(location, argument, ())
    return with_named_range(checked_parquet(location.path))


def checked_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file whose pages are as their checksums say, if it has checksums."""
    return pa.parquet.ParquetFile(path, page_checksum_verification=True).read(columns=columns)


def parts_of(folder: Path) -> list[Path]:
    """List the files of a folder of parquet parts, in the order of their names."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.startswith(HIDDEN) for part in path.relative_to(folder).parts)
    )


def read_folder(
    location: Location, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a folder of parquet parts as one table, in the order of the names of the parts.

    A folder inside that is named like ``year=2020`` is a column of text. Signs such as ``%20`` in
    its name are decoded.

    Raises
    ------
    InputError
        If there are no parts, if other files are among them, or if a part has other columns or
        another type of a column than the first part.
    """
    options_of(location, argument, ())
    folder = location.path
    paths = parts_of(folder)
    others = [path.name for path in paths if path.suffix.lower() not in (".parquet", ".pq")]
    if others or not paths:
        has = f"has other files ({first_few(others)})" if others else "has no parquet files"
        raise InputError(
            f"`{argument}`: {str(folder)!r} is a folder that {has}; name a file, or a folder of "
            ".parquet files alone"
        )
    parts = [_read_part(path, folder) for path in paths]
    first = parts[0].schema
    for path, part in zip(paths, parts, strict=True):
        check_unique(part.schema.names, argument)
        names = sorted(set(first.names) ^ set(part.schema.names))
        changed = [
            f"{field.name} ({field.type}, then {part.schema.field(field.name).type})"
            for field in first
            if not names and field.type != part.schema.field(field.name).type
        ]
        if names or changed:
            what = (
                f"lacks or adds the columns {first_few(names)}"
                if names
                else (f"changes the type of the columns {first_few(changed)}")
            )
            raise InputError(
                f"`{argument}`: the part {path.name!r} of {str(folder)!r} {what}, compared with "
                f"{paths[0].name!r}; write all parts alike"
            )
    return pa.concat_tables([part.select(first.names) for part in parts])


def _read_part(path: Path, folder: Path) -> pa.Table:
    # Some parts may have a pandas index without a name, and others row numbers alone.
    table = without_unnamed_index(with_named_range(checked_parquet(path)))
    for parent in path.relative_to(folder).parts[:-1]:
        name, equals, value = (unquote(text) for text in parent.partition("="))
        if equals:
            values = [None if value == NO_VALUE else value] * len(table)
            table = table.append_column(name, pa.array(values, pa.string()))
    return table
