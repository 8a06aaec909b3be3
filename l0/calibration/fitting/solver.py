"""Solve a program: by which methods, in which order, and what they found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from l0.calibration.checkpoints.stages import Stages
from l0.calibration.fitting.certificate import ZERO, Certificate
from l0.calibration.fitting.choice import normal_matrix
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.first_order import solve_first_order
from l0.calibration.fitting.interior_point import solve_interior_point
from l0.calibration.fitting.newton import solve_exactly
from l0.calibration.fitting.normal_matrix import NormalMatrix
from l0.calibration.fitting.program import Program
from l0.calibration.solver_settings import Solver

#: Up to this number of targets, the fit first looks for weights that meet all of them.
EXACT_ROWS = 300
#: Up to this number, it looks for them after a fit that nearly meets all targets.
POLISHED_ROWS = 5_000
#: The gap of an exact fit.
EXACT_GAP = 1e-9
#: A multiplier of an interval counts as 0 if it is below this part of its limit.
INACTIVE = 1e-4
#: A target gives way if it is missed and its multiplier is at least this part of its limit.
GIVES_WAY = 0.9
#: Many targets are tried again if only those with less than this share of the mean importance give
#: way: with at least the mean.
UNIMPORTANT = 0.1
#: Few targets are always tried again: with so many times the mean, and at least with this multiple
#: of the sum of the costs. A miss of 1% then costs more than ratios of the size 100.
DEARER, EXTREME = 100.0, 1e6
#: If the datafit is below this multiple of the gap, all targets may be attainable.
NEARLY_MET = 100.0


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver found for a program.

    Attributes
    ----------
    q : ndarray of float64, shape (k,)
        The ratios of the weights to the base weights.
    multipliers : ndarray of float64, shape (m,)
        lambda. Raising the interval of a target by one unit of its scale costs lambda.
    status : {"exact", "optimal", "stopped"}
        Whether all targets are met by the closest weights (or by the weights that are within the
        gap of the best ones for soft targets), the objective is within the stated gap
        of the best one, or the fit ended before.
    gap : float
        The relative duality gap; the gap itself if the objective is 0.
    objective : float
    iterations, passes : int
        The iterations, and the products with the matrix.
    stopped : str
        What ended a stopped fit.
    """

    q: Array
    multipliers: Array
    status: str
    gap: float
    objective: float
    iterations: int
    passes: int
    stopped: str


Watch = Callable[[Certificate, Array], None]


def solve_program(
    program: Program,
    solver: Solver,
    device: torch.device,
    watch: Watch | None = None,
    must: bool = False,
    stages: Stages | None = None,
) -> Solution:
    """Solve a program to the gap of a solver.

    Parameters
    ----------
    program : Program
        Its shares are above 0.
    solver : Solver
    device : torch.device
        Where the first-order method computes. All others compute on the CPU.
    watch : callable, optional
        See `Certificate`.
    must : bool
        Whether to look for weights that meet all targets, whatever their number.
    stages : Stages, optional
        Keeps the states of long loops.

    Returns
    -------
    Solution
    """
    stages = stages or Stages()
    limit = np.inf if solver.max_seconds is None else time.perf_counter() + solver.max_seconds
    normal = normal_matrix(program.matrix, program.ranks)
    if normal is None:
        certificate = Certificate(program, solver.gap, limit, watch)
        best = solve_first_order(program, device, certificate, stages)
        return _solution(program, best, _status(best), best.multipliers)
    points = bool((program.low == program.high).all())

    def approximate(of: Program, watch: Watch | None = None) -> Certificate:
        return solve_interior_point(of, normal, Certificate(of, solver.gap, limit, watch), stages)

    # With soft targets, the exact attempt tells only whether all others can be met.
    soft = program.n_soft > 0
    n_hard = np.count_nonzero(~program.soft)
    if points and (must or n_hard <= EXACT_ROWS):
        zeros = np.zeros(len(program.share))
        found = _exact(program, normal, zeros, limit, None if soft else watch)
        if found is not None and soft:
            found = _required(program, normal, solver.gap, limit, watch)
            # All others are met, whatever becomes of the soft ones.
            found = found or _exact(program, normal, zeros, limit, watch)
        if found is not None:
            return found
    best = approximate(program, watch)
    if n_hard > POLISHED_ROWS and not must:
        return _solution(program, best, _status(best), best.multipliers)
    if best.stopped:
        return _solution(program, best, _status(best), best.multipliers)

    def polished(attempt: Program, near: Certificate) -> Solution | None:
        if not _nearly_met(attempt, near, solver.gap):
            return None
        found = None if soft else _exact(program, normal, near.multipliers, limit, watch)
        gap = solver.gap if soft else EXACT_GAP
        return found or _required(program, normal, gap, limit, watch)

    found = polished(program, best)
    if found is None and (evened := _evened(program, best, must)) is not None:
        found = polished(evened, approximate(evened))
    return found or _solution(program, best, _status(best), best.multipliers)


