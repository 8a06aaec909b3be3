"""The report: one HTML file with the chosen records, the fit and the untargeted statistics.

The report uses the tables of the result only, so that a saved result gives the same page on the
same day. All targets are in one table, of which the page shows some rows at a time. Other tables
list the worst rows and charts show all rows, so that the page of a large problem is small too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from markupsafe import Markup
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import Metrics, fit_metrics
from l0.calibration.problem.losses import capped_error, score
from l0.calibration.results.report import charts
from l0.calibration.results.report.page import page
from l0.calibration.results.report.target_table import (
    label_choices,
    suspect_factors,
    target_table,
    worse_than_before,
)
from l0.calibration.results.report.tiles import HEAT, strips
from l0.calibration.results.standard_errors import standard_error_rows
from l0.calibration.results.summary import (
    Rows,
    before_fit,
    certificate,
    dearest,
    fitted,
    held_out,
)
from l0.common.formatting import amount, percent
from l0.common.text_tables import Row
from l0.data.columns import as_numbers

#: The largest number of rows in a list of the worst or the largest, and in a table by group.
WORST, GROUPS = 20, 60
#: The smallest error in a chart of targets; smaller ones count as this.
SMALLEST = 1e-5
#: The lower ends of the bands of effective numbers of records, for the untargeted errors.
EFFECTIVE_N_BANDS = (0, 100, 200, 500, 1_000, 10_000)


def render(metrics: Metrics, run: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> str:
    """Write the report of a result.

    Parameters
    ----------
    metrics, run, tables
        As in `CalibrationResult`.

    Returns
    -------
    str
        HTML that loads no other file. It has the date of today.
    """
    full = run["arguments"].get("n_records") is None
    fit = _fit(fitted(tables["targets"]))
    untargeted = _untargeted(tables.get("untargeted"))
    return page(
        "report.html.j2",
        m=metrics,
        run=run,
        full=full,
        date=date.today().isoformat(),
        files=_files(run),
        lead=_lead(metrics, fit, untargeted, full),
        certificate=certificate(metrics),
        fit=fit,
        n_suspect=int(np.sum(~np.isnan(suspect_factors(tables["targets"])))),
        all_targets=target_table(tables["targets"]),
        strips=strips(label_choices(tables["targets"]), tables["targets"].column("relative_error")),
        heat=HEAT,
        holdout_before=score(*before_fit(held_out(tables["targets"]))),
        untargeted=untargeted,
        n_trained=_n_trained(tables.get("untargeted")),
        missing_reason=_missing_reason(tables.get("untargeted"), full),
        standard_errors=_written(standard_error_rows(tables)),
        entities=_entities(tables.get("entities")),
        weights=_weights(tables["weights"]),
        course=_course(tables["history"]),
        inputs=_inputs(run),
    )


def _lead(
    metrics: Metrics, fit: Mapping[str, Any], untargeted: Mapping[str, Any] | None, full: bool
) -> str:
    """Say the result in two sentences."""
    m = metrics
    kept = f"All {amount(m['n_records'])} records are kept, and"
    if not full:
        few = "record meets" if m["n_records"] == 1 else "records meet"
        kept = f"{amount(m['n_records'])} of {amount(m['n_candidates'])} {few}"
    else:
        kept += " meet"
    many = "1 target" if m["n_targets"] == 1 else f"{amount(m['n_targets'])} targets"
    first = (
        f"{kept} {many} with a mean error of {percent(m['loss'])}, where the design weights of all "
        f"records are off by {percent(fit['before']['loss'])}."
    )
    worth = amount(round(m["effective_sample_size"]))
    second = f"With these weights, they are as precise as {worth} records of equal weight"
    if untargeted is not None:
        second += (
            f", and {amount(untargeted['n'])} statistics that nobody asked for are off by "
            f"{percent(m['untargeted_capped_error'] or 0.0)} on average"
        )
    return f"{first} {second}."


def _files(run: Mapping[str, Any]) -> str:
    """Name the files that the result was made from; nothing if they were no files."""
    paths = [source["path"] for _, source in _inputs(run) if "path" in source]
    return ", ".join(PurePath(path).name for path in paths)


def _written(
    table: Rows,
) -> tuple[list[tuple[str, str, int]], list[Row]]:
    """Make the columns of a small table from the heads of numbers that are written already."""
    head, rows = table
    return [
        (title, "written" if place else "text", place) for place, title in enumerate(head)
    ], rows


def _fit(table: pa.Table) -> dict[str, Any]:
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
    group = _Groups(table.column("group"))
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


def _untargeted(table: pa.Table | None) -> dict[str, Any] | None:
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
        ("variables", _Groups(table.column("variable"))),
        ("labels", _Groups(table.column("by"))),
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
            for row in _rows(table, np.argsort(-size, kind="stable")[:WORST])
        ],
        "bands": bands,
        **parts,
    }


def _n_trained(untargeted: pa.Table | None) -> int:
    """Count the statistics that the fit was trained on."""
    return 0 if untargeted is None else int(np.sum(untargeted.column("trained").to_pylist()))


def _missing_reason(untargeted: pa.Table | None, full: bool) -> str:
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
    if _n_trained(untargeted):
        return (
            "Nothing is known about other statistics: the fit was trained on each statistic that "
            "is not a target."
        )
    return (
        "Nothing is known about statistics that are not targets: each statistic of these records "
        "has too few records behind it, or the targets determine it."
    )


def _entities(table: pa.Table | None) -> list[dict[str, Any]]:
    """List the records and the member tables; nothing for a matrix, or if there are no members."""
    if table is None or table.num_rows < 2:
        return []
    return [{**row, "name": row["entity"] or "records"} for row in table.to_pylist()]


def _weights(table: pa.Table) -> dict[str, Any]:
    weight, design = as_numbers(table.column("weight")), as_numbers(table.column("design_weight"))
    ratio = weight / design
    positive = ratio[ratio > 0]  # the axis is logarithmic
    table = table.append_column("ratio", pa.array(ratio))
    table = table.append_column("share", pa.array(weight / weight.sum()))
    return {
        "key": table.column_names[0],
        "n_negative": len(ratio) - len(positive),
        "median": float(np.median(weight)),
        "smallest": float(weight.min()),
        "largest": float(weight.max()),
        "median_ratio": float(np.median(ratio)),
        "chart": charts.histogram(
            positive,
            unit="New weight over design weight",
            things="records",
            label="How many of the kept records have which ratio of new weight to design weight",
        ),
        "against": charts.against(
            design[ratio > 0],
            weight[ratio > 0],
            write=amount,
            units=("Design weight", "New weight"),
            things="records",
            label="How many of the kept records have which design weight and which new weight",
        ),
        "top": _rows(table, np.argsort(-weight, kind="stable")[:WORST]),
    }


def _course(table: pa.Table) -> dict[str, Any]:
    stages = table.column("stage").to_pylist()
    iterations = as_numbers(table.column("iteration"))
    loss = as_numbers(table.column("loss"))
    full = [value for value, stage in zip(loss, stages, strict=True) if stage == "full"]
    return {
        "stages": list(dict.fromkeys(stages)),
        "full_loss": float(full[-1]) if full else None,
        "loss_chart": charts.course(
            iterations, loss, stages, is_share=True, unit="Loss on the targets",
            label="Loss on the targets along the run",
        ),
        "count_chart": charts.course(
            iterations, as_numbers(table.column("n_records")), stages, is_share=False,
            unit="Records that have a weight", label="Number of records along the run",
        ),
        "gap_chart": _gap_chart(table),
        "rows": table.to_pylist(),
    }  # fmt: skip


def _gap_chart(table: pa.Table) -> Markup | None:
    """Draw the duality gap of the fits; None if it is not known, or 0 from the first iteration."""
    known = table.filter(pa.compute.greater(table.column("gap"), 0.0))
    if not known.num_rows:
        return None
    # A fit has few iterations, and a selector between two fits many epochs.
    iterations = np.arange(1.0, known.num_rows + 1)
    return charts.course(
        iterations, as_numbers(known.column("gap")), known.column("stage").to_pylist(),
        is_share=True, unit="Duality gap", label="Duality gap of the fits along the run",
        along="Iterations of the fits",
    )  # fmt: skip


class _Groups:
    """Sums and means of values by label."""

    def __init__(self, labels: pa.ChunkedArray) -> None:
        coded = labels.combine_chunks().dictionary_encode()
        self.names = coded.dictionary.to_pylist()
        self._codes = coded.indices.to_numpy()
        self._counts = np.bincount(self._codes).astype(np.float64)

    def sum(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return np.bincount(self._codes, values).astype(np.float64)

    def mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        return self.sum(values) / self._counts

    def rows(self, columns: dict[str, NDArray[np.float64]], by: str) -> list[dict[str, Any]]:
        """Give the first `GROUPS` rows in descending order of a column."""
        columns = {"count": self._counts, **columns}
        order = np.argsort(-columns[by], kind="stable")[:GROUPS]
        return [
            {"name": self.names[i], **{name: column[i].item() for name, column in columns.items()}}
            for i in order
        ]


def _rows(table: pa.Table, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    return table.take(rows).to_pylist()  # type: ignore[no-any-return]


def _inputs(run: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List the inputs with their names on the page. A matrix has none."""
    inputs = dict(run.get("inputs", {}))
    members = inputs.pop("members", {})
    return [*inputs.items(), *((f"members {name!r}", member) for name, member in members.items())]
