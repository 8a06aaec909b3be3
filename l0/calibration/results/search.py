"""The search for the smallest budget whose errors are within limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from l0.calibration.evaluation.metrics import Metrics
from l0.common.errors import InputError
from l0.common.formatting import counted
from l0.common.validation import positive_share

#: Solves budgets, from the largest to the smallest: the metrics and the notes of each.
Solve = Callable[[Sequence[int]], list[tuple[Metrics, list[str]]]]
#: The limits, with the metric that each is for and what it is called.
LIMITS = {
    "max_untargeted": ("untargeted_capped_error", "an untargeted error"),
    "max_loss": ("loss", "a loss"),
}
#: The search ends if a budget meets the limit, and one that is smaller by this factor does not.
CLOSE = 1.05


def smallest_budget(
    known: Mapping[int, bool], meets: Callable[[int], bool], most: int
) -> tuple[int, int] | None:
    """Find a budget that meets a limit, and one that is at most 5% smaller and does not.

    While no budget meets the limit, the largest is doubled. While all do, the smallest is halved.
    Between two, the geometric mean is next. An error falls with the budget by and large, and not
    at each step, so that a budget which was not tried may be smaller and meet the limit too.

    Parameters
    ----------
    known : mapping of int to bool
        Whether a budget meets the limit, for at least one.
    meets : callable
        Tell whether another budget does. It is called once for each.
    most : int
        The largest budget.

    Returns
    -------
    tuple of int, or None
        The smallest budget that meets the limit, of all that were tried, and the largest of those
        below it, which all do not: 0 if there is none below it. None if not even `most` meets it.

    Examples
    --------
    >>> from l0.calibration.results.search import smallest_budget
    >>> smallest_budget({400: False}, lambda k: k >= 1_234, most=10_000)
    (1288, 1233)
    """
    tried = dict(known)

    def tell(budget: int) -> None:
        tried[budget] = meets(budget)

    while not any(tried.values()):
        largest = max(tried)
        if largest >= most:
            return None
        tell(min(2 * largest, most))
    while True:
        high = min(budget for budget, met in tried.items() if met)
        low = max((budget for budget in tried if budget < high), default=0)
        if high <= low + 1 or high <= CLOSE * low:
            return high, low
        tell(round(math.sqrt(low * high)) if low else high // 2)


def checked_limits(**given: float | None) -> dict[str, float]:
    """Check the limits, of which at least one must be given."""
    limits = {
        name: positive_share(limit, name) for name, limit in given.items() if limit is not None
    }
    if not limits:
        raise InputError(
            "`smallest` needs a limit; pass `max_untargeted`, `max_loss` or both, such as "
            "`max_untargeted=0.15`"
        )
    return limits


@dataclass(eq=False)
class Search:
    """Solve budgets until the smallest one within the limits is known.

    Attributes
    ----------
    solve : callable
    limits : dict of str to float
    rows : dict of int to dict
        The metrics of all budgets that were solved, at first those of the frontier.
    notes : dict of int to list of str
        Their notes.
    alone : bool
        Whether a budget alone gives the same as its row. If not, the rows only tell where to start,
        and those of the search replace them.
    refused : dict of int to str
        Why the other budgets that were tried cannot be chosen.
    """

    solve: Solve
    limits: dict[str, float]
    rows: dict[int, dict[str, Any]]
    notes: dict[int, Sequence[str]]
    alone: bool = True
    refused: dict[int, str] = field(default_factory=dict)

    def run(self) -> tuple[int, str]:
        """Find the smallest budget, and say how it and the next smaller one compare to the limits.

        Raises
        ------
        InputError
            If no budget is within the limits.
        """
        known = {budget: self._is_within(row) for budget, row in self.rows.items()}
        most = max(row["n_candidates"] - row["n_forced_out"] for row in self.rows.values())
        if not self.alone:
            start = min((budget for budget, met in known.items() if met), default=max(known))
            self.rows, self.notes = {}, {}
            known = {start: self._meets(start)}
        found = smallest_budget(known, self._meets, most)
        if found is None:
            raise InputError(self._out_of_reach())
        budget, below = found
        if not below:
            why = "No budget is smaller"
        elif below in self.refused:
            why = f"{below:,} cannot be chosen: {self.refused[below]}"
        else:
            are, have = ("is", "it has") if below == 1 else ("are", "they have")
            why = f"{below:,} {are} not: {have} {self._errors(below)}"
        have = "it has" if budget == 1 else "they have"
        records = counted(budget, "record is", "records are")
        within = f"{records} within {self._named}: {have} {self._errors(budget)}"
        return budget, f"{within}. {why}."

    def _meets(self, budget: int) -> bool:
        try:
            ((metrics, notes),) = self.solve([budget])
        except InputError as error:  # for example, fewer records than `must_keep` has
            self.refused[budget] = str(error)
            return False
        self.rows[budget] = {**metrics}
        if notes:
            self.notes[budget] = notes
        return self._is_within(metrics)

    def _is_within(self, row: Mapping[str, Any]) -> bool:
        if "max_untargeted" in self.limits and row["untargeted_capped_error"] is None:
            raise InputError(
                "`max_untargeted` limits the error on untargeted statistics, and there are none "
                f"for {counted(row['n_records'], 'record')}; pass `max_loss`, or give the problem "
                "such statistics: label columns or amounts in its tables, or `untargeted=` of "
                "`from_matrix`"
            )
        return all(row[LIMITS[name][0]] <= limit for name, limit in self.limits.items())

    @property
    def _named(self) -> str:
        return " and ".join(f"`{name}={limit:g}`" for name, limit in self.limits.items())

    def _errors(self, budget: int) -> str:
        return " and ".join(self._error(name, budget) for name in self.limits)

    def _error(self, name: str, budget: int) -> str:
        metric, title = LIMITS[name]
        return f"{title} of {self.rows[budget][metric]:.4g}"

    def _out_of_reach(self) -> str:
        """Say that no budget is within the limits, and which ones are closest."""
        most = max([*self.rows, *self.refused])
        message = f"no budget up to {counted(most, 'record')} is within {self._named}"
        if self.rows:
            parts = []
            for name in self.limits:
                metric, _ = LIMITS[name]
                best = min(self.rows, key=lambda budget: (self.rows[budget][metric], budget))
                parts.append(f"{self._error(name, best)} with {counted(best, 'record')}")
            message += f"; the best of those that were solved have {' and '.join(parts)}"
        message += "; raise the limit, or change the method or the options"
        if self.refused:
            budget = min(self.refused)
            message += f" ({counted(budget, 'record')} cannot be chosen: {self.refused[budget]})"
        return message
