"""What a fit is given, and the linear model of a few columns that comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions, Standardised

#: What scikit-learn's `validate_data` is told of X.
ACCEPTED: dict[str, Any] = {"accept_sparse": ("csr", "csc"), "dtype": (np.float64, np.float32)}


@dataclass(frozen=True)
class Rows:
    """What a fit is given, checked.

    Attributes
    ----------
    x : ndarray or sparse matrix, shape (n, p)
    y : ndarray, shape (n,)
    weights : ndarray of float64, shape (n,)
        Not negative.
    """

    x: Any
    y: NDArray[Any]
    weights: NDArray[np.float64]

    def take(self, which: Positions) -> Rows:
        """Some of the rows."""
        return Rows(self.x[which], self.y[which], self.weights[which])

    def counting(self) -> Rows:
        """The rows of positive weight."""
        return self if self.weights.all() else self.take(np.flatnonzero(self.weights))


@dataclass(frozen=True)
class Model:
    """A linear model of a few columns.

    Attributes
    ----------
    columns : ndarray of int64
        Ascending.
    coefficients : ndarray of float64, shape (q, p)
    intercept : ndarray of float64, shape (q,)
    """

    columns: Positions
    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def scores(self, x: Any) -> NDArray[np.float64]:
        """The linear predictor, (n, q)."""
        few = x[:, self.columns] @ self.coefficients[:, self.columns].T
        return np.asarray(few + self.intercept)


def original(
    standardised: Standardised,
    model: tuple[NDArray[np.float64], NDArray[np.float64]],
    columns: Positions,
) -> Model:
    """A model of X from slopes and intercept on standardised columns."""
    coefficients = standardised.original(model[0], columns)
    shift = coefficients[:, columns] @ standardised.mean[columns]
    return Model(np.sort(columns), coefficients, model[1] - shift)
