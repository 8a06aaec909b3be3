"""The part D of the products, and the u, for which the bound is the least one."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from l0.linear_model.certificate.bound import Bound
from l0.linear_model.certificate.remainder import Remainder
from l0.linear_model.statistics import Matrix

#: The weight of the barrier at first and at last, a share of the sum of squares, and its decrease.
FIRST, LAST, DECREASE = 0.1, 1e-7, 0.1
#: The most Newton steps at a weight. A step that promises less than this share of it is the last.
STEPS, SETTLED = 50, 1.0
#: The search ends once what is left to gain is this many times smaller than what would be needed.
FAR = 3.0
#: A step is halved until the objective falls enough, and down to this share.
ARMIJO, SHORTEST = 1e-4, 1e-6


@dataclass(frozen=True)
class Point:
    """Variables of the optimisation, in the notation of `least_bound`."""

    u: Matrix
    d: Matrix
    level: float
    excess: Matrix

    def moved(self, share: float, move: Point) -> Point:
        """Return the point a share of a move away."""
        return Point(
            self.u + share * move.u,
            self.d + share * move.d,
            self.level + share * move.level,
            self.excess + share * move.excess,
        )


def least_bound(
    remainder: Remainder, scale: float, enough: float, deadline: float
) -> tuple[Bound, Matrix] | None:
    r"""Minimise the bound over u and D.

    The sum of the r largest scores is the least :math:`r \theta + \sum_j e_j` with
    :math:`e_j \ge 0` and :math:`(e_j + \theta) D_j \ge u_j^2`. So the bound is the optimum of a
    convex problem, a semidefinite one for the sake of A - D. A barrier keeps the variables inside,
    and its weight falls (Boyd & Vandenberghe 2004, "Convex optimization", section 11.3):

    .. math::
        \min_{u, D, \theta, e} \; (c - u)'(A - D)^{-1}(c - u) + r \theta + \sum_j e_j
        - \mu \Big( \log \det (A - D) + \sum_j \log\big((e_j + \theta) D_j - u_j^2\big)
        + \sum_j \log e_j \Big)

    Parameters
    ----------
    remainder : Remainder
        With more free columns than room.
    scale : float
        The sum of squares of the outcome.
    enough : float
        The search ends once the bound is at most this.
    deadline : float
        On the clock of `time.monotonic`: the search ends then, with what it has.

    Returns
    -------
    Bound, ndarray of float64, shape (m,)
        And its D; None where the products are singular, so that there is no D.
    """
    least = float(np.linalg.eigvalsh(remainder.products)[0])
    if least <= 1e-10 * float(np.diag(remainder.products).max()):
        return None
    here = _start(remainder, least, scale)
    best: tuple[Bound, Matrix] | None = None
    weight = FIRST * scale * remainder.room / len(here.u)
    while True:
        for _ in range(STEPS):
            move, promised = _newton(remainder, here, weight)
            now, share = _objective(remainder, here, weight), 1.0
            while share > SHORTEST:
                tried = here.moved(share, move)
                if _objective(remainder, tried, weight) <= now - ARMIJO * share * promised:
                    break
                share /= 2
            else:
                break
            here = tried
            if promised < SETTLED * weight or time.monotonic() > deadline:
                break
        found = Bound.of(remainder, here.d, here.u)
        if found is not None and (best is None or found.value < best[0].value):
            best = found, here.d
        # About so much is left to gain: the weight for each term of the barrier.
        left = 4 * len(here.u) * weight
        far = best is not None and (best[0].value <= enough or best[0].value - enough > FAR * left)
        if far or weight <= LAST * scale or time.monotonic() > deadline:
            return best
        weight *= DECREASE


def _start(remainder: Remainder, least: float, scale: float) -> Point:
    """Return a point inside."""
    d = np.full(len(remainder.cross), 0.5 * least)
    u = 0.5 * remainder.cross * d / np.diag(remainder.products)
    scores = np.sort(u**2 / d)[::-1]
    level = 1.1 * float(scores[remainder.room]) + 1e-3 * scale / len(d)
    return Point(u, d, level, np.maximum(u**2 / d - level, 0.0) + 1e-2 * scale / len(d))


def _objective(remainder: Remainder, here: Point, weight: float) -> float:
    """Return what Newton's method minimises; infinite outside."""
    inside = (here.excess + here.level) * here.d - here.u**2
    if min(inside.min(), here.excess.min(), here.d.min()) <= 0:
        return np.inf
    left = remainder.products.copy()
    left[np.diag_indices(len(left))] -= here.d
    try:
        factor = np.linalg.cholesky(left)
    except np.linalg.LinAlgError:
        return np.inf
    along = np.linalg.solve(factor, remainder.cross - here.u)
    barrier = 2 * np.log(np.diag(factor)).sum() + np.log(inside).sum() + np.log(here.excess).sum()
    value = along @ along + remainder.room * here.level + here.excess.sum()
    return float(value - weight * barrier)


def _newton(remainder: Remainder, here: Point, weight: float) -> tuple[Point, float]:
    """Return the Newton step, and by how much it lowers the objective to first order.

    The Hessian is diagonal in e, which is eliminated.
    """
    u, d, e, m = here.u, here.d, here.excess, len(here.u)
    left = remainder.products.copy()
    left[np.diag_indices(m)] -= d
    inverse = np.linalg.inv(left)
    x = inverse @ (remainder.cross - u)
    q = e + here.level
    inside = q * d - u**2
    first, second = weight / inside, weight / inside**2

    gradient_u, gradient_d = 2 * u * first - 2 * x, x**2 + weight * np.diag(inverse) - q * first
    gradient_level, gradient_e = remainder.room - float(d @ first), 1 - d * first - weight / e
    # Second derivatives by the q of a column, which is e plus the level, and by another variable.
    uq, dq, qq = -2 * u * d * second, q * d * second - first, d**2 * second
    ee = qq + weight / e**2

    hessian = np.zeros((2 * m + 1, 2 * m + 1))
    along = inverse * x
    hessian[:m, :m] = 2 * inverse
    hessian[:m, m:-1] = -2 * along
    hessian[m:-1, :m] = -2 * along.T
    hessian[m:-1, m:-1] = 2 * x[:, None] * along + weight * inverse**2
    at = np.arange(m)
    hessian[at, at] += 4 * u**2 * second + 2 * first - uq**2 / ee
    hessian[m + at, m + at] += q**2 * second - dq**2 / ee
    hessian[at, m + at] += -2 * u * q * second - uq * dq / ee
    hessian[m + at, at] += -2 * u * q * second - uq * dq / ee
    hessian[-1, :m] = hessian[:m, -1] = uq * (1 - qq / ee)
    hessian[-1, m:-1] = hessian[m:-1, -1] = dq * (1 - qq / ee)
    hessian[-1, -1] = float(np.sum(qq * (1 - qq / ee)))

    right = -np.concatenate(
        [
            gradient_u - uq * gradient_e / ee,
            gradient_d - dq * gradient_e / ee,
            [gradient_level - float(np.sum(qq * gradient_e / ee))],
        ]
    )
    step = np.linalg.solve(hessian, right)
    move_u, move_d, move_level = step[:m], step[m:-1], float(step[-1])
    move_e = -(gradient_e + uq * move_u + dq * move_d + qq * move_level) / ee
    promised = -(
        gradient_u @ move_u
        + gradient_d @ move_d
        + gradient_level * move_level
        + gradient_e @ move_e
    )
    return Point(move_u, move_d, move_level, move_e), float(promised)
