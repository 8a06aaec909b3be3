"""The account of a fit: weights in the caller's order, metrics, and what stands behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import fit_metrics, weight_metrics
from l0.calibration.evaluation.untargeted import untargeted_metrics
from l0.calibration.fitting.objective import Task
from l0.calibration.problem.core import CalibrationProblem
from l0.calibration.results.provenance import digest, versions
from l0.calibration.results.result import CalibrationResult
from l0.common.errors import InputError

#: A target counts as met within this relative error, or within its tolerance if that is larger.
MET = 0.01


def appraise(
    task: Task,
    records: NDArray[np.int64],
    ratios: NDArray[np.float64],
    reasons: NDArray[np.str_],
) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Measure fitted ratios.

    Parameters
    ----------
    task : Task
    records : ndarray of int64, shape (k,)
        Positions in the problem.
    ratios : ndarray of float64, shape (k,)
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable (`unreachable`).

    Returns
    -------
    metrics : dict
        Those of `CalibrationResult`.
    tables : dict of str to pyarrow.Table
        ``weights``, ``targets`` and, with auxiliary statistics, ``untargeted``.

    Raises
    ------
    InputError
        Where the fit diverged.
    """
    problem = task.problem
    w0 = problem.design_weights[records]
    weights = task.bounds.weights(ratios, w0)
    if not (np.isfinite(weights) & (weights > 0)).all():
        raise InputError(
            "the fit diverged: some weights are not positive numbers; try `loss='capped'`, and "
            "look for targets that are far from what the records add up to"
        )
    everyone = np.zeros(problem.n_records)
    everyone[records] = weights
    estimate = problem.estimate(everyone)
    error = (estimate - problem.values) / problem.scales
    as_came = np.argsort(problem.record_order[records])
    tables = {
        "weights": pa.table(
            {
                problem.key or "record": problem.keys.take(records[as_came]),
                "weight": weights[as_came],
                "design_weight": w0[as_came],
            }
        ),
        "targets": _target_table(problem, estimate, error, reasons),
    }
    if problem.auxiliary is not None:
        reference = task.reference * problem.design_weights
        tables["untargeted"] = problem.auxiliary.compare(reference, everyone)
    metrics = {
        "n_records": len(records),
        "n_candidates": problem.n_records,
        "n_targets": problem.n_targets,
        "n_unreachable": int((reasons != "").sum()),
        **fit_metrics(error, problem.importance),
        **untargeted_metrics(tables.get("untargeted")),
        **weight_metrics(weights, w0),
        "seconds": task.recorder.seconds,
    }
    return metrics, tables


def account(
    task: Task,
    records: NDArray[np.int64],
    ratios: NDArray[np.float64],
    reasons: NDArray[np.str_],
    arguments: dict[str, Any],
) -> CalibrationResult:
    """Turn fitted ratios into a result (parameters as in `appraise`, and the run's arguments)."""
    metrics, tables = appraise(task, records, ratios, reasons)
    problem = task.problem
    return CalibrationResult(
        indices=np.sort(problem.record_order[records]),
        metrics=metrics,
        run={
            "key": problem.key,
            "arguments": arguments,
            "problem_sha256": digest(problem),
            "threads": torch.get_num_threads(),
            "versions": versions(),
        },
        tables={
            **tables,
            "history": task.recorder.history(),
            "calibration_log": task.recorder.log(),
        },
        kind=problem.kind,
    )


def _target_table(
    problem: CalibrationProblem,
    estimate: NDArray[np.float64],
    error: NDArray[np.float64],
    reasons: NDArray[np.str_],
) -> pa.Table:
    met = np.abs(error) <= np.maximum(MET, problem.tolerance)
    design_estimate = problem.estimate(problem.design_weights)
    status = np.where(reasons != "", "unreachable", np.where(met, "met", "missed"))
    table = pa.table(
        {
            "name": pa.array(problem.names, pa.string()),
            "value": problem.values,
            "estimate": estimate,
            "error": estimate - problem.values,
            "relative_error": error,
            "group": pa.array(problem.groups, pa.string()),
            "status": pa.array(status.tolist(), pa.string()),
            "reason": pa.array(reasons.tolist(), pa.string()),
            "importance": problem.importance,
            "design_estimate": design_estimate,
            "design_relative_error": (design_estimate - problem.values) / problem.scales,
        }
    )
    return table.take(np.argsort(problem.target_order))
