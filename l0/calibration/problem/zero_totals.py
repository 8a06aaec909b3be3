"""Totals of zero that force records out.

A sum of amounts of one sign is 0 only if the weights of all its records are 0. The distances of a
fit keep all weights above 0. These records are therefore left out before the fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.calibration.problem.movers import count_movers, directions, with_entries


def forcing_totals(problem: Problem, reachable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the totals of zero that force every record with an entry in them to the weight 0.

    Such a target counts in the fit, its value is 0, it has no tolerance, and its entries have one
    sign. If another target would lose all records that move it to its value, the two contradict
    each other. Then the total of zero forces nobody out, and the fit weighs both errors.

    Parameters
    ----------
    problem : Problem
    reachable : ndarray of bool, shape (m,)
        The targets that some weights can hit.

    Returns
    -------
    ndarray of bool, shape (m,)
    """
    counts = reachable & (problem.importance > 0)
    totals = np.asarray(counts & (problem.values == 0) & (problem.tolerance == 0))
    for row in np.flatnonzero(totals).tolist():
        more, less = (len(with_entries(problem.matrix, row, sign)) for sign in (1, -1))
        totals[row] = (more > 0) != (less > 0)
    if not totals.any():
        return totals
    sign = directions(problem)
    left = count_movers(problem, ~forced_out(problem, totals))
    wanted = np.zeros(problem.n_records, dtype=bool)
    for row in np.flatnonzero(counts & (sign != 0) & (left == 0)).tolist():
        wanted[with_entries(problem.matrix, row, sign[row])] = True
    for row in np.flatnonzero(totals).tolist():
        totals[row] = not wanted[_records(problem, row)].any()
    return totals


def forced_out(problem: Problem, totals: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the records that these totals of zero force out, bool of shape (n,)."""
    out = np.zeros(problem.n_records, dtype=bool)
    for row in np.flatnonzero(totals).tolist():
        out[_records(problem, row)] = True
    return out


def _records(problem: Problem, row: int) -> NDArray[np.int64]:
    return np.concatenate([with_entries(problem.matrix, row, sign) for sign in (1, -1)])
