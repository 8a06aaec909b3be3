"""Choose few columns that predict an outcome, or the other columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.common.validation import flag, whole_number
from l0.data.arrays import as_columns, is_frame, positions, shape, take_columns
from l0.gates.base import MOST_OPEN, SURE, L0Gate, share_of
from l0.gates.inclusion import inclusion
from l0.gates.linear import linear_choice, linear_order
from l0.gates.network import network_order
from l0.gates.z_scores import weighted_z_scores

#: P(open) of the last of the features that a fit opens.
LEAST_OPEN = 0.75
#: How often a linear fit splits the rows in two halves, for the importance of the features.
SPLITS = 25


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
        As given.

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

    Both columns are chosen from every random half of the rows:

    >>> gate.get_feature_importance()[columns]
    tensor([1., 1.])
    """

    _inclusion: Tensor | None
    _learnt_logits: Tensor | None

    def __init__(self, n_features: int, max_features: int, temperature: float = 0.1) -> None:
        share = share_of(max_features, n_features, "max_features", "n_features")
        super().__init__(n_features, temperature, min(share, MOST_OPEN))
        self.n_features = n_features
        self.max_features = max_features
        # Not in the state dict, which l0-python 0.6 must be able to load.
        self.register_buffer("_inclusion", None, persistent=False)
        self.register_buffer("_learnt_logits", None, persistent=False)

    def fit(
        self, X: Any, y: Any = None, *, nonlinear: bool = False, n_splits: int | None = None
    ) -> FeatureGate:
        """Learn which `max_features` columns to keep.

        Parameters
        ----------
        X : Tensor or array (..., n_features), or frame of `n_features` columns
            Numbers. The scale of a column does not matter.
        y : vector or matrix with a row for each row of `X`, optional
            What to predict, in least squares: numbers, or text, booleans or categories, whose
            levels become indicators. By default the columns of `X` themselves are predicted.
        nonlinear : bool, default False
            Whether to choose the columns from which a small network predicts best, instead of a
            linear model. It finds products, curves and alternating classes; see the notes.
        n_splits : int, optional
            How many times to split the rows into two halves and choose columns in each half, for
            `get_feature_importance`. 0 leaves this out. The default is 25, or 0 if `nonlinear`,
            because each half then takes as long as the fit.

        Returns
        -------
        FeatureGate
            This gate. P(open) of a chosen column is at least 3/4, and the larger the more the
            prediction would lose without the column. P(open) of another column is at most 1/4, and
            the larger the more the column would add. With `nonlinear`, the order is by the size of
            the weights of each column, and by how long it stayed open.

        Raises
        ------
        InputError
            If shapes do not match, if numbers are not finite, if a column of `X` is not numeric, or
            if `nonlinear` is asked for without `y`.

        Notes
        -----
        The linear choice uses the search of :class:`l0.linear_model.L0Regressor`: no swap of one
        column for another predicts better. The same data always give the same choice.

        The nonlinear choice is a method of ours. It trains four networks of one hidden layer on
        four fifths of the rows, with a Hadamard gate (:class:`l0.HadamardGate`) on each input. The
        gates close one after the other until `max_features` are left. The network that predicts the
        other rows best gives the choice. It needs some hundred rows. It misses curves with many
        turns, and it misses products if there are as many columns as rows. Where a linear model is
        enough, the linear choice needs fewer rows. A fit takes a second or two on one core, and
        more with many hundred columns. ``benchmarks/gates.py`` measures what it finds.
        """
        columns = self._read(X)
        n, k = len(columns), self.max_features
        if flag(nonlinear, "nonlinear") and y is None:
            raise InputError("`nonlinear` needs an outcome to predict; pass `y`")
        if n_splits is None:
            n_splits = 0 if nonlinear else SPLITS
        n_splits = whole_number(n_splits, "n_splits", 0)
        z = weighted_z_scores(columns, np.ones(n))
        outcome = z if y is None else _read_outcome(y, n)
        order = (network_order if nonlinear else linear_order)(z, outcome, k)
        self._open(order)
        self._inclusion = self._learnt_logits = None
        # A half needs at least two rows.
        if n_splits and n >= 4:

            def choose(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
                return network_order(x, y, k)[:k] if nonlinear else linear_choice(x, y, k)

            shares = torch.from_numpy(inclusion(choose, z, outcome, n_splits))
            self._learnt_logits = self.gates.qz_logits.detach().clone()
            self._inclusion = shares.to(self._learnt_logits)
        return self

    def select_features(self, data: Any) -> tuple[Any, Any]:
        """Return the chosen columns of some data.

        A gate that is not trained first learns from `data` alone, without the splits that
        `get_feature_importance` would need.

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
            self.fit(data, n_splits=0)
        indices = self._top(self.max_features)
        return take_columns(data, indices), positions(indices, data)

    def select_features_with_names(
        self, data: Any, feature_names: Sequence[Any]
    ) -> tuple[Any, list[Any]]:
        """Return the chosen columns and their names, as in :meth:`select_features`.

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
            As in `select_features`, and if there are not `n_features` names.
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
        """Return how reliably each feature is chosen.

        Returns
        -------
        Tensor, shape (n_features,)
            In [0, 1], without a gradient. After a `fit` with splits: the share of the random halves
            of the rows in which the feature is among the `max_features` chosen ones. Without
            splits, and after the logits were changed or loaded: P(open).

        Notes
        -----
        A share near 1 means that the choice does not depend on particular rows. Features that carry
        the same information divide the share among them, so that each may have a small one. The
        share does not measure the size of an effect. A half holds less information than all rows,
        so a feature that `fit` chooses may have a share below 1/2. Fewer than `max_features` are
        chosen in a half if no other feature adds anything there, and none if `y` does not vary
        there. With fewer than four rows there are no halves. For speed, the linear choice in a half
        leaves out the perturbations of the search.

        Assume that the search treats all features without an effect alike, and that it is not worse
        than random guessing. Then the expected number of such features with a share of at least
        s > 1/2 is at most ``max_features**2 / ((2 * s - 1) * n_features)`` (Meinshausen & Bühlmann
        2010, theorem 1).

        References
        ----------
        N. Meinshausen, P. Bühlmann, "Stability selection", Journal of the Royal Statistical
        Society B 72(4), 2010, arXiv:0809.2932.

        R. D. Shah, R. J. Samworth, "Variable selection with error control: another look at
        stability selection", Journal of the Royal Statistical Society B 75(1), 2013,
        arXiv:1105.5578. The halves come in pairs, as there.
        """
        if self._learnt_logits is not None and torch.equal(
            self.gates.qz_logits, self._learnt_logits
        ):
            assert self._inclusion is not None
            return self._inclusion.clone()
        return self.gates.get_active_prob()

    def _open(self, order: NDArray[np.int64]) -> None:
        """Open the gates of the first `max_features` columns, close the others, all by rank."""
        p, k = self.n_features, self.max_features
        probabilities = np.empty(p)
        probabilities[order[:k]] = np.linspace(SURE, LEAST_OPEN, k)
        probabilities[order[k:]] = np.linspace(1 - LEAST_OPEN, 1 - SURE, p - k)
        self._set_open_probabilities(probabilities, order[:k])

    def _check_columns(self, data: Any, argument: str) -> None:
        if sp.issparse(data):
            raise InputError(
                f"`{argument}` is a sparse matrix; pass `{argument}.toarray()`, or choose with "
                "`l0.linear_model.L0Selector`, which keeps it sparse"
            )
        found = shape(data, argument)
        if len(found) < 2 or found[-1] != self.n_features:
            raise InputError(
                f"`{argument}` has shape {found}; it needs {counted(self.n_features, 'column')}, "
                "the `n_features` of this gate, along its last axis"
            )

    def _read(self, X: Any) -> NDArray[np.float64]:
        self._check_columns(X, "X")
        if is_frame(X, "X"):
            columns = as_columns(X, "X")
            # A column of labels has become indicators with new names.
            names = map(str, nw.from_native(X, eager_only=True).columns)
            labels = [name for name in names if name not in set(columns.names)]
            if labels:
                raise InputError(
                    f"`X` has columns that are not numeric: {first_few(labels)}; encode them first"
                )
            return columns.values
        # A masked array stays one, so that its masked cells are found.
        flat = X if isinstance(X, (Tensor, np.ndarray)) else np.asarray(X)
        return as_columns(flat.reshape(-1, self.n_features), "X").values


def _read_outcome(y: Any, n_rows: int) -> NDArray[np.float64]:
    outcome = as_columns(y, "y").values
    if len(outcome) != n_rows:
        raise InputError(
            f"`y` has {len(outcome):,} rows and `X` has {n_rows:,}; pass a row of `y` for each row "
            "of `X`"
        )
    z = weighted_z_scores(outcome, np.ones(n_rows))
    if not z.any():
        raise InputError("`y` is constant; pass an outcome that varies, or leave `y` out")
    return z
