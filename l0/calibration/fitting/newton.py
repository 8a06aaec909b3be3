r"""The exact calibration: Newton's method for the weights that meet the targets.

Of all q within the bounds with B q = t, those with the smallest sum of c_i D(q_i) are
q_i = F((B' lambda)_i / c_i), cut off at the bounds, where F is the inverse of D'. The multipliers
lambda maximise the concave dual of `Program`, whose gradient is t - B q and whose second derivative
is -B diag(d) B' with d_i = F' / c_i (Deville & Särndal 1992, JASA 87(418), section 2; R's `survey`
and `sampling` use the same method). A line search makes it safe far from the solution.
"""

from __future__ import annotations

import numpy as np

from l0.calibration.fitting.certificate import Certificate
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.normal_matrix import NormalMatrix
from l0.calibration.fitting.program import MET, Program

MAX_ITERATIONS = 60
#: Newton's method goes on to this accuracy if it can.
GOAL = 1e-13
#: A step is halved at most so many times, until the dual grows by this share of what is expected.
HALVINGS, ARMIJO = 30, 1e-4


def solve_exactly(
    program: Program, normal: NormalMatrix, certificate: Certificate, start: Array
) -> bool:
    """Look for the closest q that meets all targets, whose intervals are points.

    Parameters
    ----------
    program : Program
        All its targets must be met: their shares are infinite.
    normal : NormalMatrix
        Of `program.matrix`.
    certificate : Certificate
    start : ndarray of float64, shape (m,)
        The multipliers to start from.

    Returns
    -------
    bool
        Whether all targets are met, up to `MET`.
    """
    lam = start
    pulled = program.back(lam)
    value, q = program.dual(lam, pulled)
    error = program.low - program.times(q)
    best = np.inf
    for _ in range(MAX_ITERATIONS):
        worst = _worst(program, error)
        if best <= MET and worst > 0.5 * best:
            break  # only rounding errors are left
        found, best = (q, program.low - error, lam, pulled), worst
        if worst <= GOAL or certificate.expired:
            break
        inner = (q > program.least) & (q < program.most)
        d = np.where(inner, 1 / (program.cost * program.distance.curvature(q)), 0.0)
        direction = _direction(program, normal, d, error)
        slope = float(error @ direction)
        if not (np.isfinite(slope) and slope > 0):
            break
        step = 1.0
        for _ in range(HALVINGS):
            moved = lam + step * direction
            pulled = program.back(moved)
            new, q = program.dual(moved, pulled)
            error = program.low - program.times(q)
            # Near the solution, the dual grows by less than its rounding error, and errors tell.
            halved = _worst(program, error) <= 0.5 * worst
            if halved or new >= value + ARMIJO * step * slope:
                break
            step /= 2
        else:
            break
        lam, value = moved, new
    if best <= MET:
        certificate.offer(*found)
    return best <= MET


def _worst(program: Program, error: Array) -> float:
    """Find the largest relative error."""
    return float((np.abs(error) / program.size).max(initial=0.0))


def _direction(program: Program, normal: NormalMatrix, d: Array, error: Array) -> Array:
    """Solve the Newton system, and refine the solution twice."""
    none = np.zeros(len(error))
    try:
        solve = normal.factor(d, none)
    except np.linalg.LinAlgError:
        return none
    direction = solve(error)
    for _ in range(2):
        image = program.times(d * program.back(direction))
        direction = direction + solve(error - image)
    return direction
