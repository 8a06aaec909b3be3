"""What adding, dropping or swapping a unit does where coefficients have bounds."""

from __future__ import annotations

import numpy as np

from l0.linear_model.bounded_fit import bounded_slopes
from l0.linear_model.design import Positions
from l0.linear_model.exclusive_swap import Exclusive, ExclusiveSwap
from l0.linear_model.group_swap import Groups, GroupSwap
from l0.linear_model.statistics import Matrix, Statistics
from l0.linear_model.swap import Swap


class BoundedSwap:
    r"""As `Swap` or `GroupSwap`, for one outcome and slopes between bounds.

    No formula gives the gain of a swap then. There are two limits of it. With free slopes the swap
    explains at least as much. And let r be what the fit of the other chosen units leaves of the
    products with the outcome. At this fit, bounds that hold a slope back may be replaced by their
    Lagrange multipliers, and dropped where they do not. Then another column j explains at most

    .. math::
        \max_{\ell_j \le b \le u_j} \; 2 r_j b - d_j b^2

    more, where d is what the others leave of its square, all slopes free; a group explains at most
    what it does with free slopes. The best swap is found by branch and bound: swaps are solved in
    the order of their limits, until the next limit is below the best gain.

    Parameters
    ----------
    statistics : Statistics
        Of one outcome, q = 1.
    groups : Groups or None
        The units; without them, each column is one.
    bounds : ndarray of float64, shape (p, 2)
        Of the slopes of all columns; 0 lies between them.
    free : Swap or GroupSwap
        What moves gain without bounds.
    exclusive : Exclusive, optional
        Sets of units of which at most one may be chosen.

    Attributes
    ----------
    value : float
        What the chosen units explain.
    slopes : ndarray of float64, shape (columns of the chosen units, 1)
    """

    def __init__(
        self,
        statistics: Statistics,
        groups: Groups | None,
        bounds: Matrix,
        free: Swap | GroupSwap,
        exclusive: Exclusive | None = None,
    ) -> None:
        self.statistics, self.groups, self.bounds = statistics, groups, bounds
        self.chosen, self.fixed, self._free = free.chosen, free.fixed, free
        self._moves = ExclusiveSwap(free, exclusive) if exclusive else free
        self.slopes, self.value = self._solve(self.chosen)
        self.residual = self._residual(self.chosen, self.slopes)

    def adds(self) -> Matrix:
        """The gain of adding each unit, about; -inf for a unit that is spanned or kept out.

        For a column it is exact where no slope is at a bound, before and after. For a group it is
        the sum of what its columns gain alone.
        """
        gains = self._alone(self.residual, self._free.left)
        if self.groups:
            gains = np.array([gains[columns].sum() for columns in self.groups.members])
        return np.where(self._moves.adds() > -np.inf, gains, -np.inf)

    def drops(self) -> Matrix:
        """The loss of dropping each chosen unit; infinite for the fixed ones."""
        lost = np.full(len(self.chosen), np.inf)
        for out in range(self.fixed, len(self.chosen)):
            lost[out] = self.value - self._solve(np.delete(self.chosen, out))[1]
        return lost

    def most(self) -> Matrix:
        """The most that each exchange leads to: what it explains with free slopes, (k, units)."""
        return self._moves.swaps() + self._free.value

    def best_swap(self) -> tuple[float, int, int]:
        """The best swap: its gain, the place in `chosen` that it frees, the new unit."""
        most = self.most() - self.value
        best = (-np.inf, -1, -1)
        for out in range(self.fixed, len(self.chosen)):
            rest = np.delete(self.chosen, out)
            slopes, value = self._solve(rest)
            # Whichever unit comes in, the others alone explain this much.
            allowed = np.flatnonzero(most[out] > -np.inf)
            if allowed.size and value - self.value > best[0]:
                best = (value - self.value, out, int(allowed[0]))
            limits = np.minimum(most[out], self._limits(out, rest, slopes) + value - self.value)
            hopeful = np.flatnonzero(limits > max(best[0], value - self.value))
            for new in hopeful[np.argsort(-limits[hopeful])]:
                if limits[new] <= best[0]:
                    break
                gain = self._solve(np.append(rest, new))[1] - self.value
                if gain > best[0]:
                    best = (gain, out, int(new))
        return best

    def _limits(self, out: int, rest: Positions, slopes: Matrix) -> Matrix:
        """Return a limit of what each unit adds to the chosen ones without one of them."""
        if isinstance(self._free, GroupSwap):
            return self._free.adds_without(out, slopes)
        residual = self._residual(rest, slopes)
        return self._alone(residual, self._free.left_without(out))

    def _columns(self, units: Positions) -> Positions:
        return self.groups.columns(units) if self.groups else units

    def _solve(self, units: Positions) -> tuple[Matrix, float]:
        """Fit slopes between their bounds, and return what they explain."""
        columns = self._columns(units)
        products = self.statistics.rows(columns)[:, columns]
        slopes, value = bounded_slopes(
            products, self.statistics.cross[columns, 0], self.bounds[columns]
        )
        return slopes[:, None], value

    def _residual(self, units: Positions, slopes: Matrix) -> Matrix:
        """Return the products of the columns with what some units leave of the outcome, (p, 1)."""
        columns = self._columns(units)
        residual = self.statistics.cross - self.statistics.rows(columns).T @ slopes
        residual[columns] = 0.0
        return residual

    def _alone(self, residual: Matrix, own: Matrix) -> Matrix:
        """What each column gains with the square `own` and a slope between its bounds, (p,)."""
        products = residual[:, 0]
        best = np.divide(products, own, out=np.zeros_like(products), where=own > 0)
        slopes = np.clip(best, self.bounds[:, 0], self.bounds[:, 1])
        return np.asarray(slopes * (2 * products - own * slopes))
