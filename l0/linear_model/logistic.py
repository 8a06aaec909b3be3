"""Logistic loss, binary and multinomial: fits on few columns, and swaps that lower the loss."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import DenseDesign, Design, Positions
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import GramRows, Matrix, Statistics

#: The most Newton steps. A step that lowers the loss by at most this share is the last one.
NEWTON_STEPS, CONVERGED = 100, 1e-9
#: How many of the most promising swaps are checked on the loss itself: among screened columns, and
#: at the end among all columns.
CHECKED, CHECKED_LAST = 4, 20
#: The least curvature of a row; the most is 1/4.
CURVATURE = 1e-6
#: A design with more entries than this has many rows: products of all its columns are computed
#: once, and again only if the weights of the rows have changed by this share: to rank swaps, and
#: for a search on the approximation alone.
MANY, CHANGED, CHANGED_LITTLE = 2_000_000, 0.5, 0.05
#: With many rows, no swap is checked whose new column makes up for less than this share of the
#: loss of the old one; the best is always checked.
MAKES_UP = 0.5
#: Fits are kept up to so many bytes, and at least so many of them.
KEPT_BYTES, KEPT_FITS = 2**26, 4


@dataclass(frozen=True)
class Fit:
    """A logistic regression.

    Attributes
    ----------
    slopes : ndarray, shape (m, q)
        q is 1 for two classes, else the number of classes; then the slopes sum to 0 over classes.
    intercept : ndarray, shape (q,)
    loss : float
        Weighted mean of the negative log-likelihood, plus l2 / 2 times the sum of squared slopes.
    residual : ndarray, shape (n, q)
        The indicators of the classes minus their probabilities.
    """

    slopes: Matrix
    intercept: Matrix
    loss: float
    residual: Matrix


@dataclass(frozen=True)
class Outcome:
    """The classes of the rows.

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
        """Fit by Newton's method, with steps halved until the loss falls enough.

        The rule for "enough" is that of Armijo (Nocedal & Wright 2006, "Numerical optimization",
        section 3.1) with the constant 1e-4.

        Parameters
        ----------
        z : ndarray, shape (n, m)
            Standardised columns, not multiplied by the roots of the weights.
        start : pair of ndarray, optional
            Slopes, (m, q), and intercept, (q,).

        Returns
        -------
        Fit
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
                # The last step doubles the correct digits, but hardly changes the loss: do not
                # test it.
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
        """Return the weights of the rows in the quadratic approximation of the loss, (n,).

        A row has the curvature p (1 - p) for each class; the weight uses its mean over the classes,
        so that one regression serves all classes. This mean is ours. It only ranks swaps: the loss
        itself decides which ones are made.
        """
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
        # The same shift of all classes' scores changes no probability, so the Hessian is singular.
        square[np.diag_indices(q * m)] += 1e-10 * max(np.trace(square) / max(q * m, 1), 1e-10)
        return np.asarray(np.linalg.solve(square, gradient.T.ravel()).reshape(q, m).T)


@dataclass(frozen=True)
class LogisticProblem(Problem):
    """Logistic regression on some units.

    Screening and starts use least squares on the indicators of the classes, which is what
    `statistics` holds. A quadratic approximation at the current fit ranks the swaps, and a swap is
    made only if it lowers the loss itself.

    Attributes
    ----------
    design : Design
        Standardised columns times the roots of `outcome.weights`.
    outcome : Outcome
    checked : int
        How many swaps are checked on the loss.
    """

    design: Design = field(kw_only=True)
    outcome: Outcome = field(kw_only=True)
    checked: int = field(default=CHECKED_LAST, kw_only=True)
    _fits: dict[tuple[int, ...], Fit] = field(default_factory=dict, init=False, repr=False)
    #: The curvature of rows, and the products of all columns under it.
    _products: dict[str, Matrix] = field(default_factory=dict, init=False, repr=False)

    def swap_from(self, chosen: Positions) -> LogisticSwap:  # type: ignore[override]
        """Fit some units, the kept ones first, to see what adds, drops and swaps gain."""
        return LogisticSwap(self, chosen)

    def restricted(self, units: Positions) -> LogisticProblem:
        """Keep some units, and number them anew from 0."""
        part = super().restricted(units)
        columns = self.columns(units)
        whole = np.array_equal(columns, np.arange(self.design.shape[1]))
        keeps = whole and isinstance(self.design, DenseDesign)
        design = self.design if keeps else DenseDesign(self.design.columns(columns))
        return LogisticProblem(
            part.statistics,
            part.groups,
            part.kept,
            design=design,
            outcome=self.outcome,
            checked=CHECKED,
        )

    def fit(self, chosen: Positions, near: Positions | None = None) -> Fit:
        """Return the fit on some units, with the slopes in their order.

        The fit starts from the fit of the choice `near`; by default from the last new fit.
        """
        key = tuple(chosen.tolist())
        fit = self._fits.pop(key, None)
        if fit is None:
            if near is None and self._fits:
                near = np.array(next(reversed(self._fits)), np.int64)
            columns = self.columns(chosen)
            start = None if near is None else self._start(columns, near)
            roots = np.sqrt(self.outcome.weights)[:, None]
            fit = self.outcome.fit(self.design.columns(columns) / roots, start)
        self._fits[key] = fit
        most = max(KEPT_FITS, KEPT_BYTES // max(fit.residual.nbytes, 1))
        if len(self._fits) > most:
            del self._fits[next(iter(self._fits))]  # the one that was used longest ago
        return fit

    @property
    def many_rows(self) -> bool:
        """Whether the products of columns are too many to compute them anew for each fit."""
        n, p = self.design.shape
        return n * p > MANY and p <= n and isinstance(self.design, DenseDesign)

    def least_squares(self) -> Problem:
        """Return the regression of the indicators of the classes."""
        return Problem(self.statistics, self.groups, self.kept)

    def approximated(self, chosen: Positions, changed: float = CHANGED_LITTLE) -> Problem:
        """Return the quadratic approximation of the loss at the fit on some units.

        Its gradient is exact. With many rows, its curvature may be that of an earlier fit, under
        which the weights of the rows differ by up to the share `changed`.
        """
        fit, outcome = self.fit(chosen), self.outcome
        columns, old = self.columns(chosen), np.sqrt(outcome.weights)
        curvature = outcome.curvature(fit)
        if self.many_rows and self.checked == CHECKED:
            before = self._products.get("curvature", np.zeros(1))
            if np.abs(curvature - before).sum() > changed * curvature.sum():
                design = self.design.reweighted(old, np.sqrt(curvature), outcome.centre)
                self._products.update(curvature=curvature, gram=design.gram())
            gram = self._products["gram"].copy()
            squares = np.diag(gram).copy()
            # At the fit, the intercept leaves no mean in the residual.
            cross = self.design.products(old[:, None] * fit.residual)
            cross += gram[:, columns] @ fit.slopes
            statistics = Statistics(cross, squares, gram, np.inf, outcome.l2)
        else:
            new = np.sqrt(curvature)
            design = self.design.reweighted(old, new, outcome.centre)
            # The working response: a regression on it is one Newton step from the fit.
            working = (outcome.weights / new)[:, None] * fit.residual
            working += design.columns(columns) @ fit.slopes
            statistics = Statistics(
                design.products(working),
                design.squares,
                GramRows(design),
                float(np.sum(working**2)),
                outcome.l2,
            )
        return Problem(statistics, self.groups, self.kept)

    def _start(self, columns: Positions, near: Positions) -> tuple[Matrix, Matrix]:
        """Return slopes of columns and an intercept from the fit of `near`, 0 for other columns."""
        old = self.fit(near)
        slopes = np.zeros((len(columns), old.slopes.shape[1]))
        place = {column: i for i, column in enumerate(self.columns(near).tolist())}
        for i, column in enumerate(columns.tolist()):
            if column in place:
                slopes[i] = old.slopes[place[column]]
        return slopes, old.intercept


class LogisticSwap:
    """As `Swap`, for a logistic fit. Gains are in twice the loss.

    Near the fit, a Newton step is a weighted least squares regression (Hastie, Tibshirani &
    Friedman 2009, "The elements of statistical learning", section 4.4.1). The gains of that
    regression approximate those of the loss.

    Parameters
    ----------
    problem : LogisticProblem
    chosen : ndarray of int64, shape (k,)
        Units, the kept ones first.

    Attributes
    ----------
    value : float
        Minus twice the loss.
    slopes : ndarray of float64
    quadratic : Swap or GroupSwap
        The least squares regression.
    """

    def __init__(self, problem: LogisticProblem, chosen: Positions) -> None:
        self.problem, self.chosen = problem, chosen
        fit = problem.fit(chosen)
        self.slopes = fit.slopes
        self.value = -2 * fit.loss
        self.quadratic = problem.approximated(chosen, CHANGED).swap_from(chosen)

    def adds(self) -> Matrix:
        """The approximate gain of adding each unit; -inf for a unit that the chosen ones span."""
        return self.quadratic.adds()

    def drops(self) -> Matrix:
        """The approximate loss of dropping each chosen unit; infinite for the kept ones."""
        return self.quadratic.drops()

    def best_swap(self) -> tuple[float, int, int]:
        """Check the most promising swaps on the loss, until one lowers it.

        Returns
        -------
        tuple of float, int and int
            The gain, the place in `chosen` that it frees, and the unit that comes in, of the first
            swap that lowers the loss; of the best checked swap where none does.
        """
        gains = self.quadratic.swaps()
        best = (-np.inf, -1, -1)
        if not gains.size:
            return best
        few = min(self.problem.checked, gains.size)
        hopeful = np.argpartition(-gains, few - 1, axis=None)[:few]
        lost = self.drops() if self.problem.many_rows else np.full(len(gains), np.inf)
        for flat in hopeful[np.argsort(-gains.ravel()[hopeful])]:
            out, new = divmod(int(flat), gains.shape[1])
            if gains[out, new] == -np.inf:
                break
            if best[1] >= 0 and gains[out, new] < (MAKES_UP - 1) * lost[out]:
                continue
            chosen = self.chosen.copy()
            chosen[out] = new
            gain = -2 * self.problem.fit(chosen, self.chosen).loss - self.value
            if gain > best[0]:
                best = (gain, out, new)
            if gain > self.problem.statistics.rounding:
                break
        return best
