"""Choose columns on one part of the rows, and make intervals for them on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t
from sklearn.base import clone

from l0.common.errors import InputError, closest, first_few
from l0.common.formatting import counted
from l0.common.validation import inner_share, whole_number
from l0.data.tables import Kind
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.design import Positions
from l0.linear_model.estimators import checked_estimator
from l0.linear_model.frames import feature_names, for_each_outcome, frame
from l0.linear_model.losses import HuberLoss, PoissonLoss
from l0.linear_model.parts import Parts
from l0.linear_model.wald import Estimates, least_squares, likelihood, prepared

#: The covariance matrices of least squares.
COVARIANCES = ("hc3", "classical")


@dataclass(frozen=True)
class SplitInference:
    """Intervals for chosen columns, on rows that did not choose. :func:`split_inference` makes it.

    Attributes
    ----------
    estimator : L0Regressor, L0Classifier or L0Cox
        Fitted to the rows that choose.
    support : ndarray of int64, shape (m,)
        The positions of the columns that it chose.
    coefficients, standard_errors, p_values, low, high : ndarray of float64, shape (q, m)
        Without a penalty, on the held-out rows. A row for each outcome; with more than two classes,
        for each class but the first: logarithms of odds against the first class.
    selection_rows, inference_rows : ndarray of int64
        The positions of the rows that choose, and of the held-out ones. Rows of weight 0 are in
        neither.
    level : float
        The level of the intervals.
    names : list
        The names of all columns, or their positions.
    outcomes : list or None
        What the rows of the coefficients are about, where there are several.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Regressor, split_inference
    >>> X = np.random.default_rng(0).normal(size=(200, 50))
    >>> y = X[:, 7] - X[:, 11] + np.random.default_rng(1).normal(size=200)
    >>> found = split_inference(L0Regressor(2), X, y)
    >>> found.support, len(found.inference_rows)
    (array([ 7, 11]), 100)
    >>> bool((found.low < [1, -1]).all() and (found.high > [1, -1]).all())
    True
    >>> print(found.statement)
    The intervals are for the coefficients of the model of these 2 columns, fitted without penalty \
