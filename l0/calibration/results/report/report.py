"""The report: one HTML file with the chosen records, the fit and the untargeted statistics.

The report uses the tables of the result only, so that a saved result gives the same page on the
same day. All targets are in one table, of which the page shows some rows at a time. Other tables
list the worst rows and charts show all rows, so that the page of a large problem is small too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from markupsafe import Markup

from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.problem.losses import score
from l0.calibration.results.report import charts
from l0.calibration.results.report.fit_part import fit_part
from l0.calibration.results.report.page import page
from l0.calibration.results.report.table import WORST
from l0.calibration.results.report.target_table import (
    label_choices,
    suspect_factors,
    target_table,
    worse_than_before,
)
from l0.calibration.results.report.tiles import HEAT, strips
from l0.calibration.results.report.untargeted_part import (
    missing_reason,
    n_trained,
    untargeted_part,
)
from l0.calibration.results.standard_errors import standard_error_rows
from l0.calibration.results.summary import Rows, before_fit, certificate, fitted, held_out
from l0.common.formatting import amount, counted, percent
from l0.common.text_tables import Row
from l0.data.columns import as_numbers


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
    fit = fit_part(fitted(tables["targets"]))
    untargeted = untargeted_part(tables.get("untargeted"))
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
        n_worse_held=int(worse_than_before(held_out(tables["targets"])).sum()),
        n_suspect=int(np.sum(~np.isnan(suspect_factors(tables["targets"])))),
        all_targets=target_table(tables["targets"]),
        strips=strips(label_choices(tables["targets"]), tables["targets"].column("relative_error")),
        heat=HEAT,
        holdout_before=score(*before_fit(held_out(tables["targets"]))),
        untargeted=untargeted,
        n_trained=n_trained(tables.get("untargeted")),
        missing_reason=missing_reason(tables.get("untargeted"), full),
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
    many = counted(m["n_targets"], "target")
    first = (
        f"{kept} {many} with a mean error of {percent(m['loss'])}, where the design weights of all "
        f"records are off by {percent(fit['before']['loss'])}."
    )
    worth = round(m["effective_sample_size"])
    equal = counted(worth, "record", "records of equal weight")
    second = f"With these weights, they are as precise as {equal}"
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
        "top": table.take(np.argsort(-weight, kind="stable")[:WORST]).to_pylist(),
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


def _inputs(run: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List the inputs with their names on the page. A matrix has none."""
    inputs = dict(run.get("inputs", {}))
    members = inputs.pop("members", {})
    return [*inputs.items(), *((f"members {name!r}", member) for name, member in members.items())]
