"""Targets that k records can meet one by one, but within bounds not together.

For any direction lam, shape (m,), the weights w of exactly k records within the bounds have

    lam' A w <= R(lam),    R(lam) = the sum of the k largest of max(low_i y_i, high_i y_i),

where y = w0 (A' lam). If lam' t > R(lam) for the values t, no k records meet all targets with
lam_j != 0 together: one of them keeps an error of at least (lam' t - R) / sum_j |lam_j| s_j of its
scale s_j. Of a target with limits, t is the one with the smaller lam_j t_j. With k = n and the best
lam this is Farkas' lemma. For fewer records it is our bound: a proof, which need not find every
contradiction.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.bounds import ROUNDING, Bounds
from l0.calibration.problem.core import Problem
from l0.common.errors import SHOWN
from l0.common.formatting import amount, counted, percent

#: Multipliers below this share of the largest one are taken as 0.
NEGLIGIBLE = 1e-6
#: The multipliers themselves prove that some error remains. A smaller one is not worth a statement.
TELLING = 0.01
#: The largest number of sets of targets of one variable that `_disjoint` makes.
SETS = 8


def joint_reach(
    problem: Problem,
    bounds: Bounds,
    n_records: int,
    multipliers: NDArray[np.float64],
) -> NDArray[np.str_]:
    """Say which targets `n_records` records cannot meet together, led by the multipliers of a fit.

    Sums of targets of one variable make the clearest statements. The multipliers themselves are the
    direction only if no sum proves anything.

    Parameters
    ----------
    problem : Problem
    bounds : Bounds
        Of all records.
    n_records : int
    multipliers : ndarray of float64, shape (m,)
        The multipliers of the errors, as shares of the scales: positive for a target that wants
        more weight.

    Returns
    -------
    ndarray of str, shape (m,)
        The statement for each target that it concerns, and the empty string for all others.
    """
    least = NEGLIGIBLE * np.abs(multipliers).max()
    more, less = multipliers > least, multipliers < -least
    sums = _of_sums(problem, bounds, n_records, more, (1.0,))
    sums = np.where(sums == "", _of_sums(problem, bounds, n_records, less, (-1.0,)), sums)
    if (sums != "").any():
        return sums
    return _of_direction(
        problem, bounds, n_records, np.where(more | less, multipliers, 0) / problem.scales
    )


def joint_reach_of_sums(
    problem: Problem, bounds: Bounds, n_records: int, reachable: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Say which targets `n_records` records cannot meet together, by their sums and before a fit.

    Parameters
    ----------
    problem : Problem
    bounds : Bounds
        Of all records.
    n_records : int
    reachable : ndarray of bool, shape (m,)
        The targets that can be met one by one.

    Returns
    -------
    ndarray of str, shape (m,)
        As in `joint_reach`.
    """
    return _of_sums(problem, bounds, n_records, reachable, (1.0, -1.0))


def _of_sums(
    problem: Problem,
    bounds: Bounds,
    n_records: int,
    targets: NDArray[np.bool_],
    signs: tuple[float, ...],
) -> NDArray[np.str_]:
    """Try the sums of targets of one variable that have no record in common.

    The sign 1 asks whether a sum is more than the records reach, and -1 whether it is less than
    they give.
    """
    found = np.full(problem.n_targets, "", dtype=object)
    # Without bounds, one record is enough for any sum.
    sets = _disjoint(problem, np.flatnonzero(targets)) if bounds.active else ()
    for rows, sign in product(sets, signs):
        direction = np.zeros(problem.n_targets)
        direction[rows] = sign
        reach, shortfall = _reach(problem, bounds, n_records, direction)
        if shortfall > 0:
            found[rows] = _sum_statement(problem, n_records, rows, reach, sign)
    return found.astype(str)


def _of_direction(
    problem: Problem, bounds: Bounds, n_records: int, direction: NDArray[np.float64]
) -> NDArray[np.str_]:
    found = np.full(problem.n_targets, "", dtype=object)
    if not bounds.active:
        return found.astype(str)
    size = np.abs(direction) * problem.scales
    _, shortfall = _reach(problem, bounds, n_records, direction)
    if shortfall > TELLING * size.sum():
        rows = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
        found[rows] = (
            f"{counted(n_records, 'record')} within these bounds cannot meet "
            f"{_names(problem, rows)} together: one of them stays at least "
            f"{percent(shortfall / size.sum())} off"
        )
    return found.astype(str)


def _reach(
    problem: Problem, bounds: Bounds, n_records: int, direction: NDArray[np.float64]
) -> tuple[float, float]:
    """Compute R(lam), and by how much lam' t exceeds it and the tolerances (at most 0: nothing)."""
    rows = np.flatnonzero(direction)
    ratios_of_one = problem.design_weights * (problem.matrix[rows].T @ direction[rows])
    reach = bounds.highest(ratios_of_one, problem.n_records, n_records)
    allowed = np.abs(direction) @ ((ROUNDING + problem.tolerance) * problem.scales)
    return reach, float(direction @ _least_totals(problem, direction) - allowed - reach)


def _least_totals(problem: Problem, direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the totals t that meet the targets and have the smallest lam' t, shape (m,)."""
    return np.where(direction > 0, problem.low, np.where(direction < 0, problem.high, 0.0))


def _disjoint(problem: Problem, targets: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Make sets of targets of one variable, so that no record is behind two targets of a set.

    A target goes into the first set that has none of its records. A set of one target says nothing
    new. The targets of a set have limits on the same sides. A sum of means says nothing.
    """
    indices, indptr = problem.matrix.indices, problem.matrix.indptr
    if problem.kinds is not None:
        targets = targets[problem.kinds.is_total[targets]]
    sides = np.isfinite([problem.low, problem.high])
    of_variable: dict[tuple[str, bool, bool], list[int]] = {}
    for row in targets.tolist():
        kind = (problem.variables[row], bool(sides[0, row]), bool(sides[1, row]))
        of_variable.setdefault(kind, []).append(row)
    for rows in of_variable.values():
        sets: list[list[int]] = []
        taken: list[NDArray[np.bool_]] = []
        for row in rows:
            records = indices[indptr[row] : indptr[row + 1]]
            place = next(
                (place for place, of_set in enumerate(taken) if not of_set[records].any()),
                len(sets),
            )
            if place == len(sets) < SETS:
                sets.append([])
                taken.append(np.zeros(problem.n_records, dtype=bool))
            if place < len(sets):
                sets[place].append(row)
                taken[place][records] = True
        yield from (np.array(each) for each in sets if len(each) > 1)


def _sum_statement(
    problem: Problem, n_records: int, rows: NDArray[np.int64], reach: float, sign: float
) -> str:
    sides = problem.low if sign > 0 else problem.high
    reached, asked = sign * reach, float(sides[rows].sum())
    written = amount(reached), amount(asked)
    if written[0] == written[1]:  # the difference is smaller than what is written
        written = f"{reached:,.10g}", f"{asked:,.10g}"
    how = (
        "reach together at most about {} of {}"
        if sign > 0
        else ("give together at least about {}, more than {}")
    )
    return (
        f"{counted(n_records, 'record')} within these bounds {how.format(*written)} "
        f"(sum of {_names(problem, rows)})"
    )


def _names(problem: Problem, rows: NDArray[np.int64]) -> str:
    """Write the first names as part of a sentence."""
    names = [problem.names[row] for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        return f"{', '.join(names)} and {len(rows) - SHOWN:,} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
