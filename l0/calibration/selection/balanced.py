"""A balanced sample: one record from every stretch of the order, chosen to hit the targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Selection
from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.common.validation import check_settings, not_negative, whole_number


@dataclass(frozen=True)
class Balanced:
    """Draw systematically, then trade records for others of their stretch while that helps.

    The weights are Horvitz-Thompson's, w / q, where w is a record's weight in the calibrated full
    file and q is proportional to it. They are all the same where no record is certain. The draw
    takes one record from each stretch of the order that expects one. A trade puts the best record
    of a stretch in the place of the drawn one, if this brings the totals under these weights
    closer to the targets, in least squares of the scaled errors. So the records themselves are
    like the survey, and the refit hardly has to move their weights.

    The scaled matrix is held as a dense array: this is made for few targets of many entries.

    Attributes
    ----------
    sweeps : int
        Passes over the stretches, at most; it ends with a pass without a trade.
    mu : float
        Pull of the refit towards the base weights.

    Notes
    -----
    This draw is ours; `benchmarks/gates.py` compares it with random subsets. The cube method
    (Deville & Tillé 2004) balances a draw and keeps its inclusion probabilities exact. This draw
    gives them up within a stretch, where records are alike, for a better balance.
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
        drawn = systematic(q, order, context.generator)
        base = context.full_file / q
        places = np.argsort(order)[drawn]
        middle = np.cumsum(q[order]) - q[order] / 2
        stretches = np.searchsorted(middle, np.arange(n_records + 1))
        places = self._trade(
            *_contributions(context, base, order), places, stretches, context.generator
        )
        records = np.sort(order[places])
        return Selection(records, base[records], self.mu)

    def _trade(
        self,
        parts: NDArray[np.float32],
        goal: NDArray[np.float64],
        places: NDArray[np.int64],
        stretches: NDArray[np.int64],
        generator: np.random.Generator,
    ) -> NDArray[np.int64]:
        """Trade the records at `places` of the order, the s-th one within the s-th stretch."""
        places = np.sort(places)
        taken = np.zeros(len(parts), dtype=bool)
        taken[places] = True
        squares = np.einsum("ij,ij->i", parts, parts, dtype=np.float64)
        for _ in range(self.sweeps):
            # Summed afresh in every sweep: running sums would gather rounding.
            excess = parts[places].sum(axis=0, dtype=np.float64) - goal
            traded = False
            for s in generator.permutation(len(places)):
                out, stretch = places[s], slice(stretches[s], stretches[s + 1])
                without = excess - parts[out]
                # |without + part|^2, less what all candidates share.
                cost = squares[stretch] + 2 * (parts[stretch] @ without.astype(np.float32))
                cost[taken[stretch]] = np.inf
                if not len(cost) or cost.min() >= squares[out] + 2 * float(parts[out] @ without):
                    continue
                places[s] = stretches[s] + int(cost.argmin())
                taken[out], taken[places[s]] = False, True
                excess = without + parts[places[s]]
                traded = True
            if not traded:
                break
        return places


def _contributions(
    context: FitContext, base: NDArray[np.float64], order: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """What each record adds to each target if it is chosen, (n, m) in order, and the goal, (m,)."""
    problem = context.problem
    # An error counts by its share of the loss.
    share = np.sqrt(context.objective.importance) / problem.scales
    parts = np.empty((problem.n_records, problem.n_targets), dtype=np.float32)
    for target in range(problem.n_targets):  # a float64 copy of all entries would be large
        row = problem.matrix[[target]].toarray().ravel()
        parts[:, target] = (row * base * problem.design_weights * share[target])[order]
    return parts, problem.values * share
