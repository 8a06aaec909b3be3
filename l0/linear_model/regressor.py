"""Regression on the best columns: least squares, Huber's loss and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_tweedie_score
from sklearn.utils import Tags, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError, closest, first_few
from l0.common.validation import flag, not_negative
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.choice import Question
from l0.linear_model.design import CONSTANT
from l0.linear_model.kinds import check_kinds, check_numbers
from l0.linear_model.limits import Limits
from l0.linear_model.losses import HuberLoss, Loss, PoissonLoss, SquaredLoss
from l0.linear_model.rows import ACCEPTED, Rows, held_as

#: Sums of squares are floating-point numbers if the largest absolute outcome is between these.
LEAST, MOST = 1e-140, 1e140
#: The same for float32 columns: products with them, and coefficients, are float32 numbers.
SINGLE_LEAST, SINGLE_MOST = 1e-30, 1e30
LOSSES: dict[str, type[Loss]] = {
    "squared": SquaredLoss,
    "huber": HuberLoss,
    "poisson": PoissonLoss,
}
#: The ridge of the other losses where none is given.
RIDGE = 1e-3
#: The standard deviation of normal errors over their median absolute value.
MEDIAN = 1.4826


class L0Regressor(RegressorMixin, SparseLinearModel):  # type: ignore[misc]
    r"""Regression on the best k columns that a search finds.

    .. math::
        \min_{b, w} \; \frac{1}{\sum_i s_i} \sum_i s_i (y_i - b - x_i' w)^2
        + \lambda \sum_j \sigma_j^2 w_j^2 \quad\text{with}\quad \#\{j : w_j \ne 0\} = k

    where s is `sample_weight`, sigma_j is the standard deviation of column j, and lambda is `l2`.
    The scales of the columns do not matter. The other losses of `loss` stand under Notes.

    The search starts from forward and stagewise selection. It swaps one column for another until no
    swap helps (Hazimeh & Mazumder 2020, arXiv:1803.01454), and exchanges two for a pair of close
    columns. Then it perturbs the choice and swaps again, several times. With another loss than the
    squared one, a quadratic approximation ranks the swaps, and a swap is made only if it lowers the
    loss itself; pairs are not exchanged.

    Parameters
    ----------
    n_features : int, optional
        k, or with `groups` the number of groups. If the other columns are constant or sums of the
        chosen ones, fewer are chosen, with a warning.
    loss : {"squared", "huber", "poisson"}, default "squared"
        "squared" takes one outcome, or several that share their columns. "huber" is for outcomes
        with outliers. "poisson" is for counts and rates, whose logarithm is linear.
    criterion : {"gicc", "gic", "bic", "ebic", "aic"}, optional
        Chooses k, without shrinkage in the squared loss. "gicc" is the default if neither
        `n_features` nor `cv` is given. "gic" is "gicc" without the correction for few rows, and
        takes more columns. "ebic" takes the fewest among many columns. "bic" is for few columns and
        many rows. "aic" does not count that columns are chosen from many.
    cv : int, splitter or iterable, optional
        Chooses the k with the least loss on held-out folds.
    one_standard_error : bool, default False
        With `cv`, whether to choose the smallest k whose loss is at most one standard error above
        the least one. The standard error is that of the mean over folds at the least one.
    max_features : int, optional
        The largest k that `criterion` and `cv` try. By default it is n / log p, at most 50, and a
        criterion stops ten columns after its minimum.
    l2 : float, optional
        lambda >= 0, which shrinks the coefficients: a single one is divided by 1 + lambda. 0 is
        plain least squares. By default lambda is estimated. It grows with the noise, and with the
        number of subsets to choose from; it is nearly 0 with many rows or little noise. See
        :func:`l0.linear_model.shrinkage.ridge`. With another loss, the default is .001.
    fit_intercept : bool, default True
        Whether there is a b.
    groups : array of length p, Series or dict, optional
        A label for each column. Columns with the same label are chosen together. A dict, or a
        Series with the names of the columns as its index, has the labels by name. A name in a dict
        may have wildcards, as in ``{"region_*": "region"}``; a column that no name of such a dict
        fits is then a group of its own.
    must_keep : iterable of int or str, optional
        Columns that every choice contains, with their groups, by position or name. They count in k.
    nonnegative : bool, default False
        Whether all coefficients are at least 0. A chosen column may have the coefficient 0, and
        counts in k. Only for the squared loss of one outcome.
    coef_bounds : array of shape (p, 2), dict or DataFrame, optional
        The least and the largest coefficient of each column, in the units of X and y. 0 lies
        between them, and ``-np.inf`` and ``np.inf`` are no bounds. A dict has the pair of a column
        by its name or position, and a DataFrame may have the names as its index; columns that they
        lack have no bounds. Only for the squared loss of one outcome.
    at_most_one : list of lists of int or str, optional
        Sets of columns, by position or name: of each set, at most one is chosen. With `groups`, a
        group comes in by any of its columns. Sets may overlap. Only for the squared loss.
    certify : bool, default False
        Whether to bound how far the choice may be from the best one, and to go on looking for a
        better one: see `optimality_gap_`. For the squared loss of one outcome, at most 1,000
        columns, and not with `groups`, `nonnegative`, `coef_bounds` or `at_most_one`.
    certify_seconds : float, default 60
        The most seconds for that. There is a first bound in any case, and a step of a bound may
        take longer than what is left: up to some seconds with 1,000 columns.

    Attributes
    ----------
    coef_ : ndarray, shape (p,), or (number of outcomes, p) with two-dimensional y
        w; 0 for columns that are not chosen.
    intercept_ : float, or ndarray of shape (number of outcomes,)
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
        keeps, and not with `groups`, bounds or `at_most_one`; it does not tell whether others would
        help. Swaps that `at_most_one` does not allow do not count.
        With another loss than the squared one, it covers the 20 most promising swaps.
    optimality_gap_ : float
        With `certify`, the most by which any choice of `n_features_selected_` columns would lower
        the objective, as a share of the variance of y. 0 means that no choice is better by more
        than 1e-9 (1e-6 in float32). The objective is that of the formula above with this k and the
        lambda `l2_`; whether another k or lambda is better, it does not tell. Choices with a column
        that is a sum of the others do not count. See Notes.
    path_ : list of ndarray of int64
        The choice of each size tried, from the smallest on; only one with `n_features`. The size
        that is chosen is searched longest. To use another size k, fit with `n_features=k`: its
        choice may be better than `path_` has it.
    coefs_path_ : ndarray, shape (number of sizes, p) or (number of sizes, number of outcomes, p)
        The coefficients of these choices. Each size has its own ridge unless `l2` is given.
    intercepts_path_ : ndarray, shape (number of sizes,) or (number of sizes, number of outcomes)
        The intercepts of these choices.
    criterion_path_ : ndarray, shape (number of sizes,)
        What the choice of k minimised: the criterion, or the mean loss of a row on held-out folds
        (the squared error, half the Poisson deviance, or Huber's loss in units of the scale of y);
        with `n_features`, the logarithm of the unexplained share, or the deviance of a row. In the
        criterion and with `n_features`, the penalty of the ridge is a part of what is unexplained.
        Several outcomes have one number for each size, too: see Notes.
    fold_losses_path_ : ndarray, shape (number of sizes, number of folds)
        With `cv`, the mean loss of a row of each fold; NaN for a fold whose rows have no weight.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Notes
    -----
    Weights count rows: a weight of 2 is the same as two rows, also for a criterion. The search
    considers every column. Where p is larger than 300 + 2 k, the swaps run on the most promising
    columns first, and on all columns at the end. Sparse matrices stay sparse.

    **Several outcomes** share their columns. Each is divided by its standard deviation, so that
    their scales do not matter; the criterion counts a slope for each outcome. With m outcomes, n
    rows and S the mean over the outcomes of the unexplained share, `criterion_path_` is m n log S
    and the penalty of the criterion, or with `n_features` m log S. With `cv` it is the squared
    error of the divided outcomes, averaged over rows and outcomes: near 1 without columns.

    **Huber's loss** is, with h half the square up to 1.345 and linear beyond,

    .. math::
        \min_{b, w, \sigma} \; \frac{1}{\sum_i s_i} \sum_i s_i \Big( \frac{\beta \sigma}{2}
        + \sigma \, h\Big(\frac{y_i - b - x_i' w}{\sigma}\Big) \Big)
        + \frac{\lambda}{2} \sum_j \sigma_j^2 w_j^2

    where the scale sigma of the errors is estimated beside the slopes (Huber & Ronchetti 2009,
    "Robust statistics", section 7.7, proposal 2). y is in units of its scale here, which is its
    median absolute deviation times 1.4826. What a criterion takes for the deviance falls, from
    one size to the next, by 2 n / .865 times what the loss falls in units of sigma.

    **Counts** have the Poisson loss :math:`e^f - y f`, with :math:`f = b + x' w`, over the mean of
    y, so that lambda does not depend on the unit of y. For counts over an exposure, pass the rate
    as `y` and the exposure as `sample_weight`.

    **A certificate** comes from branch and bound. Each bound is a perspective relaxation (Bertsimas
    & Van Parys 2020, Annals of Statistics 48(1); Hazimeh, Mazumder & Saab 2021, Mathematical
    Programming 196), in which lambda and a diagonal part of X'X together shrink. That part is the
    one with the best bound (Dong, Chen & Linderoth 2015, arXiv:1510.06083). Columns that are nearly
    sums of others, and more columns than rows, leave little but lambda: the gap stays large then.

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

    No other three of these forty columns fit better:

    >>> noisy = y + np.random.default_rng(1).normal(size=100)
    >>> L0Regressor(n_features=3, certify=True).fit(X[:, :40], noisy).optimality_gap_
    0.0
    """

    def __init__(
        self,
        n_features: int | None = None,
        *,
        loss: str = "squared",
        criterion: str | None = None,
        cv: Any = None,
        one_standard_error: bool = False,
        max_features: int | None = None,
        l2: float | None = None,
        fit_intercept: bool = True,
        groups: ArrayLike | Mapping[Any, Any] | None = None,
        must_keep: Iterable[Any] | None = None,
        nonnegative: bool = False,
        coef_bounds: ArrayLike | Mapping[Any, Any] | None = None,
        at_most_one: Iterable[Iterable[Any]] | None = None,
        certify: bool = False,
        certify_seconds: float = 60.0,
    ) -> None:
        super().__init__(
            n_features,
            criterion=criterion,
            cv=cv,
            one_standard_error=one_standard_error,
            max_features=max_features,
            l2=l2,
            fit_intercept=fit_intercept,
            groups=groups,
            must_keep=must_keep,
        )
        self.loss = loss
        self.nonnegative = nonnegative
        self.coef_bounds = coef_bounds
        self.at_most_one = at_most_one
        self.certify = certify
        self.certify_seconds = certify_seconds

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self._takes_several
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> L0Regressor:
        """Choose columns and fit them.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        y : array, shape (n,), or (n, number of outcomes) with the squared loss
        sample_weight : array, shape (n,), optional
            How many rows each row stands for.
        groups : array, shape (n,), optional
            The group of each row, for a splitter in `cv` that keeps groups together, such as
            `GroupKFold`. (Groups of columns are an argument of the estimator.)

        Returns
        -------
        L0Regressor
            Itself.

        Raises
        ------
        ValueError
            If `X` or `y` has NaN, text or dates, or `X` categories, if shapes do not match, or if
            an argument is out of its range.
        """
        rows, question = self._asked(X, y, sample_weight)
        self._choose(rows, question, groups)
        dtype, unit = rows.x.dtype, self._unit
        self.coefs_path_ = held_as(dtype, self.coefs_path_ * np.reshape(unit, (-1, 1)))
        self.intercepts_path_ = self.intercepts_path_ * unit + self._shift
        if rows.y.ndim == 1:
            self.coefs_path_, self.intercepts_path_ = (
                self.coefs_path_[:, 0],
                self.intercepts_path_[:, 0],
            )
        if question.bounds is not None:
            # A coefficient at a bound meets it up to rounding errors of the scale of its column.
            self.coefs_path_ = np.clip(self.coefs_path_, *question.bounds.T.astype(dtype))
        place = self._sizes.index(self._size)
        self.coef_ = self.coefs_path_[place].copy()
        intercept = self.intercepts_path_[place]
        self.intercept_ = float(intercept) if rows.y.ndim == 1 else intercept.astype(dtype)
        return self

    def predict(self, X: Any) -> NDArray[np.floating[Any]]:
        """Predict y.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n,), or (n, number of outcomes)
        """
        check_is_fitted(self)
        return self._predicted(X, self.coef_, self.intercept_)

    def predict_at(self, X: Any, n_features: int) -> NDArray[np.floating[Any]]:
        """Predict y with the model of another size of the path.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        n_features : int
            A size of the path: a number of columns, or with `groups` of groups.

        Returns
        -------
        ndarray, shape (n,), or (n, number of outcomes)

        Raises
        ------
        ValueError
            If the path does not have this size.
        """
        place = self._place(n_features)
        return self._predicted(X, self.coefs_path_[place], self.intercepts_path_[place])

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the explained share: R2, and for counts the share of the deviance (D2).

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        y : array, shape (n,), or (n, number of outcomes)
        sample_weight : array, shape (n,), optional

        Returns
        -------
        float
        """
        if self.loss != "poisson":
            return float(super().score(X, y, sample_weight))
        return float(d2_tweedie_score(y, self.predict(X), sample_weight=sample_weight, power=1))

    def _asked(
        self, x: Any, y: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Rows, Question]:
        if self.loss not in list(LOSSES):  # a list, because `loss` may be unhashable
            raise InputError(f"`loss` {self.loss!r} is not known; {closest(self.loss, LOSSES)}")
        limits = self._limits()
        self._check_loss_of_limits()
        several = self._takes_several
        check_kinds(x, y, several)
        check_numbers(y, "y")
        x, y = validate_data(
            self, x, y, **ACCEPTED, y_numeric=True, multi_output=several, ensure_min_samples=2
        )
        rows = self._rows(x, self._checked_outcome(y, x.dtype), sample_weight)
        seconds = self._seconds(rows.y.ndim)
        self._shift, self._unit = self._location(rows.counting())
        l2 = RIDGE if self.l2 is None and self.loss != "squared" else self.l2
        rows = Rows(rows.x, (rows.y - self._shift) / self._unit, rows.weights)
        return rows, self._question(rows, LOSSES[self.loss], l2, limits, seconds)

    def _limits(self) -> Limits:
        """Return what coefficients and choices must keep to."""
        return Limits(flag(self.nonnegative, "nonnegative"), self.coef_bounds, self.at_most_one)

    @property
    def _takes_several(self) -> bool:
        """Whether y may have several columns."""
        return self.loss == "squared" and not self.nonnegative and self.coef_bounds is None

    def _check_loss_of_limits(self) -> None:
        """Refuse limits that the loss does not take."""
        limits = {
            "nonnegative": self.nonnegative,
            "coef_bounds": self.coef_bounds is not None,
            "at_most_one": self.at_most_one is not None,
        }
        for argument, given in limits.items():
            if given and self.loss != "squared":
                raise InputError(f'`{argument}` needs `loss="squared"`; leave one of them out')

    def _seconds(self, dimensions: int) -> float | None:
        """Return the seconds for a certificate; None where none is asked."""
        seconds = not_negative(self.certify_seconds, "certify_seconds")
        if not flag(self.certify, "certify"):
            return None
        against = {
            f'`loss="{self.loss}"`': self.loss != "squared",
            "several outcomes": dimensions > 1,
            "`groups`": self.groups is not None,
            "`nonnegative`": self.nonnegative,
            "`coef_bounds`": self.coef_bounds is not None,
            "`at_most_one`": self.at_most_one is not None,
        }
        wrong = [what for what, given in against.items() if given]
        if wrong:
            raise InputError(
                f"`certify` has no bound for {' and '.join(wrong)}; it is for the squared loss of "
                "one outcome, on single columns without bounds. Leave one of them out"
            )
        return seconds

    def _checked_outcome(self, y: Any, dtype: np.dtype[Any]) -> NDArray[np.float64]:
        """Return y as numbers whose products are numbers, in the shape that the loss takes."""
        y = np.asarray(y, np.float64)
        if y.ndim == 2 and not self._takes_several:
            y = np.asarray(column_or_1d(y, warn=True), np.float64)
        largest = float(np.abs(y).max())
        if largest and not LEAST < largest < MOST:
            raise InputError(
                f"`y` goes up to {largest:.3g}, and its square is no floating-point number; "
                f"divide `y` by {largest:.0e}"
            )
        if largest and dtype == np.float32 and not SINGLE_LEAST < largest < SINGLE_MOST:
            raise InputError(
                f"`y` goes up to {largest:.3g}, and its products with the columns of `X` are no "
                f"float32 numbers; divide `y` by {largest:.0e}, or pass `X` in double precision"
            )
        if self.loss == "poisson" and (y < 0).any():
            raise InputError(
                f"`y` is negative in the rows {first_few(np.flatnonzero(y < 0).tolist())}; "
                '`loss="poisson"` is for counts and rates'
            )
        return np.asarray(y)

    def _location(self, rows: Rows) -> tuple[Any, Any]:
        """Return what is taken from y, and by what it is then divided, for its scale to be 1."""
        if rows.y.ndim == 2:
            share = rows.weights / rows.weights.sum()
            centred = rows.y - (share @ rows.y if self.fit_intercept else 0.0)
            spread = np.sqrt(share @ centred**2)
            return 0.0, np.where(spread > CONSTANT * np.abs(rows.y).max(axis=0), spread, 1.0)
        if self.loss != "huber":
            return 0.0, 1.0
        middle = _median(rows.y, rows.weights) if self.fit_intercept else 0.0
        errors = np.abs(rows.y - middle)
        spread = MEDIAN * _median(errors, rows.weights) or float(errors.mean()) or 1.0
        return middle, spread

    def _predicted(
        self, X: Any, coefficients: NDArray[Any], intercept: Any
    ) -> NDArray[np.floating[Any]]:
        X = self._read(X)
        scores = np.asarray(X @ coefficients.T + np.asarray(intercept, X.dtype))
        return np.asarray(np.exp(scores)) if self.loss == "poisson" else scores


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the weighted median."""
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, 0.5 * summed[-1])])
