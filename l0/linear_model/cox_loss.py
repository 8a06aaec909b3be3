"""The partial likelihood of Cox's model, with the risk sets of Breslow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError
from l0.linear_model.losses import CURVATURE, Loss, Point, weighted_products
from l0.linear_model.statistics import Matrix


class CoxLoss(Loss):
    r"""Minus the logarithm of the partial likelihood, a mean over events.

    .. math::
        -\frac{1}{\sum_i s_i d_i} \sum_i s_i d_i
        \Big( f_i - \log \sum_{j: t_j \ge t_i} s_j e^{f_j} \Big)

    Rows with the same time of an event share one risk set (Breslow 1974, Biometrics 30(1)).

    Parameters
    ----------
    y : ndarray of float64, shape (n, 2)
        The time t of each row, and whether it ends in an event: d is 1, or 0 where the row is
        censored.
    weights : ndarray of float64, shape (n,)
        s.

    Attributes
    ----------
    times : ndarray of float64
        The different times, the last one first.
    """

    has_intercept = False
    by_row = False

    def __init__(self, y: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        time, event = y.T
        super().__init__(event, weights)
        self.n_slopes = 1
        #: A criterion counts events (Volinsky & Raftery 2000, Biometrics 56(1)).
        self._share = float(self.weights @ event)
        self.rows = self.n * self._share
        #: Rows from the last time to the first, so that risk sets are sums from the start.
        self._order = np.argsort(-time, kind="stable")
        late = time[self._order]
        self._ends = np.flatnonzero(np.append(late[1:] != late[:-1], True))
        #: The place of each row's time among the different times, the last time first.
        self._at = np.empty(len(time), np.int64)
        self._at[self._order] = np.repeat(
            np.arange(len(self._ends)), np.diff(self._ends, prepend=-1)
        )
        self._events = np.bincount(self._at, self.weights * event)
        self.times = late[self._ends]

    def check(self) -> None:
        """Raise an InputError if no row has an event."""
        if not self.rows:
            raise InputError("`y` has no event, so that no coefficient can be estimated")

    def evaluate(self, scores: Matrix) -> Point:
        """Return the value, and the martingale residuals over the share of events."""
        with np.errstate(all="ignore"):  # a step too far is halved
            top = scores.max(initial=-np.inf)
            risks = np.exp(scores[:, 0] - top)
            at_risk = self._at_risk(risks)
            logs = np.log(at_risk) + top + np.log(self.n)
            value = float(self._events @ logs - (self.weights * self.y[:, 0]) @ scores[:, 0])
            expected = risks * self._hazard(at_risk)[self._at]
        # The risks of the last rows are below the smallest number, or their inverse is above the
        # largest one.
        if not at_risk.all() or not np.isfinite(expected).all():
            value = np.inf
        return Point(value / self._share, (self.y - expected[:, None]) / self._share)

    def hessian(self, columns: Matrix, scores: Matrix, point: Point) -> Matrix:
        """Return the sum of the covariances of the columns in the risk sets."""
        risks = np.exp(scores[:, 0] - scores.max(initial=-np.inf))
        at_risk = self._at_risk(risks)
        summed = np.cumsum((self.weights * risks)[self._order, None] * columns[self._order], axis=0)
        means = summed[self._ends] / at_risk[:, None]
        expected = self.weights * (self.y - self._share * point.residual)[:, 0]
        within = weighted_products(columns, expected) - (means.T * self._events) @ means
        return np.asarray(within / self._share)

    def curvature(self, point: Point) -> NDArray[np.float64]:
        """Return the expected events of the rows.

        With columns of weighted mean 0, this is the second derivative up to how the means of the
        risk sets vary.
        """
        expected = (self.y - self._share * point.residual)[:, 0] / self._share
        return np.asarray(self.weights * np.maximum(expected, CURVATURE))

    def intercept(self, free: bool) -> Matrix:
        """Return 0: the baseline hazard takes up any constant."""
        return np.zeros(1)

    def outcome(self, free: bool) -> Matrix:
        """Return the martingale residuals without columns."""
        return self.evaluate(np.zeros_like(self.y)).residual

    def deviance(self, value: float) -> float:
        """Return minus twice the logarithm of the partial likelihood."""
        return 2 * self.rows * value

    def baseline(self, scores: Matrix) -> tuple[Matrix, Matrix]:
        """Return the different times, ascending, and the cumulative baseline hazard at each.

        This is Breslow's estimate, for a linear predictor of 0.
        """
        top = scores.max(initial=-np.inf)
        hazard = self._hazard(self._at_risk(np.exp(scores[:, 0] - top))) * np.exp(-top)
        return self.times[::-1], hazard[::-1]

    def _at_risk(self, risks: Matrix) -> Matrix:
        """Return the summed risks of the rows at risk at each different time, the last first."""
        return np.asarray(np.cumsum((self.weights * risks)[self._order])[self._ends])

    def _hazard(self, at_risk: Matrix) -> Matrix:
        """Return the cumulative hazard at each different time, the last first."""
        return np.asarray(np.cumsum((self._events / at_risk)[::-1])[::-1])
