"""What a training loop wants to remember of its penalties."""

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


class PenaltyTracker:
    """Histories of named numbers, one value a call of :meth:`log`.

    NaN and infinite values are kept as they come: a run that goes wrong should show it.

    Attributes
    ----------
    history : dict of str to list of float
        In the order of the first mention.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = defaultdict(list)

    def log(self, name: str, value: float | Tensor) -> None:
        """Append a value to the history of a metric.

        Parameters
        ----------
        name : str
            Of the metric; a new one starts a new history.
        value : float or Tensor of one element
            Kept as a float, without its graph.

        Raises
        ------
        ValueError
            If `value` is not one number.
        """
        try:
            number = float(value.detach() if isinstance(value, Tensor) else value)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(
                f"`value` of {name!r} must be one number, got {value!r}; log its sum or mean, say"
            ) from None
        self.history[name].append(number)

    def get_history(self, name: str) -> list[float]:
        """Return the values of a metric so far.

        Parameters
        ----------
        name : str
            Of the metric.

        Returns
        -------
        list of float
            A copy; empty for a name that was never logged.
        """
        return list(self.history.get(name, ()))

    def get_stats(self, name: str) -> dict[str, float]:
        """Summarise a metric.

        Parameters
        ----------
        name : str
            Of the metric.

        Returns
        -------
        dict of str to float
            `mean`, `std` (of the population: divided by n), `min`, `max` and `last`; empty for a
            name that was never logged. One NaN makes all but `last` NaN.
        """
        values = self.get_history(name)
        if not values:
            return {}
        with np.errstate(invalid="ignore"):  # the spread of an infinite value is NaN
            return {
                "mean": float(np.mean(values)),
                "std": float(np.std(values)),
                "min": float(np.min(values)),
                "max": float(np.max(values)),
                "last": values[-1],
            }

    def clear(self) -> None:
        """Forget all histories."""
        self.history.clear()

    def save_to_csv(self, filepath: str | os.PathLike[str]) -> None:
        """Write the histories, a column a metric and a row a value.

        Cells are blank where a history has ended; NaN is written `nan`.

        Parameters
        ----------
        filepath : str or Path
            The file, written whole or not at all.
        """
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
        """Plot metrics against the number of the value, a panel each.

        Parameters
        ----------
        metrics : sequence of str, optional
            Which ones; by default all.
        save_path : str or Path, optional
            Image file to write (``.png``, ``.svg``, ``.pdf``). Without it the figure is shown in
            a window or notebook.

        Raises
        ------
        ValueError
            If a metric was never logged, or there is none.
        ImportError
            Without matplotlib, with the command that installs it.
        """
        names = list(metrics or self.history)
        if not names:
            raise ValueError("`metrics` is empty, and nothing was logged; call `log` first")
        unknown = [name for name in names if name not in self.history]
        if unknown:
            raise ValueError(
                f"`metrics` names what was never logged: {first_few(unknown)}; "
                f"{closest(unknown[0], self.history)}"
            )
        # pyplot keeps its figures and picks a window system: only for one that is shown.
        new = matplotlib("pyplot").figure if save_path is None else matplotlib("figure").Figure
        figure = new(figsize=(8, 2.8 * len(names)), layout="constrained")
        for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
            # A single value, or one between two NaN, has no line: hence the marks.
            axes.plot(self.history[name], ".-", color=BLUE)
            axes.set_title(name, fontsize=10)
            axes.set_xlabel("Step")
            axes.grid(alpha=0.3)
        if save_path is None:
            matplotlib("pyplot").show()
        else:
            save_figure(figure, save_path)
