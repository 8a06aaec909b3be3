"""CSV files: their form, and which of their columns are codes and not numbers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from l0.common.errors import InputError, first_few
from l0.data.columns import check_unique, is_number, is_plain_number

#: The remedy for a wrong CSV file.
AS_CSV = "save it as comma-separated UTF-8 text"
#: The number of bytes that are checked before a CSV file is read.
HEAD = 1 << 16


def csv_file(source: Any) -> Path | None:
    """Return the path of a CSV file, or None if `source` is something else."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    path = Path(source)
    return path if path.name.lower().endswith((".csv", ".csv.gz")) else None


def merged_cells(path: Path, name: str) -> list[str]:
    """Find different cells of a CSV column that `read_table` reads as the same number.

    Returns
    -------
    list of str
        The first such cells, for example ``["5.1", "5.10"]``. 5 and 5.0 are not different.
    """
    only = pa.csv.ConvertOptions(include_columns=[name])
    numbers = pa.csv.read_csv(path, convert_options=only)[name]
    cells = pc.utf8_trim_whitespace(_read_typed(path, {name: pa.string()})[name])
    pairs = pa.table({"number": numbers, "cell": pc.replace_substring_regex(cells, r"\.0*$", "")})
    same = (
        pairs.filter(numbers.is_valid())
        .group_by("number", use_threads=False)
        .aggregate([("cell", "distinct")])
    )
    return next((found for found in same["cell_distinct"].to_pylist() if len(found) > 1), [])


def read_csv(
    path: Path, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a CSV file. Codes that a number would change stay text (see `read_table`)."""
    _check_head(path, argument)
    with pa.csv.open_csv(path) as head:
        names = head.schema.names
    check_unique(names, argument)
    if column_types is not None:
        types = {name: column_types.get(name, pa.string()) for name in names}
        try:
            return _read_typed(path, types)
        except pa.ArrowInvalid:
            _check_numbers(path, argument, [name for name in names if is_number(types[name])])
            raise
    table = pa.csv.read_csv(path)
    not_text = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    if not_text:
        raise InputError(
            f"`{argument}`: columns {first_few(not_text)} of {str(path)!r} are not UTF-8 text; "
            f"{AS_CSV}"
        )
    numbers = {
        field.name: pa.types.is_floating(field.type)
        for field in table.schema
        if is_number(field.type) and not pa.types.is_boolean(field.type)
    }
    if numbers:
        texts = _read_typed(path, dict.fromkeys(numbers, pa.string()))
        for name, floating in numbers.items():
            if _are_codes(texts[name], floating, name == key):
                table = table.set_column(names.index(name), name, texts[name])
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


def _check_head(path: Path, argument: str) -> None:
    """Refuse a file whose first bytes are not comma-separated UTF-8."""
    with pa.input_stream(path) as stream:
        head = stream.read(HEAD)
    if b"\0" in head:
        raise InputError(f"`{argument}`: {str(path)!r} is UTF-16 or not text; {AS_CSV}")
    names = head.partition(b"\n")[0]
    for separator in (";", "\t"):
        if separator.encode() in names and b"," not in names:
            raise InputError(
                f"`{argument}`: {str(path)!r} has no comma in its first line, and seems to be "
                f"separated by {separator!r}; {AS_CSV}"
            )


def _check_numbers(path: Path, argument: str, names: list[str]) -> None:
    """Name the cells of numeric columns that are not numbers."""
    texts = _read_typed(path, dict.fromkeys(names, pa.string()))
    for name in names:
        cells = texts[name].to_pylist()
        rows = [
            row for row, cell in enumerate(cells) if cell is not None and not is_plain_number(cell)
        ]
        if rows:
            raise InputError(
                f"`{argument}` column {name!r} of {str(path)!r} has {len(rows):,} cells that are "
                f"not plain numbers ({first_few(cells[row] for row in rows)} in rows "
                f"{first_few(rows)}); write them like 28717.16"
            )


def _read_typed(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    """Read some columns with given types. Only an empty cell is null, because NA may be a code."""
    options = pa.csv.ConvertOptions(
        column_types=types,
        include_columns=list(types),
        null_values=[""],
        strings_can_be_null=True,
    )
    return pa.csv.read_csv(path, convert_options=options)
