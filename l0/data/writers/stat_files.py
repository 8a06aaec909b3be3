"""Files of Stata and SPSS, with the value labels and missing codes that came in."""

from __future__ import annotations

import datetime as dt
import errno
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.data.codings import FILE_LABEL, Coding, coding_of, letters_of
from l0.data.columns import as_numbers, is_number, is_text, plain
from l0.data.locations import Location, options_of
from l0.data.packages import package_for
from l0.data.readers.csv_form import CsvForm
from l0.data.writers.unwritable import (
    check_columns,
    check_types,
    cut_times,
    days_outside,
    decoded,
)

PROGRAMS = {".dta": "stata", ".sav": "spss", ".zsav": "spss"}
#: The smallest and the largest integer of Stata; other whole numbers are its doubles.
LONG = -2_147_483_647, 2_147_483_620
#: The formats of dates and times that have no value from which the type could be inferred.
MOMENTS = {
    "stata": {"date": "%td", "timestamp": "%tc", "time": "%tcHH:MM:SS"},
    "spss": {"date": "DATE11", "timestamp": "DATETIME20", "time": "TIME8"},
}


def write_stat(table: pa.Table, location: Location, draft: Path, form: CsvForm | None) -> list[str]:
    """Write a file of Stata (version 15) or SPSS.

    The descriptions of columns are written: labels, value labels, and, for columns of the same
    program, missing codes and formats.

    Raises
    ------
    InputError
        If the file cannot hold a column.
    """
    pandas = package_for("pandas", "writing", location)
    pyreadstat = package_for("pyreadstat", "writing", location)
    options_of(location, "table", ())
    program = PROGRAMS[location.path.suffix.lower()]
    table = decoded(table)
    _check(table, location, program)
    table, notes = cut_times(table)
    codings = {field.name: coding_of(field) or Coding(program) for field in table.schema}
    labels, unlabelled = _value_labels(table, codings, program)
    notes += _changes(table, program, unlabelled)
    frame = {
        name: _cells(values, codings[name], program)
        for name, values in zip(table.column_names, table.columns, strict=True)
    }
    given: dict[str, Any] = {
        "file_label": (table.schema.metadata or {}).get(FILE_LABEL, b"").decode(),
        "column_labels": {name: coding.label for name, coding in codings.items() if coding.label},
        "variable_value_labels": labels,
        "variable_format": _formats(table.schema, codings, program),
    }
    if program == "stata":
        write, own = pyreadstat.write_dta, {"missing_user_values": _letters(table.schema, frame)}
    else:
        compress = location.path.suffix.lower() == ".zsav"
        write, own = pyreadstat.write_sav, _of_spss(codings, compress)
    try:
        write(pandas.DataFrame(frame), str(draft), **given, **own)
    except MemoryError:
        raise
    except Exception as error:  # pyreadstat has its own classes, and raises others too
        if "Unable to write data" in str(error):
            raise OSError(
                errno.EIO, "the disk took no more data; make room or write elsewhere", str(draft)
            ) from None
        raise InputError(
            f"cannot write {str(location)!r}: {error}; leave out the column, or write .parquet"
        ) from None
    return notes


def _check(table: pa.Table, location: Location, program: str) -> None:
    """Refuse columns that a file of the program cannot hold."""
    check_types(table, location, lambda kind: _moment(kind) != "" or _plain_type(kind))
    check_columns(table, location, _fault)
    if program == "stata":
        _check_names(table.column_names, location)


def _changes(table: pa.Table, program: str, unlabelled: list[str]) -> list[str]:
    """Say what is otherwise in the file."""
    notes = []
    truths = [field.name for field in table.schema if pa.types.is_boolean(field.type)]
    if truths:
        notes.append(f"{first_few(truths)} have 1 for true and 0 for false")
    if program == "spss" and (padded := _end_in_blanks(table)):
        notes.append(f"texts of {first_few(padded)} end in blanks, which SPSS does not keep")
    if unlabelled:
        notes.append(f"{program.upper()} has no value labels like some of {first_few(unlabelled)}")
    return notes


def _formats(schema: pa.Schema, codings: dict[str, Coding], program: str) -> dict[str, str]:
    """Choose the formats: those that came from the same program, and those of dates and times."""
    found: dict[str, str] = {}
    for field in schema:
        coding, moment = codings[field.name], _moment(field.type)
        if coding.program == program and coding.format:
            found[field.name] = coding.format
        elif moment:
            found[field.name] = MOMENTS[program][moment]
    return found


