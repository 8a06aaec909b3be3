"""Which cell of a CSV file does not have the encoding of the others."""

from __future__ import annotations

import csv
import io

from l0.common.errors import InputError
from l0.data.locations import Location
from l0.data.readers.csv_form import CsvForm, opened


def check_encoding(location: Location, form: CsvForm, argument: str) -> None:
    """Refuse a file with a cell that cannot be decoded. The message has its row and column."""
    with opened(location) as stream:
        content = stream.read()
    try:
        content.decode(form.encoding)
        return
    except UnicodeError as error:
        reason = str(error)
    where = "" if form.encoding.startswith(("utf-16", "utf-32")) else _place(content, form)
    raise InputError(
        f"`{argument}`: {str(location)!r} is not {form.encoding.upper()} text"
        f"{where or f': {reason}'}; save it as UTF-8, or name its encoding, as in "
        "'file.csv#encoding=latin-1'"
    )


def _place(content: bytes, form: CsvForm) -> str:
    """Describe the first cell that cannot be decoded, or "" if the rows cannot be read at all."""
    # Latin-1 keeps every byte as one sign.
    lines = io.StringIO(content.decode("latin-1"), newline="")
    names: list[str] = []
    try:
        for row, cells in enumerate(csv.reader(lines, delimiter=form.separator), -1):
            names = names or cells
            for place, cell in enumerate(cells):
                if not _fits(cell, form.encoding):
                    which = "the names of its columns" if row < 0 else f"row {row}"
                    column = names[place] if place < len(names) else place
                    return f" in {which}, column {column!r} ({cell!r})"
    except csv.Error:  # such as a cell of more than 131,072 signs
        pass
    return ""


def _fits(cell: str, encoding: str) -> bool:
    try:
        cell.encode("latin-1").decode(encoding)
    except UnicodeError:
        return False
    return True
