"""Least squares on the best columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError
from l0.common.validation import not_negative
from l0.linear_model.base import SparseLinearModel, Units, problem_parts
from l0.linear_model.design import CONSTANT, Positions, Standardised
from l0.linear_model.problem import Problem
from l0.linear_model.rows import ACCEPTED, Model, Rows, original
from l0.linear_model.search import Search
from l0.linear_model.shrinkage import log_subsets, ridge
from l0.linear_model.statistics import Statistics

#: Between these are the largest absolute outcomes whose squares can be summed.
LEAST, MOST = 1e-140, 1e140


class L0Regressor(RegressorMixin, SparseLinearModel):  # type: ignore[misc]
    r"""Least squares on exactly k columns, the best that a search finds.

    .. math::
        \min_{b, w} \; \frac{1}{\sum_i s_i} \sum_i s_i (y_i - b - x_i' w)^2
        + \lambda \sum_j \sigma_j^2 w_j^2 \quad\text{with}\quad \#\{j : w_j \ne 0\} = k

    where the s are `sample_weight`, sigma_j is column j's standard deviation and lambda is `l2`.
    Scales of columns do not matter.

    Starts from forward and stagewise selection are bettered by exchanging one column for another
    until none helps, and kicked out of such places a few times; see `l0.linear_model.search`.

    Parameters
    ----------
    n_features : int, optional
        k. With `groups`, the number of groups. Fewer come, with a warning, where the others are
        constant or sums of those chosen.
    criterion : {"gicc", "gic", "bic", "ebic"}, optional
        Chooses k, by plain least squares. "gicc" where neither k nor `cv` is given; "gic", without
        its correction for few rows, takes more columns, "ebic" is the strictest with many columns,
        "bic" is for few columns and many rows.
    cv : int, splitter or iterable, optional
        Chooses the k of the least squared error on held-out folds.
    max_features : int, optional
        The largest k that `criterion` and `cv` try; n / log p by default, at most 50, and a
        criterion stops ten columns after its least.
    l2 : float, optional
        lambda >= 0: shrinks the chosen coefficients. A lone column's is divided by 1 + lambda.
        0 is plain least squares. By default it grows with the number of subsets there were to
        choose from, per row, and with the noise that least squares leaves, and is next to nothing
        with many rows or little noise: see :func:`l0.linear_model.shrinkage.ridge`.
    fit_intercept : bool, default True
    groups : array of length p, optional
        A label for each column; columns of one label enter together.
    must_keep : iterable of int or str, optional
        Columns in every choice, by position or name, and their groups. They count in k.
    nonnegative : bool, default False
        Coefficients of at least 0; one that is 0 still counts in k. Not together with `groups`.

    Attributes
    ----------
    coef_ : ndarray, shape (p,)
    intercept_ : float
    support_ : ndarray of int64
        Positions of the chosen columns, ascending.
    n_features_selected_ : int
        How many.
    l2_ : float
        The lambda of `coef_`.
    swap_gap_ : float
        What the best exchange of a chosen column (or group) for another would lower the objective
        by, as a share of y's variance: below 1e-9 (1e-6 in float32) no exchange helps.
    path_ : list of ndarray of int64
        The choice of each size tried, the smallest first; of one size with `n_features`.
    coefs_path_ : ndarray, shape (number of sizes, p)
        Their coefficients, each size with a ridge of its own unless `l2` is given.
    criterion_path_ : ndarray, shape (number of sizes,)
        What was minimised: the criterion, the mean squared error on held-out folds, or with
        `n_features` the log of the unexplained share.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    Weights count rows: a weight of 2 is the same as two rows, in criteria too. All columns are
    searched whatever their number; beyond 400 or so, exchanges run on those that came closest to
    being added, and in the end on all. Sparse matrices stay sparse.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Regressor
    >>> X = np.random.default_rng(0).normal(size=(100, 500))
    >>> y = 3 * X[:, 7] - 2 * X[:, 70]
    >>> L0Regressor(n_features=2).fit(X, y).support_
    array([ 7, 70])
    """

    def __init__(
        self,
        n_features: int | None = None,
        *,
        criterion: str | None = None,
        cv: Any = None,
        max_features: int | None = None,
        l2: float | None = None,
        fit_intercept: bool = True,
        groups: ArrayLike | None = None,
        must_keep: Iterable[Any] | None = None,
        nonnegative: bool = False,
    ) -> None:
        super().__init__(
            n_features,
            criterion=criterion,
            cv=cv,
            max_features=max_features,
            l2=l2,
            fit_intercept=fit_intercept,
            groups=groups,
            must_keep=must_keep,
        )
        self.nonnegative = nonnegative

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> L0Regressor:
        """Choose columns and fit them.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        y : array, shape (n,)
        sample_weight : array, shape (n,), optional
            How often each row counts.

        Returns
        -------
        L0Regressor
            Itself.

        Raises
        ------
        ValueError
            For NaN, shapes that do not fit, and arguments out of their range.
        """
        X, y = validate_data(
            self,
            X,
            y,
            **ACCEPTED,
            y_numeric=True,
            ensure_min_samples=2,
        )
        if self.nonnegative and self.groups is not None:
            raise InputError("`nonnegative` and `groups` do not go together; leave one out")
        if self.l2 is not None:
            not_negative(self.l2, "l2")
        y = np.asarray(y, np.float64)
        largest = float(np.abs(y).max())
        if largest and not LEAST < largest < MOST:
            raise InputError(
                f"`y` goes up to {largest:.3g}, the square of which is no floating-point number; "
                f"divide `y` by {largest:.0e}"
            )
        model = self._choose(self._rows(X, y, sample_weight))
        self.support_, self.n_features_selected_ = model.columns, len(model.columns)
        self.coef_ = model.coefficients[0].astype(X.dtype)
        self.coefs_path_ = self.coefs_path_[:, 0].astype(X.dtype)
        self.intercept_ = float(model.intercept[0])
        return self

    def predict(self, X: Any) -> NDArray[np.floating[Any]]:
        """Predict y.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n,)
        """
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, **ACCEPTED)
        return np.asarray(X @ self.coef_ + X.dtype.type(self.intercept_))

    def _outcome(self, standardised: Standardised, y: NDArray[np.float64]) -> tuple[Any, float]:
        mean = float(standardised.weights @ y) if self.fit_intercept else 0.0
        centred = y - mean
        # Of an outcome that is constant only rounding is left.
        if np.abs(centred).max() <= CONSTANT * abs(mean):
            centred = np.zeros(len(y))
        return (np.sqrt(standardised.weights) * centred)[:, None], mean

    def _problem(self, standardised: Standardised, y: NDArray[Any], units: Units) -> Problem:
        outcome, _ = self._outcome(standardised, y)
        statistics = Statistics.of(standardised.design, outcome, self.l2 or 0.0)
        return Problem(statistics, *problem_parts(statistics, *units), self.nonnegative)

    def _model(
        self, standardised: Standardised, y: NDArray[Any], problem: Problem, chosen: Positions
    ) -> Model:
        columns = problem.columns(chosen)
        outcome, mean = self._outcome(standardised, y)
        z = standardised.design.columns(columns).astype(np.float64)
        z = np.vstack([z, np.sqrt(problem.statistics.l2) * np.eye(len(columns))])
        outcome = np.vstack([outcome, np.zeros((len(columns), 1))])
        if self.nonnegative and len(columns):
            slopes = nnls(z, outcome[:, 0])[0][:, None]
        else:
            slopes = np.linalg.lstsq(z, outcome, rcond=None)[0]
        return original(standardised, (slopes, np.array([mean])), columns)

    def _shrunk(self, search: Search, size: int, n: float) -> Problem:
        problem, total = search.problem, search.problem.statistics.total
        if self.l2 is not None:
            return problem
        n_kept = len(problem.kept)
        choices = log_subsets(problem.n_units - n_kept, size - n_kept)
        left = total - search.value[size]
        return problem.with_l2(
            ridge(left / total, choices, n) if left > problem.statistics.rounding else 0.0
        )

    def _deviance(self, problem: Problem, value: float, n: float) -> float:
        total, rounding = problem.statistics.total, problem.statistics.rounding
        return n * float(np.log(max(total - value, rounding) / total)) if total > 0 else 0.0

    def _loss(self, model: Model, rows: Rows) -> float:
        return float(rows.weights @ (rows.y - model.scores(rows.x)[:, 0]) ** 2)
