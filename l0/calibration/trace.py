"""Solve a problem for several budgets: what they share is computed once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from l0.calibration.checks import check_joint_reach
from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Fit, calibrate_full_file, objective_of_full_file
from l0.calibration.fitting.selected import Selection
from l0.calibration.holdout import hold_out
from l0.calibration.options import NOT_OF_A_FRONTIER, Options, refuse, with_defaults
from l0.calibration.preconditions import check_n_records
from l0.calibration.problem.core import Problem
from l0.calibration.progress import Listener, progress_bar
from l0.calibration.results.frontier import Frontier
from l0.calibration.selection import Path, Selector, get_selector
from l0.calibration.solve import (
    fit_selection,
    needs_reference,
    prepare,
    with_full_file,
    with_soft_targets,
)
from l0.common.devices import full_device_in_words
from l0.common.dtypes import without_autocast
from l0.common.errors import InputError

#: The context of a budget, and why its targets are out of reach.
Prepared = tuple[FitContext, NDArray[np.str_]]
#: The same, with the fit of the full file and the chosen records.
Chosen = tuple[FitContext, Fit | None, NDArray[np.str_], Selection]


def trace(
    problem: Problem, n_records: Sequence[int], method: str | Selector, options: Options
) -> Frontier[Any]:
    """Compute the frontier of a problem (see `CalibrationProblem.frontier`)."""
    if np.ndim(n_records) != 1:
        raise InputError(f"`n_records` is {n_records!r}; pass a list of budgets")
    budgets = sorted({check_n_records(k, problem) for k in n_records}, reverse=True)
    if not budgets:
        raise InputError("`n_records` is empty; name at least one budget")
    options = with_defaults(options, Options)
    refuse(options, NOT_OF_A_FRONTIER)
    run = Run(hold_out(problem, options["holdout"]), get_selector(method), options)
    solved = run.solve(budgets)
    notes = {metrics["n_records"]: of_budget for metrics, of_budget in solved if of_budget}
    table = pa.Table.from_pylist([metrics for metrics, _ in solved])
    return Frontier(table, problem.kind, notes, run.solve, _alone=not run.is_one_run(budgets))


@dataclass(eq=False)
class Run:
    """Solve one problem for any budgets, with one method and the same options.

    Attributes
    ----------
    problem : Problem
    selector : Selector
    options : Options
        All of them.
    full_files : list of (candidates, reachable targets, fit)
        The fits of the full file. Budgets differ in them only if bounds put other targets out of
        reach, so that there is nearly always one.
    """

    problem: Problem
    selector: Selector
    options: Options
    full_files: list[tuple[NDArray[np.int64], NDArray[np.bool_], Fit]] = field(default_factory=list)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def solve(self, budgets: Sequence[int]) -> list[tuple[Metrics, list[str]]]:
        """Compute the metrics and the notes of each budget, from the largest to the smallest."""
        lap = time.perf_counter()
        rows = []
        with progress_bar(self.options["progress"]) as listener:
            prepared = self._prepared(budgets, listener)
            device = prepared[0][0].objective.device
            with without_autocast(device), full_device_in_words(device):
                for context, full_file, reasons, selection in self._chosen(budgets, prepared):
                    together = check_joint_reach(context, len(selection.records), reasons)
                    solved = fit_selection(context, selection, full_file, reasons, together)
                    now = time.perf_counter()
                    metrics: Metrics = {**solved.metrics, "seconds": now - lap}
                    rows.append((metrics, solved.notes))
                    lap = now
        return rows

    def is_one_run(self, budgets: Sequence[int]) -> bool:
        """Tell whether one run passes several budgets, so that a budget alone may differ."""
        # A subclass may select in another way.
        return type(self.selector) is Path and len(budgets) > 1

    def _prepared(self, budgets: Sequence[int], listener: Listener | None) -> list[Prepared]:
        """Check all budgets before the first fit, so that a wrong one is found at once."""
        prepared = [prepare(self.problem, budget, self.options, listener) for budget in budgets]
        # One clock and one history for all, and one search for nested targets if the same can be
        # reached. Each budget has a generator of its own, as alone.
        first = prepared[0][0]

        def shared(context: FitContext) -> FitContext:
            objective = context.objective
            if np.array_equal(objective.reachable, first.objective.reachable):
                objective = replace(objective, known=first.objective.known)
            return replace(context, history=first.history, objective=objective)

        return [(shared(context), reasons) for context, reasons in prepared]

    def _chosen(self, budgets: Sequence[int], prepared: list[Prepared]) -> Iterator[Chosen]:
        """Select the records of each budget, each when it is asked for."""
        selections: Iterator[Selection] = iter(())
        passed = self._passed(budgets, prepared)
        if passed:
            assert isinstance(self.selector, Path)
            widest, _ = self._with_reference(prepared[0][0])
            widest = with_soft_targets(widest, passed[-1])
            selections = self.selector.frontier(widest, passed)
        for budget in budgets:
            context, reasons = prepared.pop(0)  # so that its matrices do not stay
            context, full_file = self._with_reference(context)
            if budget in passed:
                selection = next(selections)
                objective = replace(context.objective, soft=widest.objective.soft)
                context = replace(context, objective=objective)
            else:
                context = with_soft_targets(context, budget)
                selection = self.selector.select(context, budget)
            yield context, full_file, reasons, selection

    def _passed(self, budgets: Sequence[int], prepared: list[Prepared]) -> list[int]:
        """List the budgets that one run of the path passes, from the largest, if there are any.

        The soft targets of the last one hold for all: those of a larger budget ask too much of it.
        """
        if not self.is_one_run(budgets):
            return []
        # Bounds can force other records out of another budget, which the run would not know.
        all_records = prepared[0][0].candidates
        return [
            budget
            for budget, (context, _) in zip(budgets, prepared, strict=True)
            if np.array_equal(context.candidates, all_records)
        ]

    def _with_reference(self, context: FitContext) -> tuple[FitContext, Fit | None]:
        """Add the ratios of the calibrated full file, which is fitted at most once."""
        if not needs_reference(self.problem, self.selector):
            return context, None
        objective = objective_of_full_file(context.objective)
        for candidates, reachable, fit in self.full_files:
            same = np.array_equal(candidates, context.candidates)
            if same and np.array_equal(reachable, objective.reachable):
                return with_full_file(context, fit), fit
        fit = calibrate_full_file(replace(context, objective=objective))
        self.full_files.append((context.candidates, objective.reachable, fit))
        return with_full_file(context, fit), fit
