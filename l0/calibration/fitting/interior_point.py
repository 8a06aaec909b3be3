r"""The interior point method: an infeasible primal-dual method with Mehrotra's corrector.

The program is written with an excess e+ and a shortfall e- for each target,

.. math::
    \min \; p'(e^+ + e^-) + \sum_i c_i D(q_i) \quad \text{with} \quad B q = z + e^+ - e^-,

where z is in the interval of the target and q within its bounds. The optimality conditions are
c D'(q) = B' lambda + (multipliers of the bounds), and that the product of each quantity that may
not be negative with its multiplier is 0: e+ with p + lambda, e- with p - lambda, and the distances
of z and q to their limits with the multipliers of these. A step of Newton's method for conditions
with products tau in place of 0 leads to one system for the change of lambda, with the matrix

.. math::
    B H^{-1} B' + \operatorname{diag}(e^+/s^+ + e^-/s^- + \ldots), \qquad H = c D''(q) + \ldots

(Mehrotra 1992, SIAM Journal on Optimization 2(4); Nocedal & Wright 2006, Numerical Optimization,
algorithm 14.3). A factor of it gives the directions of a predictor, of a corrector for its
second-order terms, and of one for products that would be far from tau after a longer step (Gondzio
1996, Computational Optimization and Applications 6(2)). With squared errors, e = -lambda / (2 p)
takes the place of e+ and e-.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from l0.calibration.checkpoints.stages import Stages
from l0.calibration.fitting.certificate import Best, Certificate
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.normal_matrix import NormalMatrix, Solve
from l0.calibration.fitting.program import Program

MAX_ITERATIONS = 100
#: A step goes this share of the way to the nearest limit: at first, and after `EARLY` iterations.
EARLY, STEPS = 5, (0.95, 0.995)
#: The products after steps that are longer by `FURTHER` are brought between so many times tau. This
#: direction is taken if its own steps are together longer by `LONGER`, and neither shorter by it: a
#: full step of the one with hardly any of the other leaves the products far apart.
FURTHER, MODERATE, LONGER = 0.3, (0.1, 10.0), 0.03
#: A distance to a limit is at least this share of the quantity it is measured for.
ROUNDING = 1e-15
#: Steps of conjugate gradients that refine the solution of a system, and the longest of them. They
#: end at a residual of this share of the right side: Newton's method corrects the rest.
REFINEMENTS, LONGEST_REFINEMENT, REFINED = 3, 2.0, 1e-5
#: A step multiplies q by at least exp(FALL). No q and no curvature is below LEAST.
FALL, LEAST = -4.0, 1e-60


@dataclass(frozen=True)
class Point:
    """The variables of the method, or a change of them.

    Attributes
    ----------
    q : ndarray of float64, shape (k,)
    at_least, at_most : ndarray of float64, shape (k,)
        The multipliers of the bounds on q.
    lam : ndarray of float64, shape (m,)
        The multipliers of the targets.
    up, down : ndarray of float64, shape (m,)
        e+ and e-, 0 for squared errors and for targets that must be met.
    z : ndarray of float64, shape (m,)
        A value in the interval of the target.
    above, below : ndarray of float64, shape (m,)
        The multipliers of the lower and of the upper limit of z.
    """

    q: Array
    at_least: Array
    at_most: Array
    lam: Array
    up: Array
    down: Array
    z: Array
    above: Array
    below: Array


@dataclass(frozen=True)
class State:
    """Where the method is before an iteration.

    Attributes
    ----------
    iteration : int
    point : Point
    best : Best
    """

    iteration: int
    point: Point
    best: Best


# A fit that diverges ends at a system that has overflowed, and needs no warnings before.
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def solve_interior_point(
    program: Program,
    normal: NormalMatrix,
    certificate: Certificate,
    stages: Stages | None = None,
) -> Certificate:
    """Improve on the best solution of a certificate until it is done.

    Parameters
    ----------
    program : Program
    normal : NormalMatrix
        Of `program.matrix`.
    certificate : Certificate
    stages : Stages, optional
        Keeps the states of a long fit.

    Returns
    -------
    Certificate
        The same object.
    """
    method, stages = _Method(program, normal), stages or Stages()
    state = stages.resumed(State(0, method.start(), certificate.best))
    certificate.continue_from(state.best)
    point = state.point
    for iteration in range(state.iteration, MAX_ITERATIONS):
        estimates, pulled = program.times(point.q), program.back(point.lam)
        certificate.offer(point.q, estimates, point.lam, pulled)
        if certificate.done:
            return certificate
        step = STEPS[iteration >= EARLY]
        try:
            point = method.next(point, estimates, pulled, step)
        except np.linalg.LinAlgError:
            return certificate.stop("rounding errors")
        stages.keep(State(iteration + 1, point, certificate.best))
    return certificate.stop("iterations")


class _Method:
    """Newton steps for one program."""

    def __init__(self, program: Program, normal: NormalMatrix) -> None:
        self._program, self._normal = program, normal
        low, high = program.distance.domain
        # The raking distance needs no bound at 0, the end of its domain. The logit distance is
        # hardly steep where its cost is small: without bounds, its steps would be very short.
        self._least = np.where(np.isfinite(high) | (program.least > low), program.least, -np.inf)
        self._most = program.most
        self._free = np.zeros(len(program.share), bool) | program.squared
        self._soft = np.isfinite(program.share) & ~self._free
        self._wide = program.high > program.low

    def start(self) -> Point:
        """Start from the base weights, moved inside the bounds, and from generous errors."""
        program = self._program
        room = np.minimum(0.1 * (self._most - self._least), 0.1)
        q = np.clip(np.ones(len(program.cost)), self._least + room, self._most - room)
        q = program.inside(q)
        estimates = program.times(q)
        inner = 0.1 * _width(program)
        z = np.clip(estimates, program.low + inner, program.high - inner)
        error = estimates - z
        size = np.abs(error)
        absolute = program.matrix.absolute
        typical = np.clip(size.mean(), 1e-6 * absolute, absolute)
        spare = 0.1 * size + 0.5 * typical
        price = np.where(self._soft, program.share, 1 / len(z)) / 2
        none = np.zeros(len(z))
        return Point(
            q=q,
            at_least=np.where(np.isfinite(self._least), program.cost, 0.0),
            at_most=np.where(np.isfinite(self._most), program.cost, 0.0),
            lam=none,
            up=np.where(self._soft, np.maximum(error, 0) + spare, 0.0),
            down=np.where(self._soft, np.maximum(-error, 0) + spare, 0.0),
            z=z,
            above=np.where(self._wide & np.isfinite(program.low), price, 0.0),
            below=np.where(self._wide & np.isfinite(program.high), price, 0.0),
        )

    def next(self, point: Point, estimates: Array, pulled: Array, step: float) -> Point:
        """Take a step: by a predictor, and correctors that use the same factor."""
        newton = _Newton(self, point, estimates, pulled)
        change, primal, dual = newton.direction([0.0] * 6, rough=True)
        mean = newton.mean_product(change, 0.0, 0.0)
        if mean > 0:
            left = max(newton.mean_product(change, primal, dual), 0.0)
            tau = (left / mean) ** 3 * mean
            # The second-order terms hold for a full step: they count as far as a step can go
            # (Colombo & Gondzio 2008, Computational Optimization and Applications 41(3)).
            goals = [tau - primal * dual * product for product in _second_order(change)]
            change, primal, dual = newton.direction(goals)
            if min(primal, dual) < 1:
                goals = newton.moderated(goals, tau, change, primal, dual)
                longer = newton.direction(goals, near=change.lam, rough=True)
                gains = longer[1] - primal, longer[2] - dual
                if sum(gains) >= LONGER and min(gains) >= -LONGER:
                    change, primal, dual = longer
        primal, dual = (full if full == 1 else step * full for full in (primal, dual))
        moved = _moved(point, change, primal, dual)
        return replace(moved, q=self._program.stepped(point.q, primal * change.q, FALL, LEAST))


class _Newton:
    """The Newton system at a point. All quotients are 0 where a limit is infinite."""

    def __init__(self, method: _Method, point: Point, estimates: Array, pulled: Array) -> None:
        program = method._program
        self.program, self.point, self.pulled = program, point, pulled
        self.soft, self.wide = method._soft, method._wide
        self.least, self.most = method._least, method._most
        # Without a limit of the multiplier, e+ and e- stay 0.
        limit = np.where(self.soft, program.share, np.inf)
        self.s_up = _above_zero(limit + point.lam, limit)
        self.s_down = _above_zero(limit - point.lam, limit)
        width = _width(program)
        self.to_low = np.where(self.wide, _above_zero(point.z - program.low, width), np.inf)
        self.to_high = np.where(self.wide, _above_zero(program.high - point.z, width), np.inf)
        self.over = _above_zero(point.q - self.least, point.q)
        self.under = _above_zero(self.most - point.q, point.q)
        self.gradient = program.cost * program.distance.gradient(point.q)
        self.h = (
            program.cost * program.distance.curvature(point.q)
            + point.at_least / self.over
            + point.at_most / self.under
        )
        theta = np.maximum(point.above / self.to_low + point.below / self.to_high, LEAST)
        self.slide = np.divide(1.0, theta, out=np.zeros_like(theta), where=self.wide)
        squared = 1 / (2 * program.share) if program.squared else 0.0
        self.diagonal = point.up / self.s_up + point.down / self.s_down + self.slide + squared
        self.residual = point.z + point.up - point.down - squared * point.lam - estimates
        self.solve = _factor(method._normal, 1 / self.h, self.diagonal)

    def direction(
        self, goals: Sequence[Array | float], near: Array | None = None, rough: bool = False
    ) -> tuple[Point, float, float]:
        """Solve for the change that gives all products their goals, and how far it can go.

        Parameters
        ----------
        goals : sequence of six
            In the order of `products`.
        near : ndarray of float64, shape (m,), optional
            A change of lambda to start from.
        rough : bool
            Whether the system is not solved more accurately than its factor.

        Returns
        -------
        change : Point
        primal, dual : float
            The longest steps of the variables and of the multipliers, at most 1.
        """
        program, point = self.program, self.point
        t_up, t_down, t_low, t_high, t_least, t_most = goals
        up, down = t_up / self.s_up - point.up, t_down / self.s_down - point.down
        z = self.slide * (t_low / self.to_low - t_high / self.to_high - point.lam)
        force = self.pulled - self.gradient + t_least / self.over - t_most / self.under
        right = self.residual - program.times(force / self.h) + up - down + z
        lam = self._solved(right, near, rough)
        q = (force + program.back(lam)) / self.h
        up = up - point.up / self.s_up * lam
        down = down + point.down / self.s_down * lam
        z = z - self.slide * lam
        above = t_low / self.to_low - point.above - point.above / self.to_low * z
        below = t_high / self.to_high - point.below + point.below / self.to_high * z
        at_least = t_least / self.over - point.at_least - point.at_least / self.over * q
        at_most = t_most / self.under - point.at_most + point.at_most / self.under * q
        primal = (
            _longest(point.up, up),
            _longest(point.down, down),
            _longest(self.to_low, z),
            _longest(self.to_high, -z),
            _longest(self.over, q),
            _longest(self.under, -q),
        )
        dual = (
            _longest(point.above, above),
            _longest(point.below, below),
            _longest(point.at_least, at_least),
            _longest(point.at_most, at_most),
            _longest(self.s_up, lam),
            _longest(self.s_down, -lam),
        )
        change = Point(q, at_least, at_most, lam, up, down, z, above, below)
        return change, min(primal), min(dual)

    def products(self, change: Point, primal: float, dual: float) -> list[Array]:
        """Compute what should be tau after a step. It is not finite where there is no limit."""
        point, lam = self.point, dual * change.lam
        z, q = primal * change.z, primal * change.q
        return [
            (point.up + primal * change.up) * (self.s_up + lam),
            (point.down + primal * change.down) * (self.s_down - lam),
            (self.to_low + z) * (point.above + dual * change.above),
            (self.to_high - z) * (point.below + dual * change.below),
            (self.over + q) * (point.at_least + dual * change.at_least),
            (self.under - q) * (point.at_most + dual * change.at_most),
        ]

    def mean_product(self, change: Point, primal: float, dual: float) -> float:
        """Compute the mean of all products after a step; 0 if there are none."""
        products = np.concatenate(self.products(change, primal, dual))
        limited = products[np.isfinite(products)]
        return float(limited.mean()) if len(limited) else 0.0

    def moderated(
        self, goals: Sequence[Array | float], tau: float, change: Point, primal: float, dual: float
    ) -> list[Array]:
        """Change goals by what moves the products after a longer step into `MODERATE`."""
        least, most = (share * tau for share in MODERATE)
        further = min(primal + FURTHER, 1.0), min(dual + FURTHER, 1.0)
        moderate = []
        for goal, product in zip(goals, self.products(change, *further), strict=True):
            missing = np.maximum(np.clip(product, least, most) - product, -most)
            moderate.append(goal + np.where(np.isfinite(product), missing, 0.0))
        return moderate

    def _solved(self, right: Array, near: Array | None, rough: bool) -> Array:
        """Solve the system, and refine the solution by preconditioned conjugate gradients."""
        if near is None:
            solution = self.solve(right)
        else:
            solution = near + self.solve(right - self._times(near))
        if rough:
            return solution
        residual = right - self._times(solution)
        goal = REFINED * float(np.linalg.norm(right))
        direction, old = np.zeros_like(right), np.inf
        for _ in range(REFINEMENTS):
            if float(np.linalg.norm(residual)) <= goal:
                break
            preconditioned = self.solve(residual)
            new = float(residual @ preconditioned)
            direction = preconditioned + new / old * direction
            image = self._times(direction)
            curvature = float(direction @ image)
            # The factor is nearly exact but for dependent rows, where it has a ridge and the system
            # none. A step far from 1 would only move multipliers to and fro between such rows.
            if not 0 < new < LONGEST_REFINEMENT * curvature:
                break
            solution = solution + new / curvature * direction
            residual = residual - new / curvature * image
            old = new
        return solution

    def _times(self, vector: Array) -> Array:
        program = self.program
        return program.times(program.back(vector) / self.h) + self.diagonal * vector


def _width(program: Program) -> Array:
    """Compute the widths of the intervals. Without a limit on one side, it is the scale, 1."""
    width = program.high - program.low
    return np.where(np.isinf(width), 1.0, width)


def _factor(normal: NormalMatrix, d: Array, e: Array) -> Solve:
    if not (np.isfinite(d).all() and np.isfinite(e).all()):
        raise np.linalg.LinAlgError("the Newton system has overflowed")
    return normal.factor(d, e)


def _above_zero(difference: Array, of: Array) -> Array:
    """Keep a distance to a limit above 0, where rounding would make it 0."""
    return np.maximum(difference, np.maximum(ROUNDING * np.abs(of), LEAST))


def _longest(values: Array, change: Array) -> float:
    """Find the longest step up to 1 that keeps values + step * change at or above 0."""
    falls = change < 0
    return min(1.0, float((-values[falls] / change[falls]).min())) if falls.any() else 1.0


def _second_order(change: Point) -> list[Array]:
    """Compute what a full step adds to the products beyond its linear terms."""
    return [
        change.up * change.lam,
        -change.down * change.lam,
        change.z * change.above,
        -change.z * change.below,
        change.q * change.at_least,
        -change.q * change.at_most,
    ]


def _moved(point: Point, change: Point, primal: float, dual: float) -> Point:
    steps = dict.fromkeys(("q", "up", "down", "z"), primal)
    return Point(
        **{
            name: part + steps.get(name, dual) * getattr(change, name)
            for name, part in vars(point).items()
        }
    )
