"""Tables that are larger than memory: parquet files as files of Arrow, mapped into memory.

A parquet file is compressed, and has to be read into memory to be used. Here it is read column by
column, and each column is written to a file of Arrow, in another order of the rows if one is asked
for. The table of all these files takes no memory that the system could not use for something else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.data.codings import without_missing_codes
from l0.data.columns import Unreadable, check_unique
from l0.data.locations import locate, options_of
from l0.data.pandas_index import as_array, named_range, unnamed_index, without_range
from l0.data.readers.parquet_files import checked_parquet, parts_of
from l0.data.tables import with_rows

#: Rows of a batch.
BATCH = 1 << 16

T = TypeVar("T")


class ParquetColumns:
    """The columns of a parquet file, or of a folder of parts that are alike, read one at a time.

    Parameters
    ----------
    source : str or Path
    argument : str
        The name of the source in error messages.

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the columns as `read_table` has them (see `pandas_index`).

    Raises
    ------
    InputError
        If the source is no parquet file, if it cannot be read, or if the parts of a folder differ.
    FileNotFoundError
        If there is nothing at the path.
    """

    def __init__(self, source: str | os.PathLike[str], argument: str) -> None:
        location = locate(source)
        options_of(location, argument, ())
        path = location.path
        if not path.exists():
            raise FileNotFoundError(2, f"`{argument}`: there is no file", str(path))
        self._paths = parts_of(path) if path.is_dir() else [path]
        kinds = (".parquet", ".pq")
        others = [each.name for each in self._paths if each.suffix.lower() not in kinds]
        if others or not self._paths:
            what = f"has other files ({first_few(others)})" if others else "has no parquet files"
            raise InputError(
                f"`{argument}`: {str(source)!r} {what}; name a parquet file or a folder of them, "
                "or use `from_frames`"
            )
        keyed = [each for each in self._paths if path.is_dir() and "=" in each.parent.name]
        if keyed:
            raise InputError(
                f"`{argument}`: {str(source)!r} has folders that are values of a column, such as "
                f"{keyed[0].parent.name!r}; write the column into the parts, or use `from_frames`"
            )
        self._argument = argument
        schemas, self._ranges = [], []
        for each in self._paths:
            schema, found = self._read(each, _schema)
            schemas.append(schema)
            self._ranges.append(found)
        self.schema = schemas[0]
        check_unique(self.schema.names, argument)
        for each, schema in zip(self._paths, schemas, strict=True):
            if not schema.equals(self.schema):
                raise InputError(
                    f"`{argument}`: the part {each.name!r} of {str(source)!r} has other columns or "
                    f"types than {self._paths[0].name!r}; write all parts alike"
                )

    def read(self, name: str) -> pa.Table:
        """Read a column, as `read_table` would: a table with it alone."""

        def read(path: Path) -> pa.Table:
            return checked_parquet(path, [name])

        found = pa.concat_tables(
            pa.table({name: as_array(index[1])})
            if index is not None and index[0] == name
            else self._read(path, read)
            for path, index in zip(self._paths, self._ranges, strict=True)
        )
        return with_rows(without_missing_codes(found.select([name])))

    def mapped(self, folder: Path, order: NDArray[np.int64] | None = None) -> pa.Table:
        """Write each column to a file of a folder, and map the files into memory.

        Parameters
        ----------
        folder : Path
            An empty folder. Its files must stay as long as the table is in use.
        order : ndarray of int64, optional
            The positions of the rows, in the order in which the table shall have them.
        """
        columns, fields = [], []
        for place, name in enumerate(self.schema.names):
            table = self.read(name)
            if order is not None:
                table = table.take(pa.array(order))
            table = table.unify_dictionaries()
            fields.append(table.schema.field(0))
            if not isinstance(fields[-1].type, Unreadable):  # nulls, which take no memory
                path = folder / f"{place}.arrow"
                with (
                    pa.OSFile(str(path), "wb") as file,
                    pa.ipc.new_file(file, table.schema) as writer,
                ):
                    writer.write_table(table, BATCH)
                table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            columns.append(table.column(0))
        return pa.table(columns, schema=pa.schema(fields, metadata=self.schema.metadata))

    def _read(self, path: Path, read: Callable[[Path], T]) -> T:
        try:
            return read(path)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise InputError(
                f"`{self._argument}`: cannot read {str(path)!r}: {error}; write it again"
            ) from None


def _schema(path: Path) -> tuple[pa.Schema, tuple[str, range] | None]:
    """Read the schema of a file, and the index that is in its metadata alone."""
    metadata = pa.parquet.read_metadata(path)
    schema = metadata.schema.to_arrow_schema()
    for name in unnamed_index(schema):
        schema = schema.remove(schema.get_field_index(name))
    found = named_range(schema, metadata.num_rows)
    if found is not None:
        schema = without_range(schema.append(pa.field(found[0], pa.int64())))
    return schema, found
