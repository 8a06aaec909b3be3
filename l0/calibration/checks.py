"""Checks of a problem before its fit, and of an exact fit after it."""

from __future__ import annotations

import logging
import math
from itertools import compress
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.notes import REMEDIES
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.refit import Fit
from l0.calibration.inputs.quotas import read_quotas
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.conflicts import conflict, conflict_message
from l0.calibration.problem.constraints import Constraints, group_records
from l0.calibration.problem.core import Problem
from l0.calibration.problem.impossible import why_impossible
from l0.calibration.problem.joint_reach import joint_reach, joint_reach_of_sums
from l0.calibration.problem.must_keep import read_must_keep
from l0.calibration.problem.zero_totals import forced_out, forcing_totals
from l0.common.errors import SHOWN, InputError, first_few
from l0.common.validation import whole_number

logger = logging.getLogger(__name__)

#: The median ratio of the targets to the design-weighted totals must be within this factor of 1.
MOST_OFF = 20.0
#: A target agrees with the median ratio if its own ratio is within the factor `ALIKE` of it. `MOST`
#: is the share of the targets that must agree: weights in another unit change all ratios alike, and
#: a rare group changes only its own.
ALIKE, MOST = 3.0, 2 / 3


def check_n_records(n_records: int, problem: Problem) -> int:
    """Check a budget against the number of records."""
    return whole_number(n_records, "n_records", 1, problem.n_records, "the number of records")


def find_candidates(
    problem: Problem, reachable: NDArray[np.bool_], n_records: int | None
) -> NDArray[np.int64]:
    """Find the records that no total of zero forces out. There must be enough for the budget."""
    totals = forcing_totals(problem, reachable)
    candidates = np.flatnonzero(~forced_out(problem, totals))
    if len(candidates) < (n_records or 1):
        n_out = problem.n_records - len(candidates)
        names = first_few(list(compress(problem.names, totals)))
        few = (
            "no record can be kept"
            if n_records is None
            else f"`n_records` is {n_records:,}, and only {len(candidates):,} can be kept"
        )
        what = "add to targets of value 0"
        if problem.kinds is not None:
            what = "are beyond targets at the end of what the records allow, such as 0"
        raise InputError(
            f"{few}: {n_out:,} of {problem.n_records:,} records {what} ({names}), which "
            "force their weights to 0; drop these targets, give them a `tolerance`"
            + (", or lower `n_records`" if len(candidates) else "")
        )
    return candidates


def read_constraints(
    problem: Problem,
    must_keep: Any,
    quotas: Any,
    candidates: NDArray[np.int64],
    reachable: NDArray[np.bool_],
) -> Constraints | None:
    """Read the records that must be kept and the quotas, against the records that can be kept.

    Parameters
    ----------
    problem : Problem
    must_keep, quotas
        As in `l0.calibrate`.
    candidates : ndarray of int64, shape (c,)
    reachable : ndarray of bool, shape (m,)

    Returns
    -------
    Constraints or None
        None if there are none.
    """
    must = read_must_keep(problem, must_keep)
    kept_out = must.copy()
    kept_out[candidates] = False
    if kept_out.any():
        lost = np.flatnonzero(kept_out)
        keys = problem.keys.take(lost[:SHOWN]).to_pylist()
        totals = np.flatnonzero(forcing_totals(problem, reachable))
        touched = np.diff(problem.matrix[totals][:, lost].indptr) > 0
        names = first_few([problem.names[row] for row in totals[touched]])
        raise InputError(
            f"`must_keep` has {len(lost):,} records ({first_few(keys, len(lost))}) that targets "
            f"such as totals of 0 ({names}) force to the weight 0; take these records out of "
            "`must_keep`, drop these targets, or give them a `tolerance`"
        )
    if quotas is None:
        found = []
    elif problem.survey is None:
        raise InputError(
            "`quotas` name columns of the records, and a problem from a matrix has none; make the "
            "problem from tables, with `l0.calibrate` or `CalibrationProblem.from_frames`"
        )
    else:
        found = read_quotas(quotas, problem.survey)
    return group_records(must, found, candidates)


def check_possible(context: FitContext, n_records: int | None) -> None:
    """Check that some choice of `n_records` records, or of all, obeys the constraints."""
    if context.constraints is not None:
        why = why_impossible(
            context.constraints, n_records or len(context.candidates), all_kept=n_records is None
        )
        if why:
            raise InputError(why)


def check_reachable(problem: Problem, bounds: Bounds, n_records: int) -> NDArray[np.str_]:
    """Find the unreachable targets. It is an error if no other target counts."""
    reasons = unreachable(problem, bounds, n_records)
    if not problem.importance[reasons == ""].any():
        lost = reasons != ""
        raise InputError(
            "`targets`: no target with an importance above 0 can be reached "
            f"({first_few(list(compress(problem.names, lost)))}: {reasons[lost][0]}); "
            "check the labels" + (" and widen the bounds" if bounds.active else "")
        )
    return reasons


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


def check_scale(problem: Problem, reachable: NDArray[np.bool_]) -> None:
    """Check the median ratio of the targets to the design-weighted totals, if most agree on it.

    A fit stays close to the design weights, and could not correct weights in another unit. Most
    targets must agree, by their number and by the number of records behind them, because a few
    targets with few records may have any ratio.
    """
    own = problem.design_totals
    # If positive and negative amounts cancel, their sum says nothing about the scale.
    telling = reachable & (problem.importance > 0) & (np.abs(own) >= 0.5 * problem.absolute_totals)
    telling &= np.sign(own) * np.sign(problem.goals) > 0
    if problem.kinds is not None:
        # A mean does not depend on the unit of the weights, and a limit may be far from its total.
        telling &= problem.kinds.is_total & (problem.low == problem.high)
    if not telling.any():
        return
    factors = np.log(problem.goals[telling] / own[telling])
    agree = np.abs(factors - np.median(factors)) <= math.log(ALIKE)
    records = np.diff(problem.matrix.indptr)[telling]
    if min(agree.mean(), records[agree].sum() / records.sum()) < MOST:
        return
    level = math.exp(np.median(factors))
    if not 1 / MOST_OFF <= level <= MOST_OFF:
        raise InputError(
            f"`weight` and `targets` are not on one scale: the targets are {level:.3g} times the "
            f"design-weighted totals (median of {telling.sum():,}); check the units, multiply the "
            f"weights by {level:.3g}, or leave `weight` out; if the weights are right, pass "
            "`check_scale=False` (on the command line --no-check-scale)"
        )


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
    found = conflict(matrix, low - width, high + width, bounds.low, bounds.high, scales)
    if found is None and problem.kinds is not None and not problem.kinds.is_total.all():
        return (
            "the closest fit misses some, and no contradiction was found; the records of a mean, a "
            "ratio or a share may have lost their weight: add a target for its denominator"
        )
    if found is None:
        return "the closest fit misses some, and no contradiction was found"
    return conflict_message(names, found)
