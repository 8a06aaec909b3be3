"""Parquet files, which contain the types of their columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet


def read_parquet(
    path: Path, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a parquet file. It contains the types of its columns."""
    return pa.parquet.ParquetFile(path).read()
