"""From a problem to a result: check the options, select, refit, and give account."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from l0.calibration.evaluation.evaluate import account
from l0.calibration.fitting.history import Progress, Recorder
from l0.calibration.fitting.objective import Task
from l0.calibration.fitting.refit import refit
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.core import CalibrationProblem
from l0.calibration.problem.losses import get_loss
from l0.calibration.results.result import CalibrationResult
from l0.calibration.selection import Selector, get_selector
from l0.common.devices import checked_device
from l0.common.errors import InputError, first_few
from l0.common.progress import progress_bar

EPOCHS = 400
#: Design-weighted totals may be so many times off the targets, or a fraction, in the median.
MOST_OFF = 20.0


@dataclass(frozen=True)
class Options:
    """The options of a fit, with their defaults (`l0.calibrate` documents them)."""

    loss: str = "capped"
    bounds: tuple[float | None, float | None] | None = None
    seed: int = 0
    device: str | torch.device | None = None
    epochs: int | None = None


@torch.enable_grad()
def solve(
    problem: CalibrationProblem,
    n_records: int | None,
    method: str | Selector,
    options: Options,
    progress: bool | Callable[[Progress], None] | None,
) -> CalibrationResult:
    """Choose `n_records` records and weigh them (see `CalibrationProblem.solve`)."""
    selector = get_selector(method)
    n = problem.n_records
    budget = None if n_records is None else check_n_records(n_records, n)
    with progress_bar(progress) as listener:
        task, reasons = make_task(problem, budget, options, listener)
        if problem.auxiliary is not None:
            # The account compares with it: fitted now, so that history and log end with the refit.
            _ = task.reference
        if budget is None:
            records, ratios = np.arange(n), task.reference
        else:
            selection = selector.select(task, budget)
            records, ratios = selection.records, refit(task, selection)
        arguments = {
            "n_records": budget,
            "method": method if isinstance(method, str) else repr(method),
            "loss": options.loss,
            "bounds": task.bounds.pair,
            "seed": int(options.seed),
            "device": str(task.device),
            "epochs": task.epochs,
        }
        return account(task, records, ratios, reasons, arguments)


def check_n_records(n_records: int, n_candidates: int) -> int:
    """Check a budget against the number of records."""
    return _whole_number(n_records, "n_records", 1, n_candidates)


def make_task(
    problem: CalibrationProblem,
    n_records: int | None,
    options: Options,
    listener: Callable[[Progress], None] | None,
) -> tuple[Task, NDArray[np.str_]]:
    """Check the options of a fit of `n_records`, or of all where it is None, and set it up.

    Returns
    -------
    task : Task
    reasons : ndarray of str, shape (m,)
        Why a target is unreachable; empty where it is not.
    """
    limits = Bounds.parse(options.bounds)
    reasons = check_reachable(problem, limits, n_records or problem.n_records)
    check_level(problem, reasons == "")
    task = Task(
        problem,
        loss=get_loss(options.loss),
        bounds=limits,
        dense_bounds=limits if n_records is None else Bounds(),
        epochs=_whole_number(EPOCHS if options.epochs is None else options.epochs, "epochs", 1),
        reachable=reasons == "",
        generator=np.random.default_rng(_whole_number(options.seed, "seed", 0)),
        device=checked_device(options.device),
        recorder=Recorder(problem, listener),
    )
    return task, reasons


def check_reachable(
    problem: CalibrationProblem, bounds: Bounds, n_records: int
) -> NDArray[np.str_]:
    """Find the unreachable targets (`unreachable`), and insist that some others count."""
    reasons = unreachable(problem, bounds, n_records)
    if not problem.importance[reasons == ""].any():
        lost = reasons != ""
        raise InputError(
            "`targets`: none that counts can be reached "
            f"({first_few(list(compress(problem.names, lost)))}: {reasons[lost][0]}); "
            "check the labels" + (" and widen `bounds`" if bounds.active else "")
        )
    return reasons


def check_level(problem: CalibrationProblem, reachable: NDArray[np.bool_]) -> None:
    """Insist that design weights and targets are on about one scale, going by the median.

    Fits stay close to the design weights, so that no fit would mend it.
    """
    own = problem.estimate(problem.design_weights)
    # What is left of amounts that cancel tells nothing of the scale.
    telling = reachable & (problem.importance > 0) & (np.abs(own) >= 0.5 * problem.gross)
    telling &= own * problem.values > 0
    if not telling.any():
        return
    level = float(np.median(problem.values[telling] / own[telling]))
    if not 1 / MOST_OFF <= level <= MOST_OFF:
        raise InputError(
            f"`weight` and `targets` are not on one scale: the targets are {level:.3g} times the "
            f"design-weighted totals (median of {telling.sum():,}); look for a unit that differs, "
            f"multiply the weights by {level:.3g}, or leave `weight` out"
        )


def _whole_number(value: Any, argument: str, least: int, most: int | None = None) -> int:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        span = f"from {least} to the number of records, {most:,}" if most else f"of {least} or more"
        raise InputError(f"`{argument}` is {value!r}; it must be a whole number {span}")
    return int(value)
