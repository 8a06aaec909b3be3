"""Make the replicate weights of a result: choose the columns of base weights, and fit them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.calibration.evaluation.untargeted import SurveyStatistics
from l0.calibration.fitting.columns import Columns, fit_columns
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.program import Program
from l0.calibration.fitting.refit import Fit, program_of
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.whole_fit import WholeFit
from l0.calibration.problem.core import Problem
from l0.calibration.problem.survey_design import read_labels, read_replicate_columns
from l0.calibration.replicate_settings import Jackknife, Replication, design_columns
from l0.calibration.sampling.stratification import SurveyStratification
from l0.calibration.variance.jackknife import (
    HALVED_RSCALE,
    dealt,
    halved_factors,
    jackknife_factors,
    kept_deviation,
    paired_factors,
    paired_rscales,
)
from l0.calibration.variance.survey_replicates import survey_rscales
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted, percent

#: A record with this share of its final weight in the full file adds no error by its selection.
NEARLY_CERTAIN = 0.5
#: A column misses a target that the result meets if its error is above this share of the scale.
MISSED = 0.01
#: A draw misses its targets if its mean error is above this. Intervals were too short there.
MEAN_ERROR = 0.05
#: The stream of random numbers that deals out groups, beside the one of the selection.
STREAM = 14

NO_DRAW = (
    "No probability design drew these records. Intervals from replicate weights are known to be "
    "too short then: nominal 95% intervals covered 59% to 80%. Use `method='hybrid'` for intervals"
)
MISSED_DRAW = (
    "The weights miss the targets by {} on average, and intervals from replicate weights are known "
    "to be too short then: nominal 95% intervals covered 84%. Use `method='hybrid'` for intervals"
)
HELD = (
    "Each column of replicate weights is held to the same {} of the calibrated full file as the "
    "weights (`represent`): standard errors of these totals are near 0, and lack the error of the "
    "survey. Use `represent=False` for intervals of them"
)
ROUNDED = (
    "The replicate weights are those of the weights before rounding, times what the rounding did "
    "to each record: they measure no error of the rounding itself"
)
COUNTED = (
    "The columns {} tell how the survey was drawn, and counted as labels or amounts in this "
    "calibration; name them in its `replicates` to leave them out"
)


@dataclass(frozen=True, eq=False)
class Replicated:
    """Replicate weights of a result.

    Attributes
    ----------
    weights : ndarray of float64, shape (k, C)
        The records are in the order of the input, like those of a result.
    description : dict
        ``method``, ``rscales`` (what each squared deviation counts), ``gap`` (the largest relative
        duality gap of a column, or None), ``mean_leverage``, ``n_columns_without_records`` and
        ``n_columns_missing_targets``.
    notes : list of str
    """

    weights: NDArray[np.float64]
    description: dict[str, Any]
    notes: list[str]


@dataclass(frozen=True, eq=False)
class Replicator:
    """Makes replicate weights of a fit. It holds all that the fit was made of.

    Attributes
    ----------
    context : FitContext
    selection : Selection
    fit : Fit
        Of the selection, before any rounding.
    whole : WholeFit or None
        The whole weights that the result has in place of the fitted ones.
    loss : float
        The mean error of the result on its targets.
    seed : int
    """

    context: FitContext
    selection: Selection
    fit: Fit
    whole: WholeFit | None
    loss: float
    seed: int

    def __call__(self, settings: Replication) -> Replicated:
        """Make replicate weights.

        Raises
        ------
        InputError
            If the settings do not suit the records.
        """
        context, selection, fit, whole = self.context, self.selection, self.fit, self.whole
        records = selection.records
        design_weights = context.problem.design_weights[records]
        generator = np.random.default_rng([self.seed, STREAM])
        factors, rscales = _columns(context, selection, fit, settings, generator)
        program, rows, _ = program_of(context.objective, selection)
        fitted = context.stages.once(
            "replicates",
            Columns,
            lambda: fit_columns(program, fit.solution, factors, context.stages),
        )
        notes, counts = _missed(context, program, fit, fitted, factors, rows)
        weights = fitted.weights
        if isinstance(settings, Jackknife) and not settings.selection_error_only:
            main, groups = fit.solution.q[:, None], weights[:, : settings.n]
            groups[:] = main + kept_deviation(fitted.leverage) * (groups - main)
        weights = weights * (selection.base * design_weights)[:, None]
        if whole is not None:
            bounds = context.objective.bounds.of(records)
            weights *= (whole.weights / bounds.weights(fit.ratios, design_weights))[:, None]
            notes.append(ROUNDED)
        if uneven := _counted(context.problem, settings):
            notes.append(COUNTED.format(first_few(uneven)))
        known = fitted.gaps[np.isfinite(fitted.gaps)]
        description = {
            "method": named(settings),
            "rscales": rscales.tolist(),
            "gap": float(known.max()) if len(known) else None,
            "mean_leverage": fitted.leverage,
            **counts,
        }
        as_came = np.argsort(context.problem.record_order[records])
        return Replicated(weights[as_came], description, [*notes, *self._limits(settings)])

    def _limits(self, settings: Replication) -> list[str]:
        """Say where intervals are known not to hold."""
        return [*self._limits_of_soft_targets(settings), *self._limits_of_draw()]

    def _limits_of_soft_targets(self, settings: Replication) -> list[str]:
        """Say that totals of the full file have no error here, unless it is the one looked for."""
        soft = self.context.objective.soft
        if soft is None or (isinstance(settings, Jackknife) and settings.selection_error_only):
            return []
        return [HELD.format(counted(len(soft.values), "total"))]

    def _limits_of_draw(self) -> list[str]:
        """Say where no design drew the records, or where a drawn sample misses its targets."""
        selection = self.selection
        if len(selection.records) == len(self.context.candidates):
            return []
        if selection.drawn is not None and not selection.drawn.any():
            return [NO_DRAW]
        if selection.drawn is None and self.loss > MEAN_ERROR:
            return [MISSED_DRAW.format(percent(self.loss))]
        return []


def without_design_columns(problem: Problem, settings: Replication | None) -> Problem:
    """Leave columns that only tell how the survey was drawn out of all labels and amounts.

    Else replicate weights would be amounts whose totals the chosen records keep.
    """
    names = design_columns(settings)
    statistics, survey = problem.untargeted, problem.survey
    if not names or survey is None or not isinstance(statistics, SurveyStatistics):
        return problem
    types = {**statistics.column_types, "": statistics.column_types[""].without(names)}
    return replace(
        problem,
        untargeted=replace(statistics, column_types=types),
        stratification=SurveyStratification(survey, types[""]),
    )


def _counted(problem: Problem, settings: Replication) -> list[str]:
    """List the columns of the survey's design that are labels or amounts of a problem."""
    if not isinstance(problem.untargeted, SurveyStatistics):
        return []
    types = problem.untargeted.column_types[""]
    known = {*types.amounts, *(column.name for column in types.labels)}
    return [name for name in design_columns(settings) if name in known]


