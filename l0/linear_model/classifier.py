"""Logistic regression on the best columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError, first_few
from l0.common.validation import is_number, not_negative
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.choice import Question
from l0.linear_model.kinds import check_kinds
from l0.linear_model.logistic_loss import LogisticLoss
from l0.linear_model.rows import ACCEPTED, Rows, held_as


class L0Classifier(ClassifierMixin, SparseLinearModel):  # type: ignore[misc]
    r"""Logistic regression, binary or multinomial, on exactly k columns.

    .. math::
        \min_{b, w} \; \frac{1}{\sum_i s_i} \sum_i s_i \ell(y_i, b + x_i' w)
        + \frac{\lambda}{2} \sum_j \sigma_j^2 \lVert w_j \rVert^2
        \quad\text{with}\quad \#\{j : w_j \ne 0\} = k

    where l is the negative log-likelihood, s is `sample_weight`, sigma_j is the standard deviation
    of column j, and lambda is `l2`. A column is chosen for all classes at once.

    The search is that of :class:`L0Regressor`, on a quadratic approximation of the loss at the
    current fit. A swap is made only if it lowers the loss itself; at the end, the 20 most promising
    swaps are checked so. With more than two million entries of X (and more rows than columns) the
    perturbations run on that approximation alone, and swaps are only checked on the loss whose new
    column makes up for half of what the old one explains.

    Parameters
    ----------
    n_features : int, optional
        k, or with `groups` the number of groups. If the other columns are constant or sums of the
        chosen ones, fewer are chosen, with a warning.
    criterion : {"gicc", "gic", "bic", "ebic", "aic"}, optional
        Chooses k. "gicc" is the default if neither `n_features` nor `cv` is given.
    cv : int, splitter or iterable, optional
        Chooses the k with the least log loss on held-out folds.
    one_standard_error : bool, default False
        With `cv`, whether to choose the smallest k whose loss is at most one standard error above
        the least one.
    max_features : int, optional
        The largest k that `criterion` and `cv` try. By default it is n / log p, at most 50, and a
        criterion stops ten columns after its minimum.
    l2 : float, default 1e-3
        lambda >= 0. If the chosen columns separate the classes, the coefficients are finite only
        with a positive lambda; with 0, a warning says so.
    fit_intercept : bool, default True
        Whether there is a b.
    groups : array of length p, Series or dict, optional
        A label for each column; see :class:`L0Regressor`.
    must_keep : iterable of int or str, optional
        Columns that every choice contains, with their groups, by position or name. They count in k.
    class_weight : dict, "balanced" or None, optional
        By how much the rows of each class count more than others: a number for each label (1 for
        one that is left out), or "balanced" for classes that count the same. A criterion then
        counts Kish's effective number of rows, (sum of weights)^2 / sum of squared weights, since
        few rows do not tell more by counting more.

    Attributes
    ----------
    classes_ : ndarray, shape (number of classes,)
        The labels.
    coef_ : ndarray, shape (1, p), or (number of classes, p) with more than two
        w; 0 for columns that are not chosen.
    intercept_ : ndarray, shape (1,) or (number of classes,)
        b.
    support_ : ndarray of int64
        Positions of the chosen columns, ascending.
    n_features_selected_ : int
        The number of chosen columns.
    l2_ : float
        The lambda of `coef_`, that is `l2`.
    swap_gap_ : float
        By how much the best of the checked swaps would lower twice the objective, as a share of the
        variance of the indicators. Up to 1e-9 (1e-6 in float32), none of them helps. It covers
        swaps of one column (or group) for one; exchanges of two for two are not tried.
    path_ : list of ndarray of int64
        The choice of each size tried, from the smallest on; only one with `n_features`. The size
        that is chosen is searched longest. To use another size k, fit with `n_features=k`: its
        choice may be better than `path_` has it.
    coefs_path_ : ndarray, shape (number of sizes, 1 or number of classes, p)
        The coefficients of these choices.
    intercepts_path_ : ndarray, shape (number of sizes, 1 or number of classes)
        The intercepts of these choices.
    criterion_path_ : ndarray, shape (number of sizes,)
        What the choice of k minimised: the criterion, or the mean log loss of a row on held-out
        folds; with `n_features`, twice the objective. There is one number for each size, however
        many classes there are. The criterion is twice the objective times the number of rows, and a
        penalty that counts a slope less for each column than there are classes.
    fold_losses_path_ : ndarray, shape (number of sizes, number of folds)
        With `cv`, the mean log loss of a row of each fold; NaN for a fold whose rows have no
        weight.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Classifier
    >>> X = np.random.default_rng(0).normal(size=(200, 300))
    >>> y = np.where(X[:, 7] > X[:, 70], "yes", "no")
    >>> model = L0Classifier(n_features=2).fit(X, y)
    >>> model.support_
    array([ 7, 70])
    >>> model.predict(X[:3]).tolist() == y[:3].tolist()
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
        fit_intercept: bool = True,
        groups: ArrayLike | Mapping[Any, Any] | None = None,
        must_keep: Iterable[Any] | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
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
        self.class_weight = class_weight

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> L0Classifier:
        """Choose columns and fit them.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        y : array of labels, shape (n,)
        sample_weight : array, shape (n,), optional
            How many rows each row stands for.
        groups : array, shape (n,), optional
            The group of each row, for a splitter in `cv` that keeps groups together, such as
            `GroupKFold`. (Groups of columns are an argument of the estimator.)

        Returns
        -------
        L0Classifier
            Itself.

        Raises
        ------
        ValueError
            If `X` has NaN, text, dates or categories, if shapes do not match, if `y` has one class
            only, or if an argument is out of its range.
        """
        rows, question = self._asked(X, y, sample_weight)
        self._choose(rows, question, groups)
        self.coefs_path_ = held_as(rows.x.dtype, self.coefs_path_)
        self.intercepts_path_ = self.intercepts_path_.astype(rows.x.dtype)
        place = self._sizes.index(self._size)
        self.coef_ = self.coefs_path_[place].copy()
        self.intercept_ = self.intercepts_path_[place].copy()
        return self

    def decision_function(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the linear predictor.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n,), or (n, number of classes) with more than two
        """
        check_is_fitted(self)
        return self._scores(X, self.coef_, self.intercept_)

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the probability of each class.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n, number of classes)
        """
        return np.asarray(np.exp(self.predict_log_proba(X)))

    def predict_log_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Return the logarithm of the probability of each class; finite where that rounds to 0.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n, number of classes)
        """
        return _log_probabilities(self.decision_function(X))

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)

        Returns
        -------
        ndarray, shape (n,)
        """
        return self._labels(self.decision_function(X))

    def predict_at(self, X: Any, n_features: int) -> NDArray[Any]:
        """Return the most probable class of each row, by the model of another size of the path.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        n_features : int
            A size of the path: a number of columns, or with `groups` of groups.

        Returns
        -------
        ndarray, shape (n,)

        Raises
        ------
        ValueError
            If the path does not have this size.
        """
        return self._labels(self._scores_at(X, n_features))

    def predict_proba_at(self, X: Any, n_features: int) -> NDArray[np.floating[Any]]:
        """Return the probability of each class, by the model of another size of the path.

        Parameters
        ----------
        X : array, sparse matrix or frame, shape (n, p)
        n_features : int
            A size of the path: a number of columns, or with `groups` of groups.

        Returns
        -------
        ndarray, shape (n, number of classes)

        Raises
        ------
        ValueError
            If the path does not have this size.
        """
        return np.asarray(np.exp(_log_probabilities(self._scores_at(X, n_features))))

    def _asked(
        self, x: Any, y: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[Rows, Question]:
        check_kinds(x, y)
        x, y = validate_data(self, x, y, **ACCEPTED, ensure_min_samples=2)
        check_classification_targets(y)
        rows = self._rows(x, np.asarray(y), sample_weight)
        self.classes_ = np.unique(rows.counting().y)
        if len(self.classes_) < 2:
            raise InputError("`y` has one class only; pass rows of two or more")
        # A row of weight 0 may have a class that no other row has. Its code is never used.
        codes = np.minimum(np.searchsorted(self.classes_, rows.y), len(self.classes_) - 1)
        rows = Rows(rows.x, codes, self._weighted(codes, rows.weights))
        loss_of = partial(LogisticLoss, labels=self.classes_)
        return rows, self._question(rows, loss_of, not_negative(self.l2, "l2"))

    def _scores_at(self, X: Any, n_features: Any) -> NDArray[np.floating[Any]]:
        place = self._place(n_features)
        return self._scores(X, self.coefs_path_[place], self.intercepts_path_[place])

    def _scores(
        self, X: Any, coefficients: NDArray[Any], intercept: NDArray[Any]
    ) -> NDArray[np.floating[Any]]:
        X = self._read(X)
        scores = np.asarray(X @ coefficients.T + intercept)
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def _labels(self, scores: NDArray[Any]) -> NDArray[Any]:
        codes = (scores > 0).astype(np.int64) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[codes])

    def _weighted(
        self, codes: NDArray[np.int64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Multiply the weights of rows by those of their classes.

        The sum is then Kish's effective number of rows, which a criterion counts: where a few rows
        of a rare class weigh as much as all others, they do not inform like as many rows.
        """
        if self.class_weight is None:
            return weights
        counts = np.bincount(codes, weights)
        if isinstance(self.class_weight, Mapping):
            wrong = [label for label in self.class_weight if label not in list(self.classes_)]
            values = [self.class_weight.get(label, 1.0) for label in self.classes_.tolist()]
            if wrong or not all(is_number(v) and 0 < v < np.inf for v in values):
                raise InputError(
                    f"`class_weight` is {dict(self.class_weight)!r}; pass a positive number for "
                    f"some of the classes {first_few(self.classes_.tolist())}"
                )
            factors = np.array(values, np.float64)
        elif isinstance(self.class_weight, str) and self.class_weight == "balanced":
            factors = counts.sum() / (len(counts) * counts)
        else:
            raise InputError(
                f'`class_weight` is {self.class_weight!r}; pass "balanced", or a dict with a '
                "positive number for each class"
            )
        effective = float(counts @ factors) ** 2 / float(counts @ factors**2)
        return np.asarray(weights * factors[codes] * effective / float(counts @ factors))


def _log_probabilities(scores: NDArray[Any]) -> NDArray[np.floating[Any]]:
    """Turn linear predictors of all classes, or of the second of two, into log probabilities."""
    if scores.ndim == 1:
        scores = np.column_stack([np.zeros_like(scores), scores])
    return np.asarray(log_softmax(scores, axis=1))
