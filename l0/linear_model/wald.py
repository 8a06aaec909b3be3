"""Coefficients of a few columns without a penalty, with their standard errors."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.linear_model.design import standardised_design
from l0.linear_model.losses import Loss, PoissonLoss
from l0.linear_model.newton import fit, settled
from l0.linear_model.statistics import Matrix

#: The other columns explain a column if they leave at most this share of its length.
EXPLAINED = 3e-6
#: A row determines a coefficient alone if its leverage is within this distance of 1.
ALONE = 1e-9
#: Columns explain an outcome exactly if they leave at most this share of its largest value: a few
#: hundred times what rounding leaves.
EXACT = 1e-13
#: Counts are said to vary more than a Poisson variable from this ratio on, and only if it is this
#: many standard errors above 1.
OVERDISPERSED, CLEAR = 1.2, 4


@dataclass(frozen=True)
class Estimates:
    """Coefficients of columns and their standard errors.

    Attributes
    ----------
    coefficients, errors : ndarray of float64, shape (q, m)
        A row for each outcome, or for each class but the first; a column for each column.
    degrees : float
        The degrees of freedom of t; infinite for a normal distribution.
    """

    coefficients: Matrix
    errors: Matrix
    degrees: float


@dataclass(frozen=True)
class Columns:
    """Columns on a common scale, with a column of ones in front if there is an intercept.

    Attributes
    ----------
    z : ndarray of float64, shape (n, first + m)
    scale : ndarray of float64, shape (m,)
        What each column was divided by.
    first : int
        1 if there is an intercept, else 0.
    """

    z: Matrix
    scale: Matrix
    first: int

    def estimates(self, theta: Matrix, errors: Matrix, degrees: float) -> Estimates:
        """Return what is found for z, (q, first + m), on the scale of the columns, (q, m)."""
        slopes = slice(self.first, None)
        return Estimates(theta[:, slopes] / self.scale, errors[:, slopes] / self.scale, degrees)


def prepared(
    x: Matrix, weights: NDArray[np.float64], centre: bool, ones: bool, names: Sequence[Any]
) -> Columns:
    """Standardise columns, and refuse those whose coefficients the rows do not determine.

    Parameters
    ----------
    x : ndarray of float64, shape (n, m)
    weights : ndarray of float64, shape (n,)
        Positive.
    centre : bool
        Whether a constant may be added to the linear predictor.
    ones : bool
        Whether that constant is estimated.
    names : sequence, length m
        Of the columns.

    Raises
    ------
    InputError
        If there are too few rows, or if columns are constant or sums of the columns before them.
    """
    if len(x) <= x.shape[1] + ones:
        raise InputError(
            f"there are {len(x):,} held-out rows for {x.shape[1] + ones:,} coefficients; pass more "
            "rows, or a smaller `selection_share` or `n_features`"
        )
    standardised = standardised_design(x, weights, centre)
    roots = np.sqrt(standardised.weights)[:, None]
    rooted = np.column_stack([roots, standardised.design.columns(np.arange(x.shape[1]))])
    rooted = rooted[:, 0 if centre else 1 :]
    left = np.abs(np.diag(np.linalg.qr(rooted, mode="r")))[int(centre) :]
    if (left <= EXPLAINED).any():
        wrong = [names[j] for j in np.flatnonzero(left <= EXPLAINED).tolist()]
        raise InputError(
            f"in the held-out rows, these columns are constant or sums of chosen columns before "
            f"them: {first_few(wrong)}; pass another `random_state`, a smaller `selection_share`, "
            "or `X` without them"
        )
    z = rooted[:, int(centre) :] / roots
    if ones:
        z = np.column_stack([np.ones(len(z)), z])
    return Columns(z, standardised.scale, int(ones))


def least_squares(
    columns: Columns, y: Matrix, weights: NDArray[np.float64], covariance: str
) -> Estimates:
    r"""Return ordinary least squares, one regression for each outcome.

    The covariance matrix is :math:`s^2 (Z'Z)^{-1}` ("classical"), or with the residuals e and the
    leverages h (MacKinnon & White 1985, Journal of Econometrics 29(3); "hc3")

    .. math::
        (Z'Z)^{-1} \, \Big( \sum_i \frac{e_i^2}{(1 - h_i)^2} z_i z_i' \Big) \, (Z'Z)^{-1}

    Parameters
    ----------
    columns : Columns
    y : ndarray of float64, shape (n, q)
    weights : ndarray of float64, shape (n,)
        Numbers of equal rows.
    covariance : {"hc3", "classical"}

    Returns
    -------
    Estimates

    Raises
    ------
    InputError
        If an outcome is constant or an exact sum of the columns, so that its residuals are rounding
        errors; or if rows determine a coefficient alone ("hc3").
    """
    z = columns.z
    inverse = np.linalg.inv((z.T * weights) @ z)
    slopes = inverse @ (z.T * weights) @ y
    residual = y - z @ slopes
    _check_residual(residual, y)
    degrees = float(weights.sum()) - z.shape[1]
    if covariance == "classical":
        squares = weights @ residual**2 / degrees
        errors = np.sqrt(np.outer(squares, np.diag(inverse)))
    else:
        leverage = np.einsum("ij,jk,ik->i", z, inverse, z)
        if (alone := np.flatnonzero(leverage > 1 - ALONE)).size:
            raise InputError(
                f"{alone.size:,} of the held-out rows determine a coefficient alone, so that they "
                'have no residual; pass `covariance="classical"` or another `random_state`'
            )
        scaled = residual / (1 - leverage)[:, None]
        half = z @ inverse
        errors = np.sqrt(np.einsum("iq,i,ij->qj", scaled**2, weights, half**2))
    return columns.estimates(slopes.T, errors, degrees)


def _check_residual(residual: Matrix, y: Matrix) -> None:
    """Refuse outcomes without residuals: errors and p-values would be those of rounding."""
    exact = np.abs(residual).max(axis=0) <= EXACT * np.abs(y).max(axis=0)
    if exact.any():
        which = ""
        if len(exact) > 1:
            which = f" (outcomes {first_few(np.flatnonzero(exact).tolist())})"
        raise InputError(
            f"in the held-out rows, `y`{which} is constant or an exact sum of the chosen columns, "
            "so that standard errors and p-values would be rounding errors; pass an outcome that "
            "varies, or another `random_state` if it does in other rows"
        )


def likelihood(columns: Columns, loss: Loss) -> Estimates:
    """Return maximum likelihood, with the errors that the second derivatives give (Wald).

    Parameters
    ----------
    columns : Columns
    loss : Loss
        That of classes, counts or survival times. With more than two classes, the coefficients are
        differences to the first class.

    Returns
    -------
    Estimates

    Raises
    ------
    InputError
        If the likelihood has no maximum, as where columns separate the classes.
    """
    free = bool(columns.first)
    # The value is a mean of some kind; the deviance of all rows is twice minus the log-likelihood.
    total = loss.deviance(1.0) / 2
    with np.errstate(all="ignore"):  # coefficients without limit are refused below
        found = fit(loss, columns.z, 0.0, free)
        theta = np.vstack([found.intercept[None, :], found.slopes]) if free else found.slopes
        information = total * loss.hessian(columns.z, columns.z @ theta, found.point)
        gradient = total * (columns.z.T @ (loss.weights[:, None] * found.point.residual))
        m, q = theta.shape
        if loss.n_slopes < q:
            theta, gradient = theta[:, 1:] - theta[:, :1], gradient[:, 1:]
            information = information[m:, m:]
        try:
            inverse = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            inverse = np.full_like(information, np.inf)
        step = inverse @ gradient.T.ravel()
    if not settled(step, theta.T.ravel()):
        raise InputError(
            "in the held-out rows, the coefficients grow without limit, as where the chosen "
            "columns separate the classes or the events; pass more rows, a smaller "
            "`selection_share` or fewer columns"
        )
    if isinstance(loss, PoissonLoss):
        _warn_of_dispersion(loss, columns.z @ theta, m)
    errors = np.sqrt(np.diag(inverse)).reshape(theta.T.shape)
    return columns.estimates(theta.T, errors, np.inf)


def _warn_of_dispersion(loss: PoissonLoss, scores: Matrix, n_coefficients: int) -> None:
    """Warn of counts that vary more than a Poisson variable, by Pearson's statistic."""
    expected = np.exp(scores[:, 0])
    pearson = loss.n * float(loss.weights @ ((loss.y[:, 0] - expected) ** 2 / expected))
    # Weights may count rows or be exposures: with the larger number of rows, neither warns wrongly.
    degrees = max(loss.n, len(expected)) - n_coefficients
    ratio = pearson / degrees
    # The square of a Poisson variable's standardised error has the variance 2 + 1 / mean.
    spread = np.sqrt(np.sum(2 + 1 / (loss.n * loss.weights * expected))) / degrees
    if ratio > max(OVERDISPERSED, 1 + CLEAR * spread):
        warnings.warn(
            f"the held-out counts vary {ratio:.3g} times as much as a Poisson variable, so that "
            f"the standard errors are too small by a factor of about {np.sqrt(ratio):.2g}",
            stacklevel=4,
        )
