"""Which units a search may choose, and which conditions hold for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.group_swap import Groups, GroupSwap
from l0.linear_model.nonnegative_swap import NonnegativeSwap
from l0.linear_model.statistics import Statistics
from l0.linear_model.swap import Swap


@dataclass(frozen=True)
class Problem:
    """Least squares on some units: columns, or groups of columns.

    Attributes
    ----------
    statistics : Statistics
    groups : Groups, optional
        The units; by default each column is one.
    kept : ndarray of int64
        Units that belong to every choice.
    nonnegative : bool
        Whether coefficients must be at least 0; only without `groups`.
    """

    statistics: Statistics
    groups: Groups | None = None
    kept: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    nonnegative: bool = False

    @property
    def n_units(self) -> int:
        """The number of units."""
        return len(self.groups.members) if self.groups else len(self.statistics.cross)

    @property
    def many_rows(self) -> bool:
        """Whether a regression on some units reads very many rows; products of columns do not."""
        return False

    def least_squares(self) -> Problem:
        """Return the problem of least squares that screens units: itself."""
        return self

    def approximated(self, chosen: Positions) -> Problem:
        """Return the problem of least squares near a choice: itself."""
        return self

    def columns(self, units: Positions) -> Positions:
        """Return the columns of some units, in the order of the units."""
        return self.groups.columns(units) if self.groups else units

    def swap_from(self, chosen: Positions) -> Swap | GroupSwap:
        """Regress on some units, the kept ones first, to see what adds, drops and swaps gain."""
        fixed = len(self.kept)
        if self.groups:
            return GroupSwap(self.statistics, self.groups, chosen, fixed)
        kind = NonnegativeSwap if self.nonnegative else Swap
        return kind(self.statistics, chosen, fixed)

    def with_l2(self, l2: float) -> Problem:
        """Return the same problem with another ridge."""
        statistics = self.statistics.with_l2(l2)
        groups = Groups.of(self.groups.members, statistics) if self.groups else None
        return replace(self, statistics=statistics, groups=groups)

    def restricted(self, units: Positions) -> Problem:
        """Keep some units, the kept ones among them, and number them anew from 0."""
        kept = np.array([int(np.flatnonzero(units == unit)[0]) for unit in self.kept], np.int64)
        groups = self.groups.restricted(units) if self.groups else None
        return Problem(
            self.statistics.restricted(self.columns(units)), groups, kept, self.nonnegative
        )