def named(settings: Replication) -> str:
    """Write a method shortly, for tables and reports."""
    if isinstance(settings, Jackknife):
        return f"Jackknife({settings.n})"
    return f"SurveyReplicates({settings.method}, {counted(len(settings.columns), 'column')})"


def _columns(
    context: FitContext,
    selection: Selection,
    fit: Fit,
    settings: Replication,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make the factors of the base weights, and what the columns count."""
    selected = len(selection.records) < len(context.candidates)
    if isinstance(settings, Jackknife):
        if settings.selection_error_only and not selected:
            raise InputError(
                "`selection_error_only=True`: all records are kept, and there is no error of a "
                "selection; pass `n_records`, or leave `selection_error_only` out"
            )
        return _jackknife(context, selection, fit, settings, generator)
    of_survey = read_replicate_columns(context.problem, settings.columns)[selection.records]
    empty = np.flatnonzero(~of_survey.any(axis=0))
    if empty.size:
        names = first_few([settings.columns[place] for place in empty.tolist()])
        raise InputError(
            f"`columns`: {names} are 0 for all chosen records; leave them out, or keep more records"
        )
    rscales = survey_rscales(
        settings.method, of_survey.shape[1], settings.rho, settings.scale, settings.rscales
    )
    if not selected:
        return of_survey, rscales
    only = Jackknife(settings.groups, selection_error_only=True)
    of_selection, more = _jackknife(context, selection, fit, only, generator)
    return np.hstack([of_survey, of_selection]), np.concatenate([rscales, more])


def _jackknife(
    context: FitContext,
    selection: Selection,
    fit: Fit,
    settings: Jackknife,
    generator: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Leave out groups of records or clusters, and halve the base weights of those not drawn."""
    records, drawn = selection.records, selection.drawn
    k = len(records)
    rank = _rank(context, selection, generator)
    strata, clusters = np.zeros(k, dtype=np.int64), None
    levels: list[str] = []
    if settings.strata is not None:
        codes, levels = read_labels(context.problem, settings.strata, "strata")
        strata = codes[records]
    if settings.clusters is not None:
        clusters = read_labels(context.problem, settings.clusters, "clusters")[0][records]
    units = dealt(rank, strata, clusters)
    _check_enough(units, strata, levels, clusters is not None)
    if settings.selection_error_only:
        full = np.ones(k) if context.reference is None else context.reference[records]
        units = np.where(full >= NEARLY_CERTAIN * fit.ratios, -1, units)
        factors = paired_factors(units, settings.n, generator)
        rscales = paired_rscales(settings.n)
    else:
        factors, rscales = jackknife_factors(units, strata, settings.n, generator)
    if drawn is None or drawn.all() or not drawn.any():
        return factors, rscales
    halved = halved_factors(selection.base * context.problem.design_weights[records], drawn)
    return np.hstack([factors, halved]), np.append(rscales, HALVED_RSCALE)


def _rank(
    context: FitContext, selection: Selection, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Give the place of each record in the order of the draw, shape (k,)."""
    if selection.order is None:
        return generator.permutation(len(selection.records))
    place = np.full(context.problem.n_records, len(selection.order))
    place[selection.order] = np.arange(len(selection.order))
    return place[selection.records]


def _check_enough(
    units: NDArray[np.int64], strata: NDArray[np.int64], levels: list[str], clustered: bool
) -> None:
    """Check that each stratum has two units at least."""
    _, first = np.unique(units, return_index=True)
    sizes = np.bincount(strata[first])
    alone = np.flatnonzero(sizes == 1)
    what = "cluster" if clustered else "record"
    if alone.size and levels:
        names = first_few([levels[stratum] for stratum in alone])
        have = counted(alone.size, "stratum has", "strata have")
        raise InputError(
            f"`strata`: {have} only one {what} among the chosen records ({names}), and no variance "
            "can be computed from one; join each with another stratum"
        )
    if alone.size:
        raise InputError(
            f"`replicates`: the chosen records are one {what}, and no variance can be computed "
            "from one; keep more records"
        )


def _missed(
    context: FitContext,
    program: Program,
    fit: Fit,
    fitted: Columns,
    factors: NDArray[np.float64],
    rows: NDArray[np.int64],
) -> tuple[list[str], dict[str, int]]:
    """Count columns where targets have no record left, or are missed and the result meets them."""
    n_published = int(np.count_nonzero(rows < context.problem.n_targets))
    absolute = abs(program.matrix.csr[:n_published])
    bare = absolute @ (factors > 0) == 0
    inside = np.abs(program.outside(program.times(fit.solution.q)))[:n_published] <= MISSED
    beyond = fitted.estimates[:n_published]
    low, high = (side[:n_published, None] for side in (program.low, program.high))
    missed = (np.abs(beyond - np.clip(beyond, low, high)) > MISSED) & inside[:, None] & ~bare
    notes = []
    n_columns = factors.shape[1]
    if n_bare := int(bare.any(axis=0).sum()):
        lost = rows[:n_published][bare.any(axis=1)]
        names = first_few([context.problem.names[row] for row in lost])
        notes.append(
            f"In {n_bare:,} of {counted(n_columns, 'column')} of replicate weights, targets have "
            f"no record left: {names}"
        )
    if missed.any():
        notes.append(
            f"Of {counted(int(inside.sum()), 'target')} that the weights meet within 1%, a column "
            f"of replicate weights misses {missed.sum() / n_columns:,.2g} on average"
        )
    counts = {
        "n_columns_without_records": n_bare,
        "n_columns_missing_targets": int(missed.any(axis=0).sum()),
    }
    return notes, counts
