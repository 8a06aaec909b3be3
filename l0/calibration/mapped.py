"""The tables of a survey from parquet files, sorted by key and mapped into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.inputs.survey import check_keys, checked_members, key_column
from l0.common.atomic_files import made_folder
from l0.common.errors import InputError
from l0.data.mapped_tables import ParquetColumns


@dataclass(frozen=True, eq=False)
class MappedTables:
    """The tables of a survey.

    Attributes
    ----------
    records : pyarrow.Table
    order : ndarray of int64, shape (n,)
        ``order[i]`` is the row of record i in its file.
    members : dict of str to pyarrow.Table, or None
    """

    records: pa.Table
    order: NDArray[np.int64]
    members: dict[str, pa.Table] | None


@contextmanager
def mapped_tables(
    records: str | os.PathLike[str],
    members: Mapping[str, str | os.PathLike[str]] | None,
    key: str | None,
    beside: Path,
) -> Iterator[MappedTables]:
    """Map the tables of a survey into memory, for the length of a block.

    Parameters
    ----------
    records : path
    members : mapping of str to path, or None
    key : str or None
        The name of the key column. Without it, the records stay in their order.
    beside : Path
        The folder in which the files of the tables are made, and removed at the end. If it is made
        for them, an error removes it too.

    Raises
    ------
    InputError
        If a source is no parquet file, or if the keys are not unique.
    """
    named = checked_members(members, "{'person': 'persons.parquet'}")
    sources: dict[str, Any] = {"records": records}
    sources |= {f"members[{name!r}]": source for name, source in named.items()}
    for argument, source in sources.items():
        if not isinstance(source, (str, os.PathLike)):
            raise InputError(
                f"`{argument}` is a {type(source).__name__}; pass the path of a parquet file, or "
                "use `from_frames`"
            )
    columns = {name: ParquetColumns(source, name) for name, source in sources.items()}
    with made_folder(beside), TemporaryDirectory(prefix=".l0-", dir=beside) as scratch:
        order = _order(columns["records"], key)
        found = []
        for place, each in enumerate(columns.values()):
            folder = Path(scratch, str(place))
            folder.mkdir()
            found.append(each.mapped(folder, order if place == 0 else None))
        names = None if members is None else dict(zip(named, found[1:], strict=True))
        yield MappedTables(found[0], np.arange(len(found[0])) if order is None else order, names)


def _order(records: ParquetColumns, key: str | None) -> NDArray[np.int64] | None:
    """Find the order of the records by key, before their rows are moved; None for theirs."""
    if key is None or key not in records.schema.names:  # an error comes when the table is read
        return None
    keys = key_column(records.read(key), key, "records", "the `key`")
    check_keys(keys, f"`key` column {key!r}", "rows")
    order: NDArray[np.int64] = pc.sort_indices(keys).to_numpy().astype(np.int64)
    return order
