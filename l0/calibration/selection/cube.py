"""A balanced and stratified probability sample, the strongest baseline of survey practice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.sampling.cube import cube
from l0.calibration.selection.constrained import draw_probabilities, group_order
from l0.common.validation import check_settings, not_negative


@dataclass(frozen=True)
class Cube:
    """Draw a sample with the cube method (Deville & Tillé 2004, Biometrika 91(4)).

    The inclusion probabilities q and the base weights w / q are those of `Pps`, where w is the
    weight in the calibrated full file. The sample is balanced: under the base weights, the totals
    of the amounts and the counts of the levels of all label columns are those of the calibrated
    full file, up to the rounding of the last records. Neighbours in the order of `Hybrid` take each
    other's place, so that the sample is spread over the kinds of records too, as in the local cube
    method (Grafström & Tillé 2013, Environmetrics 24(2)).

    An amount is counted up to its 95% quantile, and at most 100 amounts and levels are balanced,
    those of largest variance. For a problem given as a matrix, these are the 100 targets with the
    most records.

    Attributes
    ----------
    mu : float
        The factor of the distance to the base weights in the refit.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, Cube
    >>> A = np.random.default_rng(0).uniform(size=(3, 500))
    >>> problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(500))
    >>> result = problem.solve(50, method=Cube(mu=0.03), epochs=100)
    >>> result.metrics["n_records"]
    50
    """

    mu: float = 0.1

    needs_full_file: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(self, mu=not_negative)

    def select(self, context: FitContext, n_records: int) -> Selection:
        """See `Selector.select`."""
        stratification = context.problem.stratification
        weights = context.full_file * context.problem.design_weights
        q = draw_probabilities(context, weights, n_records)
        order = group_order(context, stratification(q))
        records = cube(q, stratification.features(q), order, context.generator)
        base = context.full_file[records] / q[records]
        return Selection(records, base, self.mu, order=order)
