"""Columns that a kind of file cannot hold."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from l0.common.errors import InputError, first_few
from l0.data.columns import Unreadable, is_label
from l0.data.locations import Location


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
