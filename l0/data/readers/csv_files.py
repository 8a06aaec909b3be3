"""CSV files: which of their columns are codes and not numbers, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from l0.common.errors import SHOWN, InputError, first_few
from l0.common.formatting import counted
from l0.data.columns import check_unique, is_number
from l0.data.locations import Location, locate
from l0.data.readers.csv_encoding import check_encoding
from l0.data.readers.csv_form import AS_CSV, NULLS, SUFFIXES, UTF8, CsvForm, form_of, opened

#: The number of bytes that are checked before a CSV file is read.
HEAD = 1 << 16


def csv_file(source: Any) -> Location | None:
    """Return the location of a CSV file, or None if `source` is something else."""
    try:
        location = locate(source)
    except TypeError:
        return None
    return location if location.name.endswith(SUFFIXES) else None


def merged_cells(location: Location, name: str) -> list[str]:
    """Find different cells of a CSV column that `read_table` reads as the same number.

    Returns
    -------
    list of str
        The first such cells, for example ``["5.1", "5.10"]``. 5 and 5.0 are not different.
    """
    form = form_of(location, name)
    cells = _read_typed(location, form, {name: pa.string()})[name]
    plain = form.plain(cells)
    empty = pc.is_in(plain, value_set=pa.array(NULLS))
    numbers = pc.if_else(empty, None, plain).cast(pa.float64())
    pairs = pa.table({"number": numbers, "cell": pc.replace_substring_regex(plain, r"\.0*$", "")})
    same = (
        pairs.filter(numbers.is_valid())
        .group_by("number", use_threads=False)
        .aggregate([("cell", "distinct")])
    )
    return next((found for found in same["cell_distinct"].to_pylist() if len(found) > 1), [])


def read_csv(
    location: Location, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a CSV file. Codes that a number would change stay text (see `read_table`)."""
    form = form_of(location, argument)
    _check_head(location, form, argument)
    try:
        return _read(location, form, argument, column_types, key)
    except (UnicodeError, pa.ArrowInvalid):
        check_encoding(location, form, argument)
        raise


def _read(
    location: Location,
    form: CsvForm,
    argument: str,
    column_types: dict[str, pa.DataType] | None,
    key: str | None,
) -> pa.Table:
    with (
        opened(location) as file,
        pa.csv.open_csv(file, read_options=form.reading, parse_options=form.parsing) as head,
    ):
        names = head.schema.names
    check_unique(names, argument)
    if column_types is not None:
        texts = _read_typed(location, form, dict.fromkeys(names, pa.string()))
        for name in names:
            if name in column_types and is_number(column_types[name]):
                numbers = _as_numbers(texts[name], form, f"`{argument}` column {name!r}", location)
                texts = texts.set_column(names.index(name), name, numbers)
        return texts
    table = _infer(location, form, argument)
    numeric = {
        field.name: pa.types.is_floating(field.type)
        for field in table.schema
        if is_number(field.type) and not pa.types.is_boolean(field.type)
    }
    if numeric:
        texts = _read_typed(location, form, dict.fromkeys(numeric, pa.string()))
        for name, floating in numeric.items():
            form.check_points(texts[name], f"`{argument}` column {name!r}", location)
            if _are_codes(form.plain(texts[name]), floating, name == key):
                table = table.set_column(names.index(name), name, texts[name])
    if form.thousands:
        for place, field in enumerate(table.schema):
            if pa.types.is_string(field.type) and field.name not in numeric and field.name != key:
                table = table.set_column(place, field.name, form.ungrouped(table[place]))
    return table


def _infer(location: Location, form: CsvForm, argument: str) -> pa.Table:
    """Read all columns with the types that Arrow infers."""
    table = _parsed(location, form, pa.csv.ConvertOptions(decimal_point=form.decimal))
    if any(pa.types.is_binary(field.type) for field in table.schema):  # bytes that are no UTF-8
        check_encoding(location, form, argument)
    return table


def _are_codes(cells: pa.ChunkedArray, floating: bool, is_key: bool) -> bool:
    """Tell whether cells must stay text, although all could be read as numbers."""
    if pc.any(pc.match_substring_regex(cells, r"^\s*[+-]?0[\dxX]")).as_py():
        return True
    if not floating:  # an integer keeps all digits
        return False
    if is_key:
        return not pc.all(pc.match_substring_regex(cells, r"^-?\d{1,15}(\.0)?$")).as_py()
    long = cells.filter(pc.match_substring_regex(cells, r"^\s*[+-]?\d{16,}\s*$"))
    return any(int(cell) != float(cell) for cell in long.to_pylist())


def _check_head(location: Location, form: CsvForm, argument: str) -> None:
    """Refuse a file whose first bytes do not have its form."""
    if form.encoding != UTF8:
        return
    shown = str(location)
    with opened(location) as stream:
        head = stream.read(HEAD)
    if b"\0" in head:
        raise InputError(f"`{argument}`: {shown!r} is UTF-16 or not text; {AS_CSV}")
    names = head.partition(b"\n")[0]
    for separator in (";", "\t", ","):
        if separator.encode() in names and form.separator.encode() not in names:
            sign = "comma" if form.separator == "," else repr(form.separator)
            raise InputError(
                f"`{argument}`: {shown!r} has no {sign} in its first line, and seems to be "
                f"separated by {separator!r}; {AS_CSV}"
            )


def _as_numbers(
    cells: pa.ChunkedArray, form: CsvForm, what: str, location: Location
) -> pa.ChunkedArray:
    """Convert cells to numbers, and name those that are none."""
    form.check_points(cells, what, location)
    numbers = form.are_numbers(cells)
    if not pc.any(pc.invert(numbers)).as_py():
        return form.plain(cells).cast(pa.float64())
    rows = np.flatnonzero(~numbers.fill_null(True).to_numpy()).tolist()
    texts = cells.take(pa.array(rows[:SHOWN])).to_pylist()
    wrong = counted(
        len(rows), "cell that is not a plain number", "cells that are not plain numbers"
    )
    raise InputError(
        f"{what} of {str(location)!r} has {wrong} "
        f"({first_few(texts, len(rows))} in rows {first_few(rows)}); write them like "
        "28717.16, or say how numbers are written, as in 'file.csv#decimal=comma,thousands=point'"
    )


def _read_typed(location: Location, form: CsvForm, types: dict[str, pa.DataType]) -> pa.Table:
    """Read some columns with given types. Only an empty cell is null, because NA may be a code."""
    options = pa.csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=True,
    )
    return _parsed(location, form, options)


def _parsed(location: Location, form: CsvForm, options: pa.csv.ConvertOptions) -> pa.Table:
    with opened(location) as file:
        return pa.csv.read_csv(
            file,
            read_options=form.reading,
            parse_options=form.parsing,
            convert_options=options,
        )
