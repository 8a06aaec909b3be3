"""The next best subsets of a fitted estimator, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from l0.common.blas_threads import one_thread
from l0.common.validation import whole_number
from l0.data.tables import Kind
from l0.linear_model.base import SparseLinearModel
from l0.linear_model.choice import NONE, Stated, state
from l0.linear_model.criteria import penalty
from l0.linear_model.curved import CurvedProblem
from l0.linear_model.design import Positions
from l0.linear_model.estimators import (
    asked_again,
    check_same_rows,
    checked_estimator,
    chosen_units,
)
from l0.linear_model.frames import feature_names, frame
from l0.linear_model.losses import Point
from l0.linear_model.neighbours import FITTED, Neighbours, neighbours


@dataclass(frozen=True)
class Alternatives:
    """The next best subsets of columns, the best first. :func:`alternatives` makes it.

    Attributes
    ----------
    subsets : list of ndarray of int64
        The positions of the columns of each subset, ascending.
    costs : ndarray of float64, shape (m,)
        By how much each subset raises the objective of the estimator, its ridge included. A
        negative cost says that the subset is better than the choice, which the search has missed.
    deviances : ndarray of float64, shape (m,)
        By how much each subset raises the deviance, as a criterion counts it: for least squares,
        n times the logarithm of the ratio of the unexplained sums of squares, without the ridge
        unless `l2` is given.
    criteria : ndarray of float64, shape (m,), or None
        By how much each subset raises the criterion, where one has chosen the size. Without
        `groups` that is the deviance, since the number of columns stays.
    left, came : list of list
        The names of the columns that are in the choice and not in the subset, and the other way
        round; positions where `X` has no names.
    coverage : str
        Which subsets were compared.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.linear_model import L0Regressor, alternatives
    >>> X = np.random.default_rng(0).normal(size=(100, 50))
    >>> y = 3 * X[:, 7] - 2 * X[:, 11]
    >>> others = alternatives(L0Regressor(2).fit(X, y), X, y, m=3)
    >>> others.left
    [[11], [11], [11]]
    >>> print(others.coverage)
    All subsets that differ from the choice, or from one of the listed ones, in one column, and \
