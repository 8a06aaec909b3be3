"""Findings on targets that are far from what the survey says, and probably measure something else.

The factor of a target is its value divided by the design-weighted estimate. The level of a variable
is the median factor of its targets, in which each target counts with its number of records. A level
far from 1 is a variable that the survey measures otherwise, or that its respondents do not report
in full. A target whose factor is far from its level is probably wrong. Both rules are ours. A
factor of few records varies by chance: its logarithm has a standard error of about 1 / sqrt(n_eff),
with Kish's effective number n_eff of the records behind it. A level has that of its best target.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from l0.calibration.findings import WARNING, Finding
from l0.calibration.preconditions import telling_targets
from l0.calibration.problem.core import Problem
from l0.common.errors import SHOWN, first_few

#: A variable is measured otherwise if its level is beyond this factor, and beyond `ERRORS` standard
#: errors.
LEVEL = 4 / 3
#: A target is far from its level beyond this factor, more than `SPREADS` robust standard deviations
#: of its variable, and `ERRORS` standard errors.
FACTOR, SPREADS, ERRORS = 2.0, 4.0, 3.0
#: The median absolute deviation times this is the standard deviation of a normal distribution.
NORMAL = 1.4826


def discrepancies(problem: Problem, reachable: NDArray[np.bool_]) -> Iterator[Finding]:
    """Find variables and targets that the design weights miss by far.

    Parameters
    ----------
    problem : Problem
    reachable : ndarray of bool, shape (m,)
    """
    rows = np.flatnonzero(telling_targets(problem, reachable))
    factors = np.log(problem.goals[rows] / problem.design_totals[rows])
    records = np.diff(problem.matrix.indptr)[rows]
    variables = np.array(problem.variables, dtype=object)[rows]
    far: list[int] = []
    size: dict[int, float] = {}
    for variable in dict.fromkeys(variables.tolist()):
        of = np.flatnonzero(variables == variable)
        level = _median(factors[of], records[of])
        deviations = np.abs(factors[of] - level)
        spread = NORMAL * _median(deviations, records[of])
        noise = ERRORS / np.sqrt(_effective_n(problem, rows[of]))
        limits = np.maximum(math.log(FACTOR), SPREADS * spread) + noise
        for place in np.flatnonzero(deviations > limits).tolist():
            far.append(int(rows[of[place]]))
            size[far[-1]] = float(factors[of[place]])
        if abs(level) > max(math.log(LEVEL), noise.min()):
            yield _otherwise(problem, variable, level, rows[of])
    if far:
        far.sort(key=lambda row: -abs(size[row]))
        shown = [f"{problem.names[row]}: {math.exp(size[row]):.3g} times" for row in far]
        yield Finding(
            WARNING,
            "suspect values",
            f"{len(far):,} {'target is' if len(far) == 1 else 'targets are'} far from the "
            "design-weighted estimate, and from the other targets of the same variable "
            f"({first_few(shown)})",
            "check their values, units and labels; give them a lower `importance`, or drop them",
            tuple(problem.names[row] for row in far[:SHOWN]),
            len(far),
        )


def _otherwise(problem: Problem, variable: str, level: float, rows: NDArray[np.int64]) -> Finding:
    return Finding(
        WARNING,
        "measured otherwise",
        f"The targets of {variable!r} are {math.exp(level):.3g} times the design-weighted "
        f"estimates ({'1 target' if len(rows) == 1 else f'median of {len(rows):,}'})",
        "check the unit and the definition; a survey that under-reports an amount needs it "
        "corrected before weights are fitted to it, or a lower `importance` of these targets",
        tuple(problem.names[row] for row in rows[:SHOWN].tolist()),
        len(rows),
    )


def _median(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    """Compute the weighted median: half of the weight is at or below it."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order[np.searchsorted(share, 0.5)]])


def _effective_n(problem: Problem, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute Kish's effective number of records of some targets: (sum c)^2 / sum c^2."""
    parts = problem.matrix[rows].multiply(problem.design_weights)
    squares = parts.multiply(parts).sum(axis=1)
    return np.asarray(np.square(problem.design_totals[rows]) / squares).ravel()
