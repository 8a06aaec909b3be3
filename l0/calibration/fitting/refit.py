"""The refit: weights of a fixed set of records, close to base weights.

For records with base ratios g, it minimises over the ratios u = w / w0 within the bounds

    datafit(A u) + mu sum_i W_i D(u_i / g_i) / sum_i W_i,    W = w0 g,

with a distance D of Deville & Särndal (1992, JASA 87(418)). If all targets can be met, the solution
is their calibration estimator. Otherwise errors have a price, as in ridge calibration (Beaumont &
Bocci 2008, Metron 66(1)), which has squared errors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.distances import Array, Distance, Linear, Logit, Raking
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.program import Program
from l0.calibration.fitting.scaled_matrix import FEW, ScaledMatrix
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.solver import Solution, solve_program
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.losses import relative
from l0.common.errors import InputError
from l0.common.formatting import counted
from l0.common.freed_memory import give_back
from l0.common.sparse_rows import filled_rows

#: mu for the calibration of all records, whose base weights are the design weights.
FULL_FILE_MU = 0.02
#: The smallest mu: with 0, many weights would be equally good.
LEAST_MU = 1e-6
#: The linear distance reaches 0. A record that must stay keeps this share of its base weight.
LEAST_Q = 1e-6
#: The minimum of the logit distance is inside the bounds by this share of their difference.
LOGIT_ROOM = 1e-3
#: Sides of bounds that differ by less than this share of the upper one count as equal.
LOGIT_LEAST_WIDTH = 1e-9
#: A multiplier is at its limit up to this share of it.
AT_LIMIT = 1e-3
#: A mean, a ratio or a share is met exactly up to this relative error.
OWN_TERMS = 1e-5


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted ratios, and how close they are to the optimum.

    Attributes
    ----------
    ratios : ndarray of float64, shape (k,)
        u, within the bounds.
    multipliers : ndarray of float64, shape (m,)
        The change of the objective if a target grows by its scale. 0 for unreachable targets.
    at_limit : ndarray of bool, shape (m,)
        The targets that give way: their multipliers are as large as their shares allow.
    signed : bool
        Whether ratios may be negative.
    solution : Solution
    """

    ratios: Array
    multipliers: Array
    at_limit: NDArray[np.bool_]
    signed: bool
    solution: Solution


def refit(context: FitContext, selection: Selection, stage: str = "refit") -> Fit:
    """Fit the ratios of the selected records.

    Parameters
    ----------
    context : FitContext
    selection : Selection
    stage : str
        The name of this fit in the history.

    Returns
    -------
    Fit

    Raises
    ------
    InputError
        If the distance does not suit the bounds.
    """
    objective, problem = context.objective, context.problem
    # The search and the fit of all records have found how the targets are nested. For a few records
    # alone, a new tree is found sooner.
    of_all = context.reference is not None or len(selection.records) == len(context.candidates)
    known = objective.nesting if of_all or selection.is_searched else None
    program, rows, all_moved = program_of(objective, selection, known)
    estimates = np.zeros(len(all_moved))

    def watch(certificate: Certificate, fitted: Array) -> None:
        estimates[rows] = fitted[: len(rows)]
        context.history.snapshot(
            stage, 1, len(selection.records), estimates.copy(), certificate.gap
        )

    solution = solve_program(
        program, context.solver, objective.device, watch, objective.exact, context.stages
    )
    of_rows = np.zeros(len(all_moved))
    of_rows[rows] = solution.multipliers[: len(rows)]
    multipliers, moved = of_rows[: problem.n_targets], all_moved[: problem.n_targets]
    # A target that none of these records moves is missed, whatever the weights.
    goal = problem.nearest / problem.scales
    lost = (objective.importance > 0) & ~moved & (np.abs(goal) > problem.tolerance)
    multipliers[lost] = objective.importance[lost] * np.sign(goal[lost])
    limit = np.inf if objective.loss is relative else (1 - AT_LIMIT) * objective.importance
    at_limit = (np.abs(multipliers) >= limit) & (objective.importance > 0)
    if solution.status == "exact":
        at_limit &= lost
    status = solution.status
    if status == "exact" and (lost.any() or _misses_ratios(objective, selection, solution.q)):
        status = "optimal"
    signed = bool((program.least < 0).any())
    solution = replace(solution, status=status)
    return Fit(solution.q * selection.base, multipliers, at_limit, signed, solution)


def program_of(
    objective: Objective, selection: Selection, nesting: Nesting | None = None
) -> tuple[Program, NDArray[np.int64], NDArray[np.bool_]]:
    """Write the fit of the selected records as a program.

    Parameters
    ----------
    objective : Objective
    selection : Selection
    nesting : Nesting, optional
        Of all rows and records of the objective. With a total to keep, it is not used.

    Returns
    -------
    program : Program
    rows : ndarray of int64, shape (r,)
        The rows of the objective that the program has: those that count, and that these records
        move.
    moved : ndarray of bool
        Which of all rows these records move.
    """
    matrix = objective.rows.matrix
    if len(selection.records) < objective.problem.n_records:
        matrix = matrix[:, selection.records]
    moved = np.diff(matrix.indptr) > 0
    rows = np.flatnonzero((objective.rows.shares > 0) & moved)
    if len(rows) < len(moved):
        matrix = filled_rows(matrix, rows)
    if nesting is not None:
        nesting = None if objective.keep_total else nesting.part(rows, selection.records)
    return build_program(objective, selection, matrix, rows, nesting), rows, moved


