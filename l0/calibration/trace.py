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

from l0.calibration.checks import check_joint_reach, check_n_records
from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Fit, calibrate_full_file
from l0.calibration.fitting.selected import Selection
from l0.calibration.options import Options, with_defaults
from l0.calibration.problem.core import Problem
from l0.calibration.progress import Listener, progress_bar
from l0.calibration.results.frontier import Frontier
from l0.calibration.selection import Path, Selector, get_selector
from l0.calibration.solve import (
    fit_selection,
    needs_reference,
    objective_of_full_file,
    prepare,
    with_full_file,
    with_soft_targets,
)
from l0.common.dtypes import without_autocast
from l0.common.errors import InputError

#: The context of a budget, and why its targets are out of reach.
Prepared = tuple[FitContext, NDArray[np.str_]]


def trace(
    problem: Problem, n_records: Sequence[int], method: str | Selector, options: Options
) -> Frontier[Any]:
    """Compute the frontier of a problem (see `CalibrationProblem.frontier`)."""
    if np.ndim(n_records) != 1:
        raise InputError(f"`n_records` is {n_records!r}; pass a list of budgets")
    budgets = sorted({check_n_records(k, problem) for k in n_records}, reverse=True)
    if not budgets:
        raise InputError("`n_records` is empty; name at least one budget")
    run = Run(problem, get_selector(method), with_defaults(options, Options))
    solved = run.solve(budgets)
    notes = {metrics["n_records"]: of_budget for metrics, of_budget in solved if of_budget}
    table = pa.Table.from_pylist([metrics for metrics, _ in solved])
    return Frontier(table, problem.kind, notes, run.solve)


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
            with without_autocast(prepared[0][0].objective.device):
                for budget, (context, reasons), selection in self._selections(budgets, prepared):
                    together = check_joint_reach(context, budget, reasons)
                    context, full_file = self._with_reference(context)
                    context = with_soft_targets(context, budget)
                    if selection is None:
                        selection = self.selector.select(context, budget)
                    solved = fit_selection(context, selection, full_file, reasons, together)
                    now = time.perf_counter()
                    metrics: Metrics = {**solved.metrics, "seconds": now - lap}
                    rows.append((metrics, solved.notes))
                    lap = now
        return rows

    def _prepared(self, budgets: Sequence[int], listener: Listener | None) -> list[Prepared]:
        """Check all budgets before the first fit, so that a wrong one is found at once."""
        prepared = [prepare(self.problem, budget, self.options, listener) for budget in budgets]
        # One clock and one history for all. Each budget has a generator of its own, as alone.
        history = prepared[0][0].history
        return [(replace(context, history=history), reasons) for context, reasons in prepared]

    def _selections(
        self, budgets: Sequence[int], prepared: list[Prepared]
    ) -> Iterator[tuple[int, Prepared, Selection | None]]:
        """Give the budgets, with the selections of one pass of the path, or with none yet."""
        widest = prepared[0][0]
        # A subclass may select in another way.
        if type(self.selector) is not Path:
            for budget, of_budget in zip(budgets, prepared, strict=True):
                yield budget, of_budget, None
            return
        # Bounds can force other records out of another budget, which the pass would not know.
        alike = [np.array_equal(context.candidates, widest.candidates) for context, _ in prepared]
        passed = [budget for budget, same in zip(budgets, alike, strict=True) if same]
        context, _ = self._with_reference(widest)
        selections = self.selector.frontier(with_soft_targets(context, passed[-1]), passed)
        for budget, of_budget, same in zip(budgets, prepared, alike, strict=True):
            yield budget, of_budget, next(selections) if same else None

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
