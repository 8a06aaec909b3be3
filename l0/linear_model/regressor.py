"""Least squares on the best columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import nnls
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError
from l0.common.validation import flag, not_negative
from l0.linear_model.base import SparseLinearModel, Units, problem_parts
from l0.linear_model.design import CONSTANT, Positions, Standardised
from l0.linear_model.problem import Problem
from l0.linear_model.rows import ACCEPTED, Model, Rows, check_kinds, original
from l0.linear_model.search import Search
from l0.linear_model.shrinkage import log_subsets, ridge
from l0.linear_model.statistics import Statistics

#: Sums of squares are floating-point numbers if the largest absolute outcome is between these.
LEAST, MOST = 1e-140, 1e140


class L0Regressor(RegressorMixin, SparseLinearModel):  # type: ignore[misc]
    r"""Least squares on the best k columns that a search finds.

    .. math::
        \min_{b, w} \; \frac{1}{\sum_i s_i} \sum_i s_i (y_i - b - x_i' w)^2
        + \lambda \sum_j \sigma_j^2 w_j^2 \quad\text{with}\quad \#\{j : w_j \ne 0\} = k

    where s is `sample_weight`, sigma_j is the standard deviation of column j, and lambda is `l2`.
    The scales of the columns do not matter.

    The search starts from forward and stagewise selection. It swaps one column for another until no
    swap helps (Hazimeh & Mazumder 2020, arXiv:1803.01454), and exchanges two for a pair of close
    columns. Then it perturbs the choice and swaps again, several times.

    Parameters
    ----------
    n_features : int, optional
        k, or with `groups` the number of groups. If the other columns are constant or sums of the
        chosen ones, fewer are chosen, with a warning.
    criterion : {"gicc", "gic", "bic", "ebic"}, optional
        Chooses k by plain least squares. "gicc" is the default if neither `n_features` nor `cv` is
        given. "gic" is "gicc" without the correction for few rows, and takes more columns. "ebic"
        takes the fewest among many columns. "bic" is for few columns and many rows.
    cv : int, splitter or iterable, optional
        Chooses the k with the least squared error on held-out folds.
    max_features : int, optional
        The largest k that `criterion` and `cv` try. By default it is n / log p, at most 50, and a
        criterion stops ten columns after its minimum.
    l2 : float, optional
        lambda >= 0, which shrinks the coefficients: a single one is divided by 1 + lambda. 0 is
        plain least squares. By default lambda is estimated. It grows with the noise, and with the
        number of subsets to choose from; it is nearly 0 with many rows or little noise. See
        :func:`l0.linear_model.shrinkage.ridge`.
    fit_intercept : bool, default True
        Whether there is a b.
    groups : array of length p, Series or dict, optional
        A label for each column. Columns with the same label are chosen together. A dict, or a
        Series with the names of the columns as its index, has the labels by name.
    must_keep : iterable of int or str, optional
        Columns that every choice contains, with their groups, by position or name. They count in k.
    nonnegative : bool, default False
        Whether all coefficients are at least 0. A chosen column may have the coefficient 0, and
        counts in k. Cannot be combined with `groups`.

    Attributes
    ----------
    coef_ : ndarray, shape (p,)
        w; 0 for columns that are not chosen.
    intercept_ : float
        b.
    support_ : ndarray of int64
        Positions of the chosen columns, ascending.
    n_features_selected_ : int
        The number of chosen columns.
    l2_ : float
        The lambda of `coef_`.
    swap_gap_ : float
        By how much the best swap of a chosen column (or group) for another would lower the
        objective, as a share of the variance of y. Up to 1e-9 (1e-6 in float32), no swap helps.
        It covers swaps of one for one, over all columns. Exchanges of two for two are only tried
        with the closest pairs of columns (correlation from .5 on) among those that screening
        keeps, and not with `groups` or `nonnegative`; it does not tell whether others would help.
    path_ : list of ndarray of int64
        The choice of each size tried, from the smallest on; only one with `n_features`. The size
        that is chosen is searched longest. To use another size k, fit with `n_features=k`: its
        choice may be better than `path_` has it.
    coefs_path_ : ndarray, shape (number of sizes, p)
        The coefficients of these choices. Each size has its own ridge unless `l2` is given.
    criterion_path_ : ndarray, shape (number of sizes,)
        What the choice of k minimised: the criterion, or the mean squared error on held-out folds;
        with `n_features`, the logarithm of the unexplained share.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Notes
    -----
    Weights count rows: a weight of 2 is the same as two rows, also for a criterion. The search
    considers every column. Where p is larger than 300 + 2 k, the swaps run on the most promising
    columns first, and on all columns at the end. Sparse matrices stay sparse.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Regressor
    >>> X = np.random.default_rng(0).normal(size=(100, 500))
    >>> y = 3 * X[:, 7] - 2 * X[:, 70]
    >>> model = L0Regressor(n_features=2).fit(X, y)
    >>> model.support_
    array([ 7, 70])
    >>> model.coef_[model.support_].round(6)
    array([ 3., -2.])

    No swap of one column for another fits better:

    >>> bool(model.swap_gap_ < 1e-9)
    True
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
        groups: ArrayLike | Mapping[Any, Any] | None = None,
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
            How many rows each row stands for.

        Returns
        -------
        L0Regressor
            Itself.

        Raises
        ------
        ValueError
            If `X` or `y` has NaN, if shapes do not match, or if an argument is out of its range.
        """
        check_kinds(X, y)
        X, y = validate_data(
            self,
            X,
            y,
            **ACCEPTED,
            y_numeric=True,
            ensure_min_samples=2,
        )
        if flag(self.nonnegative, "nonnegative") and self.groups is not None:
            raise InputError("`nonnegative` and `groups` cannot be combined; leave one out")
        if self.l2 is not None:
            not_negative(self.l2, "l2")
        y = np.asarray(y, np.float64)
        largest = float(np.abs(y).max())
        if largest and not LEAST < largest < MOST:
            raise InputError(
                f"`y` goes up to {largest:.3g}, and its square is no floating-point number; "
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
        # What a constant outcome leaves is a rounding error.
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
        if flag(self.nonnegative, "nonnegative") and len(columns):
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
        if left <= problem.statistics.rounding:
            return problem.with_l2(0.0)
        columns = problem.columns(search.units[search.chosen[size]])
        inverse = np.linalg.pinv(
            problem.statistics.block(columns), problem.statistics.spanned / 10, True
        )
        slopes = inverse @ problem.statistics.cross[columns]
        squares, spread = float(np.sum(slopes**2)) / total, float(np.trace(inverse))
        return problem.with_l2(ridge(left / total, choices, n, squares, spread / max(size, 1)))

    def _deviance(self, problem: Problem, value: float, n: float) -> float:
        total, rounding = problem.statistics.total, problem.statistics.rounding
        return n * float(np.log(max(total - value, rounding) / total)) if total > 0 else 0.0

    def _loss(self, model: Model, rows: Rows) -> float:
        return float(rows.weights @ (rows.y - model.scores(rows.x)[:, 0]) ** 2)
