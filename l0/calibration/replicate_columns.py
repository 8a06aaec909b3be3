"""The columns of base weights that replicate weights are fitted from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Fit
from l0.calibration.fitting.selected import Selection
from l0.calibration.problem.survey_design import read_labels, read_replicate_columns
from l0.calibration.replicate_settings import Jackknife, Replication, SurveyReplicates
from l0.calibration.variance.jackknife import (
    HALVED_RSCALE,
    Groups,
    dealt,
    halved_factors,
    paired_factors,
    paired_rscales,
)
from l0.calibration.variance.survey_replicates import survey_rscales
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted

Array = NDArray[np.float64]

#: A record with this share of its final weight in the full file adds no error by its selection.
NEARLY_CERTAIN = 0.5


@dataclass(frozen=True, eq=False)
class BaseColumns:
    """Columns of base weights.

    Attributes
    ----------
    factors : ndarray of float64, shape (k, C)
        What multiplies the base weights of the chosen records.
    rscales : ndarray of float64, shape (C,)
        What the squared deviations of the columns count.
    of_survey : callable or None
        Multiplies a matrix, shape (r, c), by how the design weights of all candidates change in the
        first columns, as shares of them. These columns measure the error of the survey too.
    """

    factors: Array
    rscales: Array
    of_survey: Callable[[sp.csr_array], Array] | None = None


def base_columns(
    context: FitContext,
    selection: Selection,
    fit: Fit,
    settings: Replication,
    generator: np.random.Generator,
) -> BaseColumns:
    """Make the columns of a selection.

    Raises
    ------
    InputError
        If the settings do not suit the records.
    """
    if isinstance(settings, SurveyReplicates):
        return _of_replicates(context, selection, fit, settings, generator)
    if settings.selection_error_only:
        _check_selected(context, len(selection.records))
        return _of_selection(context, selection, fit, settings.n, generator)
    return _of_groups(context, selection, settings, generator)


def check_design(context: FitContext, settings: Replication, n_records: int | None) -> None:
    """Check what the settings say of the survey, before a fit that would be in vain.

    Raises
    ------
    InputError
        If a column does not exist or is wrong, if a stratum has only one cluster, or if the error
        of a selection is asked for and there is none.
    """
    everyone = np.arange(len(context.candidates))
    if isinstance(settings, SurveyReplicates):
        of_file = read_replicate_columns(context.problem, settings.columns)
        _check_not_empty(of_file, settings, "records of the file", "")
        return
    if settings.selection_error_only:
        _check_selected(context, len(everyone) if n_records is None else n_records)
    design = _Design.of(context, settings).among(context.candidates)
    design.units(everyone, "records of the file")


def _check_selected(context: FitContext, n_records: int) -> None:
    """Check that not all records are kept."""
    if n_records == len(context.candidates):
        raise InputError(
            "`selection_error_only=True`: all records are kept, and there is no error of a "
            "selection; pass `n_records`, or leave `selection_error_only` out"
        )


def _check_not_empty(factors: Array, settings: SurveyReplicates, which: str, remedy: str) -> None:
    """Check that each column has a record."""
    empty = np.flatnonzero(~factors.any(axis=0))
    if empty.size:
        names = first_few([settings.columns[place] for place in empty.tolist()])
        are, them = ("is", "it") if empty.size == 1 else ("are", "them")
        raise InputError(f"`columns`: {names} {are} 0 for all {which}; leave {them} out{remedy}")


@dataclass(frozen=True, eq=False)
class _Design:
    """Strata and clusters of records, as a `Jackknife` names them."""

    strata: NDArray[np.int64]
    levels: list[str]
    clusters: NDArray[np.int64] | None

    @classmethod
    def of(cls, context: FitContext, settings: Jackknife) -> _Design:
        """Read the design of all records."""
        problem, clusters = context.problem, None
        strata, levels = np.zeros(problem.n_records, dtype=np.int64), list[str]()
        if settings.strata is not None:
            strata, levels = read_labels(problem, settings.strata, "strata")
        if settings.clusters is not None:
            clusters, _ = read_labels(problem, settings.clusters, "clusters")
        return cls(strata, levels, clusters)

    def among(self, records: NDArray[np.int64]) -> _Design:
        """Take some of the records."""
        clusters = None if self.clusters is None else self.clusters[records]
        return _Design(self.strata[records], self.levels, clusters)

    def units(self, rank: NDArray[np.int64], which: str) -> NDArray[np.int64]:
        """Put the units in order (`dealt`), and check that each stratum has two at least."""
        units = dealt(rank, self.strata, self.clusters)
        _, first = np.unique(units, return_index=True)
        alone = np.flatnonzero(np.bincount(self.strata[first]) == 1)
        what = "record" if self.clusters is None else "cluster"
        if alone.size and self.levels:
            names = first_few([self.levels[stratum] for stratum in alone])
            have = counted(alone.size, "stratum has", "strata have")
            raise InputError(
                f"`strata`: {have} only one {what} among the {which} ({names}), and no variance "
                "can be computed from one; join each with another stratum"
            )
        if alone.size:
            other = "keep more records" if self.clusters is None else "name other clusters"
            raise InputError(
                f"`replicates`: there is only one {what} among the {which}, and no variance can be "
                f"computed from one; {other}"
            )
        return units


def _of_groups(
    context: FitContext,
    selection: Selection,
    settings: Jackknife,
    generator: np.random.Generator,
) -> BaseColumns:
    """Leave out groups of records or clusters, and halve the base weights of those not drawn."""
    rank = _rank(context, selection, generator)
    survey = _Design.of(context, settings)
    design = survey.among(selection.records)
    units = design.units(rank, "chosen records")
    groups = Groups.deal(units, design.strata, settings.n, generator)
    columns = BaseColumns(groups.factors(), groups.rscales)
    if context.objective.soft is not None:
        # In the file, the order of the draw says nothing of the survey. Its groups contain those of
        # the chosen records, whose errors go with those of the totals where clusters share both.
        candidates = context.candidates
        whole = survey.among(candidates)
        units = whole.units(generator.permutation(len(candidates)), "records of the file")
        known = np.full(context.problem.n_records, -1)
        known[selection.records] = groups.group
        full = Groups.deal(units, whole.strata, settings.n, generator, known[candidates])
        size = np.sqrt(full.rscales / groups.rscales)
        columns = replace(
            columns,
            of_survey=lambda matrix: size * full.changed(matrix),
        )
    return _with_halved(context, selection, columns)


def _of_selection(
    context: FitContext,
    selection: Selection,
    fit: Fit,
    n_groups: int,
    generator: np.random.Generator,
) -> BaseColumns:
    """Leave out records, and give their weights to their neighbours in the order of the draw."""
    k = len(selection.records)
    rank = _rank(context, selection, generator)
    units = _Design(np.zeros(k, dtype=np.int64), [], None).units(rank, "chosen records")
    full = np.ones(k) if context.reference is None else context.reference[selection.records]
    units = np.where(full >= NEARLY_CERTAIN * fit.ratios, -1, units)
    factors = paired_factors(units, n_groups, generator)
    return _with_halved(context, selection, BaseColumns(factors, paired_rscales(n_groups)))


def _of_replicates(
    context: FitContext,
    selection: Selection,
    fit: Fit,
    settings: SurveyReplicates,
    generator: np.random.Generator,
) -> BaseColumns:
    """Take the survey's own columns, and after them those for the error of the selection."""
    of_file = read_replicate_columns(context.problem, settings.columns)
    factors = of_file[selection.records]
    _check_not_empty(factors, settings, "chosen records", ", or keep more records")
    n_columns = factors.shape[1]
    rscales = survey_rscales(
        settings.method, n_columns, settings.rho, settings.scale, settings.rscales
    )
    if len(selection.records) == len(context.candidates):
        return BaseColumns(factors, rscales)
    more = _of_selection(context, selection, fit, settings.groups, generator)
    return BaseColumns(
        np.hstack([factors, more.factors]),
        np.concatenate([rscales, more.rscales]),
        of_survey=lambda matrix: np.asarray(matrix @ (of_file[context.candidates] - 1)),
    )


def _with_halved(context: FitContext, selection: Selection, columns: BaseColumns) -> BaseColumns:
    """Add a column that halves the base weights of the records that were not drawn, if some were.

    It measures the error of the selection alone.
    """
    drawn = selection.drawn
    if drawn is None or drawn.all() or not drawn.any():
        return columns
    base = selection.base * context.problem.design_weights[selection.records]
    return replace(
        columns,
        factors=np.hstack([columns.factors, halved_factors(base, drawn)]),
        rscales=np.append(columns.rscales, HALVED_RSCALE),
    )


def _rank(
    context: FitContext, selection: Selection, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Give the place of each record in the order of the draw, shape (k,)."""
    if selection.order is None:
        return generator.permutation(len(selection.records))
    place = np.full(context.problem.n_records, len(selection.order))
    place[selection.order] = np.arange(len(selection.order))
    return place[selection.records]
