"""The rows that a fit reads, and the linear model of few columns that it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight

from l0.common.errors import InputError, first_few
from l0.linear_model.design import Positions, Standardised
from l0.linear_model.kinds import check_numbers

#: What scikit-learn's `validate_data` accepts as X.
ACCEPTED: dict[str, Any] = {"accept_sparse": ("csr", "csc"), "dtype": (np.float64, np.float32)}


def checked_weights(sample_weight: Any, x: Any) -> NDArray[np.float64]:
    """Check the weights of rows; without any, they are 1."""
    check_numbers(sample_weight, "sample_weight")
    weights = np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64))
    if (weights < 0).any() or not weights.any():
        raise InputError("`sample_weight` must be at least 0, and not 0 for all rows")
    return weights


@dataclass(frozen=True)
class Rows:
    """The checked input of a fit.

    Attributes
    ----------
    x : ndarray or sparse matrix, shape (n, p)
    y : ndarray, shape (n,) or (n, columns)
    weights : ndarray of float64, shape (n,)
        At least 0.
    """

    x: Any
    y: NDArray[Any]
    weights: NDArray[np.float64]

    def take(self, which: Positions) -> Rows:
        """Return some of the rows."""
        return Rows(self.x[which], self.y[which], self.weights[which])

    def counting(self) -> Rows:
        """Return the rows with a positive weight."""
        return self if self.weights.all() else self.take(np.flatnonzero(self.weights))


@dataclass(frozen=True)
class Model:
    """A linear model of a few columns.

    Attributes
    ----------
    columns : ndarray of int64
        Positions of the columns, ascending.
    coefficients : ndarray of float64, shape (q, p)
        Of all p columns; 0 outside `columns`. q is 1, or the number of classes.
    intercept : ndarray of float64, shape (q,)
    """

    columns: Positions
    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def scores(self, x: Any) -> NDArray[np.float64]:
        """Return the linear predictor of some rows, (n, q)."""
        few = x[:, self.columns] @ self.coefficients[:, self.columns].T
        return np.asarray(few + self.intercept)


def original(
    standardised: Standardised,
    model: tuple[NDArray[np.float64], NDArray[np.float64]],
    columns: Positions,
) -> Model:
    """Turn a model of standardised columns into one of the columns of X.

    Parameters
    ----------
    standardised : Standardised
    model : pair of ndarray, shapes (m, q) and (q,)
        Slopes and intercept on the standardised columns.
    columns : ndarray of int64, shape (m,)
        The columns of the slopes, in their order.

    Returns
    -------
    Model
    """
    with np.errstate(over="ignore", invalid="ignore"):  # `held_as` refuses infinite ones
        coefficients = standardised.original(model[0], columns)
        shift = coefficients[:, columns] @ standardised.mean[columns]
    return Model(np.sort(columns), coefficients, model[1] - shift)


def held_as(dtype: np.dtype[Any], coefficients: NDArray[np.float64]) -> NDArray[np.floating[Any]]:
    """Return coefficients of the columns, on the last axis, in the precision of X.

    Raises
    ------
    InputError
        If one becomes infinite or 0, so that predictions would be wrong.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = np.asarray(coefficients, dtype)
    lost = ~np.isfinite(found) | ((found == 0) & (coefficients != 0))
    if lost.any():
        columns = np.flatnonzero(lost.reshape(-1, lost.shape[-1]).any(axis=0)).tolist()
        raise InputError(
            f"the coefficients of the columns {first_few(columns)} are too large or too small for "
            f"{dtype} numbers; put these columns, or `y`, on a scale near 1"
        )
    return found