def _letters(schema: pa.Schema, frame: dict[str, NDArray[Any]]) -> dict[str, list[str]]:
    """List the missing codes of Stata in each column of numbers that has some."""
    found = {
        field.name: sorted({cell for cell in frame[field.name] if isinstance(cell, str)})
        for field in schema
        if is_number(field.type) and frame[field.name].dtype == object
    }
    return {name: letters for name, letters in found.items() if letters}


def _plain_type(kind: pa.DataType) -> bool:
    if is_number(kind):
        return not pa.types.is_decimal(kind)
    return is_text(kind) or pa.types.is_null(kind)


def _moment(kind: pa.DataType) -> str:
    """Name a type of dates and times. It is empty for others, and for times with a zone."""
    if pa.types.is_timestamp(kind):
        return "" if kind.tz else "timestamp"
    return "date" if pa.types.is_date(kind) else "time" if pa.types.is_time(kind) else ""


def _end_in_blanks(table: pa.Table) -> list[str]:
    return [
        name for name, values in zip(table.column_names, table.columns, strict=True)
        if is_text(values.type) and pc.any(pc.ends_with(values, " ")).as_py()
    ]  # fmt: skip


def _check_names(names: list[str], location: Location) -> None:
    bad = [name for name in names if not re.fullmatch(r"[^\W\d]\w{0,31}", name)]
    if bad:
        raise InputError(
            f"{str(location)!r} cannot hold the columns {first_few(bad)}: a name in Stata has up "
            "to 32 letters, digits and underscores; rename them"
        )


def _fault(values: pa.ChunkedArray) -> str:
    """Describe values that neither program has, or "" if there are none."""
    if not is_number(values.type):
        return days_outside(values, dt.date.min)
    numbers = abs(as_numbers(values))
    if (numbers == np.inf).any():
        return "infinite numbers"
    long = pa.types.is_integer(values.type) and (numbers > 2.0**53).any()
    return "more than 15 digits" if long else ""


def _cells(column: pa.ChunkedArray, coding: Coding, program: str) -> NDArray[Any]:
    """Convert a column for pyreadstat, which infers its type from the values."""
    values, moment = plain(column), _moment(column.type)
    numeric = is_number(values.type) or pa.types.is_null(values.type)
    if (moment or numeric) and values.null_count == len(values):
        return np.full(len(values), np.nan)  # the format says what they are
    if moment:
        return np.array([*values.to_pylist(), None], dtype=object)[:-1]
    if not is_number(values.type):
        return np.array([*(text or "" for text in values.to_pylist()), None], dtype=object)[:-1]
    numbers = as_numbers(pa.chunked_array([values]))
    letters = letters_of(numbers) if coding.program == program == "stata" else []
    coded = any(letters)
    small = not ((numbers < LONG[0]) | (numbers > LONG[1])).any()
    integer = coding.integer if pa.types.is_floating(values.type) else small
    if program == "spss" or not (integer or coded):
        return numbers
    cells: list[Any] = [
        None if number != number else int(number) if integer else number
        for number in numbers.tolist()
    ]
    for row, letter in enumerate(letters):
        cells[row] = letter or cells[row]
    return np.array([*cells, None], dtype=object)[:-1]


def _value_labels(
    table: pa.Table, codings: dict[str, Coding], program: str
) -> tuple[dict[str, dict[Any, str]], list[str]]:
    """Take the value labels that the program can hold, and list columns that have others."""
    found: dict[str, dict[Any, str]] = {}
    lost = []
    for name, coding in codings.items():
        kept: dict[Any, str] = {}
        numeric = is_number(table.schema.field(name).type)
        for code, text in coding.values:
            if program == "spss" and isinstance(code, str) != numeric:
                kept[code if isinstance(code, str) else float(code)] = text
            elif program == "stata" and numeric and isinstance(code, str):
                kept[code] = text
            elif program == "stata" and numeric and float(code).is_integer():
                kept[int(code)] = text
            else:
                lost.append(name)
        if kept:
            found[name] = kept
    return found, list(dict.fromkeys(lost))


def _of_spss(codings: dict[str, Coding], compress: bool) -> dict[str, Any]:
    """Describe what only files of SPSS have."""
    own = {name: coding for name, coding in codings.items() if coding.program == "spss"}
    return {
        "compress": compress,
        "missing_ranges": {
            name: [low if low == high else {"lo": low, "hi": high} for low, high in coding.missing]
            for name, coding in own.items()
            if coding.missing
        },
        "variable_measure": {
            name: coding.measure for name, coding in own.items() if coding.measure
        },
        "variable_display_width": {
            name: coding.width for name, coding in own.items() if coding.width
        },
    }
