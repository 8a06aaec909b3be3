"""Totals of zero that force records out.

A sum of amounts of one sign is 0 only if the weights of all its records are 0. The distances of a
fit keep all weights above 0. These records are therefore left out before the fit.

The same holds for a limit: a sum of positive amounts is at most 0 only if it is 0. And it holds for
the rows N - v D of means, ratios and shares (see `kinds`): a share is 0 only if all records of its
cell have the weight 0, and a mean is the largest value only if all records below have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.calibration.problem.movers import (
    count_movers,
    directions,
    second_directions,
    with_entries,
)


def forcing_totals(problem: Problem, reachable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the totals of zero that force every record with an entry in them to the weight 0.

    Such a target counts in the fit, one end of what meets it is 0, it has no tolerance, and all its
    entries are beyond this end. If another target would lose all records that move it to its value,
    the two contradict each other. Then the total of zero forces nobody out, and the fit weighs both
    errors.

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
    ends = (problem.low == 0) | (problem.high == 0)
    totals = np.asarray(counts & ends & (problem.tolerance == 0))
    for row in np.flatnonzero(totals).tolist():
        more, less = (len(with_entries(problem.matrix, row, sign)) for sign in (1, -1))
        above, below = more > 0 and not less, less > 0 and not more
        totals[row] = (above and problem.high[row] == 0) or (below and problem.low[row] == 0)
    if not totals.any():
        return totals
    left = ~forced_out(problem, totals)
    wanted = np.zeros(problem.n_records, dtype=bool)
    for sign in (directions(problem), second_directions(problem)):
        bare = counts & ~totals & (sign != 0) & (count_movers(problem, left, sign) == 0)
        for row in np.flatnonzero(bare).tolist():
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
