"""Which parts of a pandas index are columns: those with a name, in a frame and in its file alike.

pandas stores its index in parquet and feather files: as columns, or, if it is a range of numbers,
in the metadata alone. A part with a name is a column like any other, since it may well be the key.
A part without a name only numbers the rows, and its column in a file, such as
``__index_level_0__``, is none of the data.

In CSV files, pandas and R write row numbers as a first column whose name is empty, and pandas reads
it as ``Unnamed: 0``.
"""

from __future__ import annotations

import json
import re
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from l0.common.errors import SHOWN, InputError, first_few
from l0.data.columns import as_text, is_label

#: How pandas names a part of an index without a name in a file.
_UNNAMED = re.compile(r"__index_level_\d+__")
#: A column without a name, as it stands in a file and as pandas reads it.
_NAMELESS = re.compile(r"\s*|Unnamed: \d+(\.\d+)?")


def unnamed_index(schema: pa.Schema) -> list[str]:
    """List the columns that pandas would restore as parts of an index without a name.

    Examples
    --------
    >>> import pandas as pd
    >>> import pyarrow as pa
    >>> from l0.data.pandas_index import unnamed_index
    >>> frame = pd.DataFrame({"x": [0.5, 1.5]}, index=[9, 7])
    >>> unnamed_index(pa.Table.from_pandas(frame).schema)
    ['__index_level_0__']
    >>> unnamed_index(pa.Table.from_pandas(frame.rename_axis("id")).schema)
    []
    """
    return [
        part
        for part in _parts(schema)
        if isinstance(part, str) and _UNNAMED.fullmatch(part) and part in schema.names
    ]


def without_unnamed_index(table: pa.Table) -> pa.Table:
    """Leave out the columns of `unnamed_index`."""
    return table.drop_columns(unnamed_index(table.schema))


def is_nameless(name: str) -> bool:
    """Tell whether a column of a file has no name.

    Examples
    --------
    >>> from l0.data.pandas_index import is_nameless
    >>> [is_nameless(name) for name in ("", "Unnamed: 0", "unnamed")]
    [True, True, False]
    """
    return _NAMELESS.fullmatch(name) is not None


def without_row_numbers(table: pa.Table, argument: str) -> pa.Table:
    """Leave out columns without a name that number the rows, from 0 or from 1, or that are empty.

    Raises
    ------
    InputError
        If another column has no name. The message shows its first values.
    """
    nameless, n = [name for name in table.column_names if is_nameless(name)], table.num_rows
    for name in nameless:
        values = table.column(name)
        found = as_text(values) if is_label(values.type) else [str(values.type)] * n
        counts = ([str(row) for row in range(first, first + n)] for first in (0, 1))
        if found not in (*counts, [None] * n):
            raise InputError(
                f"`{argument}` have a column without a name ({first_few(found[:SHOWN], n)}); name "
                "it, or drop it (`to_csv(index=False)` of pandas writes none)"
            )
    return table.drop_columns(nameless)


def named_range(schema: pa.Schema, n_rows: int) -> tuple[str, range] | None:
    """Find the name and the numbers of an index that a file has in its metadata alone.

    None means that there is no such index, that it has no name or that of a column, or that the
    file has another number of rows: pandas does not restore the index of other rows either.
    """
    for part in _parts(schema):
        if not isinstance(part, dict) or part.get("kind") != "range":
            continue
        name, ends = part.get("name"), [part.get(end) for end in ("start", "stop", "step")]
        start, stop, step = (end if isinstance(end, int) else 0 for end in ends)
        if isinstance(name, str) and name not in schema.names and step != 0:
            numbers = range(start, stop, step)
            return (name, numbers) if len(numbers) == n_rows else None
    return None


def with_named_range(table: pa.Table) -> pa.Table:
    """Append the column of `named_range`, if there is one.

    This is for a table as it stands in a file. Its metadata says nothing of other rows.
    """
    if (found := named_range(table.schema, len(table))) is None:
        return table
    name, numbers = found
    table = table.append_column(name, as_array(numbers))
    return table.replace_schema_metadata(without_range(table.schema).metadata)


def without_range(schema: pa.Schema) -> pa.Schema:
    """Remove what the metadata say of an index that is a column now."""
    described = {**schema.pandas_metadata, "index_columns": []}
    return schema.with_metadata({**schema.metadata, b"pandas": json.dumps(described).encode()})


def as_array(numbers: range) -> pa.Array:
    """Make the column of a range."""
    return pa.array(np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64))


def index_of(source: Any) -> Any:
    """Take the index of a frame or a series of pandas. All else has none, which is None."""
    try:
        wrapped = nw.from_native(source, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError:  # refused where the frame is read
        return None
    eager = isinstance(wrapped, (nw.DataFrame, nw.Series))
    return nw.maybe_get_index(wrapped) if eager else None


def with_named_index(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Replace the index of a pandas frame by row numbers, and append its named parts as columns.

    As in a file that pandas writes, a part with the name of a column is left out. Any other frame
    is returned as it is.

    Examples
    --------
    >>> import narwhals as nw
    >>> import pandas as pd
    >>> from l0.data.pandas_index import with_named_index
    >>> frame = pd.DataFrame({"x": [0.5, 1.5]}, index=pd.Index([7, 9], name="id"))
    >>> with_named_index(nw.from_native(frame)).columns
    ['x', 'id']
    """
    index = nw.maybe_get_index(frame)
    plain = nw.maybe_reset_index(frame)
    if index is None:
        return plain
    taken = {str(name) for name in frame.columns}
    parts = []
    for level, name in enumerate(map(str, index.names)):
        if index.names[level] is not None and name not in taken:
            values = index.get_level_values(level).to_series().reset_index(drop=True)
            parts.append(nw.from_native(values, series_only=True).alias(name))
            taken.add(name)
    return plain.with_columns(*parts) if parts else plain


def _parts(schema: pa.Schema) -> list[Any]:
    """List the parts of the index: names of columns, and descriptions of ranges."""
    try:
        described = schema.pandas_metadata
    except ValueError:  # what the file says of pandas is not JSON: then it says nothing
        return []
    parts = described.get("index_columns") if isinstance(described, dict) else None
    return parts if isinstance(parts, list) else []
