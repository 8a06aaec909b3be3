"""Losses without a closed form: fits on few columns, and swaps that lower the loss."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from l0.linear_model.design import DenseDesign, Design, Positions
from l0.linear_model.losses import HuberLoss, Loss
from l0.linear_model.newton import Fit, fit, has_minimum
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import GramRows, Matrix, Statistics

#: How many of the most promising swaps are checked on the loss itself: among screened columns, and
#: at the end among all columns.
CHECKED, CHECKED_LAST = 4, 20
#: A design with more entries than this has many rows: products of all its columns are computed
#: once, and again only if the weights of the rows have changed by this share: to rank swaps, and
#: for a search on the approximation alone.
MANY, CHANGED, CHANGED_LITTLE = 2_000_000, 0.5, 0.05
#: With many rows, no swap is checked whose new column makes up for less than this share of the
#: loss of the old one; the best is always checked.
MAKES_UP = 0.5
#: Fits are kept up to so many bytes, and at least so many of them.
KEPT_BYTES, KEPT_FITS = 2**24, 3


@dataclass(frozen=True)
class CurvedProblem(Problem):
    """The least loss on some units.

    Screening and starts use least squares on the residual without columns, which is what
    `statistics` holds. A quadratic approximation at the current fit ranks the swaps, and a swap is
    made only if it lowers the loss itself.

    Attributes
    ----------
    design : Design
        Standardised columns times the roots of `loss.weights`.
    loss : Loss
    centre : bool
        Whether a constant may be added to the linear predictor: as an intercept, or without change.
    screened : bool
        Whether these are the columns that screening kept. A search visits many choices of them, so
        that it checks fewer swaps of each, and holds the products of all columns.
    """

    design: Design = field(kw_only=True)
    loss: Loss = field(kw_only=True)
    centre: bool = field(kw_only=True)
    screened: bool = field(default=False, kw_only=True)
    _fits: dict[tuple[int, ...], Fit] = field(default_factory=dict, init=False, repr=False)
    #: The curvature of rows, and the products of all columns under it.
    _products: dict[str, Matrix] = field(default_factory=dict, init=False, repr=False)

    def swap_from(self, chosen: Positions) -> CurvedSwap:  # type: ignore[override]
        """Fit some units, the kept ones first, to see what adds, drops and swaps gain."""
        return CurvedSwap(self, chosen)

    def restricted(self, units: Positions) -> CurvedProblem:
        """Keep some units, and number them anew from 0."""
        part = super().restricted(units)
        columns = self.columns(units)
        whole = np.array_equal(columns, np.arange(self.design.shape[1]))
        keeps = whole and isinstance(self.design, DenseDesign)
        return CurvedProblem(
            part.statistics,
            part.groups,
            part.kept,
            design=self.design if keeps else DenseDesign(self.design.columns(columns)),
            loss=self.loss,
            centre=self.centre,
            screened=True,
        )

    def fit(self, chosen: Positions, near: Positions | None = None) -> Fit:
        """Return the fit on some units, with the slopes in their order.

        The fit starts from the fit of the choice `near`; by default from the last new fit.
        """
        key = tuple(chosen.tolist())
        found = self._fits.pop(key, None)
        if found is None:
            if near is None and self._fits:
                near = np.array(next(reversed(self._fits)), np.int64)
            columns = self.columns(chosen)
            start = None if near is None else self._start(columns, near)
            z = self._with_intercept(columns)
            found = fit(self.loss, z, self.statistics.l2, self._free, start)
        self._fits[key] = found
        most = max(KEPT_FITS, KEPT_BYTES // max(found.point.residual.nbytes, 1))
        if len(self._fits) > most:
            del self._fits[next(iter(self._fits))]  # the one that was used longest ago
        return found

    def has_minimum(self, chosen: Positions) -> bool:
        """Return whether the loss has a minimum on some units; with a ridge it always has one."""
        if self.statistics.l2 or self.loss.has_scale or not len(chosen):
            return True
        z = self._with_intercept(self.columns(chosen))
        return has_minimum(self.loss, z, self.fit(chosen), self._free)

    def passes_through_most(self, chosen: Positions) -> bool:
        """Return whether fits on some units can leave errors without a scale to estimate."""
        n_coefficients = len(self.columns(chosen)) + int(self._free)
        return isinstance(self.loss, HuberLoss) and self.loss.passes_through_most(n_coefficients)

    @property
    def many_rows(self) -> bool:
        """Whether the products of columns are too many to compute them anew for each fit."""
        n, p = self.design.shape
        return n * p > MANY and p <= n and isinstance(self.design, DenseDesign)

    def least_squares(self) -> Problem:
        """Return the regression of the residual without columns."""
        return Problem(self.statistics, self.groups, self.kept)

    def approximated(self, chosen: Positions, changed: float = CHANGED_LITTLE) -> Problem:
        """Return the quadratic approximation of the loss at the fit on some units.

        Its gradient is exact. With many rows, its curvature among screened columns may be that of
        an earlier fit, under which the weights of the rows differ by up to the share `changed`.
        """
        found, columns = self.fit(chosen), self.columns(chosen)
        l2, old = self.statistics.l2, np.sqrt(self.loss.weights)
        curvature, residual = self.loss.curvature(found.point), found.point.residual
        if self.many_rows and self.screened:
            before = self._products.get("curvature", np.zeros(1))
            if np.abs(curvature - before).sum() > changed * curvature.sum():
                design = self.design.reweighted(old, np.sqrt(curvature), self.centre)
                self._products.update(curvature=curvature, gram=design.gram())
            gram = self._products["gram"].copy()
            squares = np.diag(gram).copy()
            # At the fit, the intercept leaves no mean in the residual.
            cross = self.design.products(old[:, None] * residual)
            cross += gram[:, columns] @ found.slopes
            statistics = Statistics(cross, squares, gram, np.inf, l2)
        else:
            new = np.sqrt(curvature)
            design = self.design.reweighted(old, new, self.centre)
            # The working response: a regression on it is one Newton step from the fit.
            working = (self.loss.weights / new)[:, None] * residual
            working += design.columns(columns) @ found.slopes
            statistics = Statistics(
                design.products(working),
                design.squares,
                GramRows(design),
                float(np.sum(working**2)),
                l2,
            )
        return Problem(statistics, self.groups, self.kept)

    @property
    def _free(self) -> bool:
        """Whether there is an intercept."""
        return self.centre and self.loss.has_intercept

    def _with_intercept(self, columns: Positions) -> Matrix:
        """Return some columns without the roots of the weights, after the ones of an intercept."""
        first = int(self._free)
        # With many rows, a second copy of the columns would be felt: any column keeps the place.
        place = np.zeros(first, dtype=np.int64)
        z = self.design.columns(np.concatenate([place, columns])).astype(np.float64, copy=False)
        z /= np.sqrt(self.loss.weights)[:, None]
        z[:, :first] = 1.0
        return z

    def _start(self, columns: Positions, near: Positions) -> tuple[Matrix, Matrix]:
        """Return slopes of columns and an intercept from the fit of `near`, 0 for other columns."""
        old = self.fit(near)
        slopes = np.zeros((len(columns), old.slopes.shape[1]))
        place = {column: i for i, column in enumerate(self.columns(near).tolist())}
        for i, column in enumerate(columns.tolist()):
            if column in place:
                slopes[i] = old.slopes[place[column]]
        return slopes, old.intercept


class CurvedSwap:
    """As `Swap`, for a loss without a closed form. Gains are in twice the loss.

    Near the fit, a Newton step is a weighted least squares regression (Hastie, Tibshirani &
    Friedman 2009, "The elements of statistical learning", section 4.4.1). The gains of that
    regression approximate those of the loss.

    Parameters
    ----------
    problem : CurvedProblem
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

    def __init__(self, problem: CurvedProblem, chosen: Positions) -> None:
        self.problem, self.chosen = problem, chosen
        found = problem.fit(chosen)
        self.slopes = found.slopes
        self.value = -2 * found.value
        self.quadratic = problem.approximated(chosen, CHANGED).free_swap_from(chosen)

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
        few = min(CHECKED if self.problem.screened else CHECKED_LAST, gains.size)
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
            gain = -2 * self.problem.fit(chosen, self.chosen).value - self.value
            if gain > best[0]:
                best = (gain, out, new)
            if gain > self.problem.statistics.rounding:
                break
        return best
