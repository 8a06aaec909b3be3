"""The frontier: the metrics of several budgets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from textwrap import fill
from typing import Any, Generic, cast

import pyarrow as pa

from l0.calibration.results.search import Search, Solve, checked_limits
from l0.calibration.results.summary import FRONTIER_FOOTNOTE, frontier_notes, frontier_rows
from l0.common.errors import InputError
from l0.common.formatting import counted
from l0.common.plots import BLUE, matplotlib, save_figure
from l0.common.text_tables import TERMINAL, as_html, as_text
from l0.data.tables import FrameT, Kind, native


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Generic[FrameT]):
    """The metrics of several budgets, the largest budget first.

    `print` shows the main metrics, and a notebook shows the same table.

    Attributes
    ----------
    table : pyarrow.Table
        One row for each budget. The columns are the metrics of :class:`l0.CalibrationResult`.
        `seconds` is the time that a budget added. The largest also has the time of what all
        budgets share: the checks and the calibration of the full file. Their sum is the time of the
        run.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frame that `to_frame` gives.
    notes : dict of int to list of str
        Sentences on what the reader should know, such as what stopped a fit, by budget. `print`
        shows them, and the logger `l0` warns.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> A = np.random.default_rng(0).uniform(size=(2, 100))
    >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
    >>> frontier = problem.frontier([10, 40], epochs=50)
    >>> frontier
    <Frontier of 40, 10 records>
    >>> frontier.table.column("n_candidates").to_pylist()
    [100, 100]
    """

    table: pa.Table
    kind: Kind = "pyarrow"
    notes: Mapping[int, Sequence[str]] = field(default_factory=dict)
    #: Solves other budgets, from the largest to the smallest. It holds the problem, so a copy and a
    #: pickle of the frontier do not contain it.
    _solve: Solve | None = None
    #: Whether each row is what its budget gives alone. In one run of the path it may not be.
    _alone: bool = True

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_solve": None}

    def to_frame(self) -> FrameT:
        """Return the table as a frame of the kind of the records.

        Returns
        -------
        frame

        Examples
        --------
        >>> import pyarrow as pa
        >>> from l0.calibration import Frontier
        >>> table = pa.table({"n_records": [200, 100], "loss": [0.01, 0.03]})
        >>> Frontier(table, "pandas").to_frame()
           n_records  loss
        0        200  0.01
        1        100  0.03
        """
        return cast(FrameT, native(self.table, self.kind))

    def summary(self) -> str:
        """Return the main metrics as text, with a row for each budget. `print` shows the same.

        Returns
        -------
        str

        Examples
        --------
        >>> import pyarrow as pa
        >>> from l0.calibration import Frontier
        >>> metrics = {
        ...     "n_records": [2_000, 500],
        ...     "loss": [0.016, 0.021],
        ...     "within_1pct": [0.97, 0.91],
        ...     "within_10pct": [0.98, 0.97],
        ...     "untargeted_capped_error": [0.21, 0.46],
        ...     "effective_sample_size": [1_480.0, 310.0],
        ...     "max_weight_ratio": [18.2, 40.9],
        ...     "seconds": [3.1, 4.0],
        ... }
        >>> print(Frontier(pa.table(metrics)).summary())
                    Mean
                   error  Targets  Targets        Mean  Effective  Largest
                      on   within   within  untargeted     sample   weight
        Records  targets       1%      10%      error*       size    ratio  Seconds
          2,000     1.6%      97%      98%         21%      1,480     18.2      3.1
            500     2.1%      91%      97%         46%        310     40.9      4.0
        * On statistics that no fit is trained on, against the file in which all
          records are calibrated. All errors are relative and count at most 100%.
          A weight ratio is the final over the design weight. Seconds are what a
          budget added; the largest includes the fit of the full file.
        """
        table = as_text(*frontier_rows(self.table.to_pylist()))
        below = [fill(note, TERMINAL) for note in frontier_notes(self.notes, self.table.num_rows)]
        return "\n\n".join([f"{table}\n{FRONTIER_FOOTNOTE}", *below])

    def smallest(
        self, *, max_untargeted: float | None = None, max_loss: float | None = None
    ) -> SmallestBudget[FrameT]:
        """Look for the smallest budget whose errors are within limits, up to 5%.

        Further budgets are solved, with the problem, the method and the options of this frontier.
        If need be, the search goes up to all records, or down to one. Between a budget that is
        within the limits and a smaller one that is not, it goes on until they differ by at most 5%.

        Errors depend on which records are chosen, and do not fall at each step. It is certain that
        the budget found is within the limits, that one which is at most 5% smaller is not, and that
        no smaller one of the frontier or the search is. Another smaller budget may be, by chance.
        The rows of one run of the path only tell where to start: the search solves each budget
        alone, as :meth:`l0.CalibrationProblem.solve` does.

        Parameters
        ----------
        max_untargeted : float, optional
            The largest `untargeted_capped_error`, above 0 and up to 1.
        max_loss : float, optional
            The largest `loss`. At least one of the two must be given, and both limits hold.

        Returns
        -------
        SmallestBudget
            `n_records` is the budget, and `frontier` has all budgets that were solved.

        Raises
        ------
        InputError
            If no budget is within the limits. The message has the lowest errors, and the budgets
            that have them. Also if there are no untargeted statistics; or if the frontier was
            copied, unpickled or made from a table, and does not contain the problem.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> generator = np.random.default_rng(0)
        >>> A, others = generator.lognormal(size=(2, 10, 400))
        >>> problem = CalibrationProblem.from_matrix(
        ...     A, 1.2 * A.sum(axis=1), np.ones(400), untargeted=others
        ... )
        >>> found = problem.frontier([200, 400], epochs=50).smallest(max_untargeted=0.1)
        >>> found.n_records < 200
        True
        >>> bool(found.metrics["untargeted_capped_error"] <= 0.1)
        True
        >>> result = problem.solve(found.n_records, epochs=50)  # has these metrics
        """
        limits = checked_limits(max_untargeted=max_untargeted, max_loss=max_loss)
        if self._solve is None:
            raise InputError(
                "`smallest` solves further budgets, and this frontier does not contain the problem "
                "(it was copied, unpickled, or made from a table); compute the frontier again, and "
                "call `smallest` then"
            )
        rows = {row["n_records"]: row for row in self.table.to_pylist()}
        search = Search(self._solve, limits, rows, dict(self.notes), self._alone)
        n_records, reason = search.run()
        largest_first = [search.rows[budget] for budget in sorted(search.rows, reverse=True)]
        table = pa.Table.from_pylist(largest_first)
        frontier = replace(self, table=table, notes=search.notes, _alone=True)
        return SmallestBudget(n_records, reason, frontier)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        budgets = ", ".join(f"{k:,}" for k in self.table.column("n_records").to_pylist())
        return f"<Frontier of {budgets} records>"

    def _repr_html_(self) -> str:
        below = frontier_notes(self.notes, self.table.num_rows)
        paragraphs = "".join(f"<p>{escape(note)}</p>" for note in below)
        return as_html(*frontier_rows(self.table.to_pylist())) + paragraphs

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Plot the loss, the untargeted error and the effective sample size.

        Parameters
        ----------
        path : str or Path, optional
            An image file to write (``.png``, ``.svg``, ``.pdf``).

        Returns
        -------
        matplotlib.figure.Figure
            A panel for each of the three, against the number of records.

        Raises
        ------
        ImportError
            If matplotlib is not installed. The message has the command that installs it.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.random.default_rng(0).uniform(size=(2, 100))
        >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
        >>> figure = problem.frontier([10, 40], epochs=50).plot()
        >>> len(figure.axes)  # a matrix has no untargeted statistics
        2
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


@dataclass(frozen=True, eq=False, repr=False)
class SmallestBudget(Generic[FrameT]):
    """What `Frontier.smallest` found.

    `print` shows the reason.

    Attributes
    ----------
    n_records : int
        The smallest budget of `frontier` that is within the limits.
    reason : str
        The errors of the budget, and those of the next smaller one that was solved, or why it
        cannot be chosen.
    frontier : Frontier
        All budgets that were solved: those of the frontier that was asked, and those of the search,
        or the latter alone if the former are of one run of the path.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> A = np.random.default_rng(0).uniform(size=(3, 40))
    >>> problem = CalibrationProblem.from_matrix(A, 1.1 * A.sum(axis=1), np.ones(40))
    >>> found = problem.frontier([40, 20], epochs=50).smallest(max_loss=0.001)
    >>> found.n_records, found.frontier
    (3, <Frontier of 40, 20, 10, 5, 3, 2 records>)
    """

    n_records: int
    reason: str
    frontier: Frontier[FrameT]

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of the budget, as in :class:`l0.CalibrationResult`."""
        rows = self.frontier.table.to_pylist()
        return next(row for row in rows if row["n_records"] == self.n_records)

    def __str__(self) -> str:
        return fill(self.reason, TERMINAL)

    def __repr__(self) -> str:
        return f"<SmallestBudget: {counted(self.n_records, 'record')}>"
