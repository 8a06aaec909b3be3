"""What a linear predictor costs on given rows: the one object that a loss is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from l0.common.errors import InputError
from l0.linear_model.design import BLOCK, CONSTANT
from l0.linear_model.statistics import Matrix

#: The least curvature of a row, as a share of what it is at most or on average.
CURVATURE = 1e-6
#: Beyond so many scales an error counts by its absolute value: 95% efficient with normal errors.
#: The mean of min(z^2, BEND^2) for a standard normal z makes their scale the standard deviation.
BEND, NORMAL = 1.345, 0.7101645
#: The share of normal errors up to BEND standard deviations.
INSIDE = 0.8213745
#: The curvature of errors beyond BEND, which is 0, is taken as this share of that of the others.
OUTLIER = 0.05
#: The least scale of errors, in units of y. Errors have no other if more than a share EXACT is 0.
LEAST_SCALE, EXACT = 1e-8, 1 - NORMAL / BEND**2


@dataclass(frozen=True)
class Point:
    """A loss at some linear predictors.

    Attributes
    ----------
    value : float
        The weighted mean of the losses of the rows.
    residual : ndarray of float64, shape (n, q)
        Minus the gradient of `value`, over the weights of the rows.
    scale : float
        The scale of the errors, where the loss estimates it.
    """

    value: float
    residual: Matrix
    scale: float = 1.0


def weighted_products(columns: Matrix, weights: NDArray[np.float64]) -> Matrix:
    """Return C' diag(w) C for columns C of shape (n, m), without a weighted copy of them all."""
    found = np.zeros((columns.shape[1], columns.shape[1]))
    for start in range(0, len(columns), BLOCK):
        rows = slice(start, start + BLOCK)
        found += (columns[rows].T * weights[rows]) @ columns[rows]
    return found