def _exact(
    program: Program, normal: NormalMatrix, start: Array, limit: float, watch: Watch | None
) -> Solution | None:
    """Look for the closest weights that meet all but soft targets; None if there seem to be none.

    An interval counts as the point at its limit if its multiplier is not 0, and not at all if it is
    0. This is right if no sign changes and if the other intervals are kept.
    """
    m = len(program.share)
    wide = program.high > program.low
    active = np.flatnonzero(~program.soft & (~wide | (np.abs(start) > INACTIVE * program.share)))
    limits = np.where(start > 0, program.low, program.high)[active]
    part = replace(
        program,
        matrix=program.matrix if len(active) == m else program.matrix.rows(active),
        low=limits,
        high=limits,
        share=np.full(len(active), np.inf),
        n_soft=0,
        passes=0,
    )
    if len(active) < m:
        fewer = normal_matrix(part.matrix, part.ranks)
        if fewer is None:
            return None
        normal = fewer
    certificate = Certificate(part, EXACT_GAP, limit)
    met = solve_exactly(part, normal, certificate, start[active])
    program.passes += part.passes
    if not met:
        return None
    multipliers = np.zeros(m)
    multipliers[active] = certificate.multipliers
    turned = wide & (multipliers * start < 0)
    estimates = program.times(certificate.q)
    if turned.any() or (program.missed(estimates) & ~program.soft).any():
        return None
    if watch is not None:
        watch(certificate, estimates)
    return _solution(program, certificate, "exact", multipliers)


def _required(
    program: Program, normal: NormalMatrix, gap: float, limit: float, watch: Watch | None
) -> Solution | None:
    """Look for the best weights that meet all but soft targets; None if there seem to be none.

    This finds out which intervals count as points, and copes with bounds that leave hardly any
    room. It is less accurate than `_exact`.
    """
    share = np.where(program.soft, program.share, np.inf)
    required = replace(program, share=share, passes=0)
    certificate = Certificate(required, gap, limit)
    solve_interior_point(required, normal, certificate)
    program.passes += required.passes
    if not certificate.certified:
        return None
    if watch is not None:
        watch(certificate, program.times(certificate.q))
    return _solution(program, certificate, "exact", certificate.multipliers)


def _status(found: Certificate) -> str:
    return "optimal" if found.certified else "stopped"


def _nearly_met(program: Program, found: Certificate, gap: float) -> bool:
    """Tell whether all targets may be attainable: what is missed is small beside the gap."""
    estimates = program.times(found.q)
    miss = np.abs(program.outside(estimates))
    rho = miss**2 if program.squared else miss
    # Where a miss is dear, even rounding errors would cost more than the weights.
    paid = ~program.soft & np.isfinite(program.share) & program.missed(estimates)
    datafit = float(program.share[paid] @ rho[paid])
    return datafit <= max(NEARLY_MET * gap * found.primal, ZERO)


def _evened(program: Program, found: Certificate, must: bool) -> Program | None:
    """Make missed targets dearer, if all could be met.

    A share decides how much a miss costs, beside the distance of the weights. A small one could
    leave a target missed that can be met with all others. Squared errors nearly always do. Few
    targets, and targets that must be met, get such shares that only a contradiction leaves a miss.
    Of many, only unimportant ones may give way: another fit would take long.
    """
    share = program.share
    hard = ~program.soft
    mean = float(share[hard & np.isfinite(share)].mean())
    missed = program.missed(program.times(found.q)) & hard
    few = must or np.count_nonzero(hard) <= EXACT_ROWS
    hopeless = program.squared and not few
    if not (program.squared or few):
        missed &= np.abs(found.multipliers) > GIVES_WAY * share
        hopeless = bool((share[missed] > UNIMPORTANT * mean).any())
    if hopeless or not missed.any():
        return None
    price = max(DEARER * mean, EXTREME * float(program.cost.sum())) if few else mean
    dearer = np.where(hard, price * np.maximum(share / mean, 1.0), share)
    return replace(program, share=dearer, squared=False, passes=0)


def _solution(program: Program, found: Certificate, status: str, multipliers: Array) -> Solution:
    return Solution(
        q=found.q,
        multipliers=multipliers,
        status=status,
        gap=found.gap,
        objective=found.primal,
        iterations=found.iterations,
        passes=program.passes,
        stopped=found.stopped,
    )
