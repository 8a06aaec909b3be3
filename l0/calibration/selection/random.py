"""A simple random sample: the plainest baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from l0.calibration.fitting.objective import Task
from l0.calibration.fitting.refit import Selection


@dataclass(frozen=True)
class Random:
    """Simple random sampling without replacement; base weights w0 n / k.

    Attributes
    ----------
    mu : float
        Pull of the refit towards the base weights.
    """

    mu: float = 0.1

    def select(self, task: Task, n_records: int) -> Selection:
        """See `Selector.select`."""
        n = task.problem.n_records
        records = np.sort(task.generator.permutation(n)[:n_records])
        return Selection(records, np.full(n_records, n / n_records), self.mu)
