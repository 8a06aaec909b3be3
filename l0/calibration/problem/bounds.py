"""Bounds on the weight ratios, and the targets that are out of reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.problem.core import Problem
from l0.common.errors import InputError

#: A target still counts as reached if rounding misses it by this share of its scale.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Bounds:
    """Bounds on the ratios: every chosen record has ``low <= w / w0 <= high``.

    Attributes
    ----------
    low, high : float
        Zero and infinity if there is no bound.
    """

    low: float = 0.0
    high: float = math.inf

    @classmethod
    def parse(cls, bounds: tuple[float | None, float | None] | None) -> Bounds:
        """Check the pair that the user gave. None on a side means no bound.

        Raises
        ------
        InputError
            If the bounds cross, are negative or are not numbers.
        """
        if bounds is None:
            return cls()
        try:
            low, high = bounds
            if any(isinstance(given, str) for given in (bounds, low, high)):
                raise TypeError  # "12" would unpack into 1 and 2
            pair = cls(
                0.0 if low is None else float(low), math.inf if high is None else float(high)
            )
        except (TypeError, ValueError):
            raise InputError(
                f"`bounds` is {bounds!r}; pass a pair (low, high) of numbers"
            ) from None
        if not 0 <= pair.low < math.inf or not pair.high > 0:
            raise InputError(f"`bounds` is {bounds!r}; it needs 0 <= low < infinity and high > 0")
        if pair.low > pair.high:
            raise InputError(f"`bounds` cross: low {pair.low:g} is above high {pair.high:g}")
        return pair

    @property
    def active(self) -> bool:
        """Whether there is a bound."""
        return self.low > 0 or self.high < math.inf

    @property
    def pair(self) -> tuple[float, float | None] | None:
        """The bounds in the form that `parse` takes, or None if there is no bound."""
        if not self.active:
            return None
        return self.low, self.high if math.isfinite(self.high) else None

    def of(self, records: NDArray[np.int64]) -> Bounds:
        """Give the bounds of some records, by their positions, shape (k,)."""
        return self

    def clamp_log_(self, log_ratios: Tensor) -> None:
        """Clamp the logarithms of the ratios to the bounds, in place and outside of autograd."""
        if self.active:
            low = math.log(self.low) if self.low else -math.inf
            with torch.no_grad():
                log_ratios.clamp_(low, math.log(self.high))

    def weights(
        self, ratios: NDArray[np.float64], design_weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Turn ratios into weights. The ratios of these weights keep the bounds exactly."""
        weights = np.clip(ratios, self.low, self.high) * design_weights
        # (w0 * high) / w0 can round to more than high: subtract one unit in the last place.
        weights = np.where(weights / design_weights > self.high, np.nextafter(weights, 0), weights)
        return np.where(weights / design_weights < self.low, np.nextafter(weights, np.inf), weights)

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
            contribution = matrix.data[start:stop] * design_weights[matrix.indices[start:stop]]
            highest[row] = self._highest(contribution, n, n_records)
            lowest[row] = -self._highest(-contribution, n, n_records)
        return lowest, highest

    def _highest(self, contribution: NDArray[np.float64], n: int, n_records: int) -> float:
        """Compute the largest total of `n_records` of n records. Those not listed add 0."""
        gains = self.high * contribution[contribution > 0]
        losses = self.low * contribution[contribution < 0]
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
    who = f"{n_records:,} records"
    reasons = []
    for value, low, high, slack in zip(problem.values, lowest, highest, allowed, strict=True):
        if low == high == 0 and value != 0:
            reasons.append("no record behind it")
        elif value > high + slack:
            bound = f"{who} give at most {high:,.6g} within the bounds"
            reasons.append("no record adds to it" if high == 0 else bound)
        elif value < low - slack:
            bound = f"{who} give at least {low:,.6g} within the bounds"
            reasons.append("no record takes away from it" if low == 0 else bound)
        else:
            reasons.append("")
    return np.array(reasons)


def _sum_of_largest(values: NDArray[np.float64], count: int) -> float:
    """Add up the `count` largest values, or all values if there are no more."""
    if count == 0:
        return 0.0
    if count < len(values):
        values = np.partition(values, -count)[-count:]
    return float(values.sum())
