"""The report of a sparsifier: tables of costs, as numbers, as text and as HTML."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from l0.common.formatting import amount, percent
from l0.common.plots import BLUE, matplotlib, save_figure
from l0.common.text_tables import Row, as_html, as_text
from l0.networks.graph.units import LeftOut


@dataclass(frozen=True)
class Change:
    """One cost of a model at three moments.

    Attributes
    ----------
    before : float
        Cost of the full model.
    expected : float
        Cost of the gates as they are now. A stochastic gate counts with its probability to be open,
        a Hadamard gate as open or closed.
    after : float
        Cost of the compact model.
    """

    before: float
    expected: float
    after: float

    @property
    def share(self) -> float:
        """The share of the cost that is left: `after / before`."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True)
class GroupRow:
    """The units of one group.

    Attributes
    ----------
    name : str
        The layers that make the units, separated by commas.
    units : int
        Number of units.
    kept : int
        Number of units in the compact model.
    undecided : int
        Number of Hadamard gates that are open, but nearly closed; or of stochastic gates that are
        open with a probability between .05 and .95.
    """

    name: str
    units: int
    kept: int
    undecided: int


@dataclass(frozen=True)
class LayerRow:
    """The costs of one layer.

    Attributes
    ----------
    name : str
        Name of the layer.
    params, macs : Change
        Its parameters and its multiply-adds for one example.
    """

    name: str
    params: Change
    macs: Change


@dataclass(frozen=True)
class BudgetRow:
    """One budget.

    Attributes
    ----------
    name : str
        What the budget counts, and the layers if it is not for the whole model.
    limit : int
        The largest cost that the budget allows.
    change : Change
        The cost that it limits.
    multiplier : float
        The price of the cost; 0 while the target of the training is met.
    """

    name: str
    limit: int
    change: Change
    multiplier: float


@dataclass(frozen=True, repr=False)
class Report:
    r"""What a model cost, and what it costs without its closed units.

    :meth:`l0.Sparsifier.report` makes it. `print` shows it as text, a notebook as HTML.

    Attributes
    ----------
    totals : dict of str to Change
        Costs of the whole model: "units", "parameters", "multiply-adds" and "bytes"; and
        "milliseconds" of a pass over the example inputs, if the report measured them.
    budgets : list of BudgetRow
        The budgets.
    groups : list of GroupRow
        The groups of units.
    layers : list of LayerRow
        The layers that lose units.
    left_out : list of LeftOut
        The channels that got no gates, with the reasons.
    history : list of dict
        Costs and multipliers over the steps.
    warnings : list of str
        What went wrong, and what to change.

    Examples
    --------
    >>> import torch
    >>> import l0
    >>> from torch import nn
    >>> model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))
    >>> sparsifier = l0.sparsify(model, torch.zeros(2, 8), l0.Units(3))
    >>> report = sparsifier.report(latency=False)
    >>> report.totals["units"]
    Change(before=6, expected=6.0, after=3.0)
    >>> report.totals["parameters"].share
    0.5147058823529411
    >>> print(report.summary().split("\n\n")[0])
                   before  expected  after   left
    units               6         6      3    50%
    parameters         68        68     35  51.5%
    multiply-adds      60        60     30    50%
    bytes             272       272    140  51.5%
    """

    totals: dict[str, Change]
    budgets: list[BudgetRow]
    groups: list[GroupRow]
    layers: list[LayerRow]
    left_out: list[LeftOut]
    history: list[dict[str, Any]]
    warnings: list[str]

    def __repr__(self) -> str:
        """Return :meth:`summary`, which `print` shows too."""
        return self.summary()

    def summary(self) -> str:
        """Write the report as text: its tables, what got no gates, and the warnings.

        Returns
        -------
        str
            Several lines; what `print` shows.
        """
        tables = (as_text(head, rows) for head, rows in self._tables())
        return "\n\n".join([*tables, *self._remarks()])

    def _repr_html_(self) -> str:
        """Write the report for a notebook, without scripts and without style sheets."""
        remarks = "".join(f"<p>{escape(remark)}</p>" for remark in self._remarks())
        tables = "".join(as_html(head, rows) for head, rows in self._tables())
        return f"<div>{tables}{remarks}</div>"

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Plot the cost and the multiplier of each budget over the steps.

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
            If matplotlib is missing; the message holds the command that installs it.
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

    def _tables(self) -> Iterable[tuple[Row, list[Row]]]:
        yield (
            ("", "before", "expected", "after", "left"),
            [
                (name, *map(amount, (c.before, c.expected, c.after)), percent(c.share))
                for name, c in self.totals.items()
            ],
        )
        yield (
            ("budget", "at most", "after", "multiplier"),
            [
                (row.name, amount(row.limit), amount(row.change.after), amount(row.multiplier))
                for row in self.budgets
            ],
        )
        yield (
            ("units made by", "of", "kept", "undecided"),
            [(g.name, str(g.units), str(g.kept), str(g.undecided)) for g in self.groups],
        )
        yield (
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
        )

    def _remarks(self) -> Iterable[str]:
        yield from (f"No gates on {left.name}: {left.reason}." for left in self.left_out)
        yield from (f"Warning: {warning}" for warning in self.warnings)
