"""The records that move a target from 0 to its value: those with an entry of the value's sign.

A mean, a ratio or a share lies between the ratios of its records. It needs a record on each side of
its value: one with a positive entry N - v D in its row, and one with a negative entry.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.problem.core import MET, Problem
from l0.common.sparse_rows import BLOCK, row_blocks


def directions(problem: Problem) -> NDArray[np.float64]:
    """Give the sign of the entries that move each target from 0 to its value, shape (m,).

    It is 0 for a total that needs no record, because an estimate of 0 meets it. Of limits, the one
    nearest to 0 is the value. A mean, a ratio or a share has the sign 1 if it has a lower limit.
    """
    needs_none = np.abs(problem.nearest) <= np.maximum(MET, problem.tolerance) * problem.scales
    of_totals = np.where(needs_none, 0.0, np.sign(problem.nearest))
    if problem.kinds is None:
        return of_totals
    of_ratios = np.where(np.isfinite(problem.low), 1.0, -1.0)
    return np.where(problem.kinds.is_total, of_totals, of_ratios)


def second_directions(problem: Problem) -> NDArray[np.float64]:
    """Give the sign of the entries that a target needs besides, shape (m,), or 0.

    It is -1 for a mean, a ratio or a share with a value, which needs records on both sides.
    """
    if problem.kinds is None:
        return np.zeros(problem.n_targets)
    both = np.isfinite(problem.low) & np.isfinite(problem.high)
    return np.where(~problem.kinds.is_total & both, -1.0, 0.0)


def with_entries(matrix: sp.csr_array, row: int, sign: float) -> NDArray[np.int64]:
    """Find the records with entries of a sign in a row, in the order of the matrix."""
    entries = slice(*matrix.indptr[row : row + 2])
    return np.asarray(matrix.indices[entries][matrix.data[entries] * sign > 0], dtype=np.int64)


def count_movers(
    problem: Problem, records: NDArray[np.bool_], sign: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """Count the records that move each target from 0 to its value.

    Parameters
    ----------
    problem : Problem
    records : ndarray of bool, shape (n,)
        The records that count.
    sign : ndarray of float64, shape (m,), optional
        The signs of the entries that count. The default is `directions`.

    Returns
    -------
    ndarray of int64, shape (m,)
    """
    matrix = problem.matrix
    if sign is None:
        sign = directions(problem)
    count = np.empty(problem.n_targets, dtype=np.int64)
    for rows, entries in row_blocks(matrix.indptr, BLOCK):
        ends = matrix.indptr[rows.start : rows.stop + 1]
        moves = matrix.data[entries] * np.repeat(sign[rows], np.diff(ends)) > 0
        moves &= records[matrix.indices[entries]]
        count[rows] = np.diff(np.concatenate([[0], np.cumsum(moves)])[ends - entries.start])
    return count
