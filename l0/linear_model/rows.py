"""The rows that a fit reads, and the linear model of few columns that it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight

from l0.common.errors import InputError, first_few
from l0.common.validation import is_missing, refuse_masked
from l0.linear_model.design import Positions, Standardised

#: What scikit-learn's `validate_data` accepts as X.
ACCEPTED: dict[str, Any] = {"accept_sparse": ("csr", "csc"), "dtype": (np.float64, np.float32)}


def check_kinds(x: Any, y: Any, several: bool = False) -> None:
    """Refuse what would be taken for numbers although it is none, with what to pass.

    Parameters
    ----------
    x : array, sparse matrix or frame
    y : array
    several : bool, default False
        Whether `y` may have several columns.

    Raises
    ------
    InputError
        If a column of a frame is categorical or text, if `X` or `y` has masked values, or if `y`
        has missing values or several columns.
    """
    refuse_masked(x, "X")
    refuse_masked(y, "y")
    if categorical := _categorical_columns(x):
        raise InputError(
            f"`X` has categorical columns: {first_few(categorical)}; make indicators of them "
            "(`OneHotEncoder`), with a label for each in `groups`, or numbers if they are some"
        )
    if text := _text_columns(x):
        raise InputError(
            f"`X` has columns of text: {first_few(text)}; make indicators of them "
            "(`OneHotEncoder`), with a label for each in `groups`, or numbers if they are some"
        )
    if y is None:
        return
    if hasattr(y, "dtype") and np.ndim(y) == 1 and np.asarray(y).dtype != object:
        return
    try:
        values = np.asarray(y, dtype=object)
    except ValueError:  # ragged: scikit-learn says so
        return
    if values.ndim == 2 and values.shape[1] > 1 and not several:
        raise InputError(
            f"`y` has {values.shape[1]:,} columns; pass one of them. For several outcomes at once "
            'there is `L0Regressor(loss="squared")`'
        )
    if values.ndim == 1 and (without := [row for row, v in enumerate(values) if is_missing(v)]):
        raise InputError(
            f"`y` contains NaN or None in the rows {first_few(without)}; leave these rows out"
        )


def _categorical_columns(x: Any) -> list[Any]:
    """Name the categorical columns of a frame of pandas, polars or pyarrow."""
    types: Any = getattr(x, "dtypes", None)
    if hasattr(types, "items"):  # pandas, where names may repeat
        return [name for name, kind in types.items() if str(kind) == "category"]
    try:
        schema = nw.from_native(x, eager_only=True).schema
    except TypeError:  # an array, or a sparse matrix
        return []
    return [name for name, kind in schema.items() if kind in (nw.Categorical, nw.Enum)]


def _text_columns(x: Any) -> list[Any]:
    """Name the text columns of a frame of pandas, polars or pyarrow: "01" would become 1."""
    types: Any = getattr(x, "dtypes", None)
    if hasattr(types, "items"):  # pandas, where names may repeat
        return [
            name
            for place, (name, kind) in enumerate(types.items())
            if str(kind) == "str"
            or "string" in str(kind)
            or (kind.kind == "O" and any(isinstance(value, str) for value in x.iloc[:, place]))
        ]
    try:
        schema = nw.from_native(x, eager_only=True).schema
    except TypeError:  # an array, or a sparse matrix
        return []
    return [name for name, kind in schema.items() if kind == nw.String]


def checked_weights(sample_weight: Any, x: Any) -> NDArray[np.float64]:
    """Check the weights of rows; without any, they are 1."""
    refuse_masked(sample_weight, "sample_weight")
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
