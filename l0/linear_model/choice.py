"""From checked rows to a choice of columns: search each size, choose one, and fit the models."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.common.blas_threads import one_thread
from l0.common.errors import InputError
from l0.linear_model.certificate.certify import certify
from l0.linear_model.criteria import penalty
from l0.linear_model.curved import CurvedProblem
from l0.linear_model.design import Positions, Standardised, standardised_design
from l0.linear_model.exclusive_swap import Exclusive
from l0.linear_model.group_swap import Groups
from l0.linear_model.losses import Loss, Point
from l0.linear_model.models import fitted
from l0.linear_model.near_copies import warn_of_near_copies
from l0.linear_model.problem import Problem
from l0.linear_model.rows import Model, Rows
from l0.linear_model.search import Search
from l0.linear_model.shrinkage import ridge_of_choice
from l0.linear_model.statistics import Matrix, Statistics

#: Without `max_features`, the search ends when the criterion has not fallen for so many sizes.
PATIENCE = 10
NONE = np.empty((0, 0))
NO_MINIMUM = (
    "the coefficients of the {size:,} chosen columns (or groups) grow without limit, as where "
    "columns separate the classes or the events; pass `l2` above 0 (.001 is the default), a "
    "smaller `n_features` or `max_features`, or more rows"
)
NO_SCALE = (
    "a model of {size:,} columns (or groups) can pass through most rows, so that the errors of "
    '`loss="huber"` have no scale, and single rows decide the coefficients; pass a smaller '
    "`n_features` or `max_features`, or more rows"
)
#: A loss on rows, from their outcomes and weights.
LossOf = Callable[[NDArray[Any], NDArray[np.float64]], Loss]


@dataclass(frozen=True)
class Question:
    """What an estimator asks of its rows.

    Attributes
    ----------
    loss_of : callable
    sizes : list of int
        Consecutive numbers of units.
    members : list of ndarray of int64, or None
        The columns of each group; without groups, each column is a unit.
    kept : ndarray of int64
        Units that belong to every choice.
    criterion : str or None
        What chooses the size; None where the size is given.
    patient : bool
        Whether the search stops some sizes after the minimum of the criterion.
    centre : bool
        Whether a constant may be added to the linear predictor.
    l2 : float or None
        The ridge; None where it is estimated.
    bounds : ndarray of float64, shape (p, 2), or None
        Of the coefficients of the columns of X.
    exclusive : Exclusive or None
        Sets of units of which at most one may be chosen.
    certify : float or None
        The seconds for a bound on what the best choice would gain; None without one.
    """

    loss_of: LossOf
    sizes: list[int]
    members: list[Positions] | None
    kept: Positions
    criterion: str | None
    patient: bool
    centre: bool
    l2: float | None
    bounds: Matrix | None = None
    exclusive: Exclusive | None = None
    certify: float | None = None

    @property
    def kept_columns(self) -> Positions:
        """The columns of the kept units."""
        if self.members is None:
            return self.kept
        return np.concatenate([np.empty(0, np.int64), *(self.members[g] for g in self.kept)])


@dataclass(frozen=True)
class HeldOut:
    """What each size costs on the rows that folds hold out.

    Attributes
    ----------
    smallest : int
        The first size.
    losses : ndarray of float64, shape (sizes, folds)
        The mean loss of a held-out row.
    weights : ndarray of float64, shape (folds,)
        How many rows each fold holds out: the sum of their weights. Folds without any are no part
        of the means.
    one_standard_error : bool
        Whether costs up to one standard error above the least one count as equal to it. It is the
        standard error of the plain mean over folds.
    """

    smallest: int
    losses: NDArray[np.float64]
    weights: NDArray[np.float64]
    one_standard_error: bool = False

    def cost(self, size: int) -> float:
        """Return the mean loss of a held-out row."""
        return float(self._costs[size - self.smallest])

    def equal(self, rounding: float) -> float:
        """Return the difference of two costs that is none.

        Held-out errors that differ by rounding are equal: without noise, several sizes have none.
        """
        if not self.one_standard_error:
            return rounding
        best = self.losses[np.argmin(self._costs), self.weights > 0]
        return float(max(rounding, best.std(ddof=1) / np.sqrt(len(best))))

    @property
    def _costs(self) -> NDArray[np.float64]:
        held = self.weights > 0
        return np.asarray(self.losses[:, held] @ self.weights[held] / self.weights.sum())


@dataclass(frozen=True)
class Stated:
    """Rows as a problem for a search."""

    question: Question
    standardised: Standardised
    loss: Loss
    problem: Problem
    #: The scale of the errors of choices, which are positions among the screened units.
    _scales: dict[tuple[int, ...], float] = field(default_factory=dict, init=False, repr=False)

    def costs(self, search: Search, only: int | None = None) -> dict[int, float]:
        """Return the criterion of each size; where the size is given, the deviance of a row.

        Of the size `only` alone, if it does not depend on the sizes before it.
        """
        loss = self.loss
        sizes = sorted(search.value) if only is None or loss.has_scale else [only]
        deviances = dict(zip(sizes, self._deviances(search, sizes), strict=True))
        if self.question.criterion is None:
            return {size: deviances[size] / loss.n for size in sizes}
        n_units, found = search.problem.n_units, {}
        for size in sizes:
            columns = len(search.problem.columns(search.units[search.chosen[size]]))
            asked = penalty(
                self.question.criterion, loss.rows, n_units, size, columns, loss.n_slopes
            )
            found[size] = deviances[size] + asked
        return found

    def _deviances(self, search: Search, sizes: list[int]) -> list[float]:
        """Return the deviance of each size; with a ridge, its penalty is a part of it."""
        if self.loss.quadratic:
            total, rounding = search.problem.statistics.total, search.problem.statistics.rounding
            return [
                self.loss.deviance(max(total - search.value[size], rounding) / total)
                if total > 0
                else 0.0
                for size in sizes
            ]
        return self.loss.deviances(
            [Point(-search.value[size] / 2, NONE, self._scale(search, size)) for size in sizes]
        )

    def _scale(self, search: Search, size: int) -> float:
        """Return the scale of the errors of a choice, where the loss estimates one."""
        if not self.loss.has_scale:
            return 1.0
        chosen = tuple(search.chosen[size].tolist())
        if chosen not in self._scales:
            assert isinstance(search.screened, CurvedProblem)
            self._scales[chosen] = search.screened.fit(search.chosen[size]).point.scale
        return self._scales[chosen]

    def shrunk(self, search: Search, size: int) -> Problem:
        """Return the problem with the ridge of a size, where it is estimated."""
        problem = search.problem
        if self.question.l2 is not None or not self.loss.quadratic:
            return problem
        columns = problem.columns(search.units[search.chosen[size]])
        n = self.loss.n * self.loss.y.shape[1]
        return problem.with_l2(ridge_of_choice(problem, search.value[size], size, columns, n))

    def fingerprint(self) -> list[Matrix]:
        """Return numbers by which other rows are told: none depends on a choice."""
        statistics, scale = self.problem.statistics, self.standardised.scale
        scale = np.where(np.isfinite(scale), scale, 1.0)  # of a constant column of a sparse matrix
        return [
            np.array([self.loss.n]),
            self.standardised.mean / scale,
            1 / scale,
            statistics.cross,
            np.array([statistics.total]),
        ]

    def model(self, problem: Problem, chosen: Positions) -> Model:
        """Fit the model on some units."""
        return fitted(problem, self.standardised, self.loss, self.question.centre, chosen)


@dataclass(frozen=True)
class Choice:
    """What was found.

    Attributes
    ----------
    size : int
        The number of units of the choice.
    models : dict of int to Model
        By size.
    costs : dict of int to float
        What chose the size, for each size; also of the search of the chosen one alone.
    l2 : float
        The ridge of the choice.
    gap : float
        What the best swap gains, as a share of the sum of squares of the outcome.
    optimality_gap : float or None
        The most that any other choice of the size gains, in the same way, if that was asked.
    standardised : Standardised
    loss : Loss
    fingerprint : list of ndarray
        Of the rows.
    """

    size: int
    models: dict[int, Model]
    costs: dict[int, float]
    l2: float
    gap: float
    optimality_gap: float | None
    standardised: Standardised
    loss: Loss
    fingerprint: list[Matrix]


def state(rows: Rows, question: Question) -> Stated:
    """Standardise rows of positive weight, and state their problem.

    Raises
    ------
    InputError
        If no model can be fitted to these rows, or if a kept unit is constant or a sum of the kept
        units before it.
    """
    standardised = standardised_design(rows.x, rows.weights, question.centre)
    loss = question.loss_of(rows.y, rows.weights)
    loss.check()
    outcome = np.sqrt(loss.weights)[:, None] * loss.outcome(question.centre)
    statistics = Statistics.of(standardised.design, outcome, question.l2 or 0.0)
    parts = problem_parts(statistics, question.members, question.kept)
    if loss.quadratic:
        bounds = question.bounds
        if bounds is not None:
            # Constant columns may have an infinite scale, and are never chosen.
            scale = np.where(np.isfinite(standardised.scale), standardised.scale, 1.0)
            bounds = bounds * scale[:, None]
        problem = Problem(statistics, *parts, bounds, question.exclusive)
        return Stated(question, standardised, loss, problem)
    curved = CurvedProblem(
        statistics, *parts, design=standardised.design, loss=loss, centre=question.centre
    )
    return Stated(question, standardised, loss, curved)


def choose(
    rows: Rows, question: Question, held_out: HeldOut | None = None, stacklevel: int = 2
) -> Choice:
    """Search each size, choose one, and fit the models.

    Parameters
    ----------
    rows : Rows
        Of positive weight.
    question : Question
    held_out : HeldOut, optional
        What each size costs on held-out rows, in place of the criterion.
    stacklevel : int
        Of warnings, as in `warnings.warn`.

    Returns
    -------
    Choice
    """
    stated = state(rows, question)
    warn_of_near_copies(stated.standardised, stacklevel + 1)
    with one_thread:
        path = Search(stated.problem, question.sizes, enough=_enough(stated))
        size, costs = _best_size(path, stated, held_out)
        problem = stated.shrunk(path, size)
        last = Search(problem, [size], known=path)
        last.harder(size)
        chosen, most = last.finish(size), None
        if question.certify is not None:
            certificate = certify(problem, chosen, question.certify)
            chosen, last.value[size] = certificate.chosen, certificate.explained
            most = certificate.bound - certificate.explained
    if question.criterion is None and held_out is None:
        costs = stated.costs(last)
        if size < question.sizes[-1]:
            warnings.warn(
                f"only {size:,} of `n_features` = {question.sizes[-1]:,} are chosen: the other "
                "columns are constant or sums of the chosen ones"
                + (", or `at_most_one` keeps them out" if question.exclusive else ""),
                stacklevel=stacklevel + 1,
            )
    models = {
        other: stated.model(stated.shrunk(path, other), path.units[places])
        for other, places in path.chosen.items()
        if other != size
    }
    models[size] = stated.model(problem, chosen)
    if isinstance(problem, CurvedProblem) and not problem.has_minimum(chosen):
        said = NO_MINIMUM.format(size=size)
        if not stated.loss.by_row:  # risk sets: the baseline hazard has no value either
            raise InputError(said)
        warnings.warn(said, stacklevel=stacklevel + 1)
    if isinstance(problem, CurvedProblem) and problem.passes_through_most(chosen):
        warnings.warn(NO_SCALE.format(size=size), stacklevel=stacklevel + 1)
    gap, total = problem.swap_from(chosen).best_swap()[0], problem.statistics.total
    return Choice(
        size,
        models,
        costs,
        problem.statistics.l2,
        gap / total if total > 0 and gap > -np.inf else 0.0,
        most / total if most is not None and total > 0 else most,
        stated.standardised,
        stated.loss,
        stated.fingerprint(),
    )


def _best_size(
    path: Search, stated: Stated, held_out: HeldOut | None
) -> tuple[int, dict[int, float]]:
    """Return the size that costs least, and what each size costs; search that size wider."""

    def costs() -> dict[int, float]:
        if held_out is not None:
            return {size: held_out.cost(size) for size in path.value}
        return stated.costs(path)

    # A criterion counts rounding as an unexplained share itself.
    equal = 0.0 if held_out is None else held_out.equal(stated.problem.statistics.rounding)
    found, widened = costs(), set[int]()
    while (size := _smallest_best(found, equal)) not in widened:
        path.wider(size)
        widened.add(size)
        found = costs()
    return size, found


def _smallest_best(costs: dict[int, float], equal: float) -> int:
    """Return the smallest size whose cost is the least one, up to a difference that is none."""
    least = min(costs.values())
    return min(size for size, cost in costs.items() if cost <= least + equal)


def _enough(stated: Stated) -> Callable[[Search], bool] | None:
    """Return a function that stops the search after `PATIENCE` sizes, if it may stop."""
    if not stated.question.patient:
        return None

    costs: dict[int, float] = {}

    def enough(search: Search) -> bool:
        costs.update(stated.costs(search, only=max(search.value)))
        return max(costs) - min(costs, key=costs.__getitem__) >= PATIENCE

    return enough


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
