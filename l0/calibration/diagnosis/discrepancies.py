"""Targets that are far from what the survey says, and probably measure something else.

The factor of a target is its value divided by the design-weighted estimate. The level of a variable
is the median factor of its targets, in which each target counts with its number of records. A level
far from 1 is a variable that the survey measures otherwise, or that its respondents do not report
in full.

What is left of a factor when the level of its variable is taken out may still be common to all
targets with some label: the survey has too few rich people, or too many people of one state. So the
medians of these are taken out too, label column by label column (the median polish of Tukey 1977,
*Exploratory Data Analysis*). A target is suspect if the rest of its factor is large. The rules and
limits are ours. A factor of few records varies by chance: its logarithm has a standard error of
about 1 / sqrt(n_eff), with Kish's effective number n_eff of the records behind it. A level has that
of its best target.
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
from l0.common.formatting import counted

#: A variable is measured otherwise if its level is beyond this factor, and beyond `ERRORS` standard
#: errors.
LEVEL = 4 / 3
#: A target is far from similar ones beyond this factor, more than `SPREADS` robust standard
#: deviations of its variable, and `ERRORS` standard errors.
FACTOR, SPREADS, ERRORS = 2.0, 4.0, 3.0
#: The median absolute deviation times this is the standard deviation of a normal distribution.
NORMAL = 1.4826
#: The number of rounds in which medians of labels are taken out, and the fewest targets with a
#: label for which its median says something.
ROUNDS, FEWEST = 3, 5


def discrepancies(problem: Problem, reachable: NDArray[np.bool_]) -> Iterator[Finding]:
    """Find variables and targets that the design weights miss by far.

    Parameters
    ----------
    problem : Problem
    reachable : ndarray of bool, shape (m,)
    """
    for variable, rows, factors in _by_variable(problem, reachable):
        level = _median(problem, rows, factors)
        noise = ERRORS / math.sqrt(_effective_n(problem, rows).max())
        if abs(level) > max(math.log(LEVEL), noise):
            yield _otherwise(problem, variable, level, rows)
    times = suspects(problem, reachable)
    far = np.flatnonzero(~np.isnan(times))
    if far.size:
        far = far[np.argsort(-np.abs(np.log(times[far])), kind="stable")]
        shown = [f"{problem.names[row]}: {times[row]:.3g} times" for row in far.tolist()]
        yield Finding(
            WARNING,
            "suspect values",
            f"{counted(len(far), 'target is', 'targets are')} far from what the "
            f"survey and similar targets say ({first_few(shown)})",
            "check their values, units and labels; give them a lower `importance`, or drop them",
            tuple(problem.names[row] for row in far[:SHOWN].tolist()),
            len(far),
        )


def suspects(problem: Problem, reachable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Find targets that are far from what the survey and similar targets say.

    Parameters
    ----------
    problem : Problem
    reachable : ndarray of bool, shape (m,)

    Returns
    -------
    ndarray of float64, shape (m,)
        How many times as large a target is as the survey and similar targets say, and NaN for a
        target that is not suspect.
    """
    found = np.full(problem.n_targets, np.nan)
    for _, rows, factors in _by_variable(problem, reachable):
        rest = factors - _median(problem, rows, factors)
        for _ in range(ROUNDS):
            for codes in _labels(problem, rows):
                rest = rest - _medians(rest, codes)
        size = np.abs(rest)
        spread = NORMAL * _median(problem, rows, size)
        limit = max(math.log(FACTOR), SPREADS * spread)
        far = np.flatnonzero(size > limit)
        if far.size:
            noise = ERRORS / np.sqrt(_effective_n(problem, rows[far]))
            far = far[size[far] > limit + noise]
            found[rows[far]] = np.exp(rest[far])
    return found


def _by_variable(
    problem: Problem, reachable: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float64]]]:
    """List the variables with their targets, and the logarithms of their factors."""
    rows = np.flatnonzero(telling_targets(problem, reachable))
    factors = np.log(problem.goals[rows] / problem.design_totals[rows])
    variables = np.array(problem.variables, dtype=object)[rows]
    for variable in dict.fromkeys(variables.tolist()):
        of = np.flatnonzero(variables == variable)
        yield variable, rows[of], factors[of]


def _labels(problem: Problem, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """List the label columns of some targets, as codes of their levels. A matrix has none."""
    if problem.labels is None:
        return
    for name in problem.labels.column_names[2:]:  # the first two are the entity and the variable
        column = problem.labels.column(name).combine_chunks().take(rows).dictionary_encode()
        yield column.indices.to_numpy().astype(np.int64)


def _medians(values: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the median of each value's level, and 0 for a level of few values."""
    order = np.lexsort((values, codes))
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    low, high = starts + (counts - 1) // 2, np.minimum(starts + counts // 2, len(values) - 1)
    medians = (values[order[low]] + values[order[high]]) / 2
    return np.where(counts >= FEWEST, medians, 0.0)[codes]


def _median(problem: Problem, rows: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Compute the median of values of targets, weighted by the numbers of records behind them."""
    records = np.diff(problem.matrix.indptr)[rows]
    order = np.argsort(values, kind="stable")
    share = np.cumsum(records[order]) / records.sum()
    return float(values[order[np.searchsorted(share, 0.5)]])


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


def _effective_n(problem: Problem, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute Kish's effective number of records of some targets: (sum c)^2 / sum c^2."""
    parts = problem.matrix[rows].multiply(problem.design_weights)
    squares = parts.multiply(parts).sum(axis=1)
    return np.asarray(np.square(problem.design_totals[rows]) / squares).ravel()
