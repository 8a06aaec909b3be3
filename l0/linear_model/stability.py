"""How often each feature is chosen from a half of the rows, and what that says."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from l0.common.errors import InputError
from l0.common.validation import is_number, whole_number
from l0.data.tables import Kind
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.design import Positions
from l0.linear_model.estimators import checked_estimator, chosen_units
from l0.linear_model.frames import feature_names, frame
from l0.linear_model.parts import Parts

#: The bound for unimodal shares holds for choices of up to this share of the features.
UNIMODAL = 1 / math.sqrt(3)


@dataclass(frozen=True)
class StabilitySelection:
    """Shares of halves of the rows. :func:`stability_selection` makes it.

    Attributes
    ----------
    shares : ndarray of float64, shape (p,)
        The share of the halves in which each column is chosen.
    threshold : float
        The share from which on a column is stable.
    n_pairs : int
        B, the number of pairs of halves.
    n_chosen : float
        q, how many columns (or groups) are chosen from a half on average, without `must_keep`.
    n_candidates : int
        p, how many columns (or groups) there are to choose from, without `must_keep`.
    names : list
        The names of the columns, or their positions.
    kept : ndarray of bool, shape (p,)
        Whether each column is in every choice because of `must_keep`.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Regressor, stability_selection
    >>> X = np.random.default_rng(0).normal(size=(100, 50))
    >>> y = X[:, 7] - X[:, 11] + np.random.default_rng(1).normal(size=100)
    >>> found = stability_selection(L0Regressor(3), X, y, n_pairs=20)
    >>> found.support
    array([ 7, 11])
    >>> found.n_chosen, found.n_candidates, round(found.bound, 2)
    (3.0, 50, 0.36)
    >>> [round(bound, 2) for bound in found.bounds(0.9)]
    [0.22, 0.09]
    """

    shares: NDArray[np.float64]
    threshold: float
    n_pairs: int
    n_chosen: float
    n_candidates: int
    names: list[Any]
    kept: NDArray[np.bool_]

    @property
    def support(self) -> Positions:
        """The positions of the stable columns, ascending."""
        return np.flatnonzero(self.shares >= self._reached(self.threshold) - 1e-9)

    @property
    def bound(self) -> float:
        """At most so many columns (or groups) of low selection probability are stable, on average.

        This is the bound without a further assumption, at `threshold`.
        """
        return self.bounds(self.threshold)[0]

    @property
    def unimodal_bound(self) -> float:
        """The same under the assumption of unimodal shares; NaN where that bound does not hold."""
        return self.bounds(self.threshold)[1]

    def bounds(self, threshold: float) -> tuple[float, float]:
        """Return both bounds at a threshold.

        Parameters
        ----------
        threshold : float
            Above .5, and up to 1.

        Returns
        -------
        pair of float
            As `bound` and `unimodal_bound`.

        Raises
        ------
        ValueError
            If `threshold` is out of its range.
        """
        tau, pairs = self._reached(_checked_threshold(threshold)), self.n_pairs
        if not self.n_candidates:
            return 0.0, 0.0
        theta = self.n_chosen / self.n_candidates
        worst = theta * self.n_chosen / (2 * tau - 1)
        least = 0.5 + min(theta**2, 0.5 / pairs + 0.75 * theta**2)
        if theta > UNIMODAL or tau <= least or tau < 0.5 + 1 / pairs - 1e-9:
            return worst, math.nan
        if tau <= 0.75:
            factor = 1 / (2 * (2 * tau - 1 - 0.5 / pairs))
        else:
            factor = 4 * (1 - tau + 0.5 / pairs) / (1 + 1 / pairs)
        return worst, factor * theta * self.n_chosen

    def to_frame(self, kind: Kind | None = None) -> Any:
        """Return a row for each column that is ever chosen, the largest share first.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            By default pandas, or pyarrow where pandas is not installed.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or pyarrow.Table
            The columns `feature`, `share`, `stable` and `must_keep`.
        """
        order = np.argsort(-self.shares, kind="stable")
        order = order[self.shares[order] > 0]
        return frame(
            {
                "feature": [self.names[j] for j in order],
                "share": self.shares[order],
                "stable": np.isin(order, self.support),
                "must_keep": self.kept[order],
            },
            kind,
        )

    def _reached(self, threshold: float) -> float:
        """Return the least possible share that reaches a threshold."""
        return math.ceil(2 * self.n_pairs * threshold - 1e-9) / (2 * self.n_pairs)


def stability_selection(
    estimator: SparseLinearModel,
    X: Any,
    y: ArrayLike,
    *,
    n_pairs: int = 50,
    threshold: float = 0.75,
    sample_weight: ArrayLike | None = None,
    random_state: int = 0,
    n_jobs: int | None = None,
) -> StabilitySelection:
    r"""Choose features from many halves of the rows, and count how often each is chosen.

    The rows are split into two halves at random, `n_pairs` times, and the estimator chooses from
    each half anew: with its own criterion, folds, groups and kept columns. Halves have equal
    numbers of rows of each class (`L0Classifier`) and of events (`L0Cox`).

    Parameters
    ----------
    estimator : L0Regressor, L0Classifier or L0Cox
        It need not be fitted, and stays as it is.
    X : array, sparse matrix or frame, shape (n, p)
    y : array
    n_pairs : int, default 50
        B. Twice as many fits are made.
    threshold : float, default 0.75
        The share from which on a feature is stable; above .5 and up to 1.
    sample_weight : array, shape (n,), optional
        How many rows each row stands for. It stays in one half with all of its weight.
    random_state : int, default 0
        Seeds the halves.
    n_jobs : int, optional
        How many processes fit at once, as in scikit-learn.

    Returns
    -------
    StabilitySelection

    Raises
    ------
    ValueError
        If an argument is out of its range, or if the estimator cannot be fitted to a half.

    Notes
    -----
    Let L be the features that are chosen from half of the rows with a probability of at most
    :math:`q / p`, where q is the expected number of chosen features: no more often than by a random
    choice of equally many. In expectation, at most

    .. math::
        \frac{1}{2 \tau - 1} \frac{q^2}{p}

    of them are stable at the threshold tau (Shah & Samworth 2013, theorem 1 with theta = q / p).
    This is `bound`. It holds for any way of choosing and any dependence among the columns, but the
    rows must be independent draws. If, besides, the share of pairs in which both halves choose a
    feature of L has a unimodal distribution, the bound falls to :math:`C q^2 / p` with

    .. math::
        C = \frac{1}{2 (2 \tau - 1 - 1 / (2 B))} \;\text{ up to } \tau = \tfrac34, \qquad
        C = \frac{4 (1 - \tau + 1 / (2 B))}{1 + 1 / B} \;\text{ above}

    (theorem 2, for :math:`q / p \le 1 / \sqrt 3`). This is `unimodal_bound`. That no column of
    noise is chosen more often than a random choice would, so that all of them are in L, is an
    assumption of its own: a column of noise that is correlated with a true one may be chosen often.
    Where a criterion or `cv` chooses the size, q is the mean of the fits, and the bounds are
    estimates. In the halves of classes and events, they hold for the numbers of each that `y` has.

    With `groups`, p and q count groups. Of equal columns the first is always chosen, so that its
    copies have the share 0.

    References
    ----------
    R. D. Shah, R. J. Samworth, "Variable selection with error control: another look at stability
    selection", Journal of the Royal Statistical Society B 75(1), 2013, arXiv:1105.5578.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from l0.linear_model import L0Regressor, stability_selection
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> stability_selection(L0Regressor(n_features=3), X, y).to_frame().head(4)
      feature  share  stable  must_keep
    0     bmi   1.00    True      False
    1      s5   0.98    True      False
    2      bp   0.69   False      False
    3      s3   0.16   False      False
    """
    estimator = checked_estimator(estimator)
    n_pairs = whole_number(n_pairs, "n_pairs", 1)
    threshold = _checked_threshold(threshold)
    generator = np.random.default_rng(whole_number(random_state, "random_state", 0))
    asker = clone(estimator)
    rows, question = asker._asked(X, y, sample_weight)
    parts = Parts(estimator, X, y, sample_weight, rows)
    halves = [half for _ in range(n_pairs) for half in parts.halves(generator)]
    fits = Parallel(n_jobs=n_jobs)(delayed(_choice)(parts, half) for half in halves)
    said = [text for _, text in fits if text]
    if said:
        warnings.warn(
            f"{len(said):,} of {len(fits):,} fits to halves of the rows gave a warning: {said[0]}",
            stacklevel=2,
        )
    counts, chosen = np.zeros(rows.x.shape[1]), 0
    for support, _ in fits:
        counts[support] += 1
        chosen += len(chosen_units(support, question)) - len(question.kept)
    members = question.members
    return StabilitySelection(
        counts / len(fits),
        threshold,
        n_pairs,
        chosen / len(fits),
        (len(counts) if members is None else len(members)) - len(question.kept),
        list(feature_names(asker)),
        np.isin(np.arange(len(counts)), question.kept_columns),
    )


def _choice(parts: Parts, rows: Positions) -> tuple[Positions, str]:
    """Return the columns that are chosen from some rows, and the warning of the fit."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            support = parts.fitted(rows).support_
        except ValueError as error:
            raise InputError(f"in a half of the rows: {error}") from error
    return support, str(caught[0].message) if caught else ""


def _checked_threshold(threshold: object) -> float:
    if not is_number(threshold) or not 0.5 < threshold <= 1:
        raise InputError(f"`threshold` must be a number above .5 and up to 1, got {threshold!r}")
    return float(threshold)
