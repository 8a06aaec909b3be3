"""Findings on targets that contradict each other, as many as a limit of time lets one find."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from l0.calibration.findings import NOTE, WARNING, Finding
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.conflicts import conflict, conflict_message
from l0.calibration.problem.core import Problem
from l0.common.errors import SHOWN

#: The largest number of contradictions that are looked for.
MOST = 5


def contradictions(
    problem: Problem, bounds: Bounds, reachable: NDArray[np.bool_], seconds: float
) -> Iterator[Finding]:
    """Find targets that no weights meet together.

    After each contradiction, the search goes on without the target with the largest part in it.

    Parameters
    ----------
    problem : Problem
    bounds : Bounds
        Of all records.
    reachable : ndarray of bool, shape (m,)
        The targets that can be met one by one.
    seconds : float
        The limit of time.
    """
    deadline = time.perf_counter() + seconds
    rows = np.flatnonzero(reachable & (problem.importance > 0))
    width = problem.tolerance * problem.scales
    low, high = problem.low - width, problem.high + width
    contributions = problem.matrix.multiply(problem.design_weights).tocsr()
    for found_so_far in range(MOST):
        if not len(rows):
            return
        try:
            found = conflict(
                contributions[rows],
                low[rows],
                high[rows],
                bounds.low,
                bounds.high,
                problem.scales[rows],
                seconds=deadline - time.perf_counter(),
            )
        except TimeoutError:
            yield _unfinished(
                f"The search for {'further ' if found_so_far else ''}contradictions between "
                f"targets was stopped after {seconds:g} s, and is not complete",
                "allow it more time with `max_seconds` (on the command line --max-seconds)",
            )
            return
        if found is None:
            return
        names = [problem.names[row] for row in rows.tolist()]
        yield Finding(
            WARNING,
            "contradictions",
            conflict_message(names, found),
            "correct one of them, or give them a `tolerance`; a fit shares the error among them",
            tuple(names[row] for row in found.rows[:SHOWN].tolist()),
            len(found.rows),
        )
        rows = np.delete(rows, found.rows[0])
    yield _unfinished(
        f"The search for contradictions ended after {MOST}, and there may be more",
        "correct these, and check again",
    )


def _unfinished(what: str, remedy: str) -> Finding:
    return Finding(NOTE, "contradictions", what, remedy)
