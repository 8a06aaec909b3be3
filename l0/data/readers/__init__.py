"""Readers of files, one for each kind of file. The suffix decides.

A new reader is a function in a file of its own, and an entry in `READERS`. Its arguments are the
location, the name of the source in error messages, the wanted types of columns, and the name of the
key.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from l0.common.errors import InputError
from l0.data.locations import Location
from l0.data.readers.csv_files import read_csv
from l0.data.readers.csv_form import AS_CSV, SUFFIXES
from l0.data.readers.feather_files import read_feather
from l0.data.readers.parquet_files import read_parquet
from l0.data.readers.sheets import read_sheet
from l0.data.readers.stat_files import read_stat

#: The wanted types of columns by name. With None, the reader infers all types.
ColumnTypes = dict[str, pa.DataType] | None
Reader = Callable[[Location, str, ColumnTypes, str | None], pa.Table]


def refuse_hdf(location: Location, argument: str, types: ColumnTypes, key: str | None) -> pa.Table:
    """Refuse HDF5: pandas stores text there as pickles, and reading these runs code of the file."""
    raise InputError(
        f"`{argument}`: {str(location)!r} is HDF5, which is not read, because it can run code; "
        "convert it: pandas.read_hdf('file.h5').to_parquet('file.parquet')"
    )


AGAIN = "write it again"
#: The suffixes, each with its reader and the remedy in the error for an unreadable file.
READERS: dict[str, tuple[Reader, str]] = {
    ".parquet": (read_parquet, AGAIN),
    ".pq": (read_parquet, AGAIN),
    **dict.fromkeys(SUFFIXES, (read_csv, AS_CSV)),
    ".feather": (read_feather, AGAIN),
    **dict.fromkeys((".dta", ".sav", ".zsav", ".sas7bdat", ".xpt"), (read_stat, AGAIN)),
    **dict.fromkeys((".xlsx", ".ods"), (read_sheet, AGAIN)),
    **dict.fromkeys((".h5", ".hdf5", ".hdf"), (refuse_hdf, AGAIN)),
}
#: The suffixes of files that are read.
READ = [suffix for suffix, (reader, _) in READERS.items() if reader is not refuse_hdf]


def reader_of(location: Location) -> tuple[Reader, str] | None:
    """Find the reader of a file and its remedy, or None if the suffix is unknown."""
    return next(
        (found for suffix, found in READERS.items() if location.name.endswith(suffix)), None
    )
