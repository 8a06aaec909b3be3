"""Histories of numbers, such as penalties, in a training loop."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from torch import Tensor

from l0.common.atomic_files import whole_file
from l0.common.errors import closest, first_few
from l0.common.plots import BLUE, matplotlib, save_figure
from l0.common.validation import check_path


class PenaltyTracker:
    """Histories of named numbers: each call of :meth:`log` adds one value.

    NaN and infinite values are kept, so that a run that fails shows it.

    Attributes
    ----------
    history : dict of str to list of float
        The histories, in the order in which their names were first logged.

    Examples
    --------
    >>> from l0 import PenaltyTracker
    >>> tracker = PenaltyTracker()
    >>> for step in range(4):
    ...     tracker.log("loss", 1 / (step + 1))
    >>> tracker.get_history("loss")[:2]
    [1.0, 0.5]
    >>> tracker.get_stats("loss")["last"]
    0.25
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = defaultdict(list)

    def log(self, name: str, value: float | Tensor) -> None:
        """Append a value to the history of a metric.

        Parameters
        ----------
        name : str
            The name of the metric. A new name starts a new history.
        value : float or Tensor of one element
            Stored as a float, without its graph.

        Raises
        ------
        ValueError
            If `value` is not one number.
        """
        try:
            number = float(value.detach() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"`value` of {name!r} must be one number, got {value!r}; log its sum or its mean"
            ) from None
        self.history[name].append(number)

    def get_history(self, name: str) -> list[float]:
        """Return the values of a metric so far.

        Parameters
        ----------
        name : str
            The name of the metric.

        Returns
        -------
        list of float
            A copy; empty if the name was never logged.
        """
        return list(self.history.get(name, ()))

    def get_stats(self, name: str) -> dict[str, float]:
        """Summarise a metric.

        Parameters
        ----------
        name : str
            The name of the metric.

        Returns
        -------
        dict of str to float
            `mean`, `std` (of the population: divided by n), `min`, `max` and `last`; empty if the
            name was never logged. If one value is NaN, all but `last` are NaN.
        """
        values = self.get_history(name)
        if not values:
            return {}
        with np.errstate(invalid="ignore"):  # with an infinite value, the deviation is NaN
            return {
                "mean": float(np.mean(values)),
                "std": float(np.std(values)),
                "min": float(np.min(values)),
                "max": float(np.max(values)),
                "last": values[-1],
            }

    def clear(self) -> None:
        """Delete all histories."""
        self.history.clear()

    def save_to_csv(self, filepath: str | os.PathLike[str]) -> None:
        """Write the histories: a column for each metric, and a row for each step.

        After the end of a history its cells are blank. NaN is written as `nan`.

        Parameters
        ----------
        filepath : str or Path
            The file; it is written completely or not at all.
        """
        check_path(filepath, "filepath", "the file to write")
        with (
            whole_file(filepath) as draft,
            open(draft, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.history)
            writer.writerows(zip_longest(*self.history.values(), fillvalue=""))

    def plot_history(
        self,
        metrics: Sequence[str] | None = None,
        save_path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Plot each metric against the step, in a panel of its own.

        Parameters
        ----------
        metrics : sequence of str, optional
            The metrics to plot; by default all.
        save_path : str or Path, optional
            The image file to write (``.png``, ``.svg``, ``.pdf``). By default a window or notebook
            shows the figure.

        Raises
        ------
        ValueError
            If a metric was never logged, or if there is none.
        ImportError
            If matplotlib is missing; the message gives the command that installs it.
        """
        names = list(metrics or self.history)
        if not names:
            raise ValueError("`metrics` is empty, because nothing was logged; call `log` first")
        unknown = [name for name in names if name not in self.history]
        if unknown:
            raise ValueError(
                f"`metrics` has names that were never logged: {first_few(unknown)}; "
                f"{closest(unknown[0], self.history)}"
            )
        # pyplot keeps its figures and opens a window system, so use it only to show a figure.
        new = matplotlib("pyplot").figure if save_path is None else matplotlib("figure").Figure
        figure = new(figsize=(8, 2.8 * len(names)), layout="constrained")
        for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
            # A single value, or a value between two NaN, has no line: draw marks too.
            axes.plot(self.history[name], ".-", color=BLUE)
            axes.set_title(name, fontsize=10)
            axes.set_xlabel("Step")
            axes.grid(alpha=0.3)
        if save_path is None:
            matplotlib("pyplot").show()
        else:
            save_figure(figure, save_path, "save_path")
