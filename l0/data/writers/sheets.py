"""Sheets of Excel."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa

from l0.common.errors import InputError
from l0.data.columns import as_numbers, is_label, is_number, is_text
from l0.data.locations import Location
from l0.data.packages import package_for
from l0.data.readers.csv_form import CsvForm
from l0.data.writers.unwritable import (
    check_columns,
    check_types,
    cut_times,
    days_outside,
    decoded,
)

#: What a sheet can hold: rows, columns, the length of a text, and whole numbers of 15 digits.
ROWS, COLUMNS, LENGTH, LARGEST = 1_048_576, 16_384, 32_767, 10**15
#: The first day that all programs agree on: Excel counts a 29 February 1900, and no day before that
#: year.
FIRST = dt.date(1900, 3, 1)
#: The format of cells by the type of their column; ``timestamp`` stands before ``time``.
FORMATS = {"timestamp": "yyyy-mm-dd hh:mm:ss", "date": "yyyy-mm-dd", "time": "hh:mm:ss"}


def write_sheet(
    table: pa.Table, location: Location, draft: Path, form: CsvForm | None
) -> list[str]:
    """Write a workbook with one sheet, which is named as the location says. Null is no cell.

    Raises
    ------
    InputError
        If there are more rows or columns than a sheet has; or if a column has whole numbers that
        Excel would round, infinite numbers, longer texts, dates before March 1900, or a type that
        Excel lacks.
    """
    xlsxwriter = package_for("xlsxwriter", "writing", location)
    table = decoded(table)
    _check(table, location)
    table, notes = cut_times(table)
    book = xlsxwriter.Workbook(str(draft), {"constant_memory": True, "strings_to_formulas": False})
    try:
        sheet = book.add_worksheet(location.part or None)
    except xlsxwriter.exceptions.XlsxWriterException as error:
        raise InputError(f"{str(location)!r} names no sheet that Excel allows: {error}") from None
    formats = {name: book.add_format({"num_format": form}) for name, form in FORMATS.items()}
    writers = [_cell_writer(sheet, field.type, formats) for field in table.schema]
    for place, name in enumerate(table.column_names):
        sheet.write_string(0, place, name)
    row = 0
    for batch in table.to_batches(max_chunksize=10_000):
        columns = [column.to_pylist() for column in batch.columns]
        for cells in zip(*columns, strict=True):
            row += 1
            for place, (write, cell) in enumerate(zip(writers, cells, strict=True)):
                if cell is not None and cell == cell:
                    write(row, place, cell)
    book.close()
    return notes


def _check(table: pa.Table, location: Location) -> None:
    check_types(table, location, lambda kind: is_label(kind) and not getattr(kind, "tz", None))
    if table.num_rows >= ROWS or table.num_columns > COLUMNS:
        raise InputError(
            f"{str(location)!r} would have {table.num_rows:,} rows and {table.num_columns:,} "
            f"columns, and a sheet has {ROWS:,} and {COLUMNS:,}; write .csv or .parquet"
        )
    check_columns(table, location, _fault)


def _fault(values: pa.ChunkedArray) -> str:
    """Describe what Excel would change in a column, or "" if it keeps all values."""
    kind = values.type
    if is_text(kind):
        longest = max(map(len, filter(None, values.to_pylist())), default=0)
        return f"texts of more than {LENGTH:,} signs" if longest > LENGTH else ""
    if not is_number(kind):
        return days_outside(values, FIRST)
    if pa.types.is_boolean(kind):
        return ""
    numbers = abs(as_numbers(values))
    if (numbers == float("inf")).any():
        return "infinite numbers"
    long = not pa.types.is_floating(kind) and (numbers >= LARGEST).any()
    return "more than 15 digits" if long else ""


def _cell_writer(sheet: Any, kind: pa.DataType, formats: dict[str, Any]) -> Any:
    """Choose how cells of a type are written."""
    if is_text(kind) or pa.types.is_null(kind):
        return sheet.write_string
    if pa.types.is_boolean(kind):
        return sheet.write_boolean
    if is_number(kind):
        return sheet.write_number
    name = next(name for name in FORMATS if name in str(kind))
    return lambda row, place, cell: sheet.write_datetime(row, place, cell, formats[name])
