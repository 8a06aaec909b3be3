"""What became of a model and its gates, as tables and as text."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from l0.common.formatting import amount, percent
from l0.common.plots import BLUE, matplotlib, save_figure
from l0.networks.probe import call


@dataclass(frozen=True)
class Change:
    """A cost before, expected of the gates as they are, and of the compact model."""

    before: float
    expected: float
    after: float

    @property
    def share(self) -> float:
        """What is left."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True)
class GroupRow:
    """The units of one group."""

    name: str
    units: int
    kept: int
    undecided: int


@dataclass(frozen=True)
class LayerRow:
    """Parameters and multiply-adds of one layer."""

    name: str
    params: Change
    macs: Change


@dataclass(frozen=True)
class BudgetRow:
    """One budget, and where it stands."""

    name: str
    limit: int
    change: Change
    multiplier: float


@dataclass(frozen=True)
class Report:
    """What became of a model; :meth:`l0.Sparsifier.report` makes one, and `print` writes it.

    Attributes
    ----------
    totals : dict of str to Change
        "units", "parameters", "multiply-adds", "bytes", and "milliseconds" of a pass over the
        example inputs where it was measured.
    budgets : list of BudgetRow
        What was asked for.
    groups : list of GroupRow
        Units by group.
    layers : list of LayerRow
        Costs by layer.
    left_out : list of LeftOut
        What got no gates, and why.
    history : list of dict
        Costs and multipliers over the steps.
    warnings : list of str
        What to change.
    """

    totals: dict[str, Change]
    budgets: list[BudgetRow]
    groups: list[GroupRow]
    layers: list[LayerRow]
    left_out: list[Any]
    history: list[dict[str, Any]]
    warnings: list[str]

    def __str__(self) -> str:
        """Write it as text."""
        parts = [
            _table(
                ("", "before", "expected", "after", "left"),
                [
                    (name, *map(amount, (c.before, c.expected, c.after)), percent(c.share))
                    for name, c in self.totals.items()
                ],
            ),
            _table(
                ("budget", "at most", "after", "multiplier"),
                [
                    (row.name, amount(row.limit), amount(row.change.after), amount(row.multiplier))
                    for row in self.budgets
                ],
            ),
            _table(
                ("units made by", "of", "kept", "undecided"),
                [(g.name, str(g.units), str(g.kept), str(g.undecided)) for g in self.groups],
            ),
            _table(
                ("layer", "parameters", "left", "multiply-adds", "left"),
                [
                    (
                        row.name,
                        amount(row.params.after),
                        percent(row.params.share),
                        amount(row.macs.after),
                        percent(row.macs.share),
                    )
                    for row in self.layers
                ],
            ),
        ]
        parts += [f"No gates on {left.name}: {left.reason}." for left in self.left_out]
        parts += [f"Warning: {warning}" for warning in self.warnings]
        return "\n\n".join(parts)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Plot cost and multiplier of each budget over the steps.

        Parameters
        ----------
        path : str or Path, optional
            Image file to write.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib, with the command that installs it.
        """
        names = [row.name for row in self.budgets]
        figure = matplotlib("figure").Figure(figsize=(8, 2.8 * len(names)), layout="constrained")
        steps = [record["step"] for record in self.history]
        rows = figure.subplots(len(names), 2, squeeze=False)
        for row, budget in zip(rows, self.budgets, strict=True):
            for axes, what in zip(row, ("cost", "multiplier"), strict=True):
                axes.plot(steps, [r[f"{budget.name} {what}"] for r in self.history], color=BLUE)
                axes.set_title(f"{budget.name}: {what}", fontsize=10)
                axes.set_xlabel("Step")
                axes.grid(alpha=0.3)
            row[0].axhline(budget.limit, color="grey", linestyle=":")
        if path is not None:
            save_figure(figure, path)
        return figure


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # A group of a long residual stream is made by dozens of layers.
    rows = [(_short(row[0]), *row[1:]) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


@torch.no_grad()
def milliseconds(model: nn.Module, example_inputs: Any) -> float:
    """Return the median time of a pass in evaluation mode, over about a fifth of a second."""
    times: list[float] = []
    model.eval()
    start = time.perf_counter()
    while len(times) < 4 or (len(times) < 200 and time.perf_counter() - start < 0.2):
        before = time.perf_counter()
        call(model, example_inputs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(1000 * (time.perf_counter() - before))
    return statistics.median(times[1:])