to the 100 held-out rows. These rows did not choose the columns, so that the intervals hold for \
the model that was chosen. They say nothing about columns that were not chosen, and another split \
may choose other columns.
    """

    estimator: SparseLinearModel
    support: Positions
    coefficients: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    p_values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    selection_rows: Positions
    inference_rows: Positions
    level: float
    names: list[Any]
    outcomes: list[Any] | None

    @property
    def statement(self) -> str:
        """What the intervals are about."""
        m = len(self.support)
        these = "this column" if m == 1 else f"these {m:,} columns"
        return (
            f"The intervals are for the coefficients of the model of {these}, "
            f"fitted without penalty to the {counted(len(self.inference_rows), 'held-out row')}. "
            "These rows did not choose the columns, so that the intervals hold for the model that "
            "was chosen. They say nothing about columns that were not chosen, and another split "
            "may choose other columns."
        )

    def to_frame(self, kind: Kind | None = None) -> Any:
        """Return a row for each chosen column, and for each of several outcomes or classes.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            By default pandas, or pyarrow where pandas is not installed.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or pyarrow.Table
            The columns `feature`, `outcome` (the position of an outcome, or the label of a class;
            only where there are several), `coefficient`, `standard_error`, `p_value`, `low` and
            `high`.
        """
        columns: dict[str, Any] = {"feature": [self.names[j] for j in self.support]}
        if self.outcomes is not None:
            columns = for_each_outcome(columns, self.outcomes)
        columns |= {
            "coefficient": self.coefficients.ravel(),
            "standard_error": self.standard_errors.ravel(),
            "p_value": self.p_values.ravel(),
            "low": self.low.ravel(),
            "high": self.high.ravel(),
        }
        return frame(columns, kind)


def split_inference(
    estimator: SparseLinearModel,
    X: Any,
    y: ArrayLike,
    *,
    selection_share: float = 0.5,
    level: float = 0.95,
    covariance: str | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: int = 0,
) -> SplitInference:
    """Choose columns on some rows, and make confidence intervals on the others.

    On the rows that chose the columns, the usual intervals are too narrow and p-values too small:
    the columns were chosen because they fit there. The held-out rows know nothing of the choice, so
    that on them the usual intervals hold for the model that was chosen (Cox 1975, "A note on
    data-splitting for the evaluation of significance levels", Biometrika 62(2)). The price is that
    fewer rows choose, and fewer estimate.

    Parameters
    ----------
    estimator : L0Regressor, L0Classifier or L0Cox
        Not with Huber's loss. It need not be fitted, and stays as it is.
    X : array, sparse matrix or frame, shape (n, p)
    y : array
    selection_share : float, default 0.5
        The share of the rows that choose; of each class, and of the events.
    level : float, default 0.95
        The level of each interval by itself, without a correction for their number.
    covariance : {"hc3", "classical"}, optional
        For least squares: standard errors that allow each row its own variance (the default), or
        those for equal variances. The other losses have the errors of maximum likelihood.
    sample_weight : array, shape (n,), optional
        Whole numbers: how many equal rows each row stands for. With the loss "poisson" also an
        exposure. Weights of a survey are none of these, and are refused where that shows.
    random_state : int, default 0
        Seeds the split.

    Returns
    -------
    SplitInference

    Raises
    ------
    ValueError
        If an argument is out of its range, with Huber's loss, or if the held-out rows do not
        determine the coefficients; the message names the columns. With least squares also if `y`
        is constant there, or an exact sum of the chosen columns: nothing is left to make errors of.

    Notes
    -----
    The intervals are those of ordinary least squares (t distribution), of logistic and Poisson
    regression, and of Cox's partial likelihood (normal distribution, from the second derivatives).
    They assume independent rows, and the last three that the model of the chosen columns is true. A
    model without a column that matters has other coefficients than one with it: what least squares
    estimates is then the best linear approximation on the chosen columns. `l2`, `nonnegative`,
    `coef_bounds` and `class_weight` take part in the choice only, so that an interval may leave the
    bounds. The split is random, and to pick among several
    splits by their results would undo what it is for.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from l0.linear_model import L0Regressor, split_inference
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> split_inference(L0Regressor(n_features=3), X, y).to_frame().round(3)
      feature  coefficient  standard_error  p_value      low     high
    0     bmi      720.699          92.364    0.000  538.654  902.743
    1      s1     -114.860          91.101    0.209 -294.416   64.696
    2      s5      669.433          96.291    0.000  479.647  859.219
    """
    estimator = checked_estimator(estimator)
    share = inner_share(selection_share, "selection_share")
    level = inner_share(level, "level")
    generator = np.random.default_rng(whole_number(random_state, "random_state", 0))
    asker: Any = clone(estimator)
    rows, question = asker._asked(X, y, sample_weight)
    loss = question.loss_of(rows.y, np.maximum(rows.weights, 1e-300))
    squares = _covariance(covariance, loss.quadratic)
    if isinstance(loss, HuberLoss):
        raise InputError(
            "`split_inference` has no intervals for Huber's loss; choose with it, and fit the "
            "chosen columns to other rows with a robust regression that states standard errors"
        )
    parts = Parts(estimator, X, y, sample_weight, rows)
    weights = np.ones(len(rows.y)) if parts.weights is None else parts.weights
    if not isinstance(loss, PoissonLoss):
        _check_counts(weights)
    choosing, held = parts.split(share, generator)
    try:
        model = parts.fitted(choosing)
    except ValueError as error:
        raise InputError(f"in the rows that choose the columns: {error}") from error
    support = model.support_
    names = list(feature_names(asker))
    x = rows.x[held][:, support]
    x = np.asarray(x.toarray() if sp.issparse(x) else x, np.float64)
    ones = question.centre and loss.has_intercept
    columns = prepared(x, weights[held], question.centre, ones, [names[j] for j in support])
    if loss.quadratic:
        outcome = rows.y * asker._unit + asker._shift
        outcome = outcome[held].reshape(len(held), -1)
        estimates = least_squares(columns, outcome, weights[held], squares)
    else:
        part = question.loss_of(rows.y[held], weights[held])
        part.check()
        if not part.by_row and rows.y[held][:, 1].sum() <= len(support):
            raise InputError(
                f"the held-out rows have too few events for {counted(len(support), 'column')}; "
                "pass more rows, or a smaller `selection_share` or `n_features`"
            )
        estimates = likelihood(columns, part)
    return _result(model, estimates, level, (choosing, held), names, _outcomes(asker, rows.y))


def _result(
    model: SparseLinearModel,
    estimates: Estimates,
    level: float,
    split: tuple[Positions, Positions],
    names: list[Any],
    outcomes: list[Any] | None,
) -> SplitInference:
    law = norm if np.isinf(estimates.degrees) else t(estimates.degrees)
    coefficients, errors = estimates.coefficients, estimates.errors
    with np.errstate(divide="ignore", invalid="ignore"):  # no row with a residual has the column
        p_values = 2 * law.sf(np.abs(coefficients) / errors)
    wide = law.isf((1 - level) / 2) * errors
    return SplitInference(
        model,
        model.support_,
        coefficients,
        errors,
        p_values,
        coefficients - wide,
        coefficients + wide,
        *split,
        level,
        names,
        outcomes,
    )


def _covariance(covariance: str | None, quadratic: bool) -> str:
    """Check `covariance`, and return that of least squares."""
    if covariance is None:
        return COVARIANCES[0]
    if covariance not in COVARIANCES:
        raise InputError(
            f"`covariance` {covariance!r} is not known; {closest(covariance, COVARIANCES)}"
        )
    if covariance != "classical" and not quadratic:
        raise InputError(
            f"`covariance` {covariance!r} is for least squares; leave it out, and the standard "
            "errors are those of maximum likelihood"
        )
    return covariance


def _check_counts(weights: NDArray[np.float64]) -> None:
    """Refuse weights that do not count rows."""
    wrong = np.flatnonzero(weights % 1)
    if wrong.size:
        raise InputError(
            f"`sample_weight` is no whole number in the rows {first_few(wrong.tolist())}; for "
            "standard errors a weight must say how many equal rows a row stands for. Leave it out, "
            "or use a design-based variance for weights of a survey"
        )


def _outcomes(asker: Any, y: NDArray[Any]) -> list[Any] | None:
    """Return the names of several outcomes or classes."""
    classes: Sequence[Any] | None = getattr(asker, "classes_", None)
    if classes is not None:
        return None if len(classes) == 2 else np.asarray(classes)[1:].tolist()
    several = y.ndim == 2 and hasattr(asker, "loss")
    return list(range(y.shape[1])) if several else None
