"""What must hold before a fit: the budget, the candidates, the constraints, the reach, the scale.

A fit stops at the first of these that does not hold. `check_problem` collects them.
"""

from __future__ import annotations

import math
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.calibration.findings import ERROR, Complain, Finding, refuse
from l0.calibration.inputs.quotas import read_quotas
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.constraints import Constraints, group_records
from l0.calibration.problem.core import Problem
from l0.calibration.problem.must_keep import read_must_keep
from l0.calibration.problem.zero_totals import forced_out, forcing_totals
from l0.common.errors import SHOWN, InputError, first_few
from l0.common.formatting import counted
from l0.common.validation import whole_number

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
    problem: Problem,
    reachable: NDArray[np.bool_],
    n_records: int | None,
    complain: Complain = refuse,
) -> NDArray[np.int64]:
    """Find the records that no total of zero forces out. There must be enough for the budget."""
    totals = forcing_totals(problem, reachable)
    candidates = np.flatnonzero(~forced_out(problem, totals))
    if len(candidates) < (n_records or 1):
        n_out = problem.n_records - len(candidates)
        names = list(compress(problem.names, totals))
        few = (
            "no record can be kept"
            if n_records is None
            else f"`n_records` is {n_records:,}, and only {len(candidates):,} can be kept"
        )
        what = "add to targets of value 0"
        if problem.kinds is not None:
            what = "are beyond targets at the end of what the records allow, such as 0"
        complain(
            Finding(
                ERROR,
                "totals of 0",
                f"{few}: {n_out:,} of {counted(problem.n_records, 'record')} {what} "
                f"({first_few(names)}), which force their weights to 0",
                "drop these targets, give them a `tolerance`"
                + (", or lower `n_records`" if len(candidates) else ""),
                tuple(names[:SHOWN]),
                len(names),
            )
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
            f"`must_keep` has {counted(len(lost), 'record')} ({first_few(keys, len(lost))}) that "
            f"targets such as totals of 0 ({names}) force to the weight 0; take these records out "
            "of `must_keep`, drop these targets, or give them a `tolerance`"
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


def check_reachable(
    problem: Problem, bounds: Bounds, n_records: int, complain: Complain = refuse
) -> NDArray[np.str_]:
    """Find the unreachable targets. It is an error if no other target counts."""
    reasons = unreachable(problem, bounds, n_records)
    if not problem.importance[reasons == ""].any():
        lost = reasons != ""
        names = list(compress(problem.names, lost))
        complain(
            Finding(
                ERROR,
                "unreachable",
                "`targets`: no target with an importance above 0 can be reached "
                f"({first_few(names)}: {reasons[lost][0]})",
                "check the labels" + (" and widen the bounds" if bounds.active else ""),
                tuple(names[:SHOWN]),
                len(names),
            )
        )
    return reasons


def telling_targets(problem: Problem, reachable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Find the totals whose ratio to the design-weighted total says something, shape (m,)."""
    own = problem.design_totals
    # If positive and negative amounts cancel, their sum says nothing about the scale.
    telling = reachable & (problem.importance > 0) & (np.abs(own) >= 0.5 * problem.absolute_totals)
    telling &= np.sign(own) * np.sign(problem.goals) > 0
    if problem.kinds is not None:
        # A mean does not depend on the unit of the weights, and a limit may be far from its total.
        telling &= problem.kinds.is_total & (problem.low == problem.high)
    return np.asarray(telling)


def check_scale(
    problem: Problem, reachable: NDArray[np.bool_], complain: Complain = refuse
) -> None:
    """Check the median ratio of the targets to the design-weighted totals, if most agree on it.

    A fit stays close to the design weights, and could not correct weights in another unit. Most
    targets must agree, by their number and by the number of records behind them, because a few
    targets with few records may have any ratio.
    """
    telling = telling_targets(problem, reachable)
    if not telling.any():
        return
    factors = np.log(problem.goals[telling] / problem.design_totals[telling])
    agree = np.abs(factors - np.median(factors)) <= math.log(ALIKE)
    records = np.diff(problem.matrix.indptr)[telling]
    if min(agree.mean(), records[agree].sum() / records.sum()) < MOST:
        return
    level = math.exp(np.median(factors))
    if not 1 / MOST_OFF <= level <= MOST_OFF:
        complain(
            Finding(
                ERROR,
                "scale",
                f"`weight` and `targets` are not on one scale: the targets are {level:.3g} times "
                f"the design-weighted totals (median of {telling.sum():,})",
                f"check the units, multiply the weights by {level:.3g}, or leave `weight` out; if "
                "the weights are right, pass `check_scale=False` (on the command line "
                "--no-check-scale)",
                count=int(telling.sum()),
            )
        )
