"""Random fits of every kind, and their primal and dual values in plain float64 formulas."""

from dataclasses import dataclass, replace

import numpy as np

from l0.calibration import CalibrationProblem
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import LEAST_MU, Fit, refit
from l0.calibration.fitting.selected import Selection
from l0.calibration.problem.bounds import unreachable
from l0.calibration.problem.limits import read_bounds
from tests.calibration import problems


@dataclass(frozen=True)
class Case:
    """A fit to do, and what is known about it."""

    context: FitContext
    selection: Selection
    feasible: bool


def case(rng, gap=1e-3):
    """Make a random fit.

    Its matrix has counts, amounts, signed amounts and rows that depend on others. Its totals can be
    met by known weights, or are those totals moved at random, or contain zeros. Bounds, tolerances,
    importance, pull, distance and loss are random too.
    """
    n, m = int(rng.integers(5, 120)), int(rng.integers(1, 15))
    rows = [_row(rng, n) for _ in range(m)]
    if m > 2 and rng.random() < 0.4:  # dependent rows
        rows[-1] = rows[0] + rows[1]
        rows[-2] = rng.choice([1.0, -3.0, 1e-4]) * rows[0]
    A = np.array(rows)
    w0 = rng.uniform(50, 150, n) * 10 ** rng.uniform(-3, 3)
    bounds = (0.5, 2.0) if rng.random() < 0.3 else None
    truth = np.exp(rng.normal(0, 0.3, n))
    if bounds is not None:
        truth = np.clip(truth, 0.6, 1.8)
    values = A @ (w0 * truth)
    feasible = bool(rng.random() < 0.5)
    if not feasible:
        values = values * np.exp(rng.normal(0, 1, m) * (rng.random(m) < 0.4))
    if rng.random() < 0.2:
        values[rng.integers(m)] *= rng.choice([0.0, 1e-8, 1e-4])
        feasible = False
    tolerance = np.where(rng.random(m) < 0.5, rng.choice([1e-3, 0.05], m), 0.0)
    if rng.random() < 0.6:
        tolerance[:] = 0.0
    importance = np.exp(rng.normal(0, rng.choice([0, 1, 4]), m))
    problem = replace(
        CalibrationProblem.from_matrix(A, values, w0),
        tolerance=tolerance,
        importance=importance / importance.sum(),
    )
    distance = str(rng.choice(["raking"] * 4 + ["linear"] + ["logit"] * (bounds is not None)))
    records = np.arange(n)
    base = np.ones(n)
    if rng.random() < 0.3:
        records = np.sort(rng.permutation(n)[: max(2, n // 2)])
        base = rng.uniform(0.7, 1.5, len(records))
        feasible = False
    reasons = unreachable(problem, read_bounds(problem, bounds), len(records))
    reachable = reasons == ""
    if not (reachable & (problem.importance > 0)).any():
        return case(rng, gap)
    context = problems.context(
        problem,
        loss=str(rng.choice(["capped"] * 4 + ["relative"])),
        bounds=bounds,
        reachable=reachable,
        gap=gap,
        distance=distance,
        keep_total=bool(rng.random() < 0.1) and (bounds is None or len(records) == n),
        signed=bounds is None and len(records) == n,
    )
    selection = Selection(records, base, float(10 ** rng.uniform(-5, 0)))
    feasible = feasible and bool(reachable.all()) and not context.objective.keep_total
    return Case(context, selection, feasible)


def _row(rng, n):
    match rng.integers(5):
        case 0:
            return np.ones(n)
        case 1:
            row = (rng.random(n) < rng.uniform(0.05, 0.6)).astype(float)
            row[rng.integers(n)] = 1.0
            return row
        case 2:
            return rng.lognormal(rng.uniform(-5, 10), 1, n)
        case 3:
            return rng.lognormal(5, 1, n) * (rng.random(n) < 0.3) + np.eye(1, n)[0]
        case _:
            return rng.normal(0, 10 ** rng.uniform(-2, 4), n)


def divergence(name, q, low, high):
    """Compute a distance of Deville & Särndal 1992, table 1, with 0 log 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "linear":
            return (q - 1) ** 2 / 2
        if name == "raking":
            return np.where(q > 0, q * np.log(q), 0.0) - q + 1
        room = 1e-3 * (high - low)
        centre = np.clip(1.0, low + room, high - room)
        below, above = q - low, high - q
        parts = np.where(below > 0, below * np.log(below / (centre - low)), 0.0)
        parts = parts + np.where(above > 0, above * np.log(above / (high - centre)), 0.0)
        return parts * (centre - low) * (high - centre) / (high - low)


def closest(name, y, low, high):
    """Compute the q in [low, high] that minimises D(q) - q y."""
    if name == "linear":
        return np.clip(1 + y, low, high)
    if name == "raking":
        return np.clip(np.exp(np.minimum(y, 700)), low, high)
    room = 1e-3 * (high - low)
    centre = np.clip(1.0, low + room, high - room)
    steep = (high - low) / ((centre - low) * (high - centre))
    odds = (centre - low) / (high - centre) * np.exp(np.clip(steep * y, -700, 700))
    return low + (high - low) * (odds / (1 + odds))


def fitted(of: Case) -> Fit:
    """Do the fit."""
    return refit(of.context, of.selection)


@dataclass(frozen=True)
class Parts:
    """A fit as a program of dense arrays, made without the code of the package.

    `rows` are the positions of its targets. An exact fit is a program without shares.
    """

    rows: np.ndarray
    B: np.ndarray
    goal: np.ndarray
    tolerance: np.ndarray
    share: np.ndarray
    cost: np.ndarray
    least: np.ndarray
    most: np.ndarray
    distance: str
    squared: bool

    @property
    def low(self):
        """The lower ends of the intervals."""
        return self.goal - self.tolerance

    @property
    def high(self):
        """The upper ends of the intervals."""
        return self.goal + self.tolerance

    @property
    def size(self):
        """The size of each target, for relative errors."""
        value, absolute = np.abs(self.goal) + self.tolerance, np.abs(self.B).sum(axis=1)
        return np.where(value > 1e-7 * absolute, value, np.maximum(absolute, 1e-300))

    def miss(self, q):
        """Compute the errors beyond the tolerances."""
        return np.maximum(np.abs(self.B @ q - self.goal) - self.tolerance, 0)

    def primal(self, q):
        """Compute the objective. Targets with an infinite share count nothing if they are met."""
        miss, must = self.miss(q), np.isinf(self.share)
        assert (miss[must] <= 1e-8 * self.size[must]).all()
        paid = np.where(must, 0, self.share) * (miss**2 if self.squared else miss)
        return float(paid.sum() + self.cost @ divergence(self.distance, q, self.least, self.most))

    def dual(self, multipliers):
        """Compute the bound that multipliers give."""
        y = self.B.T @ multipliers
        inner = closest(self.distance, y / self.cost, self.least, self.most)
        dual = multipliers @ self.goal - self.tolerance @ np.abs(multipliers)
        if self.squared:
            dual -= (multipliers**2 / (4 * self.share)).sum()
        pull = self.cost @ divergence(self.distance, inner, self.least, self.most)
        return float(dual + pull - y @ inner)


def parts(of: Case, fit: Fit) -> Parts:
    """Write a fit as a program. Its shares are infinite if the fit was exact."""
    objective, problem, selection = of.context.objective, of.context.problem, of.selection
    base, name = selection.base, objective.distance
    weight = base * problem.design_weights[selection.records]
    matrix = problem.matrix.toarray()[:, selection.records]
    B = matrix * weight / problem.scales[:, None]
    moved = (B != 0).any(axis=1)
    rows = np.flatnonzero((objective.importance > 0) & moved)
    B, goal = B[rows], (problem.values / problem.scales)[rows]
    tolerance, share = problem.tolerance[rows], objective.importance[rows]
    if objective.keep_total:
        B = np.vstack([B, weight / problem.design_weights.sum()])
        goal, tolerance = np.append(goal, 1.0), np.append(tolerance, 0.0)
        share = np.append(share, np.inf)
    least, most = objective.bounds.low / base, objective.bounds.high / base
    if name == "linear":
        least = np.where(least > 0, least, -np.inf if objective.signed else 1e-6)
    made = Parts(
        rows, B, goal, tolerance, share, max(selection.mu, LEAST_MU) * weight / weight.sum(),
        least, most, name, objective.loss.__name__ == "relative",
    )  # fmt: skip
    # Targets that none of the records moves are missed. The fit of all others can be exact.
    lost = ((objective.importance > 0) & ~moved).any()
    missed = (made.miss(fit.ratios / base) / made.size).max(initial=0.0)
    if fit.solution.status == "exact" or (lost and missed <= 1e-9):
        return replace(made, share=np.full(len(share), np.inf))
    return made


@dataclass(frozen=True)
class Values:
    """The objective of a fit and the bound of its multipliers, computed anew.

    `miss` is the largest error beyond the tolerance, as a share of a target's size, and `excess` is
    how far the multipliers exceed the shares, as a part of them.
    """

    primal: float
    dual: float
    miss: float
    excess: float


def values(of: Case, fit: Fit) -> Values:
    """Compute the values of the ratios and the multipliers that a fit returns, in float64."""
    made, q = parts(of, fit), fit.ratios / of.selection.base
    assert (q >= made.least * (1 - 1e-12)).all()
    assert (q <= made.most * (1 + 1e-12)).all()
    multipliers = fit.multipliers[made.rows]
    if of.context.objective.keep_total:
        multipliers = fit.solution.multipliers
    excess = 0.0 if made.squared else (np.abs(multipliers) / made.share).max(initial=0.0) - 1
    return Values(
        primal=made.primal(q),
        dual=made.dual(multipliers),
        miss=float((made.miss(q) / made.size).max(initial=0.0)),
        excess=max(float(excess), 0.0),
    )
