"""Feather files, which contain the types of their columns."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.feather

from l0.data.locations import Location, options_of
from l0.data.pandas_index import with_named_range


def read_feather(
    location: Location, argument: str, column_types: dict[str, pa.DataType] | None, key: str | None
) -> pa.Table:
    """Read a feather file (Arrow IPC). It contains the types of its columns."""
    options_of(location, argument, ())
    try:
        table = pa.feather.read_table(location.path)
    except pa.ArrowMemoryError as error:  # a damaged length may ask for any amount
        raise OSError(f"it is damaged, or too large for the memory ({error})") from None
    # Arrow trusts the places of texts that the file states, and would read outside of its memory.
    table.validate(full=True)
    return with_named_range(table)
