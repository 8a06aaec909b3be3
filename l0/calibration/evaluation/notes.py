"""Notes on a result: what its metrics do not tell, in sentences for its reader."""

from __future__ import annotations

import math
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.refit import Fit
from l0.calibration.fitting.whole_fit import WholeFit
from l0.calibration.inputs.survey import Survey
from l0.calibration.problem.constraints import Constraints
from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import score
from l0.common.errors import first_few
from l0.common.formatting import counted, percent
from l0.data.codings import coding_of

#: What to do about a fit that stopped, by what stopped it.
REMEDIES = {
    "max_seconds": "raise `max_seconds` of `Solver`, or ask for a larger `gap`",
    "iterations": "ask for a larger `gap` of `Solver`, or widen the bounds",
    "rounding errors": "ask for a larger `gap` of `Solver`, or look for targets and amounts whose "
    "sizes differ by many orders of magnitude",
}


def notes(
    problem: Problem,
    fit: Fit,
    full_file: Fit | None,
    weights: NDArray[np.float64],
    n_forced_out: int,
    reasons: NDArray[np.str_],
) -> list[str]:
    """Write the notes on a result.

    Parameters
    ----------
    problem : Problem
    fit : Fit
        The fit of the weights.
    full_file : Fit or None
        The fit of the full file, if it is another one.
    weights : ndarray of float64, shape (k,)
    n_forced_out : int
        The number of records that a total of zero forces out.
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable, or the empty string.

    Returns
    -------
    list of str
    """
    found = []
    if fit.solution.status == "stopped":
        found.append(_stopped("The fit of the weights", fit))
    if full_file is not None and full_file.solution.status == "stopped":
        found.append(_stopped("The fit of the full file, the reference of this one,", full_file))
    if negative := int((weights < 0).sum()):
        are = "is" if negative == 1 else "are"
        found.append(
            f"{negative:,} of {len(weights):,} weights {are} negative, which `distance='linear'` "
            "allows; pass `bounds=(0, None)`, for example, or another distance"
        )
    if problem.n_dropped:
        were = counted(problem.n_dropped, "record was", "records were")
        found.append(f"{were} left out because of a design weight of 0 (`zero_weights='drop'`)")
    if problem.survey is not None:
        found += missing_codes(problem.survey)
    if n_forced_out:
        have = counted(n_forced_out, "record has", "records have")
        what = "a target of value 0"
        if problem.kinds is not None:
            what = "a target at the end of what the records allow, such as 0,"
        found.append(f"{have} the weight 0, which {what} forces")
    lost = reasons != ""
    if fit.solution.status == "exact" and lost.any():
        names = first_few(list(compress(problem.names, lost)))
        found.append(f"All targets are met exactly but those that are out of reach: {names}")
    return found


def constraints_note(constraints: Constraints | None) -> list[str]:
    """Say which constraints the chosen records obey. It is no warning."""
    if constraints is None:
        return []
    parts = []
    if n_must := int(constraints.must.sum()):
        parts.append(f"{counted(n_must, 'record')} of `must_keep`")
    if constraints.names:
        parts.append(f"{counted(len(constraints.names), 'cell')} of `quotas`")
    return [f"The chosen records obey the constraints: {' and '.join(parts)}"]


def holdout_notes(held_out: Problem | None) -> list[str]:
    """Say which targets were held out. It is no warning."""
    if held_out is None:
        return []
    return [
        f"{counted(held_out.n_targets, 'target was', 'targets were')} held out of the fit "
        f"(`holdout`): {first_few(held_out.names)}"
    ]


def rounding_notes(
    problem: Problem, records: NDArray[np.int64], whole: WholeFit, keep_total: bool
) -> list[str]:
    """Write the notes on whole weights: what the rounding changed.

    Parameters
    ----------
    problem : Problem
    records : ndarray of int64, shape (k,)
    whole : WholeFit
    keep_total : bool
        Whether the weights must add up to the sum of all design weights.

    Returns
    -------
    list of str
    """
    first, fitted, after = (
        f"{_loss(problem, records, weights):.3%}"
        for weights in (whole.first, whole.fitted, whole.weights)
    )
    found = []
    if whole.n_outside:
        were = "was" if whole.n_outside == 1 else "were"
        found.append(
            f"{whole.n_outside:,} of {len(records):,} fitted weights {were} outside the "
            "whole numbers of at least 1 within the bounds. All weights were fitted again inside, "
            f"with the same sum, which changed the mean error on the targets from {first} to "
            f"{fitted}."
        )
    if whole.changed:
        found.append(
            "The fitted weights were rounded to whole numbers, which changed the mean error on the "
            f"targets from {fitted} to {after}. `gap` and the shadow prices are those of the "
            "fitted weights."
        )
    total, asked = int(whole.weights.sum()), float(problem.design_weights.sum())
    if keep_total and not math.isclose(total, asked, rel_tol=1e-12):
        found.append(
            f"The weights add up to {total:,}, the whole number nearest to the sum of all design "
            f"weights, {asked:,.10g}."
        )
    return found


def _loss(
    problem: Problem, records: NDArray[np.int64], weights: NDArray[np.float64 | np.int64]
) -> float:
    estimates = problem.estimate(weights.astype(np.float64), records)
    return score(problem.relative_errors(problem.errors(estimates)), problem.importance)


def _stopped(what: str, fit: Fit) -> str:
    by = fit.solution.stopped
    return (
        f"{what} was stopped by {by} before it reached its gap: its objective is certainly within "
        f"{percent(fit.solution.gap)} of the best possible one; {REMEDIES[by]}"
    )


def missing_codes(survey: Survey) -> list[str]:
    """Say which cells of the tables are empty because they have a missing code of their file."""
    notes = []
    for entity in (survey.records, *survey.members.values()):
        columns = []
        for column in entity.table.schema:
            coding = coding_of(column)
            if coding is not None and coding.found:
                columns.append(f"{column.name} ({', '.join(coding.found)})")
        if columns:
            notes.append(
                f"`{entity.argument}` have missing codes, which count as empty cells, in the "
                f"columns {first_few(columns)}"
            )
    return notes
