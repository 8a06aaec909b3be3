"""Write a table to a new file, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from l0.common.atomic_files import whole_file
from l0.common.errors import InputError, first_few

#: The suffixes of the files that can be written.
WRITERS = {
    ".csv": pa.csv.write_csv,
    ".parquet": pa.parquet.write_table,
}


def check_new_file(path: Path, argument: str) -> None:
    """Refuse a path that is taken, or whose suffix is not known."""
    if path.suffix.lower() not in WRITERS:
        raise InputError(
            f"`{argument}`: the suffix of {str(path)!r} is none of {first_few(WRITERS)}; write one "
            "of these"
        )
    if path.exists():
        raise InputError(
            f"`{argument}`: there is a file {str(path)!r} already; name another, or move it"
        )


def write_new_file(table: pa.Table, path: Path) -> None:
    """Write a table in the format of the suffix (see `check_new_file`).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pyarrow as pa
    >>> from l0.data.writing import write_new_file
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "totals.csv")
    ...     write_new_file(pa.table({"value": [20.5]}), path)
    ...     print(path.read_text())
    "value"
    20.5
    <BLANKLINE>
    """
    with whole_file(path) as draft:
        WRITERS[path.suffix.lower()](table, draft)
