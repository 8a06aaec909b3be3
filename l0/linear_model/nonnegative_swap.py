"""Exchanges where no coefficient may be negative."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix, Statistics
from l0.linear_model.swap import Exchange


class NonnegativeExchange(Exchange):
    """As `Exchange`, for one outcome and coefficients of at least 0.

    There is no formula for what an exchange gains then, but a bound: what it would gain were
    signs free. Exchanges are solved in order of their bounds, until none can beat the best.
    """

    def __init__(self, statistics: Statistics, chosen: Positions, fixed: int = 0) -> None:
        super().__init__(statistics, chosen, fixed)
        self.free = self.value
        self.slopes, self.value = self._solve(chosen)
        self.residual = statistics.cross - statistics.rows(chosen).T @ self.slopes
        self.residual[chosen] = 0.0

    def adds(self) -> Matrix:
        """What adding each column gains while the others keep their signs, about."""
        return self._adds(np.maximum(self.residual[:, 0], 0.0) ** 2)

    def drops(self) -> Matrix:
        """What dropping each chosen column loses; infinite for those that stay."""
        lost = np.full(len(self.chosen), np.inf)
        for out in range(self.fixed, len(self.chosen)):
            lost[out] = self.value - self._solve(np.delete(self.chosen, out))[1]
        return lost

    def best_swap(self) -> tuple[float, int, int]:
        """The largest gain of an exchange, the place that is given up and the column that comes."""
        bounds = self.swaps() + self.free - self.value
        best = (-np.inf, -1, -1)
        for out in range(self.fixed, len(self.chosen)):
            rest = np.delete(self.chosen, out)
            slopes, value = self._solve(rest)
            residual = self.statistics.cross - self.statistics.rows(rest).T @ slopes
            # A column that the residual does not point to comes in at 0, whichever it is.
            idle = np.flatnonzero(bounds[out] > -np.inf)
            if idle.size and value - self.value > best[0]:
                best = (value - self.value, out, int(idle[0]))
            hopeful = np.flatnonzero((residual[:, 0] > 0) & (bounds[out] > best[0]))
            for new in hopeful[np.argsort(-bounds[out, hopeful])]:
                if bounds[out, new] <= best[0]:
                    break
                gain = self._solve(np.append(rest, new))[1] - self.value
                if gain > best[0]:
                    best = (gain, out, int(new))
        return best

    def _solve(self, chosen: Positions) -> tuple[Matrix, float]:
        if not len(chosen):
            return np.empty((0, 1)), 0.0
        cross = self.statistics.cross[chosen, 0]
        factor = np.linalg.cholesky(self.statistics.rows(chosen)[:, chosen])
        slopes, _ = nnls(factor.T, np.linalg.solve(factor, cross))
        return slopes[:, None], float(slopes @ cross)
