"""Make the replicate weights of a result: fit the columns of base weights to the targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from l0.calibration.evaluation.untargeted import SurveyStatistics
from l0.calibration.fitting.columns import ColumnFits, Columns
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.program import Program
from l0.calibration.fitting.refit import Fit, program_of
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.whole_fit import WholeFit
from l0.calibration.problem.core import Problem
from l0.calibration.replicate_columns import BaseColumns, base_columns
from l0.calibration.replicate_settings import Jackknife, Replication, design_columns
from l0.calibration.replicate_totals import moved_totals
from l0.calibration.sampling.stratification import SurveyStratification
from l0.calibration.variance.jackknife import kept_deviation
from l0.common.errors import first_few
from l0.common.formatting import counted, percent

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
    "The calibration of the full file is too large to repeat it for each column of replicate "
    "weights: standard errors of the {} of it that the weights are held to (`represent`) are near "
    "0, and lack the error of the survey. Use `represent=False` for intervals of them"
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
    full_file : Fit or None
        Of all records, if they were calibrated too.
    loss : float
        The mean error of the result on its targets.
    seed : int
    """

    context: FitContext
    selection: Selection
    fit: Fit
    whole: WholeFit | None
    full_file: Fit | None
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
        base = base_columns(context, selection, fit, settings, generator)
        program, rows, _ = program_of(context.objective, selection)
        fits = ColumnFits(program, fit.solution)
        leverage = fits.linearised.leverage
        kept = np.ones(len(base.rscales))
        if isinstance(settings, Jackknife) and not settings.selection_error_only:
            kept[: settings.n] = kept_deviation(leverage)
        shifts, more = self._shifts(base, program, rows)
        fitted = context.stages.once(
            "replicates",
            Columns,
            lambda: fits.fit(base.factors, shifts / kept, context.stages),
        )
        notes, counts = _missed(context, program, fit, fitted, base.factors, rows)
        notes += more
        main = fit.solution.q[:, None]
        weights = main + kept * (fitted.weights - main)
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
            "rscales": base.rscales.tolist(),
            "gap": float(known.max()) if len(known) else None,
            "mean_leverage": leverage,
            **counts,
        }
        as_came = np.argsort(context.problem.record_order[records])
        return Replicated(weights[as_came], description, [*notes, *self._limits_of_draw()])

    def _shifts(
        self, base: BaseColumns, program: Program, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], list[str]]:
        """Compute how the soft targets move in each column, shape (m, C), in their units."""
        context, shifts = self.context, np.zeros((len(program.share), len(base.rscales)))
        soft = context.objective.soft
        if soft is None or base.of_survey is None:
            return shifts, []
        assert self.full_file is not None  # its totals are the soft targets
        moved = moved_totals(context, self.full_file, soft, base.of_survey)
        if moved is None:
            return shifts, [HELD.format(counted(len(soft.values), "total"))]
        which = rows[rows >= context.problem.n_targets] - context.problem.n_targets
        sizes = np.abs(soft.values[which])[:, None]
        shifts[program.soft, : moved.shape[1]] = moved[which] / sizes
        return shifts, []

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
