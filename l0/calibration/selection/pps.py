"""A sample with probability proportional to size (PPS), the baseline of survey practice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.sampling.designs import systematic
from l0.calibration.selection.constrained import draw_probabilities, group_order
from l0.common.validation import check_settings, not_negative


@dataclass(frozen=True)
class Pps:
    """Draw a sample with probability proportional to the weight in the calibrated full file.

    The design is randomised systematic sampling (Hartley & Rao 1962, Annals of Mathematical
    Statistics 33(2)): the order is random, without strata. The base weights are Horvitz-Thompson
    weights w / q, where q is the inclusion probability.

    Attributes
    ----------
    mu : float
        The factor of the distance to the base weights in the refit.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, Pps
    >>> A = np.random.default_rng(0).uniform(size=(3, 500))
    >>> problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(500))
    >>> result = problem.solve(50, method=Pps(mu=0.03), epochs=100)
    >>> result.metrics["n_records"]
    50
    """

    mu: float = 0.1

    needs_full_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(self, mu=not_negative)

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        weights = context.full_file * context.problem.design_weights
        q = draw_probabilities(context, weights, n_records)
        order = group_order(context, context.generator.permutation(len(q)))
        records = systematic(q, order, context.generator)
        base = context.full_file[records] / q[records]
        return Selection(records, base, self.mu, order=order)
