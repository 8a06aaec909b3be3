"""What the estimators share: reading the data, the search over sizes, the path, the choice."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import Tags
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from l0.errors import InputError
from l0.linear_model.criteria import penalty
from l0.linear_model.design import Positions, Standardised, standardise
from l0.linear_model.group_exchange import Groups
from l0.linear_model.path_plot import draw_path
from l0.linear_model.problem import Problem
from l0.linear_model.search import Search
from l0.linear_model.statistics import Statistics
from l0.linear_model.units import checked_size, group_members, kept_units, largest_size
from l0.scalars import not_negative

#: What scikit-learn's `validate_data` is told of X.
ACCEPTED: dict[str, Any] = {"accept_sparse": ("csr", "csc"), "dtype": (np.float64, np.float32)}


@dataclass(frozen=True)
class Rows:
    """What a fit is given, checked.

    Attributes
    ----------
    x : ndarray or sparse matrix, shape (n, p)
    y : ndarray, shape (n,)
    weights : ndarray of float64, shape (n,)
        Not negative.
    """

    x: Any
    y: NDArray[Any]
    weights: NDArray[np.float64]

    def take(self, which: Positions) -> Rows:
        """Some of the rows."""
        return Rows(self.x[which], self.y[which], self.weights[which])

    def counting(self) -> Rows:
        """The rows of positive weight."""
        return self if self.weights.all() else self.take(np.flatnonzero(self.weights))


@dataclass(frozen=True)
class Model:
    """A linear model of a few columns.

    Attributes
    ----------
    columns : ndarray of int64
        Ascending.
    coefficients : ndarray of float64, shape (q, p)
    intercept : ndarray of float64, shape (q,)
    """

    columns: Positions
    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def scores(self, x: Any) -> NDArray[np.float64]:
        """The linear predictor, (n, q)."""
        few = x[:, self.columns] @ self.coefficients[:, self.columns].T
        return np.asarray(few + self.intercept)


class SparseLinearModel(BaseEstimator):  # type: ignore[misc]
    """A linear model that chooses its columns; what kind of loss is left to subclasses."""

    def __init__(
        self,
        n_features: int | None = None,
        *,
        criterion: str | None = None,
        cv: Any = None,
        max_features: int | None = None,
        l2: float = 0.0,
        fit_intercept: bool = True,
        groups: ArrayLike | None = None,
        must_keep: Iterable[Any] | None = None,
    ) -> None:
        self.n_features = n_features
        self.criterion = criterion
        self.cv = cv
        self.max_features = max_features
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.groups = groups
        self.must_keep = must_keep

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def plot_path(self, path: Any = None) -> Any:
        """Draw the coefficients and the criterion over the number of columns.

        Parameters
        ----------
        path : str or path, optional
            Where to write the figure; its ending says the format.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        check_is_fitted(self)
        return draw_path(self, path)

    @abstractmethod
    def _problem(
        self, standardised: Standardised, y: NDArray[Any], units: tuple[Any, ...]
    ) -> Problem:
        """State the problem of a search."""

    @abstractmethod
    def _model(
        self, standardised: Standardised, y: NDArray[Any], problem: Problem, chosen: Positions
    ) -> Model:
        """Fit the chosen units."""

    @abstractmethod
    def _deviance(self, problem: Problem, value: float, n: float) -> float:
        """Minus twice the log-likelihood of n rows, up to a constant."""

    def _slopes_a_column(self, problem: Problem) -> int:
        return 1

    @abstractmethod
    def _loss(self, model: Model, rows: Rows) -> float:
        """What cross-validation lowers, summed over the rows' weights."""

    def _rows(self, x: Any, y: NDArray[Any], sample_weight: ArrayLike | None) -> Rows:
        """The rows and what they count."""
        weights = np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64))
        if (weights < 0).any() or not weights.any():
            raise InputError("`sample_weight` must not be negative, and somewhere positive")
        return Rows(x, y, weights)

    def _choose(self, rows: Rows) -> Model:
        """Search, choose the size, and set the attributes of the path."""
        if (self.n_features, self.criterion, self.cv).count(None) < 2:
            raise InputError(
                "`n_features`, `criterion` and `cv` are three ways to choose the size; pass one"
            )
        not_negative(self.l2, "l2")
        p = rows.x.shape[1]
        members = group_members(self.groups, p)
        kept = kept_units(self.must_keep, getattr(self, "feature_names_in_", None), p, members)
        n_units = p if members is None else len(members)
        n = float(rows.weights.sum())
        if self.n_features is not None:
            sizes = [checked_size(self.n_features, n_units, len(kept), "n_features")]
        else:
            largest = largest_size(n, n_units, len(kept))
            if self.max_features is not None:
                largest = checked_size(self.max_features, n_units, len(kept), "max_features")
            sizes = list(range(len(kept), largest + 1))

        held_out = None if self.cv is None else self._held_out(rows, (members, kept), sizes)
        rows = rows.counting()
        standardised = standardise(rows.x, rows.weights, self.fit_intercept)
        problem = self._problem(standardised, rows.y, (members, kept))
        search = Search(problem, sizes)

        def cost(size: int) -> float:
            if self.n_features is not None:
                return self._deviance(problem, search.value[size], n) / n
            if held_out is not None:
                return float(held_out[size - sizes[0]])
            columns = problem.columns(search.units[search.chosen[size]])
            slopes = len(columns) * self._slopes_a_column(problem)
            least = penalty(self.criterion or "gic", n, n_units, size, slopes)
            return self._deviance(problem, search.value[size], n) + least

        size = min(search.chosen, key=cost)
        while search.harder(size):
            size = min(search.chosen, key=cost)
        if self.n_features is not None and size < sizes[0]:
            warnings.warn(
                f"only {size:,} of `n_features` = {sizes[0]:,} are chosen: the others are constant "
                "or sums of those",
                stacklevel=3,
            )
        chosen = search.finish(size)
        models = {
            other: self._model(standardised, rows.y, problem, search.units[units])
            for other, units in search.chosen.items()
            if other != size
        }
        models[size] = self._model(standardised, rows.y, problem, chosen)
        found = sorted(models)
        self.path_ = [models[other].columns for other in found]
        self.coefs_path_ = np.array([models[other].coefficients for other in found])
        self.criterion_path_ = np.array([cost(other) for other in found])
        gap = problem.exchange(chosen).best_swap()[0]
        self.swap_gap_ = gap / problem.statistics.total if gap > -np.inf else 0.0
        return models[size]

    def _held_out(
        self, rows: Rows, units: tuple[Any, ...], sizes: list[int]
    ) -> NDArray[np.float64]:
        """Held-out loss of each size, a mean over the rows' weights."""
        folds = check_cv(self.cv, rows.y, classifier=hasattr(self, "classes_"))
        losses = np.zeros(len(sizes))
        for train, test in folds.split(rows.x, rows.y):
            part, rest = rows.take(train).counting(), rows.take(test)
            standardised = standardise(part.x, part.weights, self.fit_intercept)
            problem = self._problem(standardised, part.y, units)
            search = Search(problem, sizes)
            for place, size in enumerate(sizes):
                chosen = search.units[search.chosen[min(size, max(search.chosen))]]
                model = self._model(standardised, part.y, problem, chosen)
                losses[place] += self._loss(model, rest)
        return np.asarray(losses / rows.weights.sum())


def problem_parts(
    statistics: Statistics, members: list[Positions] | None, kept: Positions
) -> tuple[Groups | None, Positions]:
    """What a problem needs of the units, once it is known that those kept go together."""
    groups = None if members is None else Groups.of(members, statistics)
    plain = Problem(statistics, groups)
    for count, unit in enumerate(kept):
        if plain.exchange(kept[:count]).adds()[unit] == -np.inf:
            columns = plain.columns(kept[count : count + 1]).tolist()
            raise InputError(
                f"`must_keep` has columns that are constant or sums of the others kept: {columns}; "
                "leave them out"
            )
    return groups, kept


def original(
    standardised: Standardised,
    model: tuple[NDArray[np.float64], NDArray[np.float64]],
    columns: Positions,
) -> Model:
    """A model of X from slopes and intercept on standardised columns."""
    coefficients = standardised.original(model[0], columns)
    shift = coefficients[:, columns] @ standardised.mean[columns]
    return Model(np.sort(columns), coefficients, model[1] - shift)
