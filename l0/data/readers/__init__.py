"""Readers of files, one a kind of file, found by the suffix.

A new one is a function in a file of its own that takes a path, the name of the argument it came in,
the types of columns that are asked for and the name of the key, and a line in `READERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from l0.data.readers.csv_files import AS_CSV, read_csv
from l0.data.readers.parquet_files import read_parquet

#: Column types that are asked for, by name; None lets the reader infer all of them.
ColumnTypes = dict[str, pa.DataType] | None
Reader = Callable[[Path, str, ColumnTypes, str | None], pa.Table]

#: Suffix, reader, and what an error advises where the file cannot be read.
READERS: dict[str, tuple[Reader, str]] = {
    ".parquet": (read_parquet, "write it again"),
    ".pq": (read_parquet, "write it again"),
    ".csv": (read_csv, AS_CSV),
    ".csv.gz": (read_csv, AS_CSV),
}


def reader_of(path: Path) -> tuple[Reader, str] | None:
    """Find the reader of a file and its advice; None where no reader knows the suffix."""
    name = path.name.lower()
    return next((found for suffix, found in READERS.items() if name.endswith(suffix)), None)
