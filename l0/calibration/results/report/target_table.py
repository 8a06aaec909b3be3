"""The table of all targets in the report, and the flags of those to look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.evaluation.target_labels import free_name, labels_of
from l0.calibration.problem.core import MET
from l0.calibration.results.report.table import Column, DataTable, choice, number, stated_values
from l0.calibration.results.standard_errors import STANDARD_ERROR
from l0.common.formatting import amount
from l0.data.columns import as_numbers

#: The flags of a target, each a bit of its mark.
FLAGS = ("worse than before", "gives way", "suspect")
#: The keys of this table that are no columns of the result.
KEYS = ("flags", "before", "after", "error_before", "error_after", "change")


def target_table(table: pa.Table) -> DataTable:
    """Make the table of all targets, those that were held out as well.

    Parameters
    ----------
    table : pyarrow.Table
        The table `targets` of a result.
    """
    marks = worse_than_before(table) + 2 * np.array(table.column("at_limit").to_pylist(), dtype=int)
    factors, suspect = suspect_factors(table), []
    odd = np.flatnonzero(~np.isnan(factors))
    if odd.size:
        marks[odd] += 4
        texts = {
            str(row): (f"{amount(times)} times what similar targets say", times)
            for row, times in zip(odd.tolist(), factors[odd].tolist(), strict=True)
        }
        suspect = [number("suspect_factor", "Times similar targets", "amount", factors.tolist(),
                          place="under", texts=texts, empty="")]  # fmt: skip
    standard_errors = []
    if STANDARD_ERROR in table.column_names:
        found = table.column(STANDARD_ERROR).to_pylist()
        standard_errors = [number(STANDARD_ERROR, "Standard error", "amount", found)]
    return DataTable(
        id="targets-table",
        things="targets",
        file="targets.csv",
        columns=[
            Column("name", "Target", "text", table.column("name").to_pylist(), place="head"),
            choice("group", "Group", table.column("group").to_pylist(), place="under", filter=True),
            choice("reason", "Reason", table.column("reason").to_pylist(), place="under"),
            Column("flags", "Flag", "marks", marks.tolist(), place="under", filter=True,
                   levels=FLAGS),
            *suspect,
            choice("status", "Status", table.column("status").to_pylist(), filter=True),
            *label_choices(table),
            stated_values(table),
            number("before", "Before", "amount", table.column("design_estimate").to_pylist()),
            number("after", "After", "amount", table.column("estimate").to_pylist()),
            number("error_before", "Error before", "signed",
                   table.column("design_relative_error").to_pylist()),
            number("error_after", "Error after", "signed",
                   table.column("relative_error").to_pylist()),
            Column("change", "From before to after", "change", of=("error_before", "error_after")),
            *standard_errors,
            number("shadow_price", "Shadow price", "price",
                   table.column("shadow_price").to_pylist(), place="file"),
            number("importance", "Importance", "percent", table.column("importance").to_pylist(),
                   place="file"),
        ],
        order=("error_after", True),
    )  # fmt: skip


def label_choices(table: pa.Table) -> list[Column]:
    """Make the label columns, which the reader filters by. The rows show them in their names.

    The key of a label column that has the name of a column of the page gets ``label_`` in front.
    """
    names, found = labels_of(table.column_names), []
    for name in names:
        column = choice(
            free_name(name, KEYS, names), name, table.column(name).to_pylist(), place="file"
        )
        found.append(replace(column, filter=len(column.levels) > 1))
    return found


def suspect_factors(table: pa.Table) -> NDArray[np.float64]:
    """How many times as large as similar targets say; NaN for no suspect, or if nobody looked."""
    if "suspect_factor" not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return as_numbers(table.column("suspect_factor"))


def worse_than_before(table: pa.Table) -> NDArray[np.int64]:
    """Tell which targets ended further off than the design weights had them: 1, or else 0."""
    before, after = (
        np.abs(as_numbers(table.column(name)))
        for name in ("design_relative_error", "relative_error")
    )
    return ((after > before + MET) & (after > MET)).astype(np.int64)
