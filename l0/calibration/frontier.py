"""The frontier: what each budget costs in fit, in representation and in precision."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from l0.calibration.evaluation.evaluate import appraise
from l0.calibration.fitting.history import Progress
from l0.calibration.fitting.refit import refit
from l0.calibration.problem.core import CalibrationProblem
from l0.calibration.selection import Path
from l0.calibration.solve import Options, check_n_records, check_reachable, make_task
from l0.common.errors import InputError
from l0.common.plots import BLUE, matplotlib, save_figure
from l0.common.progress import progress_bar
from l0.data.tables import Kind, native


@dataclass(frozen=True, eq=False)
class Frontier:
    """One row a budget, the largest first; the columns are the metrics of `CalibrationResult`.

    `seconds` are counted from the start of the pass.

    Attributes
    ----------
    table : pyarrow.Table
    kind : {"pandas", "polars", "pyarrow"}
        Of the frame that `to_frame` gives.
    """

    table: pa.Table
    kind: Kind = "pyarrow"

    def to_frame(self) -> Any:
        """Give the frontier as a frame of the kind that the records had."""
        return native(self.table, self.kind)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Plot loss, untargeted error and effective sample size against the number of records.

        Parameters
        ----------
        path : str or Path, optional
            Image file to write (``.png``, ``.svg``, ``.pdf``).

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib, with the command that installs it.
        """
        budgets = self.table.column("n_records").to_pylist()
        panels = {
            "loss": "Loss on the targets, %",
            "untargeted_capped_error": "Error on untargeted statistics, %",
            "effective_sample_size": "Effective sample size (Kish)",
        }
        shown = {
            name: title for name, title in panels.items() if self.table.column(name).null_count == 0
        }
        figure = matplotlib("figure").Figure(figsize=(4 * len(shown), 3.4), layout="constrained")
        for axes, (name, title) in zip(
            figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
        ):
            values = self.table.column(name).to_pylist()
            percent = name != "effective_sample_size"
            axes.plot(
                budgets,
                [100 * value for value in values] if percent else values,
                "o-",
                color=BLUE,
            )
            axes.set_xscale("log")
            if not percent:
                axes.set_yscale("log")
            else:
                axes.set_ylim(bottom=0)
            axes.set_title(title, fontsize=10)
            axes.set_xlabel("Records kept")
            axes.grid(alpha=0.3)
        if path is not None:
            save_figure(figure, path)
        return figure


def frontier(
    records: Any,
    targets: Any,
    *,
    n_records: Sequence[int],
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    loss: str = "capped",
    bounds: tuple[float | None, float | None] | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    epochs: int | None = None,
    progress: bool | Callable[[Progress], None] | None = None,
) -> Frontier:
    """Trace loss, untargeted error and effective sample size over budgets, in one pass of the path.

    The path comes down through all budgets once; the records left at each are refitted.

    Parameters
    ----------
    records, targets, key, weight, members, loss, bounds, seed, device, epochs, progress
        As in `calibrate`.
    n_records : sequence of int
        Budgets, in any order.

    Returns
    -------
    Frontier

    Raises
    ------
    InputError
        As `calibrate`, and for an empty list of budgets.
    """
    problem = CalibrationProblem.from_frames(
        records, targets, key=key, weight=weight, members=members
    )
    return problem.frontier(
        n_records, loss=loss, bounds=bounds, seed=seed, device=device, epochs=epochs,
        progress=progress,
    )  # fmt: skip


@torch.enable_grad()
def trace(
    problem: CalibrationProblem,
    n_records: Sequence[int],
    options: Options,
    progress: bool | Callable[[Progress], None] | None,
) -> Frontier:
    """Trace the frontier of a compiled problem (see `CalibrationProblem.frontier`)."""
    if np.ndim(n_records) != 1:
        raise InputError(f"`n_records` is {n_records!r}; pass a list of budgets")
    budgets = sorted({check_n_records(k, problem.n_records) for k in n_records}, reverse=True)
    if not budgets:
        raise InputError("`n_records` is empty; name at least one budget")
    rows = []
    with progress_bar(progress) as listener:
        task, widest = make_task(problem, budgets[0], options, listener)
        # For all of them before the walk, so that a budget too small costs no work.
        others = (check_reachable(problem, task.bounds, budget) for budget in budgets[1:])
        reasons = [widest, *others]
        selections = Path().frontier(task, budgets)
        for selection, why in zip(selections, reasons, strict=True):
            task.count_only(why == "")
            metrics, _ = appraise(task, selection.records, refit(task, selection), why)
            rows.append(metrics)
    return Frontier(pa.Table.from_pylist(rows), problem.kind)
