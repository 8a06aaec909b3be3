"""The hybrid: most records by a probability design, the rest where the targets need them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.objective import Task
from l0.calibration.fitting.refit import Selection
from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.calibration.selection.path import Path


@dataclass(frozen=True)
class Hybrid:
    """Draw a share of the budget by design, fill the rest by the path.

    1. Draw with probability q proportional to the dense calibrated weights, systematically, along
       an order that puts like beside like. Left out of the draw are records so influential that
       their Horvitz-Thompson weight alone would overshoot a target.
    2. Run the path on all others, the drawn ones beside it at a little under their
       Horvitz-Thompson weight w / q, so that there is something left to fill.
    3. Where the targets need fewer records than the budget has, draw the rest too.

    Pure selection drops what no target asks for; a pure sample misses the targets.

    Attributes
    ----------
    share : float
        Of the budget, that is drawn where the budget is large.
    per_target : float
        Records that the path gets at least for every target, up to `share` of the budget: a
        small budget goes to the targets first.
    damping : float
        Of the Horvitz-Thompson weights of the drawn records.
    start : float
        Of the dense calibrated ratios of all others, where the path starts.
    overshoot : float
        A record is too influential to be drawn when its Horvitz-Thompson weight contributes more
        than this many times the value of a target that counts (of amounts that cancel, than what
        does).
    mu : float
        Pull towards the base weights.
    path : Path
    """

    share: float = 0.8
    per_target: float = 0.45
    damping: float = 0.9
    start: float = 0.3
    overshoot: float = 2.0
    mu: float = 0.1
    path: Path = field(default_factory=Path)

    def select(self, task: Task, n_records: int) -> Selection:
        """See `Selector.select`."""
        needed = min(self.per_target * task.problem.n_targets, self.share * n_records)
        n_left = min(n_records - 1, round(max((1 - self.share) * n_records, needed)))
        n_drawn = n_records - n_left
        weights = task.reference * task.problem.design_weights
        q = inclusion_probabilities(weights, n_drawn)
        drawable = self._drawable(task, q, n_drawn)
        drawn = self._draw(task, weights, drawable, n_drawn)
        base = self._base(task, drawn, q)
        companions = Selection(drawn, base, self.mu)
        if not n_left:
            return companions
        others = _without(task.problem.n_records, drawn)
        chosen, ratios = next(
            self.path.walk(task, others, self.start * task.reference[others], [n_left], companions)
        )
        # What the path left under the lower bound would be lifted to it.
        useful = ratios >= max(self.path.threshold, task.bounds.low)
        chosen, ratios = chosen[useful], ratios[useful]
        n_more = n_left - len(chosen)
        if n_more:
            rest = _without(task.problem.n_records, np.concatenate([drawn, chosen]))
            drawable = np.intersect1d(drawable, rest, assume_unique=True)
            more = self._draw(task, weights, drawable if len(drawable) >= n_more else rest, n_more)
            drawn = np.concatenate([drawn, more])
            base = self._base(task, drawn, inclusion_probabilities(weights, n_drawn + n_more))
        records, ratios = np.concatenate([drawn, chosen]), np.concatenate([base, ratios])
        ascending = np.argsort(records)
        return Selection(records[ascending], ratios[ascending], self.mu)

    def _drawable(self, task: Task, q: NDArray[np.float64], n_drawn: int) -> NDArray[np.int64]:
        """Records that may be drawn: all but the too influential, or all where too few are left."""
        problem = task.problem
        # Of a target whose amounts cancel, little is left that a single record would not overshoot.
        cancelled = problem.gross - np.abs(problem.estimate(problem.design_weights))
        share = (task.importance > 0) * problem.scales / np.maximum(problem.scales, cancelled)
        # A record's weight w / q contributes (w / q) a / scale = (u / q) A to each target.
        influence = task.operator.largest_entries(share) * task.reference / q
        drawable = np.flatnonzero(influence <= self.overshoot)
        return drawable if len(drawable) >= n_drawn else np.arange(task.problem.n_records)

    def _draw(
        self,
        task: Task,
        weights: NDArray[np.float64],
        candidates: NDArray[np.int64],
        n_drawn: int,
    ) -> NDArray[np.int64]:
        q = np.zeros(task.problem.n_records)
        q[candidates] = inclusion_probabilities(weights[candidates], n_drawn)
        return systematic(q, task.problem.ordering(q), task.generator)

    def _base(
        self, task: Task, drawn: NDArray[np.int64], q: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        # With q over all records the drawn stand for those too that could not be drawn.
        return self.damping * task.reference[drawn] / q[drawn]


def _without(n: int, taken: NDArray[np.int64]) -> NDArray[np.int64]:
    left = np.ones(n, dtype=bool)
    left[taken] = False
    return np.flatnonzero(left)
