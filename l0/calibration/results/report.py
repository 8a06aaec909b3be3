"""The report: one HTML file that says what was kept, what it hits and what it lost.

Everything is read from the result's own tables, so a saved result gives the same page. The worst
rows are listed and the rest is drawn, so the page stays small whatever the size of the problem.
"""

from __future__ import annotations

import ast
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from l0.calibration.results import charts
from l0.calibration.evaluation.metrics import capped_error, fit_metrics
from l0.calibration.selection import SELECTORS
from l0.common.formatting import amount, percent, signed
from l0.data.columns import as_numbers

if TYPE_CHECKING:
    from l0.calibration.results.result import CalibrationResult

#: Rows of a list of the worst or the largest, and of a table with a row a group.
WORST, GROUPS = 20, 60
#: Lower ends of the bands of support that untargeted errors are shown by.
SUPPORT_BANDS = (0, 100, 200, 500, 1_000, 10_000)


def render(result: CalibrationResult) -> str:
    """Write the report of a result.

    Parameters
    ----------
    result : CalibrationResult

    Returns
    -------
    str
        HTML that loads nothing from anywhere.
    """
    # Names and labels are the user's: `autoescape` keeps them text.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(percent=percent, signed=signed, amount=amount)
    page = files("l0.calibration.results").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(page).render(
        m=result.metrics,
        run=result.run,
        dense=result.run["arguments"].get("n_records") is None,
        fit=_fit(result.tables["targets"]),
        untargeted=_untargeted(result.tables.get("untargeted")),
        missing_reason=_missing_reason(result.tables.get("untargeted")),
        weights=_weights(result.tables["weights"]),
        course=_course(result.tables["history"]),
        snippet=_snippet(result.run),
        inputs=_inputs(result.run),
    )


