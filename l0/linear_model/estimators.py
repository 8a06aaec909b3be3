"""Which estimators the functions about a choice take, and what they ask of their rows."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from l0.common.errors import InputError
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.choice import Question, Stated
from l0.linear_model.design import Positions
from l0.linear_model.frames import feature_names
from l0.linear_model.rows import Rows

#: What rows are compared by differs by less than this share where they are the same.
SAME = 1e-5


def checked_estimator(estimator: Any, fitted: bool = False) -> SparseLinearModel:
    """Return an estimator, if it is one of this room, and fitted where it has to be.

    Raises
    ------
    InputError
        If it is another one.
    """
    if not isinstance(estimator, SparseLinearModel):
        hint = ", such as `selector.estimator_`" if hasattr(estimator, "get_support") else ""
        raise InputError(
            f"`estimator` is a {type(estimator).__name__}; pass an L0Regressor, L0Classifier or "
            f"L0Cox{hint}"
        )
    if fitted:
        try:
            check_is_fitted(estimator)
        except NotFittedError:
            raise InputError("`estimator` is not fitted; call its `fit` first") from None
    return estimator


def asked_again(
    estimator: SparseLinearModel, x: Any, y: Any, sample_weight: Any
) -> tuple[Rows, Question]:
    """Return rows as a fitted estimator reads them, and what its fit asked; it stays as it is.

    Raises
    ------
    InputError
        If the columns of `x` are not those of the fit.
    """
    again = copy(estimator)
    rows, _ = again._asked(x, y, sample_weight)
    if list(feature_names(estimator)) != list(feature_names(again)):
        raise InputError(
            "`X` has other columns than the `X` that `estimator` was fitted to; pass the same rows"
        )
    known, found = (np.atleast_1d(getattr(each, "_unit", 1.0)) for each in (estimator, again))
    if known.shape != found.shape or not np.allclose(known, found, rtol=SAME, atol=0):
        raise other_rows()
    return rows, estimator._fitted_question


def check_same_rows(estimator: SparseLinearModel, stated: Stated) -> None:
    """Refuse rows that are not those of the fit, by what does not depend on the choice.

    Raises
    ------
    InputError
        If the sum of the weights, the columns or their products with the outcome differ.
    """
    for known, found in zip(estimator._fingerprint, stated.fingerprint(), strict=True):
        least = SAME * np.abs(known).max(initial=0.0)
        if known.shape != found.shape or not np.allclose(known, found, rtol=SAME, atol=least):
            raise other_rows()


def other_rows() -> InputError:
    """Return the error for rows that are not those of the fit."""
    return InputError(
        "`X`, `y` and `sample_weight` are not those that `estimator` was fitted to; pass the same "
        "rows and weights, and fit again if its arguments have changed"
    )


def chosen_units(support: Positions, question: Question) -> Positions:
    """Return the units whose columns are chosen: the kept ones first, then the others ascending."""
    units = np.asarray(support, np.int64)
    if question.members is not None:
        whole = [np.isin(columns, support).all() for columns in question.members]
        units = np.flatnonzero(whole)
    return np.concatenate([question.kept, np.setdiff1d(units, question.kept)])
