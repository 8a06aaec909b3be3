"""What the estimators share: check the rows, search each size, choose one, keep the path."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from l0.common.blas_threads import one_thread
from l0.common.errors import InputError
from l0.common.validation import flag
from l0.linear_model.criteria import penalty
from l0.linear_model.design import Positions, Standardised, standardised_design
from l0.linear_model.folds import folds
from l0.linear_model.group_swap import Groups
from l0.linear_model.near_copies import warn_of_near_copies
from l0.linear_model.path_plot import draw_path
from l0.linear_model.problem import Problem
from l0.linear_model.rows import Model, Rows
from l0.linear_model.search import Search
from l0.linear_model.statistics import Statistics
from l0.linear_model.units import checked_size, group_members, kept_units, largest_size

#: Without `max_features`, the search ends when the criterion has not fallen for so many sizes.
PATIENCE = 10
#: The criterion that chooses the number of columns by default.
DEFAULT_CRITERION = "gicc"
#: The columns of each group, or None without groups; and the units of `must_keep`.
Units = tuple[list[Positions] | None, Positions]


class SparseLinearModel(BaseEstimator):  # type: ignore[misc]
    """A linear model that chooses its columns. Subclasses define the loss."""

    def __init__(
        self,
        n_features: int | None = None,
        *,
        criterion: str | None = None,
        cv: Any = None,
        max_features: int | None = None,
        l2: float | None = None,
        fit_intercept: bool = True,
        groups: ArrayLike | Mapping[Any, Any] | None = None,
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
        """Draw the coefficients and the criterion against the number of columns.

        Parameters
        ----------
        path : str or path, optional
            The file to write; its suffix names the format.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        check_is_fitted(self)
        return draw_path(self, path)

    @abstractmethod
    def _problem(self, standardised: Standardised, y: NDArray[Any], units: Units) -> Problem:
        """Return the problem that a search solves."""

    @abstractmethod
    def _model(
        self, standardised: Standardised, y: NDArray[Any], problem: Problem, chosen: Positions
    ) -> Model:
        """Fit the model on the chosen units."""

    @abstractmethod
    def _deviance(self, problem: Problem, value: float, n: float) -> float:
        """Return minus twice the log-likelihood of n rows, up to a constant."""

    def _slopes_a_column(self, problem: Problem) -> int:
        """Return the number of free slopes of each column."""
        return 1

    @abstractmethod
    def _loss(self, model: Model, rows: Rows) -> float:
        """Return the loss of a model that cross-validation minimises, summed over weighted rows."""

    def _rows(self, x: Any, y: NDArray[Any], sample_weight: ArrayLike | None) -> Rows:
        """Join the rows and their checked weights."""
        weights = np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64))
        if (weights < 0).any() or not weights.any():
            raise InputError("`sample_weight` must be at least 0, and not 0 for all rows")
        if not 2 <= weights.sum() < np.inf:
            raise InputError(
                f"`sample_weight` has the sum {weights.sum():.3g}, but a weight counts rows (2 "
                "is two rows); scale the weights so that they sum to the number of rows"
            )
        return Rows(x, y, weights)

    def _choose(self, rows: Rows) -> Model:
        """Search each size, choose one, fit the models, and set the attributes of the path."""
        units, sizes = self._read_arguments(rows)
        held_out = None if self.cv is None else self._held_out(rows, units, sizes)
        rows, n = rows.counting(), float(rows.weights.sum())
        standardised = standardised_design(rows.x, rows.weights, self.fit_intercept)
        warn_of_near_copies(standardised.design, stacklevel=4)
        problem = self._problem(standardised, rows.y, units)
        with one_thread:
            path = Search(problem, sizes, enough=self._enough(n))
            costs, widened = self._costs(path, n, held_out), set[int]()
            # Held-out errors that differ by rounding are equal: without noise, several sizes have
            # none. A criterion counts rounding as an unexplained share itself.
            equal = 0.0 if held_out is None else problem.statistics.rounding
            while (size := _smallest_best(costs, equal)) not in widened:
                path.wider(size)
                widened.add(size)
                costs = self._costs(path, n, held_out)
            problem = self._shrunk(path, size, n)
            last = Search(problem, [size], known=path)
            last.harder(size)
            chosen = last.finish(size)
        if self.n_features is not None:
            costs = self._costs(last, n, held_out)
            if size < self.n_features:
                warnings.warn(
                    f"only {size:,} of `n_features` = {self.n_features:,} are chosen: the other "
                    "columns are constant or sums of the chosen ones",
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
        gap = problem.swap_from(chosen).best_swap()[0]
        total = problem.statistics.total
        self.swap_gap_ = gap / total if total > 0 and gap > -np.inf else 0.0
        self.l2_ = problem.statistics.l2
        return models[size]

    def _read_arguments(self, rows: Rows) -> tuple[Units, list[int]]:
        """Return the units to choose from, and the sizes to try."""
        flag(self.fit_intercept, "fit_intercept")
        if (self.n_features, self.criterion, self.cv).count(None) < 2:
            raise InputError(
                "`n_features`, `criterion` and `cv` all choose the number of columns; pass one"
            )
        if None not in (self.n_features, self.max_features):
            raise InputError(
                "`max_features` limits the sizes to try, but `n_features` fixes the size; pass one"
            )
        p = rows.x.shape[1]
        names = getattr(self, "feature_names_in_", None)
        members = group_members(self.groups, p, names)
        kept = kept_units(self.must_keep, names, p, members)
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
        """Return the cost of each size that was found; the size of least cost is chosen."""
        if held_out is not None:
            return {size: float(held_out[size - len(search.problem.kept)]) for size in search.value}
        return {size: self._cost(search, size, n) for size in search.value}

    def _cost(self, search: Search, size: int, n: float) -> float:
        """Return the criterion of a size; with `n_features`, the deviance of a row."""
        problem = search.problem
        deviance = self._deviance(problem, search.value[size], n)
        if self.n_features is not None:
            return deviance / n
        columns = len(problem.columns(search.units[search.chosen[size]]))
        name = DEFAULT_CRITERION if self.criterion is None else self.criterion
        slopes = self._slopes_a_column(problem)
        return deviance + penalty(name, n, problem.n_units, size, columns, slopes)

    def _enough(self, n: float) -> Callable[[Search], bool] | None:
        """Return a function that stops the search after `PATIENCE` sizes, if no limit is given."""
        if not (self.n_features is self.cv is self.max_features is None):
            return None
        costs: dict[int, float] = {}

        def enough(search: Search) -> bool:
            size = max(search.value)
            costs[size] = self._cost(search, size, n)
            return size - min(costs, key=costs.__getitem__) >= PATIENCE

        return enough

    def _shrunk(self, search: Search, size: int, n: float) -> Problem:
        """Return the problem with the ridge of a size, where the estimator estimates one."""
        return search.problem

    def _held_out(self, rows: Rows, units: Units, sizes: list[int]) -> NDArray[np.float64]:
        """Return the held-out loss of each size, a weighted mean over rows."""
        losses, tested = np.zeros(len(sizes)), 0.0
        for fold, (part, rest) in enumerate(folds(self.cv, rows, hasattr(self, "classes_"))):
            standardised = standardised_design(part.x, part.weights, self.fit_intercept)
            try:
                problem = self._problem(standardised, part.y, units)
            except InputError as error:
                raise InputError(
                    f"without the rows that fold {fold} of `cv` holds out: {error}"
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
        return losses / tested


def _smallest_best(costs: dict[int, float], equal: float) -> int:
    """Return the smallest size whose cost is the least one, up to a difference that is none."""
    least = min(costs.values())
    return min(size for size, cost in costs.items() if cost <= least + equal)


def problem_parts(
    statistics: Statistics, members: list[Positions] | None, kept: Positions
) -> tuple[Groups | None, Positions]:
    """Return the groups and the kept units of a problem, after a check of the kept units.

    Raises
    ------
    InputError
        If a kept unit is constant, or a sum of the kept units before it.
    """
    groups = None if members is None else Groups.of(members, statistics)
    plain = Problem(statistics, groups)
    for count, unit in enumerate(kept):
        if plain.swap_from(kept[:count]).adds()[unit] == -np.inf:
            columns = plain.columns(kept[count : count + 1]).tolist()
            raise InputError(
                "`must_keep` has columns that are constant or sums of its other columns: "
                f"{columns}; leave them out"
            )
    return groups, kept
