"""Which units a search may choose, and which conditions hold for them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from l0.linear_model.bounded_swap import BoundedSwap
from l0.linear_model.design import Positions
from l0.linear_model.exclusive_swap import Exclusive, ExclusiveSwap
from l0.linear_model.group_swap import Groups, GroupSwap
from l0.linear_model.statistics import Matrix, Statistics
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
    bounds : ndarray of float64, shape (p, 2), optional
        Of the slopes of the columns; only for one outcome.
    exclusive : Exclusive, optional
        Sets of units of which at most one may be chosen.
    """

    statistics: Statistics
    groups: Groups | None = None
    kept: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    bounds: Matrix | None = None
    exclusive: Exclusive | None = None

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

    def swap_from(self, chosen: Positions) -> Swap | GroupSwap | ExclusiveSwap | BoundedSwap:
        """Regress on some units, the kept ones first, to see what adds, drops and swaps gain."""
        free = self.free_swap_from(chosen)
        if self.bounds is not None:
            return BoundedSwap(self.statistics, self.groups, self.bounds, free, self.exclusive)
        return ExclusiveSwap(free, self.exclusive) if self.exclusive else free

    def free_swap_from(self, chosen: Positions) -> Swap | GroupSwap:
        """Do the same without bounds and exclusive sets."""
        fixed = len(self.kept)
        if self.groups:
            return GroupSwap(self.statistics, self.groups, chosen, fixed)
        return Swap(self.statistics, chosen, fixed)

    def with_l2(self, l2: float) -> Problem:
        """Return the same problem with another ridge."""
        statistics = self.statistics.with_l2(l2)
        groups = Groups.of(self.groups.members, statistics) if self.groups else None
        return replace(self, statistics=statistics, groups=groups)

    def restricted(self, units: Positions) -> Problem:
        """Keep some units, the kept ones among them, and number them anew from 0."""
        kept = np.array([int(np.flatnonzero(units == unit)[0]) for unit in self.kept], np.int64)
        groups = self.groups.restricted(units) if self.groups else None
        columns = self.columns(units)
        return Problem(
            self.statistics.restricted(columns),
            groups,
            kept,
            None if self.bounds is None else self.bounds[columns],
            self.exclusive.restricted(units) if self.exclusive else None,
        )
