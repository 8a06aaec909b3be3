"""Which units may be chosen, and under what conditions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from l0.linear_model.design import Positions
from l0.linear_model.group_swap import GroupExchange, Groups
from l0.linear_model.nonnegative_swap import NonnegativeExchange
from l0.linear_model.statistics import Statistics
from l0.linear_model.swap import Exchange


@dataclass(frozen=True)
class Problem:
    """Least squares on some units: columns, or groups of columns.

    Attributes
    ----------
    statistics : Statistics
    groups : Groups, optional
        The units; by default each column is one.
    kept : ndarray of int64
        Units in every choice.
    nonnegative : bool
        Whether coefficients may not be negative; of columns alone.
    """

    statistics: Statistics
    groups: Groups | None = None
    kept: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    nonnegative: bool = False

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.groups.members) if self.groups else len(self.statistics.cross)

    def columns(self, units: Positions) -> Positions:
        """The columns of some units, in their order."""
        return self.groups.columns(units) if self.groups else units

    def exchange(self, chosen: Positions) -> Exchange | GroupExchange:
        """The regression on some units, those kept first."""
        fixed = len(self.kept)
        if self.groups:
            return GroupExchange(self.statistics, self.groups, chosen, fixed)
        kind = NonnegativeExchange if self.nonnegative else Exchange
        return kind(self.statistics, chosen, fixed)

    def with_l2(self, l2: float) -> Problem:
        """The same with another ridge."""
        statistics = self.statistics.with_l2(l2)
        groups = Groups.of(self.groups.members, statistics) if self.groups else None
        return replace(self, statistics=statistics, groups=groups)

    def restricted(self, units: Positions) -> Problem:
        """The same with some units alone, numbered from 0 on; those kept must be among them."""
        kept = np.array([int(np.flatnonzero(units == unit)[0]) for unit in self.kept], np.int64)
        groups = self.groups.restricted(units) if self.groups else None
        return Problem(
            self.statistics.restricted(self.columns(units)), groups, kept, self.nonnegative
        )
