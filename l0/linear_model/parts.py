"""Rows in two random parts, each with its share of every class or of the events."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_sample_weight

from l0.common.errors import InputError, first_few
from l0.common.validation import is_whole_number
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.classifier import L0Classifier
from l0.linear_model.cox import L0Cox
from l0.linear_model.design import Positions
from l0.linear_model.rows import Rows


class Parts:
    """What a fit is passed, of which it can take some rows.

    Rows of weight 0 are in no part.

    Parameters
    ----------
    estimator : L0Regressor, L0Classifier or L0Cox
        Its folds must not be listed, since they would be those of all rows.
    x : array, sparse matrix or frame, shape (n, p)
    y : array
    sample_weight : array, shape (n,), optional
    rows : Rows
        The same rows, as the estimator reads them.

    Raises
    ------
    InputError
        If `cv` of the estimator lists its folds, or if a class has one row only, or `y` one event.
    """

    def __init__(
        self,
        estimator: SparseLinearModel,
        x: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        rows: Rows,
    ) -> None:
        cv = estimator.cv
        if not (cv is None or is_whole_number(cv) or hasattr(cv, "split")):
            raise InputError(
                "`cv` of the estimator lists folds of all rows, but a fit to a part of them needs "
                "its own; pass a number of folds or a splitter as `cv`"
            )
        self.estimator = estimator
        self.x = x.tocsr() if sp.issparse(x) else x if hasattr(x, "shape") else np.asarray(x)
        self.y = np.asarray(y)
        self.weights: NDArray[np.float64] | None = None
        if sample_weight is not None:
            self.weights = np.asarray(
                _check_sample_weight(sample_weight, rows.x, dtype=np.float64), np.float64
            )
        self.strata = self._strata(rows)

    def _strata(self, rows: Rows) -> list[Positions]:
        """Return the rows of each class, or with an event and without; else all rows."""
        counting = np.flatnonzero(rows.weights)
        if isinstance(self.estimator, L0Cox):
            event = rows.y[counting, 1] == 1
            if event.sum() == 1:
                raise InputError(
                    "`y` has one event only, so that a part of the rows would have none; pass rows "
                    "with more"
                )
            return [counting[event], counting[~event]]
        if not isinstance(self.estimator, L0Classifier):
            return [counting]
        codes = rows.y[counting]
        found = [counting[codes == code] for code in np.unique(codes)]
        if few := [self.y[each[0]].item() for each in found if len(each) < 2]:
            raise InputError(
                f"`y` has one row only of {first_few(few)}, so that a part of the rows would lack "
                "it; pass two rows or more of each"
            )
        return found

    def halves(self, generator: np.random.Generator) -> tuple[Positions, Positions]:
        """Draw two halves without a row in common; an odd row of a class is in neither."""
        first, second = [], []
        for rows in self.strata:
            drawn, half = generator.permutation(rows), len(rows) // 2
            first.append(drawn[:half])
            second.append(drawn[half : 2 * half])
        return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))

    def split(self, share: float, generator: np.random.Generator) -> tuple[Positions, Positions]:
        """Draw a share of the rows, and return them and the others; both have each class."""
        first, second = [], []
        for rows in self.strata:
            drawn = generator.permutation(rows)
            size = max(min(max(round(share * len(rows)), 1), len(rows) - 1), 0)
            first.append(drawn[:size])
            second.append(drawn[size:])
        return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))

    def fitted(self, rows: Positions) -> SparseLinearModel:
        """Fit a copy of the estimator to some rows."""
        weights = None if self.weights is None else self.weights[rows]
        model: Any = clone(self.estimator)
        return model.fit(_safe_indexing(self.x, rows), self.y[rows], weights)  # type: ignore[no-any-return]
