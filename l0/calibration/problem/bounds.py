"""Bounds on the weight ratios, and which targets are out of reach."""

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

#: Share of a target's scale by which rounding may miss it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Bounds:
    """Every chosen record has ``low <= w / w0 <= high``.

    Attributes
    ----------
    low, high : float
        Zero and infinity where there is no bound.
    """

    low: float = 0.0
    high: float = math.inf

    @classmethod
    def parse(cls, bounds: tuple[float | None, float | None] | None) -> Bounds:
        """Check a pair that came in; None on either side is no bound.

        Raises
        ------
        InputError
            Where the bounds cross, are negative or no numbers.
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
        """Whether there is a bound at all."""
        return self.low > 0 or self.high < math.inf

    @property
    def pair(self) -> tuple[float, float | None] | None:
        """The bounds as `parse` takes them, in plain numbers; None where there is none."""
        if not self.active:
            return None
        return self.low, self.high if math.isfinite(self.high) else None

    def clamp_log_(self, log_ratios: Tensor) -> None:
        """Project logarithms of ratios onto the bounds, in place and unseen by autograd."""
        if self.active:
            low = math.log(self.low) if self.low else -math.inf
            with torch.no_grad():
                log_ratios.clamp_(low, math.log(self.high))

    def weights(
        self, ratios: NDArray[np.float64], design_weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Turn ratios into weights whose own ratio keeps the bounds to the last bit."""
        weights = np.clip(ratios, self.low, self.high) * design_weights
        # (w0 * high) / w0 may round to just above high: step back by one unit in the last place.
        weights = np.where(weights / design_weights > self.high, np.nextafter(weights, 0), weights)
        return np.where(weights / design_weights < self.low, np.nextafter(weights, np.inf), weights)

    def reach(
        self, matrix: sp.csr_array, design_weights: NDArray[np.float64], n_records: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Smallest and largest total that exactly `n_records` records can give to each target.

        A record that contributes c = w0 a to a target adds at most ``high c`` where c > 0, and
        costs at least ``low |c|`` where c < 0. The largest total takes the largest gains; only
        where all records but the losses are too few does it take losses, the smallest.

        Parameters
        ----------
        matrix : scipy.sparse.csr_array, shape (m, n)
        design_weights : ndarray, shape (n,)
        n_records : int

        Returns
        -------
        lowest, highest : ndarray of float64, shape (m,)
        """
        if not self.active:  # one entry of the right sign will do
            extremes = (matrix.min(axis=1), matrix.max(axis=1))
            smallest, largest = (extreme.toarray().ravel() for extreme in extremes)
            return np.where(smallest < 0, -np.inf, 0.0), np.where(largest > 0, np.inf, 0.0)
        m, n = matrix.shape
        lowest, highest = np.empty(m), np.empty(m)
        # Row by row: arrays as long as all entries would take many times the matrix's memory.
        for row, (start, stop) in enumerate(pairwise(matrix.indptr)):
            contribution = matrix.data[start:stop] * design_weights[matrix.indices[start:stop]]
            highest[row] = self._highest(contribution, n, n_records)
            lowest[row] = -self._highest(-contribution, n, n_records)
        return lowest, highest

    def _highest(self, contribution: NDArray[np.float64], n: int, n_records: int) -> float:
        """Largest total that `n_records` of n records can give, those not listed adding 0."""
        gains = self.high * contribution[contribution > 0]
        losses = self.low * contribution[contribution < 0]
        forced = max(0, n_records - (n - len(losses)))
        return _sum_of_largest(gains, n_records) + _sum_of_largest(losses, forced)


def unreachable(problem: Problem, bounds: Bounds, n_records: int) -> NDArray[np.str_]:
    """Say for each target why no weights can hit it; nothing where some can.

    Returns
    -------
    ndarray of str, shape (m,)
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
    """Sum of the `count` largest values, or of all where there are no more."""
    if count == 0:
        return 0.0
    if count < len(values):
        values = np.partition(values, -count)[-count:]
    return float(values.sum())
