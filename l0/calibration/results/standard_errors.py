"""The standard errors of the targets and of the untargeted statistics, by family."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.results.summary import Rows, fitted
from l0.calibration.variance.replicates import Replicates
from l0.common.formatting import percent, read_names
from l0.common.text_tables import Row
from l0.data.columns import as_numbers

STANDARD_ERROR = "standard_error"
#: The largest number of groups of targets in the table.
GROUPS = 5
LABELS = ("overall", "one label column", "two label columns", "three label columns")


def with_standard_errors(
    tables: Mapping[str, pa.Table],
    replicates: Replicates,
    under: Mapping[str, NDArray[np.float64]],
) -> dict[str, pa.Table]:
    """Add the standard errors to the tables of the targets and of the untargeted statistics.

    Parameters
    ----------
    tables : mapping of str to pyarrow.Table
    replicates : Replicates
    under : mapping of str to ndarray of float64, shape (rows, C)
        The statistics under each column of replicate weights, by the name of the table.
    """
    found = dict(tables)
    for name, values in under.items():
        table = found[name]
        if STANDARD_ERROR in table.column_names:
            table = table.drop_columns([STANDARD_ERROR])
        main = as_numbers(table.column("estimate"))
        error = np.sqrt(replicates.variance(values.T, main))
        if name == "untargeted":
            # No chosen record has an amount: the error is unknown, and not 0.
            error[(main == 0) & (error == 0)] = np.nan
        found[name] = table.append_column(STANDARD_ERROR, pa.array(error, from_pandas=True))
    return found


def standard_error_rows(tables: Mapping[str, pa.Table]) -> Rows:
    """Make the table of standard errors: a row for each family, none without replicates."""
    head = ("Standard errors", "Number", "Median", "90% are below")
    parts: list[tuple[str, pa.Table]] = []
    targets, untargeted = fitted(tables["targets"]), tables.get("untargeted")
    if STANDARD_ERROR in targets.column_names:
        counts = pc.value_counts(targets.column("group")).to_pylist()
        largest = sorted(counts, key=lambda group: -group["counts"])[:GROUPS]
        for group in (each["values"] for each in largest):
            inside = targets.filter(pc.equal(targets.column("group"), group))
            parts.append((f"Targets: {group}" if group else "Targets", inside))
    if untargeted is not None and STANDARD_ERROR in untargeted.column_names:
        parts.append(("Represented totals", untargeted.filter(untargeted.column("trained"))))
        held_out = untargeted.filter(untargeted.column("held_out"))
        by = held_out.column("by").to_pylist()
        n_labels = np.array([len(read_names(names)) for names in by], dtype=np.int64)
        for number, title in enumerate(LABELS):
            parts.append((f"Held out, {title}", held_out.filter(pa.array(n_labels == number))))
    rows: list[Row] = []
    for title, table in parts:
        error, estimate = (as_numbers(table.column(name)) for name in (STANDARD_ERROR, "estimate"))
        known = np.isfinite(error) & np.isfinite(estimate) & (estimate != 0)
        if known.any():
            shares = error[known] / np.abs(estimate[known])
            median, ninth = np.quantile(shares, (0.5, 0.9))
            rows.append((title, f"{len(shares):,}", percent(float(median)), percent(float(ninth))))
    return head, rows
