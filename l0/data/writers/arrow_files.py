"""Parquet and feather files, which hold every Arrow table."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

from l0.data.locations import Location
from l0.data.readers.csv_form import CsvForm
from l0.data.writers.unwritable import check_readable


def checked_write(table: pa.Table, path: Path) -> None:
    """Write a parquet file with checksums, so that whoever reads it notices damage."""
    pa.parquet.write_table(table, path, write_page_checksum=True)


def write_parquet(
    table: pa.Table, location: Location, draft: Path, form: CsvForm | None
) -> list[str]:
    """Write a parquet file, in which the descriptions of columns are metadata."""
    check_readable(table, location)
    checked_write(table, draft)
    return []


def write_feather(
    table: pa.Table, location: Location, draft: Path, form: CsvForm | None
) -> list[str]:
    """Write a feather file, in which the descriptions of columns are metadata."""
    check_readable(table, location)
    pa.feather.write_feather(table, draft)
    return []