exchanges of two chosen columns for 0 pairs of close columns. Other subsets may be better.
    """

    subsets: list[Positions]
    costs: NDArray[np.float64]
    deviances: NDArray[np.float64]
    criteria: NDArray[np.float64] | None
    left: list[list[Any]]
    came: list[list[Any]]
    coverage: str

    def to_frame(self, kind: Kind | None = None) -> Any:
        """Return a row for each subset: cost, deviance, criterion, and which columns change.

        Parameters
        ----------
        kind : {"pandas", "polars", "pyarrow"}, optional
            By default pandas, or pyarrow where pandas is not installed.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or pyarrow.Table
            The columns `left` and `came` have the names as text, with commas between them.
        """
        columns: dict[str, Any] = {"cost": self.costs, "deviance": self.deviances}
        if self.criteria is not None:
            columns["criterion"] = self.criteria
        for name, lists in (("left", self.left), ("came", self.came)):
            columns[name] = [", ".join(map(str, names)) for names in lists]
        return frame(columns, kind)


def alternatives(
    estimator: SparseLinearModel,
    X: Any,
    y: ArrayLike,
    m: int = 10,
    *,
    sample_weight: ArrayLike | None = None,
) -> Alternatives:
    """Return the next best subsets of a fitted estimator, and what they cost.

    The subsets have as many columns (or groups) as the choice, and contain the columns of
    `must_keep`. They are those to which exchanges lead: of one column for another, from the choice
    and from the best subsets found, and with the squared loss of two chosen columns for pairs of
    close ones (see `Alternatives.coverage`). That is quick, but no proof: a subset that
    differs in several columns may be better than all of them.

    `certify` of the estimator has proved something about its choice, and nothing about the order of
    the others.

    A small cost says that the data hardly prefer the choice. It is no test: the choice and its
    alternatives were picked on the same rows.

    Parameters
    ----------
    estimator : L0Regressor, L0Classifier or L0Cox
        Fitted to the same rows. It keeps no rows itself, so that they are passed again.
    X : array, sparse matrix or frame, shape (n, p)
    y : array
    m : int, default 10
        How many subsets to return; fewer if there are no more.
    sample_weight : array, shape (n,), optional
        As in the fit.

    Returns
    -------
    Alternatives

    Raises
    ------
    ValueError
        If the estimator is not fitted, or fitted to other rows.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from l0.linear_model import L0Regressor, alternatives
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = L0Regressor(n_features=3).fit(X, y)
    >>> alternatives(model, X, y, m=3).to_frame().round(1)
        cost  deviance left came
    0   61.4       8.7   bp   s3
    1   61.6       8.5   bp   s1
    2  102.4      14.3   bp   s2
    """
    estimator = checked_estimator(estimator, fitted=True)
    m = whole_number(m, "m", 1)
    rows, question = asked_again(estimator, X, y, sample_weight)
    stated = state(rows.counting(), question)
    check_same_rows(estimator, stated)
    problem = stated.problem
    if stated.loss.quadratic:
        problem = problem.with_l2(estimator.l2_)
    chosen = chosen_units(estimator.support_, question)
    with one_thread:
        near = neighbours(problem, chosen, m)
        value = problem.swap_from(chosen).value
        units = [chosen, *near.subsets]
        deviances = np.array(_deviances(stated, units))
    costs = value - np.array(near.values)
    criteria = None
    if question.criterion is not None and not hasattr(estimator, "fold_losses_path_"):
        penalties = np.array([_penalty(stated, each) for each in units])
        criteria = (deviances + penalties - deviances[0] - penalties[0])[1:]
    names, inside = feature_names(estimator), set(estimator.support_.tolist())
    subsets = [np.sort(problem.columns(each)) for each in near.subsets]
    return Alternatives(
        subsets,
        costs if stated.loss.quadratic else costs / 2,
        deviances[1:],
        criteria,
        [[names[j] for j in sorted(inside - set(each.tolist()))] for each in subsets],
        [[names[j] for j in each.tolist() if j not in inside] for each in subsets],
        _coverage(near, "group" if question.members is not None else "column"),
    )


def _deviances(stated: Stated, units: list[Positions]) -> list[float]:
    """Return by how much each subset raises the deviance of the first, as a criterion counts it."""
    loss, problem = stated.loss, stated.problem
    if isinstance(problem, CurvedProblem):
        fits = map(problem.fit, units)
        points = [Point(fit.value, NONE, fit.point.scale) for fit in fits]
        pairs = [loss.deviances([points[0], point]) for point in points]
        return [second - first for first, second in pairs]
    statistics = problem.statistics
    if not statistics.total > 0:
        return [0.0] * len(units)
    explained = [problem.swap_from(each).value for each in units]
    left = [max(statistics.total - value, statistics.rounding) for value in explained]
    deviances = [loss.deviance(each / statistics.total) for each in left]
    return [each - deviances[0] for each in deviances]


def _penalty(stated: Stated, units: Positions) -> float:
    loss, problem = stated.loss, stated.problem
    columns = len(problem.columns(units))
    assert stated.question.criterion is not None
    return penalty(
        stated.question.criterion, loss.rows, problem.n_units, len(units), columns, loss.n_slopes
    )


def _coverage(near: Neighbours, unit: str) -> str:
    """Say which subsets were compared."""
    start = "the choice, or from one of the listed ones," if near.closed else "the choice"
    differ = f"subsets that differ from {start} in one {unit}"
    if near.exact:
        said = f"All {differ}"
    else:
        said = f"The {FITTED} most promising of the {differ}, by an approximation"
    if not near.closed:
        said += "; of the listed ones, the exchanges of the best were tried too"
    if near.exact and unit == "column":
        said += f", and exchanges of two chosen columns for {near.pairs:,} pairs of close columns"
    return said + ". Other subsets may be better."
