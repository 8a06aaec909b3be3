"""The rows of a table that belong to the chosen records of a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.inputs.survey import SAME_WEIGHT, find_keys, key_column
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.data.columns import as_numbers, is_number, plain


def rows_by_key(
    table: pa.Table, key: str, weights: pa.Table
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the rows whose key is that of a chosen record.

    Parameters
    ----------
    table : pyarrow.Table
    key : str
    weights : pyarrow.Table
        The weights of a result, with their keys.

    Returns
    -------
    rows : ndarray of int64, shape (r,)
        Positions in `table`, in its order.
    of : ndarray of int64, shape (r,)
        The positions of their records in `weights`.
    """
    own = key_column(table, key, "table", "the key")
    found = find_keys(own, plain(weights.column(key)))
    if found.null_count == len(found):
        raise InputError(
            f"`table` has no row of a chosen record in {key!r} ({own.type}; the result has "
            f"{weights.column(key).type}); pass a table with the same keys"
        )
    rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    return rows, found.drop_null().to_numpy().astype(np.int64)


def check_same_rows(
    table: pa.Table, run: Mapping[str, Any], n_rows: int, rows: NDArray[np.int64], weights: pa.Table
) -> None:
    """Check that a table is that of the records of a result without a key, in their order.

    Parameters
    ----------
    table : pyarrow.Table
    run : mapping
        The description of the run.
    n_rows : int
        The number of rows that the table of the records had.
    rows : ndarray of int64, shape (k,)
        The rows of the chosen records.
    weights : pyarrow.Table, k rows
        The weights of the result. The design weights among them show a change of the order.
    """
    if table.num_rows != n_rows:
        raise InputError(
            f"`table` has {counted(table.num_rows, 'row')}, and a result without a key needs the "
            f"table of the {counted(n_rows, 'record')}; pass that, or calibrate with `key`"
        )
    name = run["weight"]
    if name not in table.column_names or not is_number(table.schema.field(name).type):
        return
    now = as_numbers(table.column(name).take(pa.array(rows)))
    before = weights.column("design_weight").to_numpy()
    other = rows[~np.isclose(now, before, rtol=SAME_WEIGHT, atol=0)]
    if other.size:
        raise InputError(
            f"`table` has other weights in {name!r} than the calibrated records, in "
            f"{counted(other.size, 'row')} ({first_few(other.tolist())}), and a result without a "
            "key needs their table in the same order; pass that, or calibrate with `key`"
        )
