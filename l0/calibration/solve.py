"""From a problem to a result: check the options, select, refit, and give account."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from l0.calibration.bounds import Bounds
from l0.calibration.losses import get_loss
from l0.calibration.metrics import fit_metrics, weight_metrics
from l0.calibration.problem import CalibrationProblem
from l0.calibration.recorder import Progress, Recorder
from l0.calibration.refit import refit
from l0.calibration.result import CalibrationResult
from l0.calibration.selectors import Selector, get_selector
from l0.calibration.task import Task
from l0.calibration.untargeted import untargeted_metrics
from l0.errors import InputError, first_few
from l0.progress import progress_bar

EPOCHS = 400
#: A target counts as met within this relative error, or within its tolerance if that is larger.
MET = 0.01


def solve(
    problem: CalibrationProblem,
    n_records: int | None = None,
    method: str | Selector = "hybrid",
    *,
    loss: str = "capped",
    bounds: tuple[float | None, float | None] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    epochs: int | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
) -> CalibrationResult:
    """Choose `n_records` records and weigh them (`l0.calibrate` documents the options)."""
    selector = get_selector(method)
    budget = check_n_records(n_records, problem.n_records)
    with progress_bar(progress) as listener:
        task, reasons = make_task(
            problem, budget, loss=loss, bounds=bounds, seed=seed, device=device, epochs=epochs,
            listener=listener,
        )  # fmt: skip
        if n_records is None:
            records, ratios = np.arange(problem.n_records), task.reference
        else:
            selection = selector.select(task, budget)
            records, ratios = selection.records, refit(task, selection)
        arguments = {
            "n_records": None if n_records is None else budget,
            "method": method if isinstance(method, str) else repr(method),
            "loss": loss,
            "bounds": task.bounds.pair,
            "seed": int(seed),
            "device": str(task.device),
            "epochs": task.epochs,
        }
        return account(task, records, ratios, reasons, arguments)


def check_n_records(n_records: int | None, n_candidates: int) -> int:
    """Check a budget; None means all records."""
    if n_records is None:
        return n_candidates
    if isinstance(n_records, bool) or not isinstance(n_records, (int, np.integer)):
        raise InputError(f"`n_records` is {n_records!r}; it must be a whole number or None")
    if not 1 <= n_records <= n_candidates:
        raise InputError(
            f"`n_records` is {n_records:,}; it must be from 1 to the number of records, "
            f"{n_candidates:,}"
        )
    return int(n_records)


def make_task(
    problem: CalibrationProblem,
    n_records: int,
    *,
    loss: str,
    bounds: tuple[float | None, float | None] | None,
    seed: int,
    device: str | torch.device | None,
    epochs: int | None,
    listener: Callable[[Progress], None] | None,
) -> tuple[Task, NDArray[np.str_]]:
    """Check the options of a fit and set it up.

    Returns
    -------
    task : Task
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable; empty where it is not.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"`seed` is {seed!r}; it must be a whole number of 0 or more")
    epochs = EPOCHS if epochs is None else epochs
    if isinstance(epochs, bool) or not isinstance(epochs, (int, np.integer)) or epochs < 1:
        raise InputError(f"`epochs` is {epochs!r}; it must be a whole number of 1 or more")
    limits = Bounds.parse(bounds)
    reasons = unreachable(problem, limits, n_records)
    if not problem.importance[reasons == ""].any():
        lost = reasons != ""
        raise InputError(
            "`targets`: none that counts can be reached "
            f"({first_few(list(compress(problem.names, lost)))}: {reasons[lost][0]}); "
            "check the labels" + (" and widen `bounds`" if limits.active else "")
        )
    task = Task(
        problem,
        loss=get_loss(loss),
        bounds=limits,
        epochs=int(epochs),
        reachable=reasons == "",
        generator=np.random.default_rng(seed),
        device=_device(device),
        recorder=Recorder(problem, listener),
    )
    return task, reasons


def unreachable(problem: CalibrationProblem, bounds: Bounds, n_records: int) -> NDArray[np.str_]:
    """Say for each target why no weights can hit it; nothing where some can.

    Returns
    -------
    ndarray of str, shape (m,)
    """
    lowest, highest = bounds.reach(problem.matrix, problem.design_weights, n_records)
    rounding = 1e-9 * problem.scales
    reasons = []
    for value, low, high, slack in zip(problem.values, lowest, highest, rounding, strict=True):
        if low == high == 0 and value != 0:
            reasons.append("no record behind it")
        elif value > high + slack:
            reasons.append(
                "no record adds to it" if high == 0 else f"at most {high:,.6g} within the bounds"
            )
        elif value < low - slack:
            reasons.append(
                "no record takes away from it"
                if low == 0
                else f"at least {low:,.6g} within the bounds"
            )
        else:
            reasons.append("")
    return np.array(reasons)


def account(
    task: Task,
    records: NDArray[np.int64],
    ratios: NDArray[np.float64],
    reasons: NDArray[np.str_],
    arguments: dict[str, Any],
) -> CalibrationResult:
    """Turn fitted ratios into a result: weights in the caller's order, metrics, tables."""
    problem = task.problem
    w0 = problem.design_weights[records]
    weights = task.bounds.weights(ratios, w0)
    everyone = np.zeros(problem.n_records)
    everyone[records] = weights
    estimate = problem.estimate(everyone)
    error = (estimate - problem.values) / problem.scales
    untargeted = None
    if problem.auxiliary is not None:
        untargeted = problem.auxiliary.compare(task.reference * problem.design_weights, everyone)
    rows = problem.record_order[records]
    as_came = np.argsort(rows)
    tables = {
        "weights": pa.table(
            {
                problem.key or "record": problem.keys.take(records[as_came]),
                "weight": weights[as_came],
                "design_weight": w0[as_came],
            }
        ),
        "targets": _target_table(problem, estimate, error, reasons),
        "history": task.recorder.history(),
        "calibration_log": task.recorder.log(),
    }
    if untargeted is not None:
        tables["untargeted"] = untargeted
    metrics = {
        "n_records": len(records),
        "n_candidates": problem.n_records,
        "n_targets": problem.n_targets,
        "n_unreachable": int((reasons != "").sum()),
        **fit_metrics(error, problem.importance),
        **untargeted_metrics(untargeted),
        **weight_metrics(weights, w0),
        "seconds": task.recorder.seconds,
    }
    run = {
        "key": problem.key,
        "arguments": arguments,
        "problem_sha256": _digest(problem),
        "threads": torch.get_num_threads(),
        "versions": _versions(),
    }
    return CalibrationResult(
        indices=rows[as_came], metrics=metrics, run=run, tables=tables, kind=problem.kind
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


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`device` {device!r} cannot be used here ({reason}); try 'cpu'") from None
    return wanted


def _digest(problem: CalibrationProblem) -> str:
    """Fingerprint of the compiled problem: the same rows in any order give the same."""
    digest = hashlib.sha256()
    matrix = problem.matrix
    for array in (matrix.indptr, matrix.indices, matrix.data, problem.values,
                  problem.design_weights, problem.importance, problem.tolerance):  # fmt: skip
        digest.update(np.ascontiguousarray(array).data)
    digest.update("\n".join(problem.names).encode())
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("l0-python", "torch", "numpy", "scipy", "pyarrow", "narwhals"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that was not installed
            versions[package] = "unknown"
    return versions
