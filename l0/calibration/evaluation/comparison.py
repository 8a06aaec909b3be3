"""The table of untargeted statistics, and its metrics."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import UntargetedMetrics
from l0.calibration.problem.losses import capped_error


def comparison_table(
    names: list[str],
    variables: list[str],
    by: list[str],
    total: NDArray[np.float64],
    estimate: NDArray[np.float64],
    effective_n: NDArray[np.float64],
    held_out: NDArray[np.bool_],
) -> pa.Table:
    """Make the table of statistics of a result beside their reference, a row each."""
    difference = estimate - total
    return pa.table(
        {
            "statistic": pa.array(names, pa.string()),
            "variable": pa.array(variables, pa.string()),
            "by": pa.array(by, pa.string()),
            "reference": total,
            "estimate": estimate,
            "relative_error": np.divide(
                difference, np.abs(total), out=np.sign(difference), where=total != 0
            ),
            "effective_n": effective_n,
            "held_out": held_out,
        }
    )


def flagged(table: pa.Table, trained: AbstractSet[str]) -> pa.Table:
    """Flag the statistics that were trained on. They are not held out."""
    is_trained = np.isin(table.column("statistic").to_pylist(), list(trained))
    held_out = table.column("held_out").to_numpy() & ~is_trained
    place = table.column_names.index("held_out")
    table = table.set_column(place, "held_out", pa.array(held_out))
    return table.append_column("trained", pa.array(is_trained))


def untargeted_metrics(table: pa.Table | None) -> UntargetedMetrics:
    """Compute the median and the mean capped relative error; None if there is no statistic."""
    found: UntargetedMetrics = {
        "untargeted_median_error": None,
        "untargeted_capped_error": None,
        "represented_capped_error": None,
    }
    if table is None:
        return found
    error = table.column("relative_error").to_numpy()
    held_out, trained = (table.column(name).to_numpy() for name in ("held_out", "trained"))
    if held_out.any():
        found["untargeted_median_error"] = float(np.median(np.abs(error[held_out])))
        found["untargeted_capped_error"] = float(capped_error(error[held_out]).mean())
    if trained.any():
        found["represented_capped_error"] = float(capped_error(error[trained]).mean())
    return found
