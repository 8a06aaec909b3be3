"""Columns that a kind of file cannot hold, and what it keeps of others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from l0.common.errors import InputError, first_few
from l0.data.columns import Unreadable, is_label
from l0.data.locations import Location

#: How many of its units a second has.
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
#: The last day that Python has.
LAST = dt.date.max


def check_types(
    table: pa.Table, location: Location, holds: Callable[[pa.DataType], bool] = is_label
) -> None:
    """Refuse columns whose type a file cannot hold."""
    bad = [f"{field.name} ({field.type})" for field in table.schema if not holds(field.type)]
    if bad:
        raise InputError(
            f"{str(location)!r} cannot hold the columns {first_few(bad)}; leave them out, or write "
            ".parquet"
        )


def check_readable(table: pa.Table, location: Location) -> None:
    """Refuse columns that Arrow could not read."""
    check_types(table, location, lambda kind: not isinstance(kind, Unreadable))


def decoded(table: pa.Table) -> pa.Table:
    """Write dictionaries out as their values. The descriptions of the columns stay."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            kind = field.type.value_type
            table = table.set_column(place, field.with_type(kind), table[place].cast(kind))
    return table


def check_columns(
    table: pa.Table, location: Location, fault: Callable[[pa.ChunkedArray], str]
) -> None:
    """Refuse columns with values that a file cannot hold. `fault` describes them, or gives ""."""
    found = zip(table.column_names, map(fault, table.columns), strict=True)
    bad = [f"{name} ({what})" for name, what in found if what]
    if bad:
        raise InputError(
            f"{str(location)!r} cannot hold the columns {first_few(bad)}; write .csv or .parquet"
        )


def days_outside(values: pa.ChunkedArray, first: dt.date) -> str:
    """Describe dates and times that are before a day or after the year 9999; "" if none is."""
    if pa.types.is_date32(values.type):
        per_day = 1
    elif pa.types.is_date64(values.type):
        per_day = 86_400 * PER_SECOND["ms"]
    elif pa.types.is_timestamp(values.type):
        per_day = 86_400 * PER_SECOND[values.type.unit]
    else:
        return ""
    ends = pc.min_max(_integers(values)).as_py()
    if ends["min"] is None:
        return ""
    epoch = dt.date(1970, 1, 1)
    if ends["min"] < (first - epoch).days * per_day:
        return f"dates before {first}"
    return f"dates after {LAST}" if ends["max"] >= ((LAST - epoch).days + 1) * per_day else ""


def cut_times(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """Cut times to microseconds, the finest that Python has.

    Returns
    -------
    table : pyarrow.Table
    notes : list of str
        A sentence on the columns that are finer than a millisecond, as programs keep times.
    """
    finer = []
    for place, (field, values) in enumerate(zip(table.schema, table.columns, strict=True)):
        unit = getattr(field.type, "unit", "s")
        if PER_SECOND[unit] <= PER_SECOND["ms"]:
            continue
        if (_integers(values.drop_null()).to_numpy() % (PER_SECOND[unit] // 1000)).any():
            finer.append(field.name)
        if unit == "ns":
            kind = pa.time64("us") if pa.types.is_time(field.type) else pa.timestamp("us")
            table = table.set_column(place, field.with_type(kind), values.cast(kind, safe=False))
    notes = [f"times of {first_few(finer)} are exact to the millisecond only"] if finer else []
    return table, notes


def _integers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take dates and times as the integers that they are."""
    kind = pa.int32() if values.type.bit_width == 32 else pa.int64()
    return values.cast(kind)
