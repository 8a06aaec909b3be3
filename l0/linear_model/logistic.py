"""Logistic loss, binary and multinomial: fits on few columns, and exchanges checked on them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import DenseDesign, Design, Positions
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import GramRows, Matrix, Statistics

#: Newton steps, and the relative decrease of the loss below which one more is the last.
NEWTON_STEPS, CONVERGED = 100, 1e-9
#: Exchanges that are checked on the loss itself, the most promising ones: on the way, and of all
#: columns in the end.
CHECKED, CHECKED_LAST = 4, 20
#: Least curvature that a row counts with, of at most 1/4.
CURVATURE = 1e-6


@dataclass(frozen=True)
class Fit:
    """A logistic regression.

    Attributes
    ----------
    slopes : ndarray, shape (m, q)
        q is 1 for two classes, otherwise their number; these sum to 0 over classes.
    intercept : ndarray, shape (q,)
    loss : float
        Weighted mean of the negative log-likelihood, plus l2 / 2 of the slopes' squares.
    residual : ndarray, shape (n, q)
        Indicators of the classes less their probabilities.
    """

    slopes: Matrix
    intercept: Matrix
    loss: float
    residual: Matrix


@dataclass(frozen=True)
class Outcome:
    """Classes of the rows.

    Attributes
    ----------
    indicators : ndarray of float64, shape (n, q)
    weights : ndarray of float64, shape (n,)
        Positive, with sum 1.
    l2 : float
    centre : bool
        Whether there is an intercept.
    """

    indicators: Matrix
    weights: Matrix
    l2: float
    centre: bool

    def fit(self, z: Matrix, start: tuple[Matrix, Matrix] | None = None) -> Fit:
        """Fit by Newton's method on standardised columns without weights, (n, m).

        `start` are slopes and an intercept.
        """
        first = int(self.centre)
        columns = np.column_stack([np.ones((len(z), first)), z])
        penalty = np.full(columns.shape[1], self.l2)
        penalty[:first] = 0.0
        theta = np.zeros((len(penalty), self.indicators.shape[1]))
        if start is not None:
            theta[first:], theta[:first] = start
        loss, residual = self._loss(columns, theta, penalty)
        for _ in range(NEWTON_STEPS):
            gradient = columns.T @ (self.weights[:, None] * residual) - penalty[:, None] * theta
            move = self._newton(columns, self.indicators - residual, penalty, gradient)
            slope, share = float(np.sum(move * gradient)), 1.0
            if slope <= CONVERGED * loss:
                # The last step doubles the digits, and is too small to be judged by the loss.
                theta = theta + move
                loss, residual = self._loss(columns, theta, penalty)
                break
            while share > 1e-8:
                new_loss, new_residual = self._loss(columns, theta + share * move, penalty)
                if new_loss <= loss - 1e-4 * share * slope:
                    break
                share /= 2
            else:
                break
            theta = theta + share * move
            loss, residual = new_loss, new_residual
        if theta.shape[1] > 1:
            theta = theta - theta.mean(axis=1, keepdims=True)
        intercept = theta[0] if self.centre else np.zeros(theta.shape[1])
        return Fit(theta[first:], intercept, loss, residual)

    def curvature(self, fit: Fit) -> NDArray[np.float64]:
        """Weights of the rows in the quadratic approximation, the mean over the classes."""
        p = self.indicators - fit.residual
        return np.asarray(self.weights * np.maximum((p * (1 - p)).mean(1), CURVATURE))

    def _loss(self, columns: Matrix, theta: Matrix, penalty: Matrix) -> tuple[float, Matrix]:
        scores = columns @ theta
        if scores.shape[1] == 1:
            both = np.logaddexp(0, scores)
        else:
            top = scores.max(axis=1, keepdims=True)
            both = top + np.log(np.sum(np.exp(scores - top), axis=1, keepdims=True))
        p = np.exp(scores - both)
        lost = both - np.sum(self.indicators * scores, axis=1, keepdims=True)
        loss = float(self.weights @ lost[:, 0] + 0.5 * penalty @ np.sum(theta**2, axis=1))
        return loss, self.indicators - p

    def _newton(self, columns: Matrix, p: Matrix, penalty: Matrix, gradient: Matrix) -> Matrix:
        m, q = gradient.shape
        hessian = np.empty((q, m, q, m))
        for a in range(q):
            for b in range(a, q):
                weight = self.weights * p[:, a] * (float(a == b) - p[:, b])
                block = (columns.T * weight) @ columns
                hessian[a, :, b] = hessian[b, :, a] = block
            hessian[a, range(m), a, range(m)] += penalty
        square = hessian.reshape(q * m, q * m)
        # Scores of classes can all be shifted alike: that direction has no curvature at all.
        square[np.diag_indices(q * m)] += 1e-10 * max(np.trace(square) / max(q * m, 1), 1e-10)
        return np.asarray(np.linalg.solve(square, gradient.T.ravel()).reshape(q, m).T)


@dataclass(frozen=True)
class LogisticProblem(Problem):
    """Logistic regression on some units.

    What least squares would do with the classes' indicators (`statistics`) screens and starts;
    exchanges are ranked by a quadratic approximation about the fit on the chosen units, and made
    where they lower the loss itself.

    Attributes
    ----------
    design : Design
        Standardised columns times the roots of `outcome.weights`.
    outcome : Outcome
    checked : int
        Exchanges that are checked.
    """

    design: Design = field(kw_only=True)
    outcome: Outcome = field(kw_only=True)
    checked: int = field(default=CHECKED_LAST, kw_only=True)
    _fits: dict[tuple[int, ...], Fit] = field(default_factory=dict, init=False, repr=False)

    def exchange(self, chosen: Positions) -> LogisticExchange:  # type: ignore[override]
        """The fit on some units, those kept first, and what is about it."""
        return LogisticExchange(self, chosen)

    def restricted(self, units: Positions) -> LogisticProblem:
        """The same with some units alone, numbered from 0 on."""
        part = super().restricted(units)
        design = DenseDesign(self.design.columns(self.columns(units)))
        return LogisticProblem(
            part.statistics,
            part.groups,
            part.kept,
            design=design,
            outcome=self.outcome,
            checked=CHECKED,
        )

    def fit(self, chosen: Positions, near: Positions | None = None) -> Fit:
        """The fit on some units, slopes in their order.

        `near` is a choice fitted before, to start from; by default the last one that was.
        """
        key = tuple(chosen.tolist())
        if key not in self._fits:
            if near is None and self._fits:
                near = np.array(next(reversed(self._fits)), np.int64)
            columns = self.columns(chosen)
            start = None if near is None else self._start(columns, near)
            roots = np.sqrt(self.outcome.weights)[:, None]
            self._fits[key] = self.outcome.fit(self.design.columns(columns) / roots, start)
        return self._fits[key]

    def _start(self, columns: Positions, near: Positions) -> tuple[Matrix, Matrix]:
        """Slopes of columns, 0 for those that are not in a choice fitted before; the intercept."""
        old = self.fit(near)
        slopes = np.zeros((len(columns), old.slopes.shape[1]))
        place = {column: i for i, column in enumerate(self.columns(near).tolist())}
        for i, column in enumerate(columns.tolist()):
            if column in place:
                slopes[i] = old.slopes[place[column]]
        return slopes, old.intercept


class LogisticExchange:
    """As `Exchange`, about a logistic fit; gains are in twice the loss."""

    def __init__(self, problem: LogisticProblem, chosen: Positions) -> None:
        self.problem, self.chosen = problem, chosen
        fit, outcome = problem.fit(chosen), problem.outcome
        self.slopes = fit.slopes
        self.value = -2 * fit.loss
        old, new = np.sqrt(outcome.weights), np.sqrt(outcome.curvature(fit))
        design = problem.design.reweighted(old, new, outcome.centre)
        # One Newton step from here is the regression on this working response.
        working = (outcome.weights / new)[:, None] * fit.residual
        working += design.columns(problem.columns(chosen)) @ fit.slopes
        total = float(np.sum(working**2))
        rows = GramRows(design)
        statistics = Statistics(design.products(working), design.squares, rows, total, outcome.l2)
        self.quadratic = Problem(statistics, problem.groups, problem.kept).exchange(chosen)

    def adds(self) -> Matrix:
        """What adding each unit gains, about; -inf for one that adds nothing of its own."""
        return self.quadratic.adds()

    def drops(self) -> Matrix:
        """What dropping each chosen unit loses, about; infinite for those that stay."""
        return self.quadratic.drops()

    def best_swap(self) -> tuple[float, int, int]:
        """The first exchange that lowers the loss, else the best of those checked."""
        gains = self.quadratic.swaps()
        best = (-np.inf, -1, -1)
        if not gains.size:
            return best
        few = min(self.problem.checked, gains.size)
        hopeful = np.argpartition(-gains, few - 1, axis=None)[:few]
        for flat in hopeful[np.argsort(-gains.ravel()[hopeful])]:
            out, new = divmod(int(flat), gains.shape[1])
            if gains[out, new] == -np.inf:
                break
            chosen = self.chosen.copy()
            chosen[out] = new
            gain = -2 * self.problem.fit(chosen, self.chosen).loss - self.value
            if gain > best[0]:
                best = (gain, out, new)
            if gain > self.problem.statistics.rounding:
                break
        return best
