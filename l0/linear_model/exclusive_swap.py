"""Sets of units of which a choice has at most one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from l0.linear_model.design import Positions
from l0.linear_model.group_swap import GroupSwap
from l0.linear_model.statistics import Matrix
from l0.linear_model.swap import Swap, best_of


@dataclass(frozen=True)
class Exclusive:
    """Sets of units, of each of which at most one may be chosen.

    Attributes
    ----------
    n_units : int
    sets : list of ndarray of int64
        They may overlap.
    """

    n_units: int
    sets: list[Positions]

    def rivals(self, chosen: Positions) -> NDArray[np.bool_]:
        """Return which units each of some units keeps out, (k, number of units)."""
        found = np.zeros((len(chosen), self.n_units), dtype=bool)
        for place, unit in enumerate(chosen.tolist()):
            for members in self._with.get(unit, ()):
                found[place, members] = True
            found[place, unit] = False
        return found

    @cached_property
    def _with(self) -> dict[int, list[Positions]]:
        """The sets that have each unit."""
        found: dict[int, list[Positions]] = {}
        for members in self.sets:
            for unit in members.tolist():
                found.setdefault(unit, []).append(members)
        return found

    def restricted(self, units: Positions) -> Exclusive:
        """Keep some units, and number them anew from 0."""
        place = {unit: position for position, unit in enumerate(units.tolist())}
        sets = [
            np.array([place[unit] for unit in members.tolist() if unit in place], np.int64)
            for members in self.sets
        ]
        return Exclusive(len(units), [members for members in sets if len(members) > 1])


def fewest_rivals(
    exclusive: Exclusive, start: Positions, size: int, adds: Callable[[Positions], Matrix]
) -> Positions:
    """Add units that keep out as few others as possible, until there are `size` of them.

    Where sets overlap, one unit may keep out several that go together. A search that adds the unit
    with the largest gain may then end below a size that there is.

    Parameters
    ----------
    exclusive : Exclusive
    start : ndarray of int64
        Units to begin with.
    size : int
    adds : callable
        Returns what each unit adds to some units; -inf where it cannot come in.

    Returns
    -------
    ndarray of int64
        At most `size` units.
    """
    rivals, chosen = exclusive.rivals(np.arange(exclusive.n_units)), start
    while len(chosen) < size:
        gains = adds(chosen)
        free = gains > -np.inf
        if not free.any():
            break
        kept_out = np.where(free, rivals[:, free].sum(axis=1), exclusive.n_units)
        best = np.flatnonzero(kept_out == kept_out.min())
        chosen = np.append(chosen, best[gains[best].argmax()])
    return chosen


class ExclusiveSwap:
    """As `Swap` or `GroupSwap`, without units that a chosen one keeps out.

    Parameters
    ----------
    free : Swap or GroupSwap
        What moves gain without the sets.
    exclusive : Exclusive
    """

    def __init__(self, free: Swap | GroupSwap, exclusive: Exclusive) -> None:
        self.chosen, self.fixed = free.chosen, free.fixed
        self.value, self.slopes = free.value, free.slopes
        self._free, self._rivals = free, exclusive.rivals(free.chosen)

    def adds(self) -> Matrix:
        """The gain of adding each unit; -inf for a unit that is spanned or kept out."""
        return np.where(self._rivals.any(axis=0), -np.inf, self._free.adds())

    def drops(self) -> Matrix:
        """The loss of dropping each chosen unit; infinite for the fixed ones."""
        return self._free.drops()

    def swaps(self) -> Matrix:
        """The gain of swapping each chosen unit for each other one, (k, number of units)."""
        # A unit may come in if only the one that leaves keeps it out.
        others = self._rivals.sum(axis=0) - self._rivals
        return np.where(others > 0, -np.inf, self._free.swaps())

    def best_swap(self) -> tuple[float, int, int]:
        """The best swap: its gain, the place in `chosen` that it frees, the new unit."""
        return best_of(self.swaps())
