"""Files of Stata, SPSS and SAS, with their value labels and missing codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from l0.common.errors import InputError
from l0.data.codings import FILE_LABEL, Coding, tagged, whole
from l0.data.columns import as_numbers, is_number
from l0.data.locations import Location, checked_encoding, options_of
from l0.data.packages import package_for

#: The program and the reader in pyreadstat by suffix.
PROGRAMS = {
    ".dta": ("stata", "read_dta"),
    ".sav": ("spss", "read_sav"),
    ".zsav": ("spss", "read_sav"),
    ".sas7bdat": ("sas", "read_sas7bdat"),
    ".xpt": ("sas", "read_xport"),
}


def read_stat(
    location: Location, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a file of Stata, SPSS or SAS. Columns keep their codes, and fields describe them.

    Missing codes of Stata and SAS are tagged NaN (see `l0.data.codings`). Numbers of SPSS and SAS
    that are all whole are integers.
    """
    options = options_of(location, argument, ("encoding",))
    pyreadstat = package_for("pyreadstat", f"`{argument}`: reading", location)
    program, reader = PROGRAMS[location.path.suffix.lower()]
    given: dict[str, Any] = {}
    if "encoding" in options:
        # The names of iconv are in capitals, with hyphens.
        name = checked_encoding(options["encoding"], argument)
        given["encoding"] = name.upper().replace("_", "-")
    if reader != "read_xport":
        given["user_missing"] = True
    _check_end(location.path)
    content, meta = _content(getattr(pyreadstat, reader), location, argument, given)
    names = list(content)
    if None in names:  # pyreadstat gives columns without a name to damaged files of SPSS
        raise OSError("it is damaged: a column has no name")
    columns, fields = [], []
    for name in names:
        cells = list(content.pop(name))
        kind = str(meta.readstat_variable_types.get(name))
        coding = _coding(meta, name, program, kind)
        letters = Counter(cell for cell in cells if isinstance(cell, str) and kind != "string")
        values = _column(cells, kind)
        if letters and not is_number(values.type):  # a date has no room for a code
            coding = replace(coding, found=dict(sorted(letters.items())))
        elif program != "stata" and not letters:
            values = whole(values)
        columns.append(values)
        fields.append(coding.on(pa.field(name, values.type)))
    label = {FILE_LABEL: meta.file_label} if meta.file_label else None
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata=label))


def _content(
    read: Callable[..., Any], location: Location, argument: str, options: dict[str, Any]
) -> Any:
    try:
        return read(str(location.path), output_format="dict", **options)
    except UnicodeDecodeError as error:
        reason = str(error)
    except MemoryError:
        raise
    except Exception as error:  # pyreadstat has its own classes, and raises others too
        reason = f"{error or type(error).__name__}"
    if any(word in reason.lower() for word in ("byte sequence", "decode", "encoding", "charset")):
        raise InputError(
            f"`{argument}`: {str(location)!r} has text in another encoding{_place(read, location)} "
            f"({reason}); name it, as in 'file{location.path.suffix}#encoding=latin-1'"
        )
    if _is_encrypted(location.path):
        raise InputError(
            f"`{argument}`: {str(location)!r} is encrypted with a password; save it without one"
        )
    raise OSError(reason)


def _check_end(path: Path) -> None:
    """Refuse a file of Stata that was cut off: its value labels are at its end."""
    with path.open("rb") as file:
        tagged = file.read(11) == b"<stata_dta>"
        file.seek(max(0, path.stat().st_size - 12))
        if tagged and file.read() != b"</stata_dta>":
            raise OSError("its end is missing")


def _is_encrypted(path: Path) -> bool:
    """Tell whether a file of SPSS has a password: its first bytes say so."""
    with path.open("rb") as file:
        return b"ENCRYPTEDSAV" in file.read(64)


def _place(read: Callable[..., Any], location: Location) -> str:
    """Find the first column and row whose text cannot be decoded, by reading it piece by piece."""
    path = str(location.path)

    def fails(**piece: Any) -> bool:
        try:
            read(path, output_format="dict", **piece)
        except Exception:  # as above
            return True
        return False

    try:
        meta = read(path, metadataonly=True, output_format="dict")[1]
    except Exception:  # the names themselves cannot be decoded
        return " in the names or labels of its columns"
    for name in meta.column_names:
        if not fails(usecols=[name]):
            continue
        low, high = 0, meta.number_rows or 0
        while high - low > 1:  # rows before `low` can be read, and those before `high` cannot
            middle = (low + high) // 2
            low, high = (low, middle) if fails(usecols=[name], row_limit=middle) else (middle, high)
        return f" in column {name!r}, row {low}"
    return ""


def _column(cells: list[Any], kind: str) -> pa.ChunkedArray:
    """Convert a column of Python values. A letter in a column of numbers is a missing code."""
    if kind == "string":
        return pa.chunked_array([pa.array(cells, pa.string())])
    rows = [row for row, cell in enumerate(cells) if isinstance(cell, str)]
    letters = [cells[row] for row in rows]
    for row in rows:
        cells[row] = None
    values = pa.array(cells)
    if pa.types.is_null(values.type):
        values = values.cast(pa.float64())
    if letters and is_number(values.type):
        numbers = as_numbers(pa.chunked_array([values]))
        known = pc.is_valid(values).to_numpy(zero_copy_only=False)
        numbers[rows], known[rows] = tagged(letters), True
        values = pc.if_else(pa.array(known), pa.array(numbers), None)
    return pa.chunked_array([values])


def _coding(meta: Any, name: str, program: str, kind: str) -> Coding:
    missing = meta.missing_ranges.get(name, [])
    return Coding(
        program=program,
        label=meta.column_names_to_labels.get(name) or None,
        values=[[code, text] for code, text in meta.variable_value_labels.get(name, {}).items()],
        missing=[[each["lo"], each["hi"]] for each in missing],
        integer=kind.startswith("int"),
        format=meta.original_variable_types.get(name),
        measure=meta.variable_measure.get(name),
        width=meta.variable_display_width.get(name),
    )
