"""Findings on the records behind each target: none, or few."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from l0.calibration.findings import NOTE, WARNING, Finding
from l0.calibration.problem.core import Problem
from l0.common.errors import SHOWN, first_few
from l0.common.formatting import counted

#: A target with fewer records behind it has few.
FEW = 10


def out_of_reach(problem: Problem, reasons: NDArray[np.str_], bounded: bool) -> Iterator[Finding]:
    """Find the targets that no weights can hit, with the reason of each.

    Parameters
    ----------
    problem : Problem
    reasons : ndarray of str, shape (m,)
        See `unreachable`.
    bounded : bool
        Whether there are bounds that could be wider.
    """
    rows = np.flatnonzero(reasons != "").tolist()
    if rows:
        why = "; ".join(f"{problem.names[row]!r}: {reasons[row]}" for row in rows[:SHOWN])
        rest = f"; and {len(rows) - SHOWN:,} more" if len(rows) > SHOWN else ""
        yield _finding(
            WARNING,
            "unreachable",
            problem,
            rows,
            f"{_have(len(rows), 'is', 'are')} out of reach ({why}{rest})",
            "correct their labels or values"
            + (", widen the bounds" if bounded else "")
            + ", or drop them: a fit leaves them out, and the reported loss counts them",
        )


def without_records(problem: Problem, reasons: NDArray[np.str_]) -> Iterator[Finding]:
    """Find the targets that hold although no record is behind them."""
    rows = np.flatnonzero((np.diff(problem.matrix.indptr) == 0) & (reasons == "")).tolist()
    if rows:
        yield _finding(
            NOTE,
            "no records",
            problem,
            rows,
            f"{_have(len(rows))} the value 0 and no record, and will be met by any weights "
            f"({first_few(problem.names[row] for row in rows)})",
            "check that the labels are those that you mean",
        )


def few_records(problem: Problem) -> Iterator[Finding]:
    """Find the targets with few records behind them, those with the fewest first."""
    behind = np.diff(problem.matrix.indptr)
    few = np.flatnonzero((behind > 0) & (behind < FEW))
    rows = few[np.argsort(behind[few], kind="stable")].tolist()
    if rows:
        shown = [f"{problem.names[row]}: {behind[row]}" for row in rows]
        yield _finding(
            NOTE,
            "few records",
            problem,
            rows,
            f"{_have(len(rows))} fewer than {FEW} records behind "
            f"{'it' if len(rows) == 1 else 'them'} ({first_few(shown)})",
            "merge them with other cells if these records should not get large weights",
        )


def _have(count: int, one: str = "has", many: str = "have") -> str:
    return counted(count, f"target {one}", f"targets {many}")


def _finding(
    severity: str, about: str, problem: Problem, rows: list[int], what: str, remedy: str
) -> Finding:
    names = tuple(problem.names[row] for row in rows[:SHOWN])
    return Finding(severity, about, what, remedy, names, len(rows))
