"""The linear model on the columns that a search has chosen."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from l0.linear_model.bounded_fit import bounded_slopes, only_nonnegative
from l0.linear_model.curved import CurvedProblem
from l0.linear_model.design import Positions, Standardised
from l0.linear_model.losses import Loss
from l0.linear_model.problem import Problem
from l0.linear_model.rows import Model, original
from l0.linear_model.statistics import Matrix


def fitted(
    problem: Problem, standardised: Standardised, loss: Loss, centre: bool, chosen: Positions
) -> Model:
    """Fit a model on some units.

    Parameters
    ----------
    problem : Problem
        With its ridge and bounds.
    standardised : Standardised
    loss : Loss
    centre : bool
        Whether there is an intercept.
    chosen : ndarray of int64
        Units.

    Returns
    -------
    Model
        Of the columns of X.
    """
    columns = problem.columns(chosen)
    if isinstance(problem, CurvedProblem):
        fit = problem.fit(chosen)
        return original(standardised, (fit.slopes, fit.intercept), columns)
    slopes = _least_squares(problem, standardised, loss.outcome(centre), columns)
    return original(standardised, (slopes, loss.intercept(centre)), columns)


def _least_squares(
    problem: Problem, standardised: Standardised, outcome: Matrix, columns: Positions
) -> Matrix:
    """Return slopes from the columns themselves, whose products would lose half of the digits."""
    z = standardised.design.columns(columns).astype(np.float64)
    z = np.vstack([z, np.sqrt(problem.statistics.l2) * np.eye(len(columns))])
    rooted = np.sqrt(standardised.weights)[:, None] * outcome
    rooted = np.vstack([rooted, np.zeros((len(columns), outcome.shape[1]))])
    if problem.bounds is not None and len(columns):
        bounds = problem.bounds[columns]
        if only_nonnegative(bounds):
            return np.asarray(nnls(z, rooted[:, 0])[0][:, None])
        return _within(z, rooted, bounds)
    return np.asarray(np.linalg.lstsq(z, rooted, rcond=None)[0])


def _within(z: Matrix, outcome: Matrix, bounds: Matrix) -> Matrix:
    """Return slopes between bounds: products say which slopes are at one, columns give the rest."""
    slopes = bounded_slopes(z.T @ z, z.T @ outcome[:, 0], bounds)[0]
    free = (slopes > bounds[:, 0]) & (slopes < bounds[:, 1])
    left = outcome[:, 0] - z[:, ~free] @ slopes[~free]
    slopes[free] = np.linalg.lstsq(z[:, free], left, rcond=None)[0]
    return np.asarray(np.clip(slopes, *bounds.T)[:, None])