class Loss(ABC):
    """A convex loss of linear predictors on given rows.

    Parameters
    ----------
    y : ndarray, shape (n,) or (n, columns)
    weights : ndarray of float64, shape (n,)
        Positive. A weight of 2 counts as two rows.

    Attributes
    ----------
    y : ndarray of float64, shape (n, q)
        The outcomes as numbers.
    weights : ndarray of float64, shape (n,)
        With sum 1.
    n : float
        The number of rows, which is the sum of the weights that came in.
    rows : float
        The number of rows that a criterion counts.
    n_slopes : int
        The number of free slopes of a column.
    """

    #: Whether a constant in the linear predictor changes the loss.
    has_intercept = True
    #: Whether the scale of the errors is estimated.
    has_scale = False
    #: Whether the loss of all rows is the sum of those of parts of them.
    by_row = True
    #: Whether least squares on columns has a closed form for it.
    quadratic = False

    def __init__(self, y: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        self.y = y if y.ndim == 2 else y[:, None]
        self.n = self.rows = float(weights.sum())
        self.weights = weights / self.n
        self.n_slopes = self.y.shape[1]

    @abstractmethod
    def evaluate(self, scores: Matrix) -> Point:
        """Return value and gradient at linear predictors of shape (n, q)."""

    @abstractmethod
    def hessian(self, columns: Matrix, scores: Matrix, point: Point) -> Matrix:
        """Return the second derivatives by the slopes of columns (n, m).

        The shape is (q m, q m), one outcome after the other.
        """

    @abstractmethod
    def curvature(self, point: Point) -> NDArray[np.float64]:
        """Return the weights of the rows in a quadratic approximation of the loss, (n,).

        It only ranks columns: the loss itself decides.
        """

    @abstractmethod
    def intercept(self, free: bool) -> Matrix:
        """Return the intercept of a model without columns, or near it, (q,); 0 if not `free`."""

    @abstractmethod
    def outcome(self, free: bool) -> Matrix:
        """Return what least squares is screened with, (n, q): the residual without columns."""

    @abstractmethod
    def deviance(self, value: float) -> float:
        """Return minus twice the log-likelihood of all rows, up to a constant, from a value."""

    def deviances(self, points: list[Point]) -> list[float]:
        """Return the deviances of models of growing size."""
        return [self.deviance(point.value) for point in points]

    def check(self) -> None:
        """Raise an InputError if no model can be fitted to these rows."""
        return

    def total(self, scores: Matrix) -> float:
        """Return the loss summed over the rows, as cross-validation adds it up."""
        return self.deviance(self.evaluate(scores).value) / 2


class SquaredLoss(Loss):
    """Squared errors of one outcome or several. Searches use its closed form."""

    quadratic = True

    def evaluate(self, scores: Matrix) -> Point:
        """Return half of the mean squared error, summed over the outcomes."""
        residual = self.y - scores
        return Point(0.5 * float(self.weights @ np.sum(residual**2, axis=1)), residual)

    def hessian(self, columns: Matrix, scores: Matrix, point: Point) -> Matrix:
        """Return the products of columns, a block for each outcome."""
        return np.asarray(
            np.kron(np.eye(self.y.shape[1]), weighted_products(columns, self.weights))
        )

    def curvature(self, point: Point) -> NDArray[np.float64]:
        """Return the weights of the rows."""
        return self.weights

    def intercept(self, free: bool) -> Matrix:
        """Return the means."""
        return self.weights @ self.y if free else np.zeros(self.y.shape[1])

    def outcome(self, free: bool) -> Matrix:
        """Return the outcomes without their means."""
        mean = self.intercept(free)
        centred = self.y - mean
        # What a constant outcome leaves is a rounding error.
        constant = np.abs(centred).max(axis=0) <= CONSTANT * np.abs(mean)
        return np.where(constant, 0.0, centred)

    def deviance(self, value: float) -> float:
        """Return that of normal errors; the value is an unexplained share."""
        return float(self.n * self.y.shape[1] * np.log(value))

    def total(self, scores: Matrix) -> float:
        """Return the squared errors, a mean over the outcomes."""
        errors = np.mean((self.y - scores) ** 2, axis=1)
        return self.n * float(self.weights @ errors)


class RowLoss(Loss):
    """A loss of one linear predictor, row by row."""

    def hessian(self, columns: Matrix, scores: Matrix, point: Point) -> Matrix:
        """Return the products of columns under the second derivatives of the rows."""
        return np.asarray(weighted_products(columns, self._second(point)))

    @abstractmethod
    def _second(self, point: Point) -> NDArray[np.float64]:
        """Return the weighted second derivative of each row, (n,)."""


class PoissonLoss(RowLoss):
    """Half the deviance of counts under a logarithmic link, over the mean count."""

    def __init__(self, y: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        super().__init__(y, weights)
        #: Held-out rows may all be 0; their deviance does not depend on this unit.
        self.mean = float(self.weights @ self.y[:, 0]) or 1.0
        self._least = float(self.weights @ (xlogy(self.y, self.y) - self.y)[:, 0])

    def check(self) -> None:
        """Raise an InputError if all counts are 0."""
        if not self.y.any():
            raise InputError('`y` is 0 in all rows; `loss="poisson"` needs a count above 0')

    def evaluate(self, scores: Matrix) -> Point:
        """Return half the mean deviance over the mean count."""
        with np.errstate(over="ignore", invalid="ignore"):  # a step too far is halved
            mu = np.exp(scores)
            value = float(self.weights @ (mu - self.y * scores)[:, 0]) + self._least
        return Point(value / self.mean, (self.y - mu) / self.mean)

    def curvature(self, point: Point) -> NDArray[np.float64]:
        """Return the expected counts of the rows."""
        return self.weights * np.maximum(self._expected(point), CURVATURE)

    def intercept(self, free: bool) -> Matrix:
        """Return the logarithm of the mean count."""
        return np.array([np.log(self.mean) if free else 0.0])

    def outcome(self, free: bool) -> Matrix:
        """Return the Pearson residuals of a constant count."""
        return np.asarray((self.y - (self.mean if free else 1.0)) / np.sqrt(self.mean))

    def deviance(self, value: float) -> float:
        """Return the deviance."""
        return 2 * self.n * self.mean * value

    def _second(self, point: Point) -> NDArray[np.float64]:
        return np.asarray(self.weights * self._expected(point))

    def _expected(self, point: Point) -> NDArray[np.float64]:
        """Return the expected counts over the mean count, (n,)."""
        return np.asarray(self.y[:, 0] / self.mean - point.residual[:, 0])


class HuberLoss(RowLoss):
    r"""Huber's loss with the scale of the errors estimated beside the slopes.

    .. math::
        \min_\sigma \; \tfrac12 \beta \sigma + \sum_i w_i \, \sigma \, h(e_i / \sigma)

    where h is half the square up to `BEND`, and goes on in a straight line. This is "proposal 2" of
    Huber & Ronchetti 2009 ("Robust statistics", section 7.7), whose beta, `NORMAL`, makes sigma the
    standard deviation if errors are normal. The value is then a multiple of sigma.
    """

    has_scale = True

    def evaluate(self, scores: Matrix) -> Point:
        """Return the value at the best scale."""
        errors = self.y - scores
        scale = self._scale(np.abs(errors[:, 0]))
        clipped = np.clip(errors / scale, -BEND, BEND)
        # h(z) = psi z - psi^2 / 2, with psi = z clipped.
        costs = clipped * errors - 0.5 * scale * clipped**2
        value = 0.5 * NORMAL * scale + float(self.weights @ costs[:, 0])
        return Point(value, clipped, scale)

    def curvature(self, point: Point) -> NDArray[np.float64]:
        """Return a constant, and less for outliers; for them, 0 would leave Newton steps free."""
        inside = np.abs(point.residual[:, 0]) < BEND
        return np.asarray(self.weights * np.where(inside, 1.0, OUTLIER) / point.scale)

    def intercept(self, free: bool) -> Matrix:
        """Return 0, as the estimator takes the median out of y."""
        return np.zeros(1)

    def outcome(self, free: bool) -> Matrix:
        """Return the outcome, in units of its scale and clipped, without its mean."""
        clipped = self.evaluate(np.zeros_like(self.y)).residual
        return clipped - self.weights @ clipped if free else clipped

    def deviance(self, value: float) -> float:
        """Return that of normal errors with the value as their standard deviation."""
        return 2 * self.n * float(np.log(max(value, LEAST_SCALE)))

    def deviances(self, points: list[Point]) -> list[float]:
        """Return deviances whose steps have a chi-square distribution where a column is noise.

        A column of noise lowers the value by a chi-square variable times the scale, times half of
        E psi^2 / E psi' over n (Ronchetti 1985, Statistics & Probability Letters 3(1)). Each step
        is divided by its own scale: outliers add to the value, whatever the columns are, so that
        its logarithm would hide what the columns gain.
        """
        found = [self.deviance(points[0].value)]
        for before, here in pairwise(points):
            scale = math.sqrt(before.scale * here.scale)
            step = 2 * self.n * (here.value - before.value) / (scale * NORMAL / INSIDE)
            found.append(found[-1] + step)
        return found

    def passes_through_most(self, n_coefficients: int) -> bool:
        """Tell whether so many coefficients can make so many errors 0 that they have no scale."""
        return bool(np.sort(self.weights)[::-1][:n_coefficients].sum() >= EXACT)

    def total(self, scores: Matrix) -> float:
        """Return the value, for each row."""
        return self.n * self.evaluate(scores).value

    def _second(self, point: Point) -> NDArray[np.float64]:
        return self.curvature(point)

    def _scale(self, errors: NDArray[np.float64]) -> float:
        """Return the best scale of absolute errors, (n,).

        With s the share of the errors beyond BEND scales, the square of the best scale is the
        weighted sum of squares of the others over NORMAL - BEND^2 s. The errors are sorted, and the
        place of BEND scales among them is found. No scale but 0 is best if too many errors are 0.
        """
        order = np.argsort(errors)
        sizes, weights = errors[order], self.weights[order]
        squares = np.cumsum(weights * sizes**2)
        left = NORMAL - BEND**2 * np.maximum(1 - np.cumsum(weights), 0.0)
        # The errors up to a place are inside: BEND scales reach this error and not the next one.
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.sqrt(squares / left)
        fits = (left > 0) & (BEND * scale >= sizes)
        fits[:-1] &= BEND * scale[:-1] <= sizes[1:]
        found = scale[fits]
        return max(float(found[0]) if len(found) else 0.0, LEAST_SCALE)
