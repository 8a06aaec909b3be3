"""The folds of `cv`: which rows a fit sees, and on which it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.model_selection import check_cv

from l0.common.errors import InputError
from l0.common.validation import checked_labels, is_whole_number
from l0.linear_model.rows import Rows


def folds(
    cv: Any, rows: Rows, classes: bool, groups: ArrayLike | None = None
) -> list[tuple[Rows, Rows]]:
    """Split rows into those of a fit, with positive weights, and those that are held out.

    Parameters
    ----------
    cv : int, splitter or iterable
    rows : Rows
    classes : bool
        Whether `y` has classes. A number of folds is then stratified.
    groups : array, shape (n,), optional
        The group of each row, for a splitter that keeps groups together.

    Returns
    -------
    list of pairs of Rows

    Raises
    ------
    InputError
        If `cv` cannot split the rows, if a fold leaves no row of positive weight to the fit, or if
        no row of positive weight is held out.
    """
    if groups is not None:
        if is_whole_number(cv) or not hasattr(cv, "split"):
            raise InputError(
                f"`groups` are for a splitter that keeps groups of rows together, but `cv` is "
                f"{cv!r}; pass `cv=GroupKFold(5)`, or leave `groups` out"
            )
        if np.ndim(groups) > 1:
            raise InputError(
                f"`groups` has shape {np.shape(groups)}; pass one label for each row, in one "
                "dimension"
            )
        groups = np.array(checked_labels(groups, len(rows.y), "groups", "rows of `X`"))
    try:
        splits = list(check_cv(cv, rows.y, classifier=classes).split(rows.x, rows.y, groups))
    except ValueError as error:
        raise InputError(
            f"`cv` cannot split these rows: {error} If the splitter needs groups of rows, "
            "pass them to `fit`, `groups=`, or pass its splits, "
            "`cv=list(splitter.split(X, y, groups))`"
        ) from error
    if not splits and isinstance(cv, Iterator):
        raise InputError(
            "`cv` is an iterator without further splits: an earlier fit has used them up; pass a "
            "list, `cv=list(...)`"
        )
    found = []
    for fold, (train, test) in enumerate(splits):
        part = rows.take(train)
        if not part.weights.any():
            raise InputError(
                f"`sample_weight` is 0 for all {len(part.weights):,} rows that fold {fold} of `cv` "
                "leaves to the fit; pass folds that each leave rows of positive weight"
            )
        found.append((part.counting(), rows.take(test)))
    if not any(rest.weights.any() for _, rest in found):
        raise InputError(
            "`cv` holds out no row of positive weight; pass splits whose second part has some"
        )
    return found
