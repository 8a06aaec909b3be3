"""The frontier: what each budget costs in fit, in representation and in precision."""

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

    def to_frame(self) -> FrameT:
        """Give the frontier as a frame of the kind that the records had."""
        return cast(FrameT, native(self.table, self.kind))

    def summary(self) -> str:
        """Write the budgets one under the other, a metric a column, as `print` does."""
        return f"{as_text(*frontier_rows(self.table.to_pylist()))}\n{FOOTNOTE}"

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        budgets = ", ".join(f"{k:,}" for k in self.table.column("n_records").to_pylist())
        return f"<Frontier of {budgets} records>"

    def _repr_html_(self) -> str:
        return as_html(*frontier_rows(self.table.to_pylist()))

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
