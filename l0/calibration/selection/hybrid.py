"""The hybrid: most records by a probability design, the others where the targets need them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.calibration.selection.constrained import draw_probabilities, group_order, obey
from l0.calibration.selection.coverage import cover
from l0.calibration.selection.path import Path
from l0.common.errors import InputError
from l0.common.validation import (
    above_one,
    check_settings,
    not_negative,
    positive,
    positive_share,
    share,
)

#: The path starts with a sample if there are more than this many times as many records.
SAMPLED_FROM = 1.5


@dataclass(frozen=True)
class Hybrid:
    """Draw a share of the budget by a probability design, and choose the others by the path.

    1. Draw records with an inclusion probability q proportional to their weight w in the calibrated
       full file. The sample is systematic, along an order in which similar records are neighbours.
       Too influential records are not drawn: the Horvitz-Thompson weight w / q of one such record
       alone would exceed a target.
    2. Run the path on the other records, or on a large sample of them. The drawn records are fitted
       along with it. They start a little below their Horvitz-Thompson weights, so that the path has
       something to add.
    3. If the path needs fewer records than the budget has, draw the remaining ones like the first.
    4. If no chosen record can move a target to its value, swap one in (`cover`).

    A pure selection drops the records that no target needs, and a pure sample misses the targets.
    This combination is ours. The page on methods in the documentation compares it with both. With
    soft targets, a balanced sample (`Cube`) in place of the systematic one gains nothing (four
    seeds: 21.1% and 21.0% on held-out statistics), and costs a second.

    Attributes
    ----------
    share : float
        The share of a large budget that is drawn, from 0 to 1.
    per_target : float
        The path gets at least this many records for each target, up to `share` of the budget. A
        small budget therefore goes to the targets first.
    damping : float
        The factor of the Horvitz-Thompson weights of the drawn records, above 0 and up to 1.
    start : float
        The path starts at this share of the ratios in the calibrated full file. The base ratios of
        the records that it chooses are at least this share of n / k, the mean ratio.
    overshoot : float
        A record is not drawn if its Horvitz-Thompson weight adds more than this multiple of a
        target's value to the target. If positive and negative amounts of a target cancel, the sum
        that cancels is used in place of a smaller value.
    candidates : float
        The path starts with a sample of this many records for each one that it is to choose, and
        with all records that may not be drawn, if the file is much larger.
    mu : float
        The factor of the distance to the base weights in the refit. In one comparison, .1, .05
        and .03 gave losses of 1.79%, 1.77% and 1.77% on the bundled CPS (5,545 records), and of
        .10%, .05% and .03% on the large surface of the benchmarks, where the effective sample size
        fell by 2% from the first to the last.
    path : Path

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, Hybrid
    >>> A = np.random.default_rng(0).uniform(size=(3, 500))
    >>> problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(500))
    >>> result = problem.solve(50, method=Hybrid(share=0.9), epochs=100)
    >>> result.metrics["n_records"]
    50
    """

    share: float = 0.8
    per_target: float = 0.45
    damping: float = 0.9
    start: float = 0.3
    overshoot: float = 2.0
    candidates: float = 100.0
    mu: float = 0.05
    path: Path = field(default_factory=Path)

    needs_full_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(
            self,
            share=share,
            per_target=not_negative,
            damping=positive_share,
            start=positive_share,
            overshoot=positive,
            candidates=above_one,
            mu=not_negative,
        )
        if not isinstance(self.path, Path):
            raise InputError(f"`path` must be a Path, got {self.path!r}; write Path(depth=4)")

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        weights = context.full_file * context.problem.design_weights
        n_left = self._left_to_path(context, n_records)
        n_drawn = n_records - n_left
        q = draw_probabilities(context, weights, n_drawn, n_left)
        drawable = self._drawable(context, q, n_drawn)
        order = group_order(context, context.problem.stratification(q))
        of_drawable = draw_probabilities(context, weights, n_drawn, n_left, drawable)
        drawn = systematic(of_drawable, order, context.generator)
        companions = Selection(drawn, self._base(context, drawn, q), self.mu, order=order)
        if not n_left:
            return cover(context, obey(context, companions))
        others = np.setdiff1d(context.candidates, drawn, assume_unique=True)
        looked_at, start = self._looked_at(context, weights, others, drawable, n_left, order)
        found = next(self.path.walk(context, looked_at, start, [n_left], companions))
        chosen, ratios = self._useful(context, *found, n_records)
        if len(chosen) < n_left:
            so_far = np.concatenate([drawn, chosen])
            n_more = n_records - len(so_far)
            more = _drawn_more(context, weights, n_more, drawable, so_far, order)
            drawn = np.concatenate([drawn, more])
            q = draw_probabilities(context, weights, len(drawn), len(chosen))
        records = np.concatenate([drawn, chosen])
        base = np.concatenate([self._base(context, drawn, q), ratios])
        ascending = np.argsort(records)
        is_drawn = ascending < len(drawn)
        selection = Selection(records[ascending], base[ascending], self.mu, is_drawn, order)
        return cover(context, obey(context, selection))

    def _left_to_path(self, context: FitContext, n_records: int) -> int:
        """Tell how many records the path may choose. The draw has at least one."""
        needed = min(self.per_target * context.problem.n_targets, self.share * n_records)
        n_left = min(n_records - 1, round(max((1 - self.share) * n_records, needed)))
        if context.constraints is not None:  # the draw takes all records that must be kept
            n_left = min(n_left, n_records - int(context.constraints.must.sum()))
        return n_left

    def _drawable(
        self, context: FitContext, q: NDArray[np.float64], n_drawn: int
    ) -> NDArray[np.int64]:
        """Find the records that may be drawn: the less influential ones, or all if too few are."""
        objective = context.objective
        # The value of a target whose amounts cancel is small, and most records would exceed it.
        share = objective.rows.of_published((objective.importance > 0) * objective.easing)
        # The weight w / q of a record adds (w / q) a / scale = (u / q) A to each target.
        influence = objective.scaled.largest_entries(share) * context.full_file
        candidates = context.candidates
        drawable = candidates[(influence <= self.overshoot * q)[candidates]]
        return drawable if len(drawable) >= n_drawn else candidates

    def _looked_at(
        self,
        context: FitContext,
        weights: NDArray[np.float64],
        others: NDArray[np.int64],
        drawable: NDArray[np.int64],
        n_left: int,
        order: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find the records that the path starts with, and their ratios at the start.

        If there are many, it starts with a sample of the drawable ones. They have the
        Horvitz-Thompson weights, times `start`, so that they stand for all.
        """
        start = self.start * context.full_file
        sampled = np.intersect1d(others, drawable, assume_unique=True)
        size = round(self.candidates * n_left)
        if len(sampled) <= SAMPLED_FROM * size:
            return others, start[others]
        q = np.zeros(context.problem.n_records)
        q[sampled] = inclusion_probabilities(weights[sampled], size)
        picked = systematic(q, order, context.generator)
        start[picked] /= q[picked]
        influential = np.setdiff1d(others, sampled, assume_unique=True)
        looked_at = np.sort(np.concatenate([influential, picked]))
        return looked_at, start[looked_at]

    def _useful(
        self,
        context: FitContext,
        chosen: NDArray[np.int64],
        ratios: NDArray[np.float64],
        n_records: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Keep the records that the path gave a weight, and give them the base ratios of a refit.

        Records with ratios close to 0 would cost budget and carry nothing.
        """
        # The refit would raise ratios below the lower bound to the bound.
        lowest = context.objective.bounds.of(chosen).low
        useful = ratios >= np.maximum(self.path.threshold, lowest)
        mean_ratio = len(context.candidates) / n_records
        return chosen[useful], np.maximum(ratios[useful], self.start * mean_ratio)

    def _base(
        self, context: FitContext, drawn: NDArray[np.int64], q: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        # With q of all records, the drawn records also represent those that may not be drawn.
        return self.damping * context.full_file[drawn] / q[drawn]


def _drawn_more(
    context: FitContext,
    weights: NDArray[np.float64],
    n_more: int,
    drawable: NDArray[np.int64],
    so_far: NDArray[np.int64],
    order: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Draw the records that the path did not need, of the drawable ones if there are enough."""
    rest = np.setdiff1d(context.candidates, so_far, assume_unique=True)
    drawable = np.intersect1d(drawable, rest, assume_unique=True)
    among = drawable if len(drawable) >= n_more else rest
    q = draw_probabilities(context, weights, n_more, 0, among, so_far)
    return systematic(q, order, context.generator)
