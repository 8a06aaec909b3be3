"""Checks of the options before a fit, and of an exact fit after it."""

from __future__ import annotations

import logging
from itertools import compress

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.notes import REMEDIES
from l0.calibration.fitting.choice import too_expensive
from l0.calibration.fitting.columns import TOO_LARGE
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.refit import Fit, program_of
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.selected import Selection
from l0.calibration.problem.conflicts import conflict, conflict_message
from l0.calibration.problem.impossible import why_impossible
from l0.calibration.problem.joint_reach import joint_reach, joint_reach_of_sums
from l0.common.errors import InputError, first_few

logger = logging.getLogger(__name__)

#: `replicates` is refused before a selection if so many records, as a share of those that are to
#: be chosen, are already too many. Other records of the same number may be a little cheaper.
SURELY = 0.5


def check_possible(context: FitContext, n_records: int | None) -> None:
    """Check that some choice of `n_records` records, or of all, obeys the constraints."""
    if context.constraints is not None:
        why = why_impossible(
            context.constraints, n_records or len(context.candidates), all_kept=n_records is None
        )
        if why:
            raise InputError(why)


def check_replicates_fit(context: FitContext, n_records: int | None) -> None:
    """Check that replicate weights can be fitted, before a fit that would be in vain.

    The records are not chosen yet, if not all of them are kept. Half as many records from all
    parts of the file stand for them, and the check is repeated for the chosen ones
    (`check_replicates_fit_selection`).
    """
    candidates = context.candidates
    among = candidates
    if n_records is not None:
        places = np.linspace(0, len(candidates) - 1, max(1, round(SURELY * n_records)))
        among = candidates[np.unique(places.astype(np.int64))]
    rows = np.flatnonzero(context.objective.importance > 0)
    matrix = context.problem.matrix[rows]
    if len(among) < context.problem.n_records:
        matrix = matrix[:, among]
    if too_expensive(ScaledMatrix.of(matrix[np.diff(matrix.indptr) > 0])):
        raise InputError(TOO_LARGE)


def check_replicates_fit_selection(context: FitContext, selection: Selection) -> None:
    """Check that replicate weights can be fitted for the chosen records, before their own fit."""
    program, _, _ = program_of(context.objective, selection)
    if too_expensive(program.matrix):
        raise InputError(TOO_LARGE)


def check_joint_reach(
    context: FitContext, n_records: int, reasons: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Find targets that no `n_records` records can meet together, and log a warning.

    Returns
    -------
    ndarray of str, shape (m,)
        The statement for each target that it concerns, and the empty string for all others.
    """
    objective = context.objective
    together = joint_reach_of_sums(context.problem, objective.bounds, n_records, reasons == "")
    _warn(together)
    return together


def check_joint_reach_of_fit(
    context: FitContext, n_records: int, fit: Fit, together: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Find more such targets than `check_joint_reach`, by the multipliers of a fit."""
    if not fit.at_limit.any():
        return together
    others = np.where(together == "", fit.multipliers, 0.0)
    more = joint_reach(context.problem, context.objective.bounds, n_records, others)
    _warn(more)
    return np.where(together == "", more, together)


def _warn(together: NDArray[np.str_]) -> None:
    for statement in dict.fromkeys(together[together != ""].tolist()):
        logger.warning("%s", statement)


def check_exact_is_possible(exact: bool, whole: bool) -> None:
    """Check that an exact fit is not asked to have whole weights too."""
    if exact and whole:
        raise InputError(
            "`exact=True` and `integer_weights=True` exclude each other, because whole weights do "
            "not meet targets exactly in general; drop one of them"
        )


def check_exact(
    objective: Objective, records: NDArray[np.int64], fit: Fit, reasons: NDArray[np.str_]
) -> None:
    """Check that a fit meets all targets that count. If not, the error names a conflict.

    Parameters
    ----------
    objective : Objective
    records : ndarray of int64, shape (k,)
    fit : Fit
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable (see `unreachable`).
    """
    problem = objective.problem
    counts = problem.importance > 0
    lost = counts & (reasons != "")
    if fit.solution.status == "exact" and not lost.any():
        return
    if fit.solution.status == "stopped" and not lost.any():
        raise InputError(
            f"`exact=True`: the fit was stopped by {fit.solution.stopped} before all targets were "
            f"met; {REMEDIES[fit.solution.stopped]}, or pass `exact=False` for the best weights "
            "so far"
        )
    if lost.any():
        names = first_few(list(compress(problem.names, lost)))
        why = f"{names} cannot be reached ({reasons[lost][0]})"
    else:
        why = _conflict(objective, records, np.flatnonzero(counts))
    raise InputError(
        f"`exact=True`: the targets cannot all be met: {why}; correct them, give them a "
        "`tolerance`"
        + (", widen the bounds" if objective.bounds.active else "")
        + (", keep more records" if len(records) < problem.n_records else "")
        + ", or pass `exact=False` for the closest fit"
    )


def _conflict(objective: Objective, records: NDArray[np.int64], rows: NDArray[np.int64]) -> str:
    """Name targets that contradict each other for these records."""
    problem, bounds = objective.problem, objective.bounds.of(records)
    matrix, w0 = problem.matrix[rows][:, records], problem.design_weights[records]
    matrix = matrix.multiply(w0).tocsr()
    low, high, scales = problem.low[rows], problem.high[rows], problem.scales[rows]
    width = problem.tolerance[rows] * scales
    names = [problem.names[row] for row in rows]
    if objective.keep_total:
        total = objective.total
        matrix = sp.vstack([matrix, sp.csr_array(w0[None, :])], format="csr")
        low, high, scales = (np.append(each, total) for each in (low, high, scales))
        width, names = np.append(width, 0.0), [*names, "the total of the weights"]
    try:
        found = conflict(matrix, low - width, high + width, bounds.low, bounds.high, scales)
    except TimeoutError:
        return "the closest fit misses some, and the search for a contradiction ran out of time"
    if found is None and problem.kinds is not None and not problem.kinds.is_total.all():
        return (
            "the closest fit misses some, and no contradiction was found; the records of a mean, a "
            "ratio or a share may have lost their weight: add a target for its denominator"
        )
    if found is None:
        return "the closest fit misses some, and no contradiction was found"
    return conflict_message(names, found)
