"""The part of the report on the targets: errors before and after, groups, and prices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import fit_metrics
from l0.calibration.problem.losses import capped_error
from l0.calibration.results.report import charts
from l0.calibration.results.report.groups import Groups
from l0.calibration.results.report.table import WORST
from l0.calibration.results.report.target_table import worse_than_before
from l0.calibration.results.summary import dearest
from l0.common.formatting import percent
from l0.data.columns import as_numbers

#: The smallest error in a chart of targets; smaller ones count as this.
SMALLEST = 1e-5


def fit_part(table: pa.Table) -> dict[str, Any]:
    """Compare the design weights of all records (before) with the result (after) on the targets."""
    importance = as_numbers(table.column("importance"))
    after = as_numbers(table.column("relative_error"))
    before = as_numbers(table.column("design_relative_error"))
    unreachable = np.array(table.column("status").to_pylist()) == "unreachable"
    return {
        "before": fit_metrics(before, importance),
        "even": bool(np.ptp(importance) <= 1e-9 * importance.max()),
        "chart": charts.cumulative(
            {"before": np.abs(before), "after": np.abs(after)},
            things="targets",
            lowest=SMALLEST,
            label="Share of the targets whose relative error is at most a given size, under the "
            "design weights of all records and under the new weights",
        ),
        "against": charts.against(
            *(
                np.clip(np.abs(errors), SMALLEST, charts.LARGEST_SHOWN)
                for errors in (before, after)
            ),
            write=percent,
            units=("Error before", "Error after"),
            things="targets",
            label="How many targets have which error under the design weights, and which error "
            "under the new weights",
        ),
        "groups": _groups(table, before, after, importance, unreachable),
        "n_worse": int(worse_than_before(table).sum()),
        "dearest": [
            {**row, "gives_way": "yes" if row["at_limit"] else "no"}
            for row in dearest(table, WORST).to_pylist()
        ],
        "limited": "at_least" in table.column_names,
        "n_give_way": int(np.sum(table.column("at_limit").to_pylist())),
    }


def _groups(
    table: pa.Table,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    importance: NDArray[np.float64],
    unreachable: NDArray[np.bool_],
) -> dict[str, Any]:
    cost = importance * capped_error(after)
    group = Groups(table.column("group"))
    columns = {
        "before": group.mean(capped_error(before)),
        "after": group.mean(capped_error(after)),
        "within_1pct": group.mean(np.abs(after) <= 0.01),
        "unreachable": group.sum(unreachable),
        "loss_share": group.sum(cost) / (cost.sum() or 1.0),
    }
    rows = group.rows(columns, by="loss_share")
    for row in rows:
        row["chart"] = charts.change(row["before"], row["after"])
    return {"rows": rows, "n": len(group.names)}
