"""A simple random sample, as a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.sampling.designs import systematic
from l0.calibration.selection.constrained import draw_probabilities, group_order
from l0.common.validation import check_settings, not_negative


@dataclass(frozen=True)
class Random:
    """Draw a simple random sample of the n candidates. The base weights are w0 n / k.

    Under constraints, the base weights are w0 / q, where q is the inclusion probability.

    Attributes
    ----------
    mu : float
        The factor of the distance to the base weights in the refit.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, Random
    >>> A = np.random.default_rng(0).uniform(size=(3, 500))
    >>> problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(500))
    >>> result = problem.solve(50, method=Random(mu=0.03), epochs=100)
    >>> result.metrics["n_records"]
    50
    """

    mu: float = 0.1

    needs_full_file: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self, mu=not_negative)

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        candidates = context.candidates
        order = context.generator.permutation(candidates)
        if context.constraints is not None:
            q = draw_probabilities(context, np.ones(context.problem.n_records), n_records)
            order = group_order(context, order)
            records = systematic(q, order, context.generator)
            return Selection(records, 1 / q[records], self.mu, order=order)
        records = np.sort(order[:n_records])
        return Selection(records, np.full(n_records, len(candidates) / n_records), self.mu)
