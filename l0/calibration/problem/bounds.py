"""Bounds on the weights of a result, and the targets that are out of reach."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.common.formatting import counted

#: A target still counts as reached if rounding misses it by this share of its scale.
ROUNDING = 1e-9

#: One number for all records, or an array with a number for each. Arrays of many records are made
#: only where their limits differ.
Limit = float | NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Bounds:
    """Bounds on the ratios u = w / w0 and on the weights w: all chosen records keep both.

    `read_bounds` makes them from what the user gave. Each limit is a number, or an array of shape
    (n,), where n is the number of records that the bounds are for.

    Attributes
    ----------
    low, high : float or ndarray of float64
        The limits of the ratios that follow from both kinds of bounds. Zero and infinity if there
        is no limit.
    weight_low, weight_high : float or ndarray of float64
        The limits of the weights. They are in `low` and `high` too, divided by w0, but only up to
        rounding.
    """

    low: Limit = 0.0
    high: Limit = math.inf
    weight_low: Limit = 0.0
    weight_high: Limit = math.inf

    @cached_property
    def active(self) -> bool:
        """Whether there is a bound."""
        return bool(np.any(self.low) or np.any(np.isfinite(self.high)))

    def of(self, records: NDArray[np.int64]) -> Bounds:
        """Give the bounds of some records, by their positions, shape (k,)."""
        return Bounds(
            _at(self.low, records),
            _at(self.high, records),
            _at(self.weight_low, records),
            _at(self.weight_high, records),
        )

    def without_low(self) -> Bounds:
        """Drop the lower limits, which only chosen records keep."""
        return replace(self, low=0.0, weight_low=0.0)

    @cached_property
    def logarithms(self) -> tuple[Limit, Limit]:
        """The logarithms of the limits of the ratios."""
        with np.errstate(divide="ignore"):  # a low limit of 0
            return np.log(self.low), np.log(self.high)

    def weights(
        self, ratios: NDArray[np.float64], design_weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Turn ratios into weights. These weights and their ratios keep the bounds exactly.

        Parameters
        ----------
        ratios, design_weights : ndarray of float64, shape (n,)

        Returns
        -------
        ndarray of float64, shape (n,)
        """
        weights = np.clip(ratios, self.low, self.high) * design_weights
        # (w0 * high) / w0 can round to more than high: subtract one unit in the last place.
        weights = np.where(weights / design_weights > self.high, np.nextafter(weights, 0), weights)
        weights = np.where(
            weights / design_weights < self.low, np.nextafter(weights, np.inf), weights
        )
        # This changes only the last place, because `low` and `high` have these limits. The ratio of
        # a weight at its limit is w / w0 rounded, just as in `low` and `high`.
        return np.clip(weights, self.weight_low, self.weight_high)

    def reach(
        self, matrix: sp.csr_array, design_weights: NDArray[np.float64], n_records: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute the smallest and the largest total that exactly `n_records` records can give.

        A record with the contribution c = w0 a to a target adds at most ``high c`` if c > 0, and
        subtracts at least ``low |c|`` if c < 0. The largest total consists of the largest positive
        contributions. It contains negative ones, the smallest, only if there are too few other
        records.

        Parameters
        ----------
        matrix : scipy.sparse.csr_array, shape (m, n)
        design_weights : ndarray, shape (n,)
        n_records : int

        Returns
        -------
        lowest, highest : ndarray of float64, shape (m,)
        """
        if not self.active:  # one entry of the right sign is enough
            extremes = (matrix.min(axis=1), matrix.max(axis=1))
            smallest, largest = (extreme.toarray().ravel() for extreme in extremes)
            return np.where(smallest < 0, -np.inf, 0.0), np.where(largest > 0, np.inf, 0.0)
        m, n = matrix.shape
        lowest, highest = np.empty(m), np.empty(m)
        # Row by row: arrays of the length of all entries would take many times the memory of A.
        for row, (start, stop) in enumerate(pairwise(matrix.indptr)):
            listed = matrix.indices[start:stop]
            contribution = matrix.data[start:stop] * design_weights[listed]
            bounds = self.of(listed)
            highest[row] = bounds.highest(contribution, n, n_records)
            lowest[row] = -bounds.highest(-contribution, n, n_records)
        return lowest, highest

    def highest(self, contribution: NDArray[np.float64], n: int, n_records: int) -> float:
        """Compute the largest total that exactly `n_records` of n records can give.

        Parameters
        ----------
        contribution : ndarray of float64, shape (l,)
            What a ratio of 1 adds to the total, for the records of these bounds. All other records
            add 0.
        n, n_records : int
        """
        adds, subtracts = contribution > 0, contribution < 0
        gains = _at(self.high, adds) * contribution[adds]
        losses = _at(self.low, subtracts) * contribution[subtracts]
        forced = max(0, n_records - (n - len(losses)))
        return _sum_of_largest(gains, n_records) + _sum_of_largest(losses, forced)


def unreachable(problem: Problem, bounds: Bounds, n_records: int) -> NDArray[np.str_]:
    """Find out for each target why no weights can hit it.

    Returns
    -------
    ndarray of str, shape (m,)
        The reason, or the empty string if the target can be hit.
    """
    lowest, highest = bounds.reach(problem.matrix, problem.design_weights, n_records)
    allowed = (ROUNDING + problem.tolerance) * problem.scales
    who = counted(n_records, "record")
    reasons = []
    for at_least, at_most, low, high, slack in zip(
        problem.low, problem.high, lowest, highest, allowed, strict=True
    ):
        if low == high == 0 and not at_least <= 0 <= at_most:
            reasons.append("no record behind it")
        elif at_least > high + slack:
            bound = f"{who} give at most {high:,.6g} within the bounds"
            reasons.append("no record adds to it" if high == 0 else bound)
        elif at_most < low - slack:
            bound = f"{who} give at least {low:,.6g} within the bounds"
            reasons.append("no record takes away from it" if low == 0 else bound)
        else:
            reasons.append("")
    if problem.kinds is not None:
        for row in np.flatnonzero(~problem.kinds.is_total).tolist():
            reasons[row] = _why_no_ratio(problem, row, bool(reasons[row]), who)
    return np.array(reasons)


def _why_no_ratio(problem: Problem, row: int, outside: bool, who: str) -> str:
    """Say why no weights give a mean, a ratio or a share, or nothing if some do.

    Parameters
    ----------
    outside : bool
        Whether the bounds keep the row N - v D from the totals that meet it. Such a total is no
        number that a reader knows.
    """
    assert problem.kinds is not None
    at_least, at_most = problem.kinds.at_least[row], problem.kinds.at_most[row]
    slack = (ROUNDING + problem.tolerance[row]) * problem.own_scales[row]
    lowest, highest = (limits[row] for limits in problem.ratio_limits)
    if at_least > highest + slack:
        return f"it is at most {highest:,.6g} in each record"
    if at_most < lowest - slack:
        return f"it is at least {lowest:,.6g} in each record"
    return f"{who} within the bounds do not give it" if outside else ""


def _sum_of_largest(values: NDArray[np.float64], count: int) -> float:
    """Add up the `count` largest values, or all values if there are no more."""
    if count == 0:
        return 0.0
    if count < len(values):
        values = np.partition(values, -count)[-count:]
    return float(values.sum())


def _at(limit: Limit, places: NDArray[np.int64] | NDArray[np.bool_]) -> Limit:
    """Take the limits of some records. One number is for all of them."""
    return limit[places] if isinstance(limit, np.ndarray) else limit
