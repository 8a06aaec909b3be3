"""Readers of files, one for each kind of file. The suffix decides.

A new reader is a function in a file of its own, and an entry in `READERS`. Its arguments are the
path, the name of the source in error messages, the wanted types of columns, and the name of the
key.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from l0.data.readers.csv_files import AS_CSV, read_csv
from l0.data.readers.parquet_files import read_parquet

#: The wanted types of columns by name. With None, the reader infers all types.
ColumnTypes = dict[str, pa.DataType] | None
Reader = Callable[[Path, str, ColumnTypes, str | None], pa.Table]

#: The suffixes, each with its reader and the remedy in the error for an unreadable file.
READERS: dict[str, tuple[Reader, str]] = {
    ".parquet": (read_parquet, "write it again"),
    ".pq": (read_parquet, "write it again"),
    ".csv": (read_csv, AS_CSV),
    ".csv.gz": (read_csv, AS_CSV),
}


def reader_of(path: Path) -> tuple[Reader, str] | None:
    """Find the reader of a file and its remedy, or None if the suffix is unknown."""
    name = path.name.lower()
    return next((found for suffix, found in READERS.items() if name.endswith(suffix)), None)
