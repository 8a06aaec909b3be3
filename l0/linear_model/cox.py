"""Cox's model of survival times on the best columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError
from l0.common.formatting import counted
from l0.common.validation import not_negative, real_numbers
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.choice import Question
from l0.linear_model.cox_loss import CoxLoss
from l0.linear_model.kinds import check_columns
from l0.linear_model.rows import ACCEPTED, Rows, checked_weights, held_as
from l0.linear_model.survival import concordance, survival


class L0Cox(SparseLinearModel):
    r"""Cox's proportional hazards on exactly k columns, for times that may be censored.

    The hazard of row i at time t is :math:`h_0(t) \, e^{x_i' w}`, and w minimises

    .. math::
        -\frac{1}{\sum_i s_i d_i} \sum_i s_i d_i
        \Big( x_i' w - \log \sum_{j: t_j \ge t_i} s_j e^{x_j' w} \Big)
        + \frac{\lambda}{2} \sum_j \sigma_j^2 w_j^2
        \quad\text{with}\quad \#\{j : w_j \ne 0\} = k

    where t is the time, d is 1 if an event ended it and 0 if the row is censored, s is
    `sample_weight`, sigma_j is the standard deviation of column j, and lambda is `l2`. Rows with
    the same time of an event share one risk set (Breslow 1974, Biometrics 30(1)).

    The search is that of :class:`L0Classifier`: a quadratic approximation ranks the swaps, and a
    swap is made only if it lowers the loss itself.

    Parameters
    ----------
    n_features : int, optional
        k, or with `groups` the number of groups. If the other columns are constant or sums of the
        chosen ones, fewer are chosen, with a warning.
    criterion : {"gicc", "gic", "bic", "ebic", "aic"}, optional
        Chooses k. "gicc" is the default if neither `n_features` nor `cv` is given. The rows that it
        counts are the events (Volinsky & Raftery 2000, Biometrics 56(1)).
    cv : int, splitter or iterable, optional
        Chooses the k with the least loss on held-out folds: by how much the rows of a fold raise
        the loss of the other rows (Verweij & van Houwelingen 1993, Statistics in Medicine 12(24)).
    one_standard_error : bool, default False
        With `cv`, whether to choose the smallest k up to one standard error above the least loss.
    max_features : int, optional
        The largest k that `criterion` and `cv` try. By default it is n / log p, at most 50, and a
        criterion stops ten columns after its minimum.
    l2 : float, default 1e-3
        lambda >= 0. With 0, the chosen columns may order the events so well that the likelihood has
        no maximum, which is an error.
    groups : array of length p, Series or dict, optional
        A label for each column; see :class:`L0Regressor`.
    must_keep : iterable of int or str, optional
        Columns that every choice contains, with their groups, by position or name. They count in k.

    Attributes
    ----------
    coef_ : ndarray, shape (p,)
        w, logarithms of hazard ratios; 0 for columns that are not chosen.
    support_ : ndarray of int64
        Positions of the chosen columns, ascending.
    n_features_selected_ : int
        The number of chosen columns.
    times_ : ndarray, shape (number of different times,)
        The times of the rows, ascending.
    baseline_hazard_ : ndarray, shape (number of different times,)
        The cumulative hazard at these times of a row with the means of the columns (Breslow's
        estimate).
    l2_, swap_gap_, path_, coefs_path_, criterion_path_, fold_losses_path_
        As in :class:`L0Classifier`; one row of coefficients for each size.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Cox
    >>> generator = np.random.default_rng(0)
    >>> X = generator.normal(size=(300, 200))
    >>> time = generator.exponential(np.exp(X[:, 70] - X[:, 7]))
    >>> seen = generator.exponential(2, size=300)  # censored then
    >>> y = np.column_stack([np.minimum(time, seen), time <= seen])
    >>> model = L0Cox(n_features=2).fit(X, y)
    >>> model.support_
    array([ 7, 70])
    >>> bool(model.score(X, y) > 0.7)
    True
    """

    def __init__(
        self,
        n_features: int | None = None,
        *,
        criterion: str | None = None,
        cv: Any = None,
        one_standard_error: bool = False,
        max_features: int | None = None,
        l2: float = 1e-3,
        groups: Any = None,
        must_keep: Any = None,
    ) -> None:
        # The baseline hazard takes up any constant, so that columns are centred.
        super().__init__(
            n_features,
            criterion=criterion,
            cv=cv,
            one_standard_error=one_standard_error,
            max_features=max_features,
            l2=l2,
            groups=groups,
            must_keep=must_keep,
        )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> L0Cox:
        """Choose columns and fit them.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        y : array of shape (n, 2), frame, or structured array of shape (n,)
            The time of each row in the first column, and in the second 1 for an event or 0 where
            the row is censored. In a structured array, the boolean field is the event.
        sample_weight : array, shape (n,), optional
            How many rows each row stands for.
        groups : array, shape (n,), optional
            The group of each row, for a splitter in `cv` that keeps groups together, such as
            `GroupKFold`. (Groups of columns are an argument of the estimator.)

        Returns
        -------
        L0Cox
            Itself.

        Raises
        ------
        ValueError
            If `X` or `y` has NaN, text or dates, or `X` categories, if `y` has no event, if shapes
            do not match, or if an argument is out of its range.
        """
        rows, question = self._asked(X, y, sample_weight)
        choice = self._choose(rows, question, groups)
        assert isinstance(choice.loss, CoxLoss)
        self.coefs_path_ = held_as(rows.x.dtype, self.coefs_path_[:, 0])
        self.coef_ = self.coefs_path_[self._sizes.index(self._size)].copy()
        self._centre = float(choice.standardised.mean @ self.coef_)
        counting = rows.counting()
        scores = np.asarray(counting.x @ self.coef_, np.float64)[:, None] - self._centre
        self.times_, self.baseline_hazard_ = choice.loss.baseline(scores)
        del self.intercepts_path_
        return self

    def _asked(
        self, x: Any, y: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Rows, Question]:
        check_columns(x)
        x = validate_data(self, x, **ACCEPTED, ensure_min_samples=2)
        rows = self._rows(x, _times(y, x.shape[0]), sample_weight)
        return rows, self._question(rows, CoxLoss, not_negative(self.l2, "l2"))

    def predict(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the logarithm of the hazard, relative to a row with the means of the columns.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n,)
        """
        check_is_fitted(self)
        X = self._read(X)
        return np.asarray(X @ self.coef_ - X.dtype.type(self._centre))

    def predict_survival(self, X: Any, times: ArrayLike) -> NDArray[np.float64]:
        """Return the probability that a row has no event up to a time.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        times : array, shape (m,)
            At most the last time of the rows of the fit.

        Returns
        -------
        ndarray of float64, shape (n, m)

        Raises
        ------
        ValueError
            If a time is beyond the last time of the fit, about which the data say nothing; or if
            `times` has several axes.
        """
        risks = np.exp(np.asarray(self.predict(X), np.float64))
        asked = np.atleast_1d(real_numbers(times, "times")).astype(np.float64)
        if asked.ndim > 1:
            raise InputError(f"`times` has the shape {asked.shape}; pass a list of times")
        if not (asked <= self.times_[-1]).all():
            raise InputError(
                f"`times` goes up to {asked.max():.6g}, but the last time of the fit is "
                f"{self.times_[-1]:.6g}; pass times up to it"
            )
        before = np.searchsorted(self.times_, asked, side="right")
        hazard = np.append(0.0, self.baseline_hazard_)[before]
        return np.asarray(np.exp(-np.outer(risks, hazard)))

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the concordance index of Harrell; 0.5 is chance.

        It is the share of comparable pairs of rows in which the row with the larger hazard ends
        first.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        y : as in `fit`
        sample_weight : array, shape (n,), optional
            A pair counts by the product of its weights.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If `y` has not a row for each row of `X`, or a weight is negative.
        """
        scores = np.asarray(self.predict(X), np.float64)
        times = _times(y, len(scores))
        return concordance(times, scores, checked_weights(sample_weight, scores))


def _times(y: Any, n_rows: int) -> NDArray[np.float64]:
    """Read the times and events, and check that there is one for each row."""
    times = survival(y)
    if len(times) != n_rows:
        raise InputError(
            f"`y` has {counted(len(times), 'row')}, but `X` has {n_rows:,}; pass a time for "
            "each row"
        )
    return times
