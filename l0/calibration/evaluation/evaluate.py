"""Evaluate weights: the metrics of a result, and the tables behind them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.diagnosis.discrepancies import suspects
from l0.calibration.evaluation.comparison import untargeted_metrics
from l0.calibration.evaluation.entities import entity_table
from l0.calibration.evaluation.metrics import (
    Quality,
    fit_metrics,
    holdout_metrics,
    weight_metrics,
)
from l0.calibration.evaluation.target_labels import label_columns
from l0.calibration.fitting.refit import Fit
from l0.calibration.inputs.kinds import TOTAL
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.core import HELD_OUT, MET, Problem
from l0.calibration.problem.kinds import Kinds
from l0.common.errors import InputError

#: Why a mean, a ratio or a share has no estimate.
NO_ESTIMATE = "the chosen records add up to a denominator of 0"


def evaluate(
    problem: Problem,
    records: NDArray[np.int64],
    weights: NDArray[np.float64] | NDArray[np.int64],
    fit: Fit,
    candidates: NDArray[np.int64],
    reference: NDArray[np.float64] | None,
    reasons: NDArray[np.str_],
    together: NDArray[np.str_] | None = None,
    trained: AbstractSet[str] = frozenset(),
) -> tuple[Quality, dict[str, pa.Table]]:
    """Evaluate the weights of some records.

    Parameters
    ----------
    problem : Problem
        The targets that it holds out are in the table of the targets, and in no other metric than
        their own.
    records : ndarray of int64, shape (k,)
        The positions of the records in the problem.
    weights : ndarray of float64 or int64, shape (k,)
        The table of the weights has them as they are.
    fit : Fit
        The fit of these weights.
    candidates : ndarray of int64, shape (c,)
        The positions of the records that no total of zero forces out.
    reference : ndarray of float64, shape (n,), or None
        The ratios of the calibrated full file, or None if there is nothing to compare with it.
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable (see `unreachable`).
    together : ndarray of str, shape (m,), optional
        Why a target cannot be met together with others (see `joint_reach`).
    trained : set of str, optional
        The names of the untargeted statistics that are soft targets.

    Returns
    -------
    metrics : Quality
    tables : dict of str to pyarrow.Table
        ``weights``, ``targets``, ``entities`` if there is a survey, and ``untargeted`` if there are
        untargeted statistics.

    Raises
    ------
    InputError
        If the fit diverged.
    """
    w0 = problem.design_weights[records]
    usable = np.isfinite(weights) & ((weights != 0) if fit.signed else (weights > 0))
    if not usable.all():
        kind = "numbers other than 0" if fit.signed else "positive numbers"
        raise InputError(
            f"the fit diverged: some weights are not {kind}; look for targets that are far from "
            "the totals of the records, or pass `bounds`"
        )
    everyone = np.zeros(problem.n_records)
    everyone[records] = weights
    as_came = np.argsort(problem.record_order[records])
    tables = {
        "weights": pa.table(
            {
                problem.key or "record": problem.keys.take(records[as_came]),
                "weight": weights[as_came],
                "design_weight": w0[as_came],
            }
        ),
    }
    targets = _target_table(problem, everyone, reasons, together, fit)
    relative_error = targets.column("relative_error").to_numpy()
    holdout = holdout_metrics(np.zeros(0), np.zeros(0))
    order = problem.target_order
    if (held := problem.held_out) is not None:
        out = _held_out_table(held, everyone)
        holdout = holdout_metrics(out.column("relative_error").to_numpy(), held.importance)
        targets = _together(targets, out)
        order = np.concatenate([order, held.target_order])
    tables["targets"] = targets.take(np.argsort(order))
    if problem.survey is not None:
        tables["entities"] = entity_table(problem.survey, problem.design_weights, everyone)
    if problem.untargeted is not None and reference is not None:
        tables["untargeted"] = problem.untargeted.compare(
            reference * problem.design_weights, everyone, trained
        )
    # A fit leaves unreachable targets out, and does not meet them.
    exact_in_part = fit.solution.status == "exact" and bool((reasons != "").any())
    metrics: Quality = {
        "n_records": len(records),
        "n_candidates": problem.n_records,
        "n_forced_out": problem.n_records - len(candidates),
        "n_targets": problem.n_targets,
        "n_unreachable": int((reasons != "").sum()),
        **fit_metrics(relative_error, problem.importance),
        "gap": fit.solution.gap,
        "fit_status": "optimal" if exact_in_part else fit.solution.status,
        **holdout,
        **untargeted_metrics(tables.get("untargeted")),
        **weight_metrics(everyone[records], w0),
    }
    return metrics, tables


def _target_table(
    problem: Problem,
    weights: NDArray[np.float64],
    reasons: NDArray[np.str_],
    together: NDArray[np.str_] | None,
    fit: Fit,
) -> pa.Table:
    estimate = problem.estimate(weights)
    relative_error = problem.relative_errors(problem.errors(estimate))
    met = np.abs(relative_error) <= np.maximum(MET, problem.tolerance)
    status = np.where(reasons != "", "unreachable", np.where(met, "met", "missed"))
    if together is not None:
        reasons = np.where(status == "missed", together, reasons)
    return _table(
        problem, estimate, relative_error, status, reasons,
        _shadow_price(problem, weights, fit.multipliers), fit.at_limit,
    )  # fmt: skip


def _held_out_table(problem: Problem, weights: NDArray[np.float64]) -> pa.Table:
    """Make the table of the targets that were held out. They have no price."""
    estimate = problem.estimate(weights)
    m = problem.n_targets
    return _table(
        problem,
        estimate,
        problem.relative_errors(problem.errors(estimate)),
        np.full(m, HELD_OUT),
        unreachable(problem, Bounds(), problem.n_records),
        np.zeros(m),
        np.zeros(m, dtype=bool),
    )


def _table(
    problem: Problem,
    estimate: NDArray[np.float64],
    relative_error: NDArray[np.float64],
    status: NDArray[np.str_],
    reasons: NDArray[np.str_],
    shadow_price: NDArray[np.float64],
    at_limit: NDArray[np.bool_],
) -> pa.Table:
    reasons = np.where(np.isnan(estimate) & (reasons == ""), NO_ESTIMATE, reasons)
    design_estimate = problem.design_estimates
    stated = {"value": problem.values}
    if problem.kinds is not None:
        stated = _stated(problem.kinds, problem.values)
    return pa.table(
        {
            "name": pa.array(problem.names, pa.string()),
            **stated,
            "estimate": pa.array(estimate, from_pandas=True),  # NaN becomes null
            "error": pa.array(problem.errors(estimate), from_pandas=True),
            "relative_error": relative_error,
            "group": pa.array(problem.groups, pa.string()),
            "status": pa.array(status.tolist(), pa.string()),
            "reason": pa.array(reasons.tolist(), pa.string()),
            "importance": problem.importance,
            "shadow_price": shadow_price,
            "at_limit": at_limit,
            "design_estimate": design_estimate,
            "design_relative_error": problem.relative_errors(problem.errors(design_estimate)),
            # Whether a value is likely does not depend on what the bounds of the fit allow.
            "suspect_factor": pa.array(
                suspects(problem, np.ones(problem.n_targets, dtype=bool)), from_pandas=True
            ),
            **label_columns(problem.labels),
        }
    )


def _together(fitted: pa.Table, held_out: pa.Table) -> pa.Table:
    """Put two tables of targets together. Only one of them may have means, or limits."""
    table = pa.concat_tables([fitted, held_out], promote_options="default")
    names = max(fitted.column_names, held_out.column_names, key=len)
    names += [name for name in table.column_names if name not in names]
    if "statistic" in names:
        place = table.column_names.index("statistic")
        table = table.set_column(place, "statistic", table.column("statistic").fill_null(TOTAL))
    return table.select(names)


def _stated(kinds: Kinds, values: NDArray[np.float64]) -> dict[str, Any]:
    """Make the columns of what the targets state. Columns that no target needs are left out."""
    columns: dict[str, Any] = {"value": pa.array(values, from_pandas=True)}
    if not kinds.is_total.all():
        columns["statistic"] = pa.array(kinds.statistics, pa.string())
    limited = np.isnan(values)
    if limited.any():
        for name, side in (("at_least", kinds.at_least), ("at_most", kinds.at_most)):
            columns[name] = pa.array(side, mask=~limited | np.isinf(side))
    return columns


def _shadow_price(
    problem: Problem, weights: NDArray[np.float64], multipliers: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the change of the objective if the value, or the limit that holds, were 1% larger."""
    kinds = problem.kinds
    if kinds is None:
        return 0.01 * multipliers * problem.values / problem.scales
    held = np.where(multipliers > 0, kinds.at_least, kinds.at_most)
    held = np.where(multipliers == 0, 0.0, held)
    # A larger v moves the row N - v D by the denominator.
    size = np.where(kinds.is_total, 1.0, kinds.denominators @ weights)
    return 0.01 * multipliers * held * size / problem.scales
