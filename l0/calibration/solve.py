"""Solve a problem: check the options, select records, refit their weights, and evaluate them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from l0.calibration.checks import (
    check_exact,
    check_exact_is_possible,
    check_joint_reach,
    check_joint_reach_of_fit,
    check_n_records,
    check_possible,
    check_reachable,
    check_scale,
    find_candidates,
    read_constraints,
)
from l0.calibration.evaluation.evaluate import evaluate
from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.evaluation.notes import constraints_note, notes, rounding_notes
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.distances import checked_distance
from l0.calibration.fitting.history import History
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.refit import Fit, all_candidates, calibrate_full_file, refit
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.whole_fit import WholeFit, whole_fit
from l0.calibration.options import Options, known, with_defaults
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.core import Problem
from l0.calibration.problem.limits import read_bounds, whole_bounds
from l0.calibration.problem.losses import get_loss
from l0.calibration.problem.representation import PER_RECORD, checked_represent, price
from l0.calibration.progress import Listener, progress_bar
from l0.calibration.replicate import Replicator
from l0.calibration.replicate_settings import checked_replicates, describe_replicates
from l0.calibration.results.frontier import Frontier
from l0.calibration.results.provenance import describe_constraints, describe_limits, describe_run
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import Path, Selector, get_selector
from l0.calibration.selection.constrained import obey
from l0.calibration.solver_settings import checked_solver
from l0.common.devices import checked_device
from l0.common.dtypes import without_autocast
from l0.common.errors import InputError
from l0.common.validation import flag, whole_number

logger = logging.getLogger(__name__)

EPOCHS = 400


@torch.inference_mode(False)
@torch.enable_grad()
def solve(
    problem: Problem, n_records: int | None, method: str | Selector, options: Options
) -> CalibrationResult[Any]:
    """Choose `n_records` records and compute their weights (see `CalibrationProblem.solve`)."""
    selector = get_selector(method)
    options = with_defaults(options, Options)
    budget = None if n_records is None else check_n_records(n_records, problem)
    # A selector of the user that says nothing may need the calibrated full file.
    needs_full_file = budget is None or getattr(selector, "needs_full_file", True)
    with progress_bar(options["progress"]) as listener:
        context, reasons = prepare(problem, budget, options, listener)
        together = check_joint_reach(context, budget or problem.n_records, reasons)
        with without_autocast(context.objective.device):
            full_file = None
            if needs_full_file or problem.untargeted is not None:
                context, full_file = with_reference(context, budget)
            if budget is None:
                assert full_file is not None
                selection, fit, full_file = all_candidates(context), full_file, None
            else:
                context = with_soft_targets(context, budget)
                selection = obey(context, selector.select(context, budget))
                fit = refit(context, selection)
            records = selection.records
            first, (fit, whole) = fit, _rounded(context, selection, fit)
        metrics, tables, remarks, together = _concluded(
            context, records, fit, full_file, reasons, together, whole
        )
        run = describe_run(problem, method, _arguments(context, budget, options))
        replicator = Replicator(context, selection, first, whole, metrics["loss"], options["seed"])
        result: CalibrationResult[Any] = CalibrationResult(
            indices=np.sort(problem.record_order[records]),
            metrics=metrics,
            run={**run, "notes": [*remarks, *constraints_note(context.constraints)]},
            tables={
                **tables,
                "history": context.history.table(),
                "calibration_log": context.history.log(),
            },
            kind=problem.kind,
            _evaluate=partial(
                evaluate,
                problem,
                records[np.argsort(problem.record_order[records])],
                fit=fit,
                candidates=context.candidates,
                reference=context.reference,
                trained=context.trained,
                reasons=reasons,
                together=together,
            ),
            _replicate=replicator,
        )
        settings = checked_replicates(options["replicates"])
        if settings is not None:
            result = result.replicate(settings)
        return result if options["keep_problem"] else replace(result, _replicate=None)


@torch.inference_mode(False)
@torch.enable_grad()
def trace(problem: Problem, n_records: Sequence[int], options: Options) -> Frontier[Any]:
    """Compute the frontier of a problem (see `CalibrationProblem.frontier`)."""
    if np.ndim(n_records) != 1:
        raise InputError(f"`n_records` is {n_records!r}; pass a list of budgets")
    budgets = sorted({check_n_records(k, problem) for k in n_records}, reverse=True)
    if not budgets:
        raise InputError("`n_records` is empty; name at least one budget")
    options = with_defaults(options, Options)
    if options["replicates"] is not None:
        raise InputError(
            "`replicates`: a frontier has no weights; leave it out, and calibrate with the budget "
            "that you choose"
        )
    rows = []
    with progress_bar(options["progress"]) as listener:
        context, widest = prepare(problem, budgets[0], options, listener)
        bounds = context.objective.bounds
        # All budgets are checked before the fit, so that a wrong one is found at once.
        others = [check_reachable(problem, bounds, budget) for budget in budgets[1:]]
        for budget in budgets[1:]:
            check_possible(context, budget)
        with without_autocast(context.objective.device):
            full_file = None
            if problem.untargeted is not None:
                context, full_file = with_reference(context, budgets[0])
            context = with_soft_targets(context, budgets[-1])
            selections = Path().frontier(context, budgets)
            for selection, reasons in zip(selections, [widest, *others], strict=True):
                together = check_joint_reach(context, len(selection.records), reasons)
                reached = replace(context.objective, reachable=reasons == "")
                of_budget = replace(context, objective=reached)
                fit, whole = _rounded(of_budget, selection, refit(of_budget, selection))
                metrics, *_ = _concluded(
                    context, selection.records, fit, full_file, reasons, together, whole
                )
                rows.append(metrics)
    return Frontier(pa.Table.from_pylist(rows), problem.kind)


def prepare(
    problem: Problem, n_records: int | None, options: Options, listener: Listener | None
) -> tuple[FitContext, NDArray[np.str_]]:
    """Check the options and set up the fit of `n_records` records, or of all if it is None.

    Returns
    -------
    context : FitContext
        Without a reference.
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable, or the empty string for a target that can be hit.
    """
    bounds = read_bounds(problem, options["bounds"], options["weight_bounds"])
    reasons = check_reachable(problem, bounds, n_records or problem.n_records)
    candidates = find_candidates(problem, reasons == "", n_records)
    if flag(options["check_scale"], "check_scale"):
        check_scale(problem, reasons == "")
    epochs = options["epochs"]
    exact = flag(options["exact"], "exact")
    is_whole = flag(options["integer_weights"], "integer_weights")
    check_exact_is_possible(exact, is_whole)
    checked_replicates(options["replicates"])
    flag(options["keep_problem"], "keep_problem")
    objective = Objective(
        problem,
        checked_device(options["device"]),
        get_loss(options["loss"]),
        bounds,
        reasons == "",
        distance=checked_distance(options["distance"]),
        keep_total=flag(options["keep_total"], "keep_total"),
        exact=exact,
        signed=(
            n_records is None
            and options["bounds"] is None
            and options["weight_bounds"] is None
            and not is_whole
        ),
        whole=whole_bounds(problem, bounds, candidates) if is_whole else None,
    )
    context = FitContext(
        objective,
        checked_solver(options["solver"]),
        EPOCHS if epochs is None else whole_number(epochs, "epochs", 1),
        np.random.default_rng(whole_number(options["seed"], "seed", 0)),
        History(problem, listener),
        candidates,
        represent=checked_represent(options["represent"]),
        constraints=read_constraints(
            problem, options["must_keep"], options["quotas"], candidates, reasons == ""
        ),
    )
    check_possible(context, n_records)
    return context, reasons


def with_reference(context: FitContext, n_records: int | None) -> tuple[FitContext, Fit]:
    """Calibrate the full file, with all candidates, and add its ratios to the context."""
    objective, problem = context.objective, context.problem
    if n_records is not None:
        # The bounds are for the chosen records, with ratios of about n / k. Here they are about 1.
        # Sizes of a draw must be positive, and the conflicts of the full file are no error.
        reachable = objective.reachable
        if objective.bounds.active:
            reachable = unreachable(problem, Bounds(), problem.n_records) == ""
        objective = replace(
            objective,
            bounds=Bounds(),
            reachable=reachable,
            distance="raking",
            exact=False,
        )
    fit = calibrate_full_file(replace(context, objective=objective))
    ratios = np.zeros(problem.n_records)
    ratios[context.candidates] = fit.ratios
    return replace(context, reference=ratios), fit


def with_soft_targets(context: FitContext, n_records: int) -> FitContext:
    """Add the totals of the full file that `represent` asks for, if there are any."""
    objective, problem = context.objective, context.problem
    represent = context.represent
    if represent is None:  # the default: only tables say what their columns mean
        represent = problem.inputs is not None
    if not represent:
        return context
    if problem.untargeted is None:
        raise InputError(
            f"`represent` is {represent!r}, and this problem has no untargeted statistics; pass "
            "`untargeted=` to `from_matrix`"
        )
    assert context.reference is not None  # there is one if there are such statistics
    reference = context.reference * problem.design_weights
    most = max(1, int(PER_RECORD * n_records))
    soft = problem.untargeted.soft_targets(reference, represent, most)
    if soft is None:
        if represent is not True:
            raise InputError(
                f"`represent` is {represent!r}, and no total of it can be a soft target: each is a "
                "target already, is 0, or has too few records behind it; drop it, or name others"
            )
        return context
    soft = replace(soft, part=price(n_records, problem.n_targets + len(soft.values)))
    return replace(context, objective=replace(objective, soft=soft))


def _rounded(context: FitContext, selection: Selection, fit: Fit) -> tuple[Fit, WholeFit | None]:
    """Round the weights of a fit if they must be whole numbers. The last fit comes with them."""
    if context.objective.whole is None:
        return fit, None
    whole = whole_fit(context, selection, fit)
    return whole.fit, whole


def _concluded(
    context: FitContext,
    records: NDArray[np.int64],
    fit: Fit,
    full_file: Fit | None,
    reasons: NDArray[np.str_],
    together: NDArray[np.str_],
    whole: WholeFit | None = None,
) -> tuple[Metrics, dict[str, pa.Table], list[str], NDArray[np.str_]]:
    """Check a fit, turn its ratios into weights within the bounds, and evaluate them.

    Returns
    -------
    metrics : Metrics
    tables : dict of str to pyarrow.Table
    remarks : list of str
        The notes on the result. They are logged as warnings too.
    together : ndarray of str, shape (m,)
        The statements so far, and those that the fit adds (see `check_joint_reach_of_fit`).
    """
    objective, problem = context.objective, context.problem
    together = check_joint_reach_of_fit(context, len(records), fit, together)
    if objective.exact:
        check_exact(objective, records, fit, reasons)
    bounds, w0 = objective.bounds.of(records), problem.design_weights[records]
    # Without bounds, the linear distance may make weights negative.
    weights = bounds.weights(fit.ratios, w0) if bounds.active else fit.ratios * w0
    quality, tables = evaluate(
        problem,
        records,
        weights if whole is None else whole.weights,
        fit,
        context.candidates,
        context.reference,
        reasons,
        together,
        context.trained,
    )
    remarks = notes(problem, fit, full_file, weights, quality["n_forced_out"], reasons)
    for remark in remarks:
        logger.warning("%s", remark)
    if whole is not None:
        # The user asked for the rounding, so that this is no warning.
        remarks += rounding_notes(problem, records, whole, objective.keep_total)
        if whole.changed:
            quality = {**quality, "fit_status": "rounded"}
    return {**quality, "seconds": context.history.seconds}, tables, remarks, together


def _arguments(context: FitContext, n_records: int | None, options: Options) -> dict[str, Any]:
    """Write the options of a run as plain numbers and text, for `describe_run`.

    An option that the command line has no text for is not needed to repeat a run.
    """
    described = known(Options)
    told = {name: given for name, given in options.items() if described[name].read is not None}
    return {
        "n_records": n_records,
        **told,
        **describe_constraints(options["must_keep"], options["quotas"]),
        "bounds": describe_limits(options["bounds"]),
        "weight_bounds": describe_limits(options["weight_bounds"]),
        "seed": int(options["seed"]),
        "device": str(context.objective.device),
        "solver": asdict(context.solver),
        "epochs": context.epochs,
        "keep_total": bool(options["keep_total"]),
        "exact": bool(options["exact"]),
        "integer_weights": bool(options["integer_weights"]),
        "replicates": describe_replicates(options["replicates"]),
        "check_scale": bool(options["check_scale"]),
    }
