"""The page of a comparison: two results side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from markupsafe import Markup
from numpy.typing import NDArray

from l0.calibration.results.report import charts
from l0.calibration.results.report.page import page
from l0.calibration.results.report.table import Column, DataTable, choice, number, stated_values
from l0.calibration.results.summary import Rows


def render(
    metrics: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    runs: Sequence[Mapping[str, Any]],
    folders: Sequence[str],
    rows: Rows,
    sentences: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Write the page of a comparison.

    Parameters
    ----------
    metrics, tables, runs, folders, notes
        As in `Comparison`.
    rows, sentences
        What `print` shows.

    Returns
    -------
    str
        HTML that loads no other file. It has the date of today.
    """
    untargeted = tables.get("untargeted")
    return page(
        "comparison.html.j2",
        m=metrics,
        runs=runs,
        folders=folders,
        date=date.today().isoformat(),
        head=rows[0],
        rows=rows[1],
        sentences=sentences,
        notes=notes,
        targets=_targets(tables["targets"]),
        targets_chart=_errors(tables["targets"], "targets"),
        untargeted=None if untargeted is None else _statistics(untargeted),
        untargeted_chart=None if untargeted is None else _errors(untargeted, "statistics"),
        weights_chart=_weights(tables["records"]),
    )


def _targets(table: pa.Table) -> DataTable:
    """Make the table of the targets that both have."""
    return DataTable(
        id="targets-table",
        things="targets",
        file="targets-compared.csv",
        columns=[
            Column("name", "Target", "text", table.column("name").to_pylist(), place="head"),
            choice("group", "Group", table.column("group").to_pylist(), place="under", filter=True),
            choice("outcome", "Outcome", table.column("outcome").to_pylist(), filter=True),
            stated_values(table),
            *_error_columns(table),
            choice("status_a", "Status in A", table.column("status_a").to_pylist(), place="file"),
            choice("status_b", "Status in B", table.column("status_b").to_pylist(), place="file"),
        ],
        order=("difference", True),
    )


def _statistics(table: pa.Table) -> DataTable:
    """Make the table of the statistics that are held out in both."""
    return DataTable(
        id="untargeted-table",
        things="statistics",
        file="untargeted-compared.csv",
        columns=[
            Column(
                "statistic", "Statistic", "text", table.column("statistic").to_pylist(),
                place="head",
            ),
            choice("variable", "Variable", table.column("variable").to_pylist(), place="file",
                   filter=True),
            choice("outcome", "Outcome", table.column("outcome").to_pylist(), filter=True),
            number("reference_a", "Full file", "amount", table.column("reference_a").to_pylist()),
            *_error_columns(table),
        ],
        order=("difference", True),
    )  # fmt: skip


def _error_columns(table: pa.Table) -> list[Column]:
    a, b = (_sizes(table, side) for side in "ab")
    return [
        number("error_a", "Error in A", "signed", table.column("relative_error_a").to_pylist()),
        number("error_b", "Error in B", "signed", table.column("relative_error_b").to_pylist()),
        Column("change", "From A to B", "change", of=("error_a", "error_b")),
        number("difference", "Less error in B", "signed", (a - b).tolist()),
    ]


def _errors(table: pa.Table, things: str) -> Markup:
    return charts.cumulative(
        {side.upper(): _sizes(table, side) for side in "ab"},
        things=things,
        lowest=1e-5,
        label=f"Share of the {things} whose relative error is at most a given size, in A and in B",
    )


def _weights(records: pa.Table) -> Markup | None:
    """Draw the ratios of the weights of the common records; None if there are none."""
    a, b = (
        np.asarray(records.column(f"weight_{side}").to_numpy(zero_copy_only=False), dtype=float)
        for side in "ab"
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = b / a
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    if not len(ratio):
        return None
    return charts.histogram(
        ratio,
        unit="Weight in B over weight in A",
        things="records",
        label="How many of the common records have which ratio of the weight in B to that in A",
    )


def _sizes(table: pa.Table, side: str) -> NDArray[np.float64]:
    return np.asarray(np.abs(table.column(f"relative_error_{side}").to_numpy()))
