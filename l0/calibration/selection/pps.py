"""A sample with probability proportional to size: the baseline of survey practice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Selection
from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.common.validation import check_settings, not_negative


@dataclass(frozen=True)
class Pps:
    """Randomised systematic sampling (Hartley & Rao 1962), by size of the calibrated weight.

    A record's size is its weight in the calibrated full file.

    Base weights are Horvitz-Thompson's, w / q. The order is drawn at random: nothing is
    stratified.

    Attributes
    ----------
    mu : float
        Pull of the refit towards the base weights.
    """

    mu: float = 0.1

    needs_full_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(self, mu=not_negative)

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        weights = context.full_file * context.problem.design_weights
        q = inclusion_probabilities(weights, n_records)
        records = systematic(q, context.generator.permutation(len(q)), context.generator)
        return Selection(records, context.full_file[records] / q[records], self.mu)
