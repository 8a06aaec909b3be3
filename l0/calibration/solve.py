"""Solve a problem: check the options, select records, refit their weights, and evaluate them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from l0.calibration.checkpoints.opening import check_checkpoint, opened
from l0.calibration.checks import (
    check_exact,
    check_exact_is_possible,
    check_joint_reach,
    check_joint_reach_of_fit,
    check_possible,
    check_replicates_fit,
    check_replicates_fit_selection,
)
from l0.calibration.evaluation.evaluate import evaluate
from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.evaluation.notes import (
    constraints_note,
    holdout_notes,
    notes,
    rounding_notes,
)
from l0.calibration.evaluation.replicated import statistics_under
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.distances import checked_distance
from l0.calibration.fitting.history import History
from l0.calibration.fitting.objective import Objective
from l0.calibration.fitting.refit import (
    Fit,
    all_candidates,
    calibrate_full_file,
    objective_of_full_file,
    refit,
)
from l0.calibration.fitting.selected import Selection
from l0.calibration.fitting.whole_fit import WholeFit, whole_fit
from l0.calibration.holdout import hold_out
from l0.calibration.options import Options, known, with_defaults
from l0.calibration.preconditions import (
    check_n_records,
    check_reachable,
    check_scale,
    find_candidates,
    read_constraints,
)
from l0.calibration.problem.core import Problem
from l0.calibration.problem.limits import read_bounds, whole_bounds
from l0.calibration.problem.losses import get_loss
from l0.calibration.problem.representation import PER_RECORD, checked_represent, price
from l0.calibration.progress import Listener, progress_bar
from l0.calibration.replicate import Replicator, without_design_columns
from l0.calibration.replicate_columns import check_design
from l0.calibration.replicate_settings import checked_replicates, describe_replicates
from l0.calibration.results.provenance import describe_constraints, describe_limits, describe_run
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import Selector, get_selector
from l0.calibration.selection.constrained import obey
from l0.calibration.solver_settings import checked_solver
from l0.common.devices import checked_device, full_device_in_words
from l0.common.dtypes import without_autocast
from l0.common.errors import InputError
from l0.common.ranks import ONE, Ranks
from l0.common.torch_ranks import torch_ranks
from l0.common.validation import flag, whole_number

logger = logging.getLogger(__name__)

EPOCHS = 400
#: Options that no result depends on.
NOT_OF_THE_RESULT = ("checkpoint", "resume")


@dataclass(frozen=True, eq=False)
class Solved:
    """A budget that is solved: the chosen records, their fit, and its evaluation.

    Attributes
    ----------
    context : FitContext
    selection : Selection
        It obeys the constraints.
    first : Fit
        Of the selection, before any rounding.
    whole : WholeFit or None
        The rounded weights, if whole weights were asked for.
    full_file : Fit or None
        Of all records, if they were calibrated too.
    metrics : Metrics
    tables : dict of str to pyarrow.Table
    notes : list of str
        Sentences on what the reader should know.
    together : ndarray of str, shape (m,)
        Why a target cannot be met together with others, or the empty string.
    """

    context: FitContext
    selection: Selection
    first: Fit
    whole: WholeFit | None
    full_file: Fit | None
    metrics: Metrics
    tables: dict[str, pa.Table]
    notes: list[str]
    together: NDArray[np.str_]

    @property
    def fit(self) -> Fit:
        """The last fit: the one before the rounding if whole weights were asked for."""
        return self.first if self.whole is None else self.whole.fit


@torch.inference_mode(False)
@torch.enable_grad()
def solve(
    problem: Problem, n_records: int | None, method: str | Selector, options: Options
) -> CalibrationResult[Any]:
    """Choose `n_records` records and compute their weights (see `CalibrationProblem.solve`)."""
    selector = get_selector(method)
    options = with_defaults(options, Options)
    budget = None if n_records is None else check_n_records(n_records, problem)
    replication = checked_replicates(options["replicates"])
    whole = without_design_columns(problem, replication)
    problem = hold_out(whole, options["holdout"])
    folder = check_checkpoint(options["checkpoint"], options["resume"])
    distributed = flag(options["distributed"], "distributed")
    with progress_bar(options["progress"]) as listener, torch_ranks(distributed) as ranks:
        context, reasons = prepare(problem, budget, options, listener, ranks)
        if replication is not None:
            check_design(context, replication, budget)
            check_replicates_fit(context, budget)
        run = describe_run(whole, method, _arguments(context, budget, options))
        with opened(
            folder, options["resume"], whole, run, context.generator, context.history, ranks
        ) as stages:
            context = replace(context, stages=stages)
            solved = _solved(context, selector, budget, reasons, replication is not None)
            run = {**run, "notes": [*solved.notes, *stages.notes]}
            result = _result(problem, solved, run, reasons, options["seed"])
            if replication is not None:
                result = result.replicate(replication)
    return result if options["keep_problem"] else replace(result, _replicate=None)


def _solved(
    context: FitContext,
    selector: Selector,
    n_records: int | None,
    reasons: NDArray[np.str_],
    replicated: bool,
) -> Solved:
    """Select records and fit their weights, or fit those of all records if `n_records` is None."""
    problem, full_file = context.problem, None
    together = check_joint_reach(context, n_records or problem.n_records, reasons)
    device = context.objective.device
    with without_autocast(device), full_device_in_words(device):
        if n_records is None:
            context, fit = with_reference(context, None)
            return _concluded(context, all_candidates(context), fit, None, reasons, together)
        if needs_reference(problem, selector):
            context, full_file = with_reference(context, n_records)
        context = with_soft_targets(context, n_records)
        selection = context.stages.once(
            "select", Selection, lambda: selector.select(context, n_records)
        )
        if replicated:
            check_replicates_fit_selection(context, selection)
        return fit_selection(context, selection, full_file, reasons, together)


def _result(
    problem: Problem,
    solved: Solved,
    run: Mapping[str, Any],
    reasons: NDArray[np.str_],
    seed: int,
) -> CalibrationResult[Any]:
    """Make the result of a solved budget."""
    context, records = solved.context, solved.selection.records
    as_came = records[np.argsort(problem.record_order[records])]
    return CalibrationResult(
        indices=np.sort(problem.record_order[records]),
        metrics=solved.metrics,
        run=dict(run),
        tables={
            **solved.tables,
            "history": context.history.table(),
            "calibration_log": context.history.log(),
        },
        kind=problem.kind,
        _evaluate=partial(
            evaluate,
            problem,
            as_came,
            fit=solved.fit,
            candidates=context.candidates,
            reference=context.reference,
            trained=context.trained,
            reasons=reasons,
            together=solved.together,
        ),
        _statistics=partial(
            statistics_under,
            problem,
            as_came,
            context.reference if "untargeted" in solved.tables else None,
        ),
        _replicate=Replicator(
            _alone(context),
            solved.selection,
            solved.first,
            solved.whole,
            solved.full_file,
            solved.metrics["loss"],
            seed,
        ),
    )


def _alone(context: FitContext) -> FitContext:
    """Share no work with other ranks: a user may call methods of a result on one of them."""
    objective = context.objective
    if objective.ranks.size == 1:
        return context
    return replace(context, objective=replace(objective, ranks=ONE))


def prepare(
    problem: Problem,
    n_records: int | None,
    options: Options,
    listener: Listener | None,
    ranks: Ranks = ONE,
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
        _device(options["device"], ranks),
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
        ranks=ranks,
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


def _device(device: str | torch.device | None, ranks: Ranks) -> torch.device:
    """Check the device. Several ranks compute on CPUs."""
    if ranks.size == 1:
        return checked_device(device)
    checked = checked_device("cpu" if device is None else device)
    if checked.type != "cpu":
        raise InputError(
            f"`device` is {str(checked)!r}, and {ranks.size} ranks compute on CPUs only; leave it "
            "out, or run a single process on the GPU"
        )
    return checked


def needs_reference(problem: Problem, selector: Selector) -> bool:
    """Tell whether the full file must be calibrated: for the selector, or for the evaluation."""
    # A selector of the user that says nothing may need it.
    return getattr(selector, "needs_full_file", True) or problem.untargeted is not None


def with_reference(context: FitContext, n_records: int | None) -> tuple[FitContext, Fit]:
    """Calibrate the full file, with all candidates, and add its ratios to the context."""
    objective = context.objective
    if n_records is not None:
        objective = objective_of_full_file(objective)
    fit = context.stages.once(
        "full", Fit, lambda: calibrate_full_file(replace(context, objective=objective))
    )
    return with_full_file(context, fit), fit


def with_full_file(context: FitContext, fit: Fit) -> FitContext:
    """Add the ratios of the calibrated full file to the context."""
    ratios = np.zeros(context.problem.n_records)
    ratios[context.candidates] = fit.ratios
    return replace(context, reference=ratios)


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


def fit_selection(
    context: FitContext,
    selection: Selection,
    full_file: Fit | None,
    reasons: NDArray[np.str_],
    together: NDArray[np.str_],
) -> Solved:
    """Fit the weights of a selection, after it is made to obey the constraints, and evaluate them.

    Parameters
    ----------
    context : FitContext
        With the soft targets of the budget.
    selection : Selection
    full_file : Fit or None
        The fit of the full file, if there is one.
    reasons, together : ndarray of str, shape (m,)
        What `prepare` and `check_joint_reach` found.
    """
    selection = obey(context, selection)
    fit = context.stages.once("refit", Fit, lambda: refit(context, selection))
    return _concluded(context, selection, fit, full_file, reasons, together)


def _concluded(
    context: FitContext,
    selection: Selection,
    fit: Fit,
    full_file: Fit | None,
    reasons: NDArray[np.str_],
    together: NDArray[np.str_],
) -> Solved:
    """Check a fit, turn its ratios into weights within the bounds, and evaluate them.

    The notes are logged as warnings too. The fit adds to `together` (`check_joint_reach_of_fit`).
    """
    objective, problem, records = context.objective, context.problem, selection.records
    first, whole = fit, None
    if objective.whole is not None:
        whole = context.stages.once("whole", WholeFit, lambda: whole_fit(context, selection, first))
        fit = whole.fit
    together = check_joint_reach_of_fit(context, len(records), fit, together)
    if objective.exact:
        check_exact(objective, records, fit, reasons)
    bounds, w0 = objective.bounds.of(records), problem.design_weights[records]
    # Without bounds, the linear distance may make weights negative.
    weights = bounds.weights(fit.ratios, w0) if bounds.active else fit.ratios * w0
    # A file with all records is itself what smaller files are compared with.
    is_reference = full_file is None and whole is None
    quality, tables = evaluate(
        problem,
        records,
        weights if whole is None else whole.weights,
        fit,
        context.candidates,
        None if is_reference else context.reference,
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
    remarks += constraints_note(context.constraints)
    remarks += holdout_notes(problem.held_out)
    metrics: Metrics = {**quality, "seconds": context.history.seconds}
    return Solved(context, selection, first, whole, full_file, metrics, tables, remarks, together)


def _arguments(context: FitContext, n_records: int | None, options: Options) -> dict[str, Any]:
    """Write the options of a run as plain numbers and text, for `describe_run`.

    An option that the command line has no text for is not needed to repeat a run.
    """
    described = known(Options)
    told = {
        name: given
        for name, given in options.items()
        if described[name].read is not None and name not in NOT_OF_THE_RESULT
    }
    return {
        "n_records": n_records,
        **told,
        "holdout": _listed(options["holdout"]),
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


def _listed(patterns: Any) -> list[str] | None:
    if not patterns:
        return None
    return [patterns] if isinstance(patterns, str) else list(patterns)
