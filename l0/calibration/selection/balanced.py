"""A balanced sample: one record from each interval of an order, chosen to hit the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.common.validation import check_settings, not_negative, whole_number


@dataclass(frozen=True)
class Balanced:
    """Draw a systematic sample, and swap its records for others that hit the targets better.

    The base weights are Horvitz-Thompson weights w / q. Here w is the weight of a record in the
    calibrated full file, and its inclusion probability q is proportional to w. The draw takes one
    record from each interval of the order in which one draw is expected. A swap replaces the drawn
    record of an interval by the best record of the same interval, if this lowers the sum of the
    squared scaled errors under the base weights. The chosen records then represent the survey, and
    the refit changes their weights only a little.

    The scaled matrix is a dense array: the selector is made for few targets with many entries.

    Attributes
    ----------
    sweeps : int
        The largest number of passes over the intervals. A pass without a swap is the last one.
    mu : float
        The factor of the distance to the base weights in the refit.

    Notes
    -----
    This design is ours, and `benchmarks/gates.py` compares it with random subsets. The cube method
    (Deville & Tillé 2004, Biometrika 91(4)) balances a sample and keeps its inclusion probabilities
    exactly. This design does not keep them within an interval, where records are similar, and
    reaches a better balance.
    """

    sweeps: int = 10
    mu: float = 0.1

    needs_full_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(
            self, sweeps=lambda value, name: whole_number(value, name, 0), mu=not_negative
        )

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        q = inclusion_probabilities(context.full_file * context.problem.design_weights, n_records)
        order = context.problem.stratification(q)
        order = order[np.isin(order, context.candidates)]
        drawn = systematic(q, order, context.generator)
        base = np.zeros(len(q))
        base[order] = context.full_file[order] / q[order]
        places = np.flatnonzero(np.isin(order, drawn))
        middle = np.cumsum(q[order]) - q[order] / 2
        intervals = np.searchsorted(middle, np.arange(n_records + 1))
        places = self._swap(
            *_contributions(context, base, order), places, intervals, context.generator
        )
        records = np.sort(order[places])
        return Selection(records, base[records], self.mu)

    def _swap(
        self,
        parts: NDArray[np.float32],
        goal: NDArray[np.float64],
        places: NDArray[np.int64],
        intervals: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Swap the records at `places` of the order, each within its interval."""
        places = np.sort(places)
        taken = np.zeros(len(parts), dtype=bool)
        taken[places] = True
        squares = np.einsum("ij,ij->i", parts, parts, dtype=np.float64)
        for _ in range(self.sweeps):
            # The sum is computed again in each sweep, so that rounding errors do not add up.
            excess = parts[places].sum(axis=0, dtype=np.float64) - goal
            swapped = False
            for s in generator.permutation(len(places)):
                out, interval = places[s], slice(intervals[s], intervals[s + 1])
                without = excess - parts[out]
                # |without + part|^2 - |without|^2, because |without|^2 is the same for all.
                cost = squares[interval] + 2 * (parts[interval] @ without.astype(np.float32))
                cost[taken[interval]] = np.inf
                if not len(cost) or cost.min() >= squares[out] + 2 * float(parts[out] @ without):
                    continue
                places[s] = intervals[s] + int(cost.argmin())
                taken[out], taken[places[s]] = False, True
                excess = without + parts[places[s]]
                swapped = True
            if not swapped:
                break
        return places


def _contributions(
    context: FitContext, base: NDArray[np.float64], order: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Compute what chosen records add to the targets, (c, m) in order, and the goal, (m,)."""
    problem = context.problem
    # The weight of a squared error is its share of the loss.
    share = np.sqrt(context.objective.importance) / problem.scales
    parts = np.empty((len(order), problem.n_targets), dtype=np.float32)
    for target in range(problem.n_targets):  # a float64 copy of all entries would be large
        row = problem.matrix[[target]].toarray().ravel()
        parts[:, target] = (row * base * problem.design_weights * share[target])[order]
    return parts, problem.goals * share
