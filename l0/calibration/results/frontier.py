"""The frontier: the metrics of several budgets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Generic, cast

import pyarrow as pa

from l0.calibration.results.summary import FOOTNOTE, frontier_rows
from l0.common.plots import BLUE, matplotlib, save_figure
from l0.common.text_tables import as_html, as_text
from l0.data.tables import FrameT, Kind, native


@dataclass(frozen=True, eq=False, repr=False)
class Frontier(Generic[FrameT]):
    """The metrics of several budgets, the largest budget first.

    `print` shows the main metrics, and a notebook shows the same table.

    Attributes
    ----------
    table : pyarrow.Table
        One row for each budget. The columns are the metrics of :class:`l0.CalibrationResult`.
        `seconds` is the time since the start of the run, which passes all budgets.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frame that `to_frame` gives.

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
          A weight ratio is the final over the design weight.
        """
        return f"{as_text(*frontier_rows(self.table.to_pylist()))}\n{FOOTNOTE}"

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        budgets = ", ".join(f"{k:,}" for k in self.table.column("n_records").to_pylist())
        return f"<Frontier of {budgets} records>"

    def _repr_html_(self) -> str:
        return as_html(*frontier_rows(self.table.to_pylist()))

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
