"""What adding, dropping or swapping a column does where no coefficient may be negative."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from l0.linear_model.design import Positions
from l0.linear_model.statistics import Matrix, Statistics
from l0.linear_model.swap import Swap


class NonnegativeSwap(Swap):
    """As `Swap`, for one outcome and coefficients of at least 0.

    No formula gives the gain of a swap then. There is a bound: with free signs the swap explains at
    least as much. The best swap is found by branch and bound: swaps are solved by nonnegative least
    squares in the order of their bounds, until the next bound is below the best gain.

    Parameters
    ----------
    statistics : Statistics
        Of one outcome, q = 1.
    chosen : ndarray of int64, shape (k,)
    fixed : int, default 0
        The first `fixed` of the chosen columns are neither dropped nor swapped.

    Attributes
    ----------
    value : float
        What the chosen columns explain with coefficients of at least 0.
    slopes : ndarray of float64, shape (k, 1)
        At least 0.

    References
    ----------
    C. L. Lawson, R. J. Hanson, "Solving Least Squares Problems", 1974, chapter 23: nonnegative
    least squares.
    """

    def __init__(self, statistics: Statistics, chosen: Positions, fixed: int = 0) -> None:
        super().__init__(statistics, chosen, fixed)
        free = self.value
        bounds = super().swaps()
        self.slopes, self.value = self._solve(chosen)
        self._bounds = bounds + free - self.value
        self.residual = statistics.cross - statistics.rows(chosen).T @ self.slopes
        self.residual[chosen] = 0.0

    def adds(self) -> Matrix:
        """The gain of adding each column, about; -inf for a column that the chosen ones span.

        It is exact where all chosen slopes are positive, before and after.
        """
        return self._adds(np.maximum(self.residual[:, 0], 0.0) ** 2)

    def drops(self) -> Matrix:
        """The loss of dropping each chosen column; infinite for the fixed ones."""
        lost = np.full(len(self.chosen), np.inf)
        for out in range(self.fixed, len(self.chosen)):
            lost[out] = self.value - self._solve(np.delete(self.chosen, out))[1]
        return lost

    def best_swap(self) -> tuple[float, int, int]:
        """The best swap: its gain, the place in `chosen` that it frees, the new column."""
        bounds = self._bounds
        best = (-np.inf, -1, -1)
        for out in range(self.fixed, len(self.chosen)):
            rest = np.delete(self.chosen, out)
            slopes, value = self._solve(rest)
            residual = self.statistics.cross - self.statistics.rows(rest).T @ slopes
            # Whichever column comes in, the others alone explain this much.
            allowed = np.flatnonzero(bounds[out] > -np.inf)
            if allowed.size and value - self.value > best[0]:
                best = (value - self.value, out, int(allowed[0]))
            hopeful = np.flatnonzero((residual[:, 0] > 0) & (bounds[out] > best[0]))
            for new in hopeful[np.argsort(-bounds[out, hopeful])]:
                if bounds[out, new] <= best[0]:
                    break
                gain = self._solve(np.append(rest, new))[1] - self.value
                if gain > best[0]:
                    best = (gain, out, int(new))
        return best

    def _solve(self, chosen: Positions) -> tuple[Matrix, float]:
        """Fit slopes of at least 0, and return what they explain."""
        if not len(chosen):
            return np.empty((0, 1)), 0.0
        cross = self.statistics.cross[chosen, 0]
        factor = np.linalg.cholesky(self.statistics.rows(chosen)[:, chosen])
        slopes, _ = nnls(factor.T, np.linalg.solve(factor, cross))
        return slopes[:, None], float(slopes @ cross)
