"""What the estimators share: reading the data, the search over sizes, the path, the choice."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import Tags
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from l0.common.errors import InputError
from l0.linear_model.criteria import penalty
from l0.linear_model.design import Positions, Standardised, standardise
from l0.linear_model.group_swap import Groups
from l0.linear_model.path_plot import draw_path
from l0.linear_model.problem import Problem
from l0.linear_model.rows import Model, Rows
from l0.linear_model.search import Search
from l0.linear_model.statistics import Statistics
from l0.linear_model.threads import one_thread
from l0.linear_model.units import checked_size, group_members, kept_units, largest_size

#: Where nobody says how many columns to try, a criterion stops so many after its least.
PATIENCE = 10
#: What chooses the number of columns where neither it nor folds are given.
DEFAULT_CRITERION = "gicc"
#: The columns of each group if there are groups, and the units that are kept.
Units = tuple[list[Positions] | None, Positions]


class SparseLinearModel(BaseEstimator):  # type: ignore[misc]
    """A linear model that chooses its columns; what kind of loss is left to subclasses."""

    def __init__(
        self,
        n_features: int | None = None,
        *,
        criterion: str | None = None,
        cv: Any = None,
        max_features: int | None = None,
        l2: float | None = None,
        fit_intercept: bool = True,
        groups: ArrayLike | None = None,
        must_keep: Iterable[Any] | None = None,
    ) -> None:
        self.n_features = n_features
        self.criterion = criterion
        self.cv = cv
        self.max_features = max_features
        self.l2: Any = l2
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
    def _problem(self, standardised: Standardised, y: NDArray[Any], units: Units) -> Problem:
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
        if not 2 <= weights.sum() < np.inf:
            raise InputError(
                f"`sample_weight` has the sum {weights.sum():.3g}, and a weight of 2 is two "
                "rows; scale it so that it sums to the number of rows that the data are worth"
            )
        return Rows(x, y, weights)

    def _choose(self, rows: Rows) -> Model:
        """Search, choose the size, shrink, and set the attributes of the path."""
        units, sizes = self._read_arguments(rows)
        held_out = None if self.cv is None else self._held_out(rows, units, sizes)
        rows, n = rows.counting(), float(rows.weights.sum())
        standardised = standardise(rows.x, rows.weights, self.fit_intercept)
        problem = self._problem(standardised, rows.y, units)
        with one_thread:
            path = Search(problem, sizes, enough=self._enough(n))
            costs = self._costs(path, n, held_out)
            size = min(costs, key=costs.__getitem__)
            problem = self._shrunk(path, size, n)
            last = Search(problem, [size], known=path)
            last.harder(size)
            chosen = last.finish(size)
        if self.n_features is not None:
            costs = self._costs(last, n, held_out)
            if size < self.n_features:
                warnings.warn(
                    f"only {size:,} of `n_features` = {self.n_features:,} are chosen: the others "
                    "are constant or sums of those",
                    stacklevel=3,
                )
        models = {
            other: self._model(
                standardised, rows.y, self._shrunk(path, other, n), path.units[places]
            )
            for other, places in path.chosen.items()
            if other != size
        }
        models[size] = self._model(standardised, rows.y, problem, chosen)
        found = sorted(models)
        self.path_ = [models[other].columns for other in found]
        self.coefs_path_ = np.array([models[other].coefficients for other in found])
        self.criterion_path_ = np.array([costs[other] for other in found])
        gap = problem.exchange(chosen).best_swap()[0]
        total = problem.statistics.total
        self.swap_gap_ = gap / total if total > 0 and gap > -np.inf else 0.0
        self.l2_ = problem.statistics.l2
        return models[size]

    def _read_arguments(self, rows: Rows) -> tuple[Units, list[int]]:
        """The units to choose from, and the sizes to try."""
        if (self.n_features, self.criterion, self.cv).count(None) < 2:
            raise InputError(
                "`n_features`, `criterion` and `cv` are three ways to choose the size; pass one"
            )
        if None not in (self.n_features, self.max_features):
            raise InputError(
                "`max_features` is for sizes that are tried; leave it out beside `n_features`"
            )
        p = rows.x.shape[1]
        members = group_members(self.groups, p)
        kept = kept_units(self.must_keep, getattr(self, "feature_names_in_", None), p, members)
        n_units, n_kept = p if members is None else len(members), len(kept)
        if self.n_features is not None:
            sizes = [checked_size(self.n_features, n_units, n_kept, "n_features")]
        else:
            largest = largest_size(float(rows.weights.sum()), n_units, n_kept)
            if self.max_features is not None:
                largest = checked_size(self.max_features, n_units, n_kept, "max_features")
            sizes = list(range(n_kept, largest + 1))
        return (members, kept), sizes

    def _costs(
        self, search: Search, n: float, held_out: NDArray[np.float64] | None
    ) -> dict[int, float]:
        """What the choice among the sizes found lowers."""
        if held_out is not None:
            return {size: float(held_out[size - len(search.problem.kept)]) for size in search.value}
        return {size: self._cost(search, size, n) for size in search.value}

    def _cost(self, search: Search, size: int, n: float) -> float:
        """The criterion of a size, or what is left where the size is given."""
        problem = search.problem
        deviance = self._deviance(problem, search.value[size], n)
        if self.n_features is not None:
            return deviance / n
        columns = len(problem.columns(search.units[search.chosen[size]]))
        name = DEFAULT_CRITERION if self.criterion is None else self.criterion
        slopes = self._slopes_a_column(problem)
        return deviance + penalty(name, n, problem.n_units, size, columns, slopes)

    def _enough(self, n: float) -> Callable[[Search], bool] | None:
        """Whether the criterion has long passed its least, if it may say when to stop."""
        if not (self.n_features is self.cv is self.max_features is None):
            return None
        costs: dict[int, float] = {}

        def enough(search: Search) -> bool:
            size = max(search.value)
            costs[size] = self._cost(search, size, n)
            return size - min(costs, key=costs.__getitem__) >= PATIENCE

        return enough

    def _shrunk(self, search: Search, size: int, n: float) -> Problem:
        """The problem with the ridge that a size needs, if it is to be found."""
        return search.problem

    def _held_out(self, rows: Rows, units: Units, sizes: list[int]) -> NDArray[np.float64]:
        """Held-out loss of each size, a mean over the rows' weights."""
        folds = check_cv(self.cv, rows.y, classifier=hasattr(self, "classes_"))
        try:
            splits = list(folds.split(rows.x, rows.y))
        except ValueError as error:
            raise InputError(
                f"`cv` cannot split these rows: {error} A splitter that asks for groups of rows "
                "is passed as its splits, `cv=list(splitter.split(X, y, groups))`"
            ) from error
        losses, tested = np.zeros(len(sizes)), 0.0
        for fold, (train, test) in enumerate(splits):
            part, rest = rows.take(train).counting(), rows.take(test)
            standardised = standardise(part.x, part.weights, self.fit_intercept)
            try:
                problem = self._problem(standardised, part.y, units)
            except InputError as error:
                raise InputError(
                    f"without the rows that fold {fold} of `cv` holds out, {error}"
                ) from error
            with one_thread:
                search = Search(problem, sizes)
            for place, size in enumerate(sizes):
                found = min(size, max(search.chosen))
                shrunk = self._shrunk(search, found, float(part.weights.sum()))
                chosen = search.units[search.chosen[found]]
                model = self._model(standardised, part.y, shrunk, chosen)
                losses[place] += self._loss(model, rest)
            tested += rest.weights.sum()
        if not tested:
            raise InputError("`cv` holds no row out; pass splits of which the second part has rows")
        return losses / tested


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
