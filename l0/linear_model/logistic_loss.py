"""Logistic loss, binary and multinomial."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.linear_model.losses import CURVATURE, Loss, Point, weighted_products
from l0.linear_model.statistics import Matrix


class LogisticLoss(Loss):
    """The negative log-likelihood of classes, a mean over rows.

    Parameters
    ----------
    y : ndarray of int64, shape (n,)
        The code of the class of each row.
    weights : ndarray of float64, shape (n,)
    labels : ndarray
        Of all classes. Two classes have one linear predictor, that of the second. More have one
        each.
    """

    def __init__(
        self, y: NDArray[np.int64], weights: NDArray[np.float64], labels: NDArray[Any]
    ) -> None:
        several = np.arange(len(labels)) if len(labels) > 2 else np.array([1])
        super().__init__((y[:, None] == several).astype(np.float64), weights)
        self.n_slopes = len(labels) - 1
        self._without = labels[np.setdiff1d(np.arange(len(labels)), y)].tolist()

    def check(self) -> None:
        """Raise an InputError if a class has no row."""
        if self._without:
            raise InputError(
                f"`y` has no row of {first_few(self._without)}; pass folds that leave rows of "
                "each class to the fit, such as `cv=StratifiedKFold(5, shuffle=True)`, and two "
                "rows or more of each class"
            )

    def evaluate(self, scores: Matrix) -> Point:
        """Return the log loss, and the indicators of the classes minus their probabilities."""
        if scores.shape[1] == 1:
            both = np.logaddexp(0, scores)
        else:
            top = scores.max(axis=1, keepdims=True)
            both = top + np.log(np.sum(np.exp(scores - top), axis=1, keepdims=True))
        p = np.exp(scores - both)
        lost = both - np.sum(self.y * scores, axis=1, keepdims=True)
        return Point(float(self.weights @ lost[:, 0]), self.y - p)

    def hessian(self, columns: Matrix, scores: Matrix, point: Point) -> Matrix:
        """Return the second derivatives by the slopes of all classes."""
        p = self.y - point.residual
        m, q = columns.shape[1], p.shape[1]
        found = np.empty((q, m, q, m))
        for a in range(q):
            for b in range(a, q):
                weight = self.weights * p[:, a] * (float(a == b) - p[:, b])
                found[a, :, b] = found[b, :, a] = weighted_products(columns, weight)
        return found.reshape(q * m, q * m)

    def curvature(self, point: Point) -> NDArray[np.float64]:
        """Return the mean of p (1 - p) over the classes, so that one regression serves them all.

        This mean is ours.
        """
        p = self.y - point.residual
        return np.asarray(self.weights * np.maximum((p * (1 - p)).mean(1), CURVATURE))

    def intercept(self, free: bool) -> Matrix:
        """Return 0."""
        return np.zeros(self.y.shape[1])

    def outcome(self, free: bool) -> Matrix:
        """Return the indicators of the classes minus their shares."""
        return np.asarray(self.y - (self.weights @ self.y if free else 0.0))

    def deviance(self, value: float) -> float:
        """Return the deviance."""
        return 2 * self.n * value