def calibrate_full_file(context: FitContext) -> Fit:
    """Calibrate all candidates. Their weights are the reference of the untargeted statistics."""
    fit = refit(context, all_candidates(context), "full")
    if context.problem.matrix.nnz > FEW:
        give_back()  # what comes next needs larger arrays
    return fit


def objective_of_full_file(objective: Objective) -> Objective:
    """Change the objective of some records to the one of the full file that they represent."""
    # The bounds are for the chosen records, with ratios of about n / k. Here they are about 1.
    # Sizes of a draw must be positive, and the conflicts of the full file are no error.
    problem, reachable = objective.problem, objective.reachable
    if objective.bounds.active:
        reachable = unreachable(problem, Bounds(), problem.n_records) == ""
    return replace(objective, bounds=Bounds(), reachable=reachable, distance="raking", exact=False)


def all_candidates(context: FitContext) -> Selection:
    """Select all candidates, with the design weights as base weights."""
    return Selection(context.candidates, np.ones(len(context.candidates)), FULL_FILE_MU)


def _misses_ratios(objective: Objective, selection: Selection, q: Array) -> bool:
    """Tell whether weights miss a mean, a ratio or a share in its own terms.

    Its row N - v D is met if N and D are nearly 0, whatever N / D is. Then its records have lost
    nearly all their weight.
    """
    problem = objective.problem
    if problem.kinds is None:
        return False
    records = selection.records
    weights = q * selection.base * problem.design_weights[records]
    error = np.abs(problem.relative_errors(problem.errors(problem.estimate(weights, records))))
    counts = (objective.importance > 0) & ~problem.kinds.is_total
    return bool((counts & (error > problem.tolerance + OWN_TERMS)).any())


def build_program(
    objective: Objective,
    selection: Selection,
    matrix: sp.csr_array,
    rows: NDArray[np.int64],
    nesting: Nesting | None = None,
) -> Program:
    """Write the fit of some records to some targets as a program in q = u / g.

    Parameters
    ----------
    objective : Objective
    selection : Selection
    matrix : scipy.sparse.csr_array, shape (r, k)
        What one unit of the records' weights adds to these rows.
    rows : ndarray of int64, shape (r,)
        The positions among the `rows` of the objective.
    nesting : Nesting, optional
        Of the matrix.
    """
    problem, base = objective.problem, selection.base
    weight = base * problem.design_weights[selection.records]
    bounds = objective.bounds.of(selection.records)
    least, most = (np.broadcast_to(side / base, base.shape) for side in (bounds.low, bounds.high))
    distance: Distance = Raking()
    if objective.distance == "linear":
        distance = Linear()
        least = np.where(least > 0, least, -np.inf if objective.signed else LEAST_Q)
    elif objective.distance == "logit":
        distance, least, most = _logit(least, most)
    wanted = objective.rows
    scales = wanted.scales[rows]
    goal = wanted.goals[rows] / scales
    low, high = goal - wanted.free_below[rows], goal + wanted.free_above[rows]
    share = wanted.shares[rows]
    if objective.keep_total:
        _check_total(weight / objective.total, least, most)
        ones = sp.csr_array(np.ones((1, len(weight)), dtype=matrix.dtype))
        matrix = sp.vstack([matrix, ones], format="csr")
        scales = np.append(scales, objective.total)
        low, high = np.append(low, 1.0), np.append(high, 1.0)
        share = np.append(share, np.inf)
    return Program(
        matrix=ScaledMatrix.scaled(matrix, 1 / scales, weight, nesting),
        low=low,
        high=high,
        share=share,
        n_soft=int(np.count_nonzero(rows >= wanted.n_published)),
        squared=objective.loss is relative,
        cost=max(selection.mu, LEAST_MU) * weight / weight.sum(),
        distance=distance,
        least=least,
        most=most,
        total=objective.keep_total,
        ranks=objective.ranks,
    )


def _check_total(parts: Array, least: Array, most: Array) -> None:
    """Check that the bounds allow the total, of which the base weights are these parts."""
    lowest, highest = float(parts @ least), float(parts @ most)
    if not lowest <= 1 <= highest:
        end = f"at least {lowest:.4g}" if lowest > 1 else f"at most {highest:.4g}"
        raise InputError(
            f"`keep_total`: weights of {counted(len(parts), 'chosen record')} within the bounds "
            f"add up to {end} times the sum of all design weights; widen `bounds`, or pass "
            "`keep_total=False`"
        )


def _logit(least: Array, most: Array) -> tuple[Logit, Array, Array]:
    """Make the logit distance, whose minimum is as close to 1 as the bounds allow."""
    if not np.isfinite(most).all():
        raise InputError(
            "`distance='logit'` needs bounds on both sides; pass `bounds=(0.1, 10)`, for example, "
            "or another distance"
        )
    if (most - least <= LOGIT_LEAST_WIDTH * most).any():
        raise InputError(
            "`distance='logit'` needs bounds whose sides differ; widen `bounds`, or pass another "
            "distance"
        )
    room = LOGIT_ROOM * (most - least)
    return Logit(least, most, np.clip(1.0, least + room, most - room)), least, most
