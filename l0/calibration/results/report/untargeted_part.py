"""The part of the report on statistics that are not targets."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from l0.calibration.problem.losses import capped_error
from l0.calibration.results.report import charts
from l0.calibration.results.report.groups import Groups
from l0.calibration.results.report.table import WORST
from l0.data.columns import as_numbers

#: The lower ends of the bands of effective numbers of records, for the untargeted errors.
EFFECTIVE_N_BANDS = (0, 100, 200, 500, 1_000, 10_000)


def untargeted_part(table: pa.Table | None) -> dict[str, Any] | None:
    """Compare the result with the calibrated full file on the held-out statistics."""
    if table is None:
        return None
    table = table.filter(table.column("held_out"))
    if not table.num_rows:
        return None
    size = np.abs(as_numbers(table.column("relative_error")))
    effective_n = as_numbers(table.column("effective_n"))
    capped = capped_error(size)
    parts = {}
    for name, group in (
        ("variables", Groups(table.column("variable"))),
        ("labels", Groups(table.column("by"))),
    ):
        columns = {"error": group.mean(capped), "within_10pct": group.mean(size <= 0.10)}
        rows = group.rows(columns, by="error")
        parts[name] = [{**row, "name": row["name"] or "all records together"} for row in rows]
    band = np.digitize(effective_n, EFFECTIVE_N_BANDS) - 1
    names = [f"{low:,} to {high:,}" for low, high in pairwise(EFFECTIVE_N_BANDS)]
    bands = [
        {
            "name": name,
            "count": int(inside.sum()),
            "error": float(capped[inside].mean()),
            "within_10pct": float((size[inside] <= 0.10).mean()),
        }
        for place, name in enumerate([*names, f"{EFFECTIVE_N_BANDS[-1]:,} or more"])
        if (inside := band == place).any()
    ]
    return {
        "n": table.num_rows,
        "within_10pct": float((size <= 0.10).mean()),
        "chart": charts.cumulative(
            {"after": size},
            things="statistics",
            lowest=1e-4,
            label="Share of the held-out statistics whose relative error against the calibrated "
            "full file is at most a given size",
        ),
        "worst": [
            {**row, "effective_n": round(row["effective_n"])}
            for row in table.take(np.argsort(-size, kind="stable")[:WORST]).to_pylist()
        ],
        "bands": bands,
        **parts,
    }


def n_trained(untargeted: pa.Table | None) -> int:
    """Count the statistics that the fit was trained on."""
    return 0 if untargeted is None else int(np.sum(untargeted.column("trained").to_pylist()))


def missing_reason(untargeted: pa.Table | None, full: bool) -> str:
    """Say why there are no such statistics."""
    if untargeted is None and full:
        return (
            "Nothing is lost here: all records are kept, and smaller files are compared with this "
            "one. Statistics that are not targets may still be far from their true values, which "
            "are not known."
        )
    if untargeted is None:
        return (
            "Nothing is known about statistics that are not targets: the problem was a matrix, "
            "without a matrix of such statistics. Pass one as `untargeted`."
        )
    if n_trained(untargeted):
        return (
            "Nothing is known about other statistics: the fit was trained on each statistic that "
            "is not a target."
        )
    return (
        "Nothing is known about statistics that are not targets: each statistic of these records "
        "has too few records behind it, or the targets determine it."
    )
