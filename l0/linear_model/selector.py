"""A transformer that keeps the best columns."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from l0.common.errors import InputError, closest
from l0.common.validation import flag
from l0.linear_model.classifier import L0Classifier
from l0.linear_model.kinds import check_kinds
from l0.linear_model.regressor import L0Regressor

#: The estimator of each `loss`.
ESTIMATORS = {
    "squared": L0Regressor,
    "huber": L0Regressor,
    "poisson": L0Regressor,
    "logistic": L0Classifier,
}
#: As many different whole numbers are classes, unless `loss` says otherwise.
MOST_CLASSES = 10


class L0Selector(SelectorMixin, BaseEstimator):  # type: ignore[misc]
    """Keep the columns that an :class:`L0Regressor` or :class:`L0Classifier` chooses.

    Parameters
    ----------
    n_features : int, optional
        How many columns (or groups) to keep. By default `criterion` or `cv` chooses the number.
    loss : {"squared", "huber", "poisson", "logistic"}, optional
        "squared" is for numbers `y`, "huber" for numbers with outliers, "poisson" for counts (all
        three by `L0Regressor`), and "logistic" for classes (`L0Classifier`). By default `y` has
        classes if it has labels (text, booleans, categories) or two different whole numbers. If it
        has at most ten whole numbers, each in three rows or more on average, they are taken for
        classes too, with a warning: pass `loss` to say what they are.
    criterion, cv, one_standard_error, max_features, fit_intercept, groups, must_keep, nonnegative
        As in `L0Regressor`; `nonnegative` only for the loss "squared".
    coef_bounds, at_most_one, certify, certify_seconds
        As in `L0Regressor`; only for the loss "squared".
    l2 : float, optional
        As in that estimator. None is its default.

    Attributes
    ----------
    estimator_ : L0Regressor or L0Classifier
        The fitted estimator, with `path_`, `swap_gap_` and the other attributes.
    n_features_in_, feature_names_in_
        As in every estimator of scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from l0.linear_model import L0Selector
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> selector = L0Selector(n_features=3).set_output(transform="pandas")
    >>> list(selector.fit_transform(X, y).columns)
    ['bmi', 'bp', 's5']
    """

    def __init__(
        self,
        n_features: int | None = None,
        *,
        loss: str | None = None,
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
        self.n_features = n_features
        self.loss = loss
        self.criterion = criterion
        self.cv = cv
        self.one_standard_error = one_standard_error
        self.max_features = max_features
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.groups = groups
        self.must_keep = must_keep
        self.nonnegative = nonnegative
        self.coef_bounds = coef_bounds
        self.at_most_one = at_most_one
        self.certify = certify
        self.certify_seconds = certify_seconds

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> L0Selector:
        """Choose columns.

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
        L0Selector
            Itself.

        Raises
        ------
        ValueError
            If `loss` is not one of these, and as the estimator.
        """
        check_kinds(X, y, several=True)
        loss = _inferred_loss(y) if self.loss is None else self.loss
        if loss not in list(ESTIMATORS):  # a list, because `loss` may be unhashable
            raise InputError(f"`loss` {loss!r} is not known; {closest(loss, ESTIMATORS)}")
        validate_data(self, X, skip_check_array=True)
        settings = {
            name: value
            for name, value in self.get_params(deep=False).items()
            if not (name == "l2" and value is None)
        }
        settings["loss"] = loss
        if loss == "logistic":
            given = {
                "nonnegative": flag(self.nonnegative, "nonnegative"),
                "certify": flag(self.certify, "certify"),
                "coef_bounds": self.coef_bounds is not None,
                "at_most_one": self.at_most_one is not None,
            }
            for name in given:
                if given[name]:
                    raise InputError(
                        f'`{name}` needs `loss="squared"`, but `y` has classes; leave it out'
                    )
            for name in ("loss", "certify_seconds", *given):
                del settings[name]
        self.estimator_ = ESTIMATORS[loss](**settings).fit(X, y, sample_weight, groups=groups)
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[self.estimator_.support_] = True
        return mask


def _inferred_loss(y: Any) -> str:
    """Return the loss that suits y; warn where that is not certain."""
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or not len(values):
        return "squared"  # the estimator says what is wrong
    if values.dtype.kind not in "iuf":
        return "logistic" if type_of_target(values, "y") in ("binary", "multiclass") else "squared"
    distinct = np.unique(values)
    if not np.isfinite(distinct.astype(np.float64)).all() or (distinct % 1).any():
        return "squared"
    if len(distinct) <= 2:
        return "logistic" if len(distinct) == 2 else "squared"
    if len(distinct) > MOST_CLASSES or len(values) < 3 * len(distinct):
        return "squared"
    warnings.warn(
        f"`y` has {len(distinct)} different whole numbers, which are taken for classes; pass "
        'loss="logistic" if they are, or loss="squared" if they are numbers',
        stacklevel=3,
    )
    return "logistic"
