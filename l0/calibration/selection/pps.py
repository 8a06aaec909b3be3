"""A sample with probability proportional to size: the baseline of survey practice."""

from __future__ import annotations

from dataclasses import dataclass

from l0.calibration.fitting.objective import Task
from l0.calibration.fitting.refit import Selection
from l0.calibration.sampling.designs import inclusion_probabilities, systematic


@dataclass(frozen=True)
class Pps:
    """Randomised systematic sampling (Hartley & Rao 1962), by size of the dense calibrated weight.

    Base weights are Horvitz-Thompson's, w / q. The order is drawn at random: nothing is
    stratified.

    Attributes
    ----------
    mu : float
        Pull of the refit towards the base weights.
    """

    mu: float = 0.1

    def select(self, task: Task, n_records: int) -> Selection:
        """See `Selector.select`."""
        weights = task.reference * task.problem.design_weights
        q = inclusion_probabilities(weights, n_records)
        records = systematic(q, task.generator.permutation(len(q)), task.generator)
        return Selection(records, task.reference[records] / q[records], self.mu)
