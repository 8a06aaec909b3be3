"""What the totals of the full file become in the columns of replicate weights.

The chosen records are held to totals of the calibrated full file (`SoftTargets`). These are
estimates of a sample, and a column that measures the error of the survey must be held to what the
sample of the column gives. The full file is not calibrated again for each column: to first order,
its totals change by those of the residuals of their regression on the published targets
(`Linearised`).

Residuals of a regression are too small by the share of the values that it takes from the records,
their leverage. The changes are divided by the root of what is left of it (the estimate HC2 of
MacKinnon & White 1985, Journal of Econometrics 29(3), with the mean leverage).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.choice import normal_matrix
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.linearised import Linearised, dearer
from l0.calibration.fitting.refit import Fit, all_candidates, objective_of_full_file, program_of
from l0.calibration.fitting.scaled_matrix import multiplied
from l0.calibration.problem.representation import SoftTargets
from l0.calibration.variance.jackknife import MOST_LEVERAGE


def moved_totals(
    context: FitContext,
    full_file: Fit,
    soft: SoftTargets,
    changed: Callable[[sp.csr_array], NDArray[np.float64]],
) -> NDArray[np.float64] | None:
    """Compute how totals of the calibrated full file move in columns of design weights.

    Parameters
    ----------
    context : FitContext
    full_file : Fit
        Of all candidates.
    soft : SoftTargets
        The totals.
    changed : callable
        Multiplies a matrix, shape (r, c), by how the design weights of the candidates change, as
        shares of them.

    Returns
    -------
    ndarray of float64, shape (p, C), or None
        None if the systems of the full file are too expensive.
    """
    objective = objective_of_full_file(replace(context.objective, soft=None))
    solution, candidates = full_file.solution, context.candidates
    program, _, _ = program_of(objective, all_candidates(context), objective.nesting)
    normal = normal_matrix(program.matrix)
    if normal is None:
        return None
    regression = Linearised.of(dearer(program, solution), solution, normal)
    left = 1 - min(regression.leverage, MOST_LEVERAGE)
    totals = soft.matrix if len(candidates) == soft.matrix.shape[1] else soft.matrix[:, candidates]
    weights = context.problem.design_weights[candidates]
    totals = multiplied(totals, np.full(len(soft.values), 1 / np.sqrt(left)), weights)
    return regression.moved(totals, changed)
