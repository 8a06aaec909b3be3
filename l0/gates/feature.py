"""Few columns that predict an outcome, or the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.arrays import as_columns, is_frame, positions, shape, take_columns
from l0.calibration.moments import standardise
from l0.errors import InputError, first_few
from l0.gates.base import MOST_OPEN, SURE, L0Gate, share_of
from l0.linear_model.subset import best_subset

#: P(open) of the least of the features that a fit opens.
LEAST_OPEN = 0.75


class FeatureGate(L0Gate):
    """Choose columns of data that predict an outcome, or the other columns.

    Parameters
    ----------
    n_features : int
        Number of columns.
    max_features : int
        How many to keep, exactly; from 1 to `n_features`.
    temperature : float, default 0.1
        See `HardConcrete`.

    Attributes
    ----------
    n_features, max_features : int

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from l0 import FeatureGate
    >>> X = np.random.default_rng(0).normal(size=(500, 30))
    >>> y = X[:, 3] - 2 * X[:, 17]
    >>> gate = FeatureGate(n_features=30, max_features=2).fit(X, y)
    >>> selected, columns = gate.select_features(X)
    >>> columns
    array([ 3, 17])
    """

    def __init__(self, n_features: int, max_features: int, temperature: float = 0.1) -> None:
        share = share_of(max_features, n_features, "max_features", "n_features")
        super().__init__(n_features, temperature, min(share, MOST_OPEN))
        self.n_features = n_features
        self.max_features = max_features

    def fit(self, X: Any, y: Any = None) -> FeatureGate:
        """Learn which `max_features` columns to keep, in least squares.

        Parameters
        ----------
        X : Tensor or array (..., n_features), or frame of `n_features` columns
            Numbers. Columns count alike, whatever their scale.
        y : vector or matrix of a row for each row of `X`, optional
            What to predict: numbers, or text, booleans or categories, of which each level is
            predicted as an indicator. Without it, the columns of `X` themselves.

        Returns
        -------
        FeatureGate
            This gate. Chosen columns have P(open) of at least 3/4, by what the prediction would
            lose without each; the others have at most 1/4, by what each would add.

        Raises
        ------
        InputError
            Where shapes do not fit, numbers are not finite, or a column of `X` is no number.
        """
        columns = self._read(X)
        p, k = self.n_features, self.max_features
        z = standardise(columns, np.ones(len(columns)))
        outcome = z if y is None else _read_outcome(y, len(columns))
        order = best_subset(z.T @ z, z.T @ outcome, k).order
        probabilities = np.empty(p)
        probabilities[order[:k]] = np.linspace(SURE, LEAST_OPEN, k)
        probabilities[order[k:]] = np.linspace(1 - LEAST_OPEN, 1 - SURE, p - k)
        self._set_open_probabilities(probabilities, order[:k])
        return self

    def select_features(self, data: Any) -> tuple[Any, Any]:
        """Take the chosen columns, after `fit` on `data` alone where nobody trained the gate.

        Parameters
        ----------
        data : Tensor or array (..., n_features), or frame of `n_features` columns

        Returns
        -------
        selected : of the kind of `data`
            `max_features` columns, in their order.
        indices : Tensor of int64, or ndarray of int64 unless `data` is a tensor
            Their positions, ascending.

        Raises
        ------
        InputError
            As in `fit`.
        """
        self._check_columns(data, "data")
        if not self.trained:
            self.fit(data)
        indices = self._top(self.max_features)
        return take_columns(data, indices), positions(indices, data)

    def select_features_with_names(
        self, data: Any, feature_names: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """Take the chosen columns and their names.

        Parameters
        ----------
        data : as in `select_features`
        feature_names : sequence of length n_features

        Returns
        -------
        selected : of the kind of `data`
        names : list of length max_features

        Raises
        ------
        InputError
            As in `select_features`, or if there are not `n_features` names.
        """
        names = list(feature_names)
        if len(names) != self.n_features:
            raise InputError(
                f"`feature_names` has {len(names):,} names for {self.n_features:,} features; "
                "pass one for each"
            )
        selected, indices = self.select_features(data)
        return selected, [names[index] for index in indices]

    @torch.no_grad()
    def get_feature_importance(self) -> Tensor:
        """Return P(open) of every feature, shape (n_features,), without a gradient."""
        return self.gates.get_active_prob()

    def _check_columns(self, data: Any, argument: str) -> None:
        found = shape(data)
        if len(found) < 2 or found[-1] != self.n_features:
            raise InputError(
                f"`{argument}` has shape {found}; it needs {self.n_features:,} columns, "
                "the `n_features` of this gate, along its last axis"
            )

    def _read(self, X: Any) -> NDArray[np.float64]:
        self._check_columns(X, "X")
        if is_frame(X):
            columns = as_columns(X, "X")
            if len(columns.names) != self.n_features:
                labels = [name for name in columns.names if "=" in name]
                raise InputError(
                    f"`X` has columns that are no numbers ({first_few(labels)}); encode them first"
                )
            return columns.values
        flat = X if isinstance(X, Tensor) else np.asarray(X)
        return as_columns(flat.reshape(-1, self.n_features), "X").values


def _read_outcome(y: Any, n_rows: int) -> NDArray[np.float64]:
    outcome = as_columns(y, "y").values
    if len(outcome) != n_rows:
        raise InputError(f"`y` has {len(outcome):,} rows and `X` has {n_rows:,}; pass as many")
    z = standardise(outcome, np.ones(n_rows))
    if not z.any():
        raise InputError("`y` is constant; pass an outcome that varies, or leave it out")
    return z
