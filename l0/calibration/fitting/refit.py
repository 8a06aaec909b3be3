"""The refit: weights of a fixed set of records, close to base weights.

For records with base ratios g, it minimises over the ratios u = w / w0 within the bounds

    datafit(A u) + mu sum_i W_i D(u_i / g_i) / sum_i W_i,    W = w0 g,

with a distance D of Deville & Särndal (1992, JASA 87(418)). Where all targets can be met, and they
are few, its solution is their calibration estimator. Otherwise errors have a price in place of being
0, as in ridge calibration (Beaumont & Bocci 2008, Metron 66(1)), which has squared errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.distances import Array, get_distance
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.program import Program
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.solver import Solution, solve_program

#: mu for the calibration of all records, whose base weights are the design weights.
FULL_FILE_MU = 0.02
#: The smallest mu: with 0, many weights would be equally good.
LEAST_MU = 1e-6


@dataclass(frozen=True, eq=False)
class Fit:
    """Fitted ratios, and how close they are to the optimum.

    Attributes
    ----------
    ratios : ndarray of float64, shape (k,)
        u, within the bounds.
    multipliers : ndarray of float64, shape (m,)
        The change of the objective if a target grows by its scale. 0 for unreachable targets.
    solution : Solution
    """

    ratios: Array
    multipliers: Array
    solution: Solution


def refit(context: FitContext, selection: Selection, stage: str = "refit") -> Fit:
    """Fit the ratios of the selected records.

    Parameters
    ----------
    context : FitContext
    selection : Selection
    stage : str
        The name of this fit in the history.
    """
    objective, n_records = context.objective, len(selection.records)
    rows = np.flatnonzero(objective.importance)
    program = build_program(objective, selection, rows)
    goal = objective.problem.values / objective.problem.scales

    def watch(certificate: Certificate, estimates: Array) -> None:
        everything = np.zeros(len(goal))
        everything[rows] = estimates
        context.history.snapshot(stage, 1, n_records, everything, certificate.gap)

    solution = solve_program(program, context.solver, watch, must=context.exact)
    multipliers = np.zeros(len(goal))
    multipliers[rows] = solution.multipliers
    return Fit(solution.q * selection.base, multipliers, solution)


def calibrate_full_file(context: FitContext) -> Fit:
    """Calibrate all records. Their weights are the reference of the untargeted statistics."""
    n = context.objective.problem.n_records
    return refit(context, Selection(np.arange(n), np.ones(n), FULL_FILE_MU), stage="full")


def build_program(
    objective: Objective, selection: Selection, rows: NDArray[np.int64]
) -> Program:
    """Write the fit of some records to some targets as a program in q = u / g."""
    problem = objective.problem
    base = selection.base
    weight = base * problem.design_weights[selection.records]
    bounds = objective.bounds.of(selection.records)
    least, most = (np.broadcast_to(side / base, base.shape) for side in (bounds.low, bounds.high))
    scales = problem.scales[rows]
    value, tolerance = problem.values[rows] / scales, problem.tolerance[rows]
    return Program(
        matrix=_scaled(problem.matrix, rows, selection.records, 1 / scales, weight),
        low=value - tolerance,
        high=value + tolerance,
        share=objective.importance[rows],
        squared=objective.loss == "relative",
        cost=max(selection.mu, LEAST_MU) * weight / weight.sum(),
        distance=distance,
        least=least,
        most=most,
    )
