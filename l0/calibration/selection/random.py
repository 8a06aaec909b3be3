"""A simple random sample: the plainest baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Selection
from l0.common.validation import check_settings, not_negative


@dataclass(frozen=True)
class Random:
    """Simple random sampling without replacement; base weights w0 n / k.

    Attributes
    ----------
    mu : float
        Pull of the refit towards the base weights.
    """

    mu: float = 0.1

    needs_full_file: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self, mu=not_negative)

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        n = context.problem.n_records
        records = np.sort(context.generator.permutation(n)[:n_records])
        return Selection(records, np.full(n_records, n / n_records), self.mu)
