"""The groups of targets: their share of the loss, their records, and their error before a fit."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import capped_error


def group_table(problem: Problem, reasons: NDArray[np.str_]) -> pa.Table:
    """Make a table with a row for each group of targets, the largest share of the loss first.

    Parameters
    ----------
    problem : Problem
    reasons : ndarray of str, shape (m,)
        See `unreachable`.

    Returns
    -------
    pyarrow.Table
        `group`, `n_targets`, `share` (of the loss), `fewest_records` and `median_records` (behind a
        target), `design_loss` (the mean capped error of the design weights), `n_unreachable`.
    """
    names, of, n_targets = np.unique(
        np.array(problem.groups, dtype=object), return_inverse=True, return_counts=True
    )
    errors = problem.relative_errors(problem.errors(problem.design_estimates))
    share = np.bincount(of, problem.importance)
    cost = np.bincount(of, problem.importance * capped_error(errors))
    behind = np.diff(problem.matrix.indptr)
    records = [behind[of == place] for place in range(len(names))]
    table = pa.table(
        {
            "group": names.tolist(),
            "n_targets": n_targets,
            "share": share,
            "fewest_records": [int(each.min()) for each in records],
            "median_records": [float(np.median(each)) for each in records],
            # A group that does not count has no error.
            "design_loss": np.divide(cost, share, out=np.zeros(len(names)), where=share > 0),
            "n_unreachable": np.bincount(of, reasons != "").astype(np.int64),
        }
    )
    return table.take(np.argsort(-share, kind="stable"))