def _fit(table: pa.Table) -> dict[str, Any]:
    """Compare the design weights of all records (before) with the result (after) on the targets."""
    importance = as_numbers(table.column("importance"))
    after = as_numbers(table.column("relative_error"))
    before = as_numbers(table.column("design_relative_error"))
    unreachable = np.array(table.column("status").to_pylist()) == "unreachable"
    size = np.abs(after)
    off = np.flatnonzero(~unreachable & (size > 0))
    return {
        "before": fit_metrics(before, importance),
        "even": bool(np.ptp(importance) <= 1e-9 * importance.max()),
        "chart": charts.cumulative(
            {"before": np.abs(before), "after": size},
            things="targets",
            lowest=1e-5,
            label="Share of the targets whose relative error is at most a given size, under the "
            "design weights of all records and under the new weights",
        ),
        "groups": _groups(table, before, after, importance, unreachable),
        "worst": _rows(table, off[np.argsort(-size[off], kind="stable")][:WORST]),
        "unreachable": _rows(table, np.flatnonzero(unreachable)[:WORST]),
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
    """Compare the result with the dense calibrated file on what was no target."""
    if table is None or not table.num_rows:
        return None
    size = np.abs(as_numbers(table.column("relative_error")))
    support = as_numbers(table.column("support"))
    capped = capped_error(size)
    parts = {}
    for name, group in (
        ("variables", _Groups(table.column("variable"))),
        ("labels", _Groups(table.column("by"))),
    ):
        columns = {"error": group.mean(capped), "within_10pct": group.mean(size <= 0.10)}
        parts[name] = group.rows(columns, by="error")
    band = np.digitize(support, SUPPORT_BANDS) - 1
    names = [f"{low:,} to {high:,}" for low, high in pairwise(SUPPORT_BANDS)]
    bands = [
        {
            "name": name,
            "count": int(inside.sum()),
            "error": float(capped[inside].mean()),
            "within_10pct": float((size[inside] <= 0.10).mean()),
        }
        for place, name in enumerate([*names, f"{SUPPORT_BANDS[-1]:,} or more"])
        if (inside := band == place).any()
    ]
    return {
        "n": table.num_rows,
        "within_10pct": float((size <= 0.10).mean()),
        "chart": charts.cumulative(
            {"after": size},
            things="statistics",
            lowest=1e-4,
            label="Share of the untargeted statistics whose relative error against the dense "
            "calibrated file is at most a given size",
        ),
        "worst": _rows(table, np.argsort(-size, kind="stable")[:WORST]),
        "bands": bands,
        **parts,
    }


def _missing_reason(untargeted: pa.Table | None) -> str:
    if untargeted is None:
        return (
            "Nothing can be said about statistics that were no target: the problem came as a bare "
            "matrix, without an auxiliary matrix of such statistics. Pass one as `auxiliary`."
        )
    return (
        "Nothing can be said about statistics that were no target: the records have none with "
        "enough support that the targets do not say already."
    )


def _weights(table: pa.Table) -> dict[str, Any]:
    weight, design = as_numbers(table.column("weight")), as_numbers(table.column("design_weight"))
    ratio = weight / design
    table = table.append_column("ratio", pa.array(ratio))
    table = table.append_column("share", pa.array(weight / weight.sum()))
    return {
        "key": table.column_names[0],
        "median": float(np.median(weight)),
        "smallest": float(weight.min()),
        "largest": float(weight.max()),
        "median_ratio": float(np.median(ratio)),
        "chart": charts.histogram(
            ratio,
            unit="New weight over design weight",
            things="records",
            label="How many of the kept records have which ratio of new weight to design weight",
        ),
        "top": _rows(table, np.argsort(-weight, kind="stable")[:WORST]),
    }


def _course(table: pa.Table) -> dict[str, Any]:
    stages = table.column("stage").to_pylist()
    epochs = as_numbers(table.column("epoch"))
    loss = as_numbers(table.column("loss"))
    dense = [value for value, stage in zip(loss, stages, strict=True) if stage == "dense"]
    return {
        "stages": list(dict.fromkeys(stages)),
        "dense_loss": float(dense[-1]) if dense else None,
        "loss_chart": charts.course(
            epochs, loss, stages, is_share=True, unit="Loss on the targets",
            label="Loss on the targets along the run",
        ),
        "count_chart": charts.course(
            epochs, as_numbers(table.column("n_records")), stages, is_share=False,
            unit="Records that have a weight", label="Number of records along the run",
        ),
        "rows": table.to_pylist(),
    }  # fmt: skip


class _Groups:
    """Items by a label: sums and means of what they have."""

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
        """Give the first `GROUPS` rows in falling order of a column."""
        columns = {"count": self._counts, **columns}
        order = np.argsort(-columns[by], kind="stable")[:GROUPS]
        return [
            {"name": self.names[i], **{name: column[i].item() for name, column in columns.items()}}
            for i in order
        ]


def _rows(table: pa.Table, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    return table.take(rows).to_pylist()  # type: ignore[no-any-return]


def _snippet(run: dict[str, Any]) -> str:
    """Write the call that repeats a run."""
    arguments = {
        name: repr(tuple(value) if isinstance(value, list) else value)
        for name, value in run["arguments"].items()
    }
    lines = ["import l0"]
    method = run["arguments"]["method"]
    if method not in SELECTORS:
        # An object came in, of which the run keeps the repr.
        classes = _names(method)
        if classes and classes <= {type(make()).__name__ for make in SELECTORS.values()}:
            lines.append(f"from l0.calibration.selection import {', '.join(sorted(classes))}")
            arguments["method"] = method
        else:
            lines.append(f"# `method` is the caller's own object: {' '.join(method.split())}")
            arguments["method"] = "method"
    call = []
    if "inputs" in run:
        inputs, columns = run["inputs"], run["columns"]
        call += [_source(inputs[name], name) for name in ("records", "targets")]
        call += [f"{name}={columns[name]!r}" for name in ("key", "weight") if columns[name]]
        if inputs["members"]:
            tables = (
                f"{name!r}: {_source(source, f'member_{place}')}"
                for place, (name, source) in enumerate(inputs["members"].items(), 1)
            )
            call.append(f"members={{{', '.join(tables)}}}")
    call += [f"{name}={value}" for name, value in arguments.items()]
    function = "l0.calibrate" if "inputs" in run else "problem.solve"
    return "\n".join([*lines, "", f"result = {function}(", *(f"    {part}," for part in call), ")"])


def _names(expression: str) -> set[str]:
    """List the names that an expression needs; none where it is no expression."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError:
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _inputs(run: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """List the inputs under the names that the page shows; a bare matrix has none."""
    inputs = dict(run.get("inputs", {}))
    members = inputs.pop("members", {})
    return [*inputs.items(), *((f"members {name!r}", member) for name, member in members.items())]


def _source(source: dict[str, Any], name: str) -> str:
    """Write an input as its path, or as a variable where a frame came in."""
    return repr(source["path"]) if "path" in source else name
