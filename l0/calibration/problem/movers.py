"""The records that move a target from 0 to its value: those with an entry of the value's sign."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.problem.core import MET, Problem
from l0.sparse_operator import BLOCK, row_blocks


def directions(problem: Problem) -> NDArray[np.float64]:
    """Give the sign of the entries that move each target from 0 to its value, shape (m,).

    It is 0 for a target that needs no record, because an estimate of 0 meets it.
    """
    needs_none = np.abs(problem.values) <= np.maximum(MET, problem.tolerance) * problem.scales
    return np.where(needs_none, 0.0, np.sign(problem.values))


def with_entries(matrix: sp.csr_array, row: int, sign: float) -> NDArray[np.int64]:
    """Find the records with entries of a sign in a row, in the order of the matrix."""
    entries = slice(*matrix.indptr[row : row + 2])
    return np.asarray(matrix.indices[entries][matrix.data[entries] * sign > 0], dtype=np.int64)


def count_movers(problem: Problem, records: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the records that move each target from 0 to its value.

    Parameters
    ----------
    problem : Problem
    records : ndarray of bool, shape (n,)
        The records that count.

    Returns
    -------
    ndarray of int64, shape (m,)
    """
    matrix, sign = problem.matrix, directions(problem)
    count = np.empty(problem.n_targets, dtype=np.int64)
    for rows, entries in row_blocks(matrix.indptr, BLOCK):
        ends = matrix.indptr[rows.start : rows.stop + 1]
        moves = matrix.data[entries] * np.repeat(sign[rows], np.diff(ends)) > 0
        moves &= records[matrix.indices[entries]]
        count[rows] = np.diff(np.concatenate([[0], np.cumsum(moves)])[ends - entries.start])
    return count
