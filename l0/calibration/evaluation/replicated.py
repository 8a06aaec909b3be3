"""The statistics of a problem under replicate weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem


def statistics_under(
    problem: Problem,
    records: NDArray[np.int64],
    reference: NDArray[np.float64] | None,
    columns: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Compute the targets and the untargeted statistics under columns of weights.

    Parameters
    ----------
    problem : Problem
    records : ndarray of int64, shape (k,)
        The positions of the records that have these weights.
    reference : ndarray of float64, shape (n,), or None
        The ratios of the calibrated full file, or None if the result is not compared with it.
    columns : ndarray of float64, shape (k, C)

    Returns
    -------
    dict of str to ndarray of float64, shape (rows, C)
        By the name of the table of a result whose rows these are: ``targets``, and ``untargeted``
        if there are untargeted statistics.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> from l0.calibration.evaluation.replicated import statistics_under
    >>> problem = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1])
    >>> statistics_under(problem, np.array([1]), None, np.array([[4.0, 6.0]]))
    {'targets': array([[0., 0.],
           [4., 6.]])}
    """
    parts = [part for part in (problem, problem.held_out) if part is not None]
    targets = np.vstack(
        [
            np.column_stack([part.estimate(column, records) for column in columns.T])
            for part in parts
        ]
    )
    order = np.concatenate([part.target_order for part in parts])
    found = {"targets": targets[np.argsort(order)]}
    if problem.untargeted is not None and reference is not None:
        found["untargeted"] = problem.untargeted.estimates(
            reference * problem.design_weights, records, columns
        )
    return found
