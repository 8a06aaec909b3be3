"""The tables of a result or a frontier, for `print`, notebooks and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import Metrics, fit_metrics
from l0.calibration.problem.core import HELD_OUT
from l0.calibration.problem.losses import score
from l0.common.formatting import amount, percent, signed
from l0.common.text_tables import Row
from l0.data.codings import labelled

#: The head of a table, and its rows.
Rows = tuple[Row, list[Row]]


def _count(number: float) -> str:
    return f"{number:,.0f}"


#: The title of each metric, and how to write its value.
Headlines = dict[str, tuple[str, Callable[[float], str]]]

#: The metrics in the tables.
HEADLINES: Headlines = {
    "n_records": ("Records", _count),
    "loss": ("Mean error on targets", percent),
    "within_1pct": ("Targets within 1%", percent),
    "within_10pct": ("Targets within 10%", percent),
    "holdout_capped_error": ("Mean error on held-out targets", percent),
    "untargeted_capped_error": ("Mean untargeted error*", percent),
    "represented_capped_error": ("Mean error of represented totals", percent),
    "effective_sample_size": ("Effective sample size", _count),
    "max_weight_ratio": ("Largest weight ratio", "{:,.1f}".format),
    "seconds": ("Seconds", "{:,.1f}".format),
}
#: Those that some results have not.
OPTIONAL = ("holdout_capped_error", "represented_capped_error")
FOOTNOTE = (
    "* On statistics that no fit is trained on, against the file in which all\n"
    "  records are calibrated. All errors are relative and count at most 100%.\n"
    "  A weight ratio is the final over the design weight."
)
FRONTIER_FOOTNOTE = (
    f"{FOOTNOTE} Seconds are what a\n  budget added; the largest includes the fit of the full file."
)
FEW_RECORDS = "* Fewer than 30 records: the interval is less reliable."
#: The largest number of missed targets in a summary, and of those with the largest shadow prices.
WORST = 5


def result_rows(metrics: Metrics, targets: pa.Table) -> Rows:
    """Make the table of a result: a row for each metric, with the design weights beside it."""
    before: dict[str, Any] = {
        "n_records": metrics["n_candidates"],
        **fit_metrics(*before_fit(fitted(targets))),
        "max_weight_ratio": 1.0,
    }
    if metrics["n_holdout"]:
        before["holdout_capped_error"] = score(*before_fit(held_out(targets)))
    shown = _without([name for name in OPTIONAL if metrics[name] is None])  # type: ignore[literal-required]
    titles = [title for title, _ in shown.values()]
    cells = (_cells(of, shown) for of in (before, metrics))
    rows: list[Row] = list(zip(titles, *cells, strict=True))
    return ("", "Design weights", "Calibrated"), rows


def frontier_rows(budgets: Sequence[Mapping[str, Any]]) -> Rows:
    """Make the table of a frontier: a row for each budget, and a column for each metric."""
    unknown = all(metrics.get("holdout_capped_error") is None for metrics in budgets)
    shown = _without(["represented_capped_error", *["holdout_capped_error"] * unknown])
    head = [title for title, _ in shown.values()]
    return head, [_cells(metrics, shown) for metrics in budgets]


def frontier_notes(notes: Mapping[int, Sequence[str]], n_budgets: int) -> list[str]:
    """List the notes on the budgets of a frontier, each once, with the budgets that it is about.

    Examples
    --------
    >>> from l0.calibration.results.summary import frontier_notes
    >>> frontier_notes({2_000: ["It was stopped", "A warning"], 10: ["A warning"]}, n_budgets=2)
    ['2,000 records: It was stopped', 'All budgets: A warning']
    """
    budgets: dict[str, list[int]] = {}
    for budget in sorted(notes, reverse=True):
        for note in notes[budget]:
            budgets.setdefault(note, []).append(budget)
    return [
        f"All budgets: {note}"
        if 1 < n_budgets == len(of)
        else f"{' and '.join(f'{k:,}' for k in of)} {'record' if of == [1] else 'records'}: {note}"
        for note, of in budgets.items()
    ]


def worst_rows(targets: pa.Table) -> Rows:
    """Make the table of the missed targets with the largest errors, without unreachable ones."""
    error = np.abs(targets.column("relative_error").to_numpy())
    missed = np.array(targets.column("status").to_pylist()) == "missed"
    order = np.argsort(-error, kind="stable")
    worst = targets.take(order[missed[order]][:WORST]).to_pylist()
    head = ("Missed by most", "Value", "Estimate", "Error")
    return head, [
        (row["name"], stated(row), known_amount(row["estimate"]), signed(row["relative_error"]))
        for row in worst
    ]


def dearest(targets: pa.Table, most: int) -> pa.Table:
    """Take the targets with the largest shadow prices; among equals, those with the largest errors.

    Those without a price are left out. Targets of the same importance that give way have the same
    price, but for rounding.
    """
    prices = np.abs(targets.column("shadow_price").to_numpy())
    errors = np.abs(targets.column("relative_error").to_numpy())
    written = np.array([float(f"{each:.2g}") for each in prices])
    order = np.lexsort((-errors, -written))[:most]
    return targets.take(order[prices[order] > 0])


def dearest_rows(targets: pa.Table) -> Rows:
    """Make the table of the targets with the largest shadow prices."""
    head = ("Dearest targets", "Value", "Error", "Shadow price", "Gives way")
    return head, [
        (
            row["name"], stated(row), signed(row["relative_error"]),
            price(row["shadow_price"]), "yes" if row["at_limit"] else "no",
        )
        for row in dearest(targets, WORST).to_pylist()
    ]  # fmt: skip


def estimate_rows(found: pa.Table) -> Rows:
    """Make the table of estimates: the label columns, and the main numbers of each domain."""
    labels = found.column_names[: found.column_names.index("estimate")]
    columns = [labelled(found, name) for name in labels]
    rows: list[Row] = [
        (
            *(column[place] or "(none)" for column in columns),
            *(known_amount(row[name]) for name in ("estimate", "standard_error", "low", "high")),
            "none" if row["cv"] is None else percent(row["cv"]),
            f"{row['n_records']:,}" + ("*" if row["few_records"] else ""),
        )
        for place, row in enumerate(found.to_pylist())
    ]
    return (*labels, "Estimate", "Standard error", "Low", "High", "CV", "Records"), rows


def stated(row: Mapping[str, Any]) -> str:
    """Write what a target states: its value, or its limits.

    Examples
    --------
    >>> from l0.calibration.results.summary import stated
    >>> stated({"value": 5545.0}), stated({"value": None, "at_least": 10.0, "at_most": None})
    ('5,545', 'at least 10')
    """
    if row["value"] is not None:
        return amount(row["value"])
    low, high = row["at_least"], row["at_most"]
    if low is None or high is None:
        return f"at most {amount(high)}" if low is None else f"at least {amount(low)}"
    return f"{amount(low)} to {amount(high)}"


def stated_size(row: Mapping[str, Any]) -> float:
    """Give the number by which what a target states is sorted: its value, or its first limit.

    Examples
    --------
    >>> from l0.calibration.results.summary import stated_size
    >>> stated_size({"value": None, "at_least": 0.0, "at_most": 10.0})
    0.0
    """
    numbers = (row.get(name) for name in ("value", "at_least", "at_most"))
    return next(float(number) for number in numbers if number is not None)


def known_amount(number: float | None) -> str:
    """Write an estimate. There is none if its denominator is 0."""
    return "none" if number is None else amount(number)


def price(number: float) -> str:
    """Write a shadow price."""
    return f"{number:+.2g}".replace("-", "−", 1) if number < 0 else f"{number:+.2g}"


def certificate(metrics: Mapping[str, Any]) -> str:
    """Say in a sentence how close the fit is to the best possible one."""
    status, gap = metrics["fit_status"], percent(metrics["gap"])
    if status == "exact" and metrics.get("represented_capped_error") is not None:
        return "All targets are met exactly. Soft targets are as close as that allows."
    if status == "exact":
        return "All targets are met exactly, by the closest weights."
    if status == "optimal":
        return f"The fit is certified within {gap} of the best possible one."
    if status == "rounded":
        return (
            f"The weights were rounded to whole numbers. The fit was within {gap} of the best "
            "possible one."
        )
    if status == "trimmed":
        return f"The weights were trimmed. The fit was within {gap} of the best possible one."
    return f"The fit was stopped. It is certainly within {gap} of the best possible one."


def joint_reasons(targets: pa.Table) -> list[str]:
    """List why missed targets cannot be met together, each reason once."""
    rows = targets.select(["status", "reason"]).to_pylist()
    reasons = [row["reason"] for row in rows if row["status"] == "missed" and row["reason"]]
    return list(dict.fromkeys(reasons))[:WORST]


def fitted(targets: pa.Table) -> pa.Table:
    """Take the targets that were in the fit."""
    return targets.filter(pc.not_equal(targets.column("status"), HELD_OUT))


def held_out(targets: pa.Table) -> pa.Table:
    """Take the targets that were held out of the fit."""
    return targets.filter(pc.equal(targets.column("status"), HELD_OUT))


def before_fit(targets: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the errors under the design weights, and the shares of the targets."""
    error, importance = (
        targets.column(name).to_numpy() for name in ("design_relative_error", "importance")
    )
    return error, importance


def _without(names: Sequence[str]) -> Headlines:
    """Leave out some rows."""
    return {name: of for name, of in HEADLINES.items() if name not in names}


def _cells(metrics: Mapping[str, Any], shown: Headlines) -> list[str]:
    """Write the metrics. A missing metric is an empty cell, and None is "not known"."""

    def cell(name: str, write: Callable[[float], str]) -> str:
        if name not in metrics:
            return ""
        return "not known" if metrics[name] is None else write(metrics[name])

    return [cell(name, write) for name, (_, write) in shown.items()]
