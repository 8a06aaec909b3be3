"""A fit with whole weights: fitted within whole bounds, and then rounded."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.refit import Fit, refit
from l0.calibration.fitting.scaled_matrix import multiplied
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.whole_weights import Aims, whole_weights
from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.losses import relative
from l0.common.errors import InputError
from l0.common.formatting import counted

#: A rounding that changes weights by no more than this share of them is none.
ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class WholeFit:
    """Whole weights, and the fit that they come from.

    Attributes
    ----------
    weights : ndarray of int64, shape (k,)
    fit : Fit
        The last fit before the rounding.
    fitted : ndarray of float64, shape (k,)
        The weights of this fit.
    first : ndarray of float64, shape (k,)
        The weights of the first fit, which need not be within the bounds of whole weights.
    n_outside : int
        How many of them are not. If there are any, all weights were fitted again.
    """

    weights: NDArray[np.int64]
    fit: Fit
    fitted: Array
    first: Array
    n_outside: int

    @property
    def changed(self) -> bool:
        """Whether the rounding changed a weight."""
        return bool((np.abs(self.weights - self.fitted) > ROUNDING * self.fitted).any())


def whole_fit(context: FitContext, selection: Selection, fit: Fit) -> WholeFit:
    """Round the weights of a fit to whole numbers. The objective must have the bounds for these.

    If weights are below 1, or outside the whole numbers within the bounds, a second fit moves them
    inside and keeps the sum. Then all weights make up for it together, so that the loss stays low.

    Parameters
    ----------
    context : FitContext
    selection : Selection
        The records, and the base weights of the fit.
    fit : Fit

    Returns
    -------
    WholeFit

    Raises
    ------
    InputError
        If whole weights of these records cannot have the sum of the fitted ones.
    """
    objective, records = context.objective, selection.records
    assert objective.whole is not None
    bounds, w0 = objective.whole.of(records), objective.problem.design_weights[records]
    first = objective.bounds.of(records).weights(fit.ratios, w0)
    total = float(np.rint(first.sum()))
    _check_sum(total, bounds, len(records))
    n_outside = int(((first < bounds.weight_low) | (first > bounds.weight_high)).sum())
    if n_outside:
        within = replace(objective, bounds=objective.whole, keep_total=True, given_total=total)
        fit = refit(replace(context, objective=within), selection)
    fitted = bounds.weights(fit.ratios, w0)
    weights = whole_weights(fitted, *_units(objective, records))
    return WholeFit(weights, fit, fitted, first, n_outside)


def _check_sum(total: float, bounds: Bounds, n_records: int) -> None:
    """Check that whole weights within the bounds can have the sum of the fitted ones."""
    lowest, highest = np.sum(bounds.weight_low), np.sum(bounds.weight_high)
    if lowest <= total <= highest:
        return
    end, remedy = f"at most {highest:,.0f}", "widen the bounds"
    if total < lowest:
        end, remedy = f"at least {lowest:,.0f}", "keep fewer records (`n_records`)"
        if lowest > n_records:  # some whole weights must be above 1
            remedy += ", widen the bounds"
    raise InputError(
        f"`integer_weights=True`: whole weights of {counted(n_records, 'chosen record')} add up to "
        f"{end}, and the fitted weights to {total:,.0f}; {remedy}, or leave `integer_weights` out"
    )


def _units(objective: Objective, records: NDArray[np.int64]) -> tuple[sp.csr_array, Aims]:
    """Give what units of weight add to the targets in the loss, and the aims of these targets."""
    wanted = objective.rows
    rows = np.flatnonzero(wanted.shares > 0)
    scales = wanted.scales[rows]
    matrix = wanted.matrix[:, records][rows]
    parts = multiplied(matrix, 1 / scales, np.ones(len(records))).T.tocsr()
    goals = wanted.goals[rows] / scales
    aims = Aims(
        goals - wanted.free_below[rows],
        goals + wanted.free_above[rows],
        wanted.shares[rows],
        objective.loss is relative,
    )
    return parts, aims
