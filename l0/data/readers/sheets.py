"""Sheets of Excel (``.xlsx``) and LibreOffice (``.ods``)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from l0.common.errors import InputError, closest, first_few
from l0.data.codings import whole
from l0.data.columns import as_text, check_unique
from l0.data.locations import Location
from l0.data.packages import package_for
from l0.data.readers.sheet_xml import address, lost_cells

#: Cells that are read as empty (see `lost_cells`), in words, and the remedy.
LOST = (
    ("errors", "cells with an error", "correct them, or delete what stands there"),
    ("formulas", "formulas without a value", "open the file in its program and save it again"),
    ("merged", "merged ranges", "unmerge them, and write the value into each cell"),
)
#: Kinds of cells that are one column: a date is also a date with time, that of its midnight.
DATE, MOMENT = "a date", "a date with time"


def read_sheet(
    location: Location, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a sheet. Its first row has the names of the columns.

    Numbers that are all whole are integers. A column with numbers and text is refused, because
    either could be meant. If types of columns are given, all others are read as text, as in a CSV
    file.
    """
    calamine = package_for("python_calamine", f"`{argument}`: reading", location)
    try:
        book = calamine.CalamineWorkbook.from_path(str(location.path))
        name = _sheet_name(book.sheet_names, location, argument)
        sheet = book.get_sheet_by_name(name)
        rows, start = sheet.to_python(), sheet.start or (0, 0)
    except calamine.PasswordError:
        raise _encrypted(location, argument) from None
    except calamine.CalamineError as error:
        if location.path.read_bytes()[:4] == b"\xd0\xcf\x11\xe0":  # the format around a cipher
            raise _encrypted(location, argument) from None
        raise OSError(str(error)) from None
    if not rows:
        raise InputError(f"`{argument}`: the sheet of {str(location)!r} is empty; name another")
    names = _names(rows[0], start, argument, location)
    _check_lost(location, name, argument)
    lines = [row for row in enumerate(rows[1:], 1) if any(cell != "" for cell in row[1])]
    columns = {}
    for place, name in enumerate(names):
        cells = [None if row[place] == "" else row[place] for _, row in lines]
        addresses = [address(start[0] + line, start[1] + place) for line, _ in lines]
        as_labels = column_types is not None and name not in column_types
        columns[name] = _column(cells, addresses, f"`{argument}` column {name!r}", as_labels)
    return pa.table(columns)


def _encrypted(location: Location, argument: str) -> InputError:
    return InputError(
        f"`{argument}`: {str(location)!r} has a password, or is of an older Excel; save it as "
        f"{location.path.suffix} without a password"
    )


def _sheet_name(sheets: Sequence[str], location: Location, argument: str) -> str:
    """Choose the sheet that is named after ``#``, or the only one."""
    if location.part in sheets:
        return location.part
    if not sheets:
        raise OSError("it is damaged: it has no sheets")
    example = f"name one, as in '{location.path.name}#{sheets[0]}'"
    if location.part:
        raise InputError(
            f"`{argument}`: {str(location.path)!r} has no sheet {location.part!r}; "
            f"{closest(location.part, sheets)}; {example}"
        )
    if len(sheets) > 1:
        raise InputError(
            f"`{argument}`: {str(location.path)!r} has {len(sheets)} sheets "
            f"({first_few(sheets)}); {example}"
        )
    return sheets[0]


def _check_lost(location: Location, sheet: str, argument: str) -> None:
    """Refuse a table with cells that are read as empty, although something stands there."""
    found = lost_cells(location.path, sheet)
    for kind, what, remedy in LOST:
        if cells := found[kind]:
            raise InputError(
                f"`{argument}`: {str(location)!r} has {what} ({first_few(cells)}), which would be "
                f"read as empty; {remedy}"
            )


def _names(
    header: Sequence[Any], start: tuple[int, int], argument: str, location: Location
) -> list[str]:
    """Check the names of the columns, in the first row that is not empty."""
    odd = [
        address(start[0], start[1] + place)
        for place, cell in enumerate(header)
        if not (isinstance(cell, str) and cell.strip())
    ]
    if odd:
        raise InputError(
            f"`{argument}`: the first row of {str(location)!r} must name the columns, and the "
            f"cells {first_few(odd)} are empty or no text; write names there, or delete what "
            "stands outside of the table"
        )
    names = [cell.strip() for cell in header]
    check_unique(names, argument)
    return names


def _column(cells: list[Any], addresses: list[str], what: str, as_labels: bool) -> pa.ChunkedArray:
    """Convert the cells of a column, which must be of one type."""
    kinds = [None if cell is None else _kind(cell) for cell in cells]
    known = {kind: row for row, kind in reversed(list(enumerate(kinds))) if kind is not None}
    if known.keys() == {DATE, MOMENT}:  # midnight is read as a date
        midnight = datetime.time()
        cells = [
            datetime.datetime.combine(cell, midnight) if kind == DATE else cell
            for cell, kind in zip(cells, kinds, strict=True)
        ]
        return pa.chunked_array([pa.array(cells)])
    if len(known) > 1 and as_labels:
        texts = [None if cell is None else as_text(pa.array([cell]))[0] for cell in cells]
        return pa.chunked_array([pa.array(texts)])
    if len(known) > 1:
        first, other = sorted(known, key=known.__getitem__)[:2]
        raise InputError(
            f"{what} changes its type: {first} in {addresses[known[first]]} "
            f"({cells[known[first]]!r}), and {other} in {addresses[known[other]]} "
            f"({cells[known[other]]!r}); write all its cells as {first} or all as {other}"
        )
    return whole(pa.chunked_array([pa.array(cells)]))


def _kind(cell: Any) -> str:
    """Name the type of a cell for a user."""
    if isinstance(cell, bool):
        return "true or false"
    if isinstance(cell, (int, float)):
        return "a number"
    if isinstance(cell, str):
        return "text"
    if isinstance(cell, datetime.datetime):
        return MOMENT
    return DATE if isinstance(cell, datetime.date) else "a time"
