"""Rounding the widths of groups to multiples, within the budgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from l0.networks.budgets.budgets import Constraint
from l0.networks.graph.units import UnitGroup


class Rounding:
    """Widths that are multiples of a number, because such layers are faster.

    A group keeps all of its units, or so many that each layer that makes them has a multiple of
    `round_to` channels of the group. A group of fewer units than that stays whole, and so does one
    whose units have different numbers of channels.

    Parameters
    ----------
    groups : sequence of UnitGroup
        The groups of units of the model.
    round_to : int
        The number whose multiples are allowed; 1 allows every width.

    Attributes
    ----------
    least : list of int
        For each group, the smallest number of units that it may keep.
    """

    def __init__(self, groups: Sequence[UnitGroup], round_to: int) -> None:
        self._sizes = [group.n_units for group in groups]
        self._steps = [_step(group, round_to) for group in groups]
        self.least = [min(pair) for pair in zip(self._sizes, self._steps, strict=True)]

    def rounded(self, constraints: Sequence[Constraint], alive: Tensor, scores: Tensor) -> Tensor:
        """Return sets of units of allowed sizes, within all budgets.

        First every group grows to the next allowed number. While a budget is exceeded, the group
        whose last units have the least score for their cost loses them. At the end, the units of
        the largest score for their cost come back, as long as all budgets allow it.

        Parameters
        ----------
        constraints : sequence of Constraint
            The budgets.
        alive : Tensor of bool, shape (n_units,)
            The units that the budgets leave open without rounding.
        scores : Tensor of float64, shape (n_units,)
            The scores of all units, open or closed. Units of the score 0 come back only to fill a
            width.

        Returns
        -------
        Tensor of bool, shape (n_units,)
        """
        if max(self._steps) == 1:
            return alive
        parts = zip(alive.split(self._sizes), scores.split(self._sizes), strict=True)
        starts = accumulate(self._sizes, initial=0)
        widths = [
            _Width(start, step, *part)
            for start, step, part in zip(starts, self._steps, parts, strict=False)
        ]

        def open_units() -> Tensor:
            found = torch.zeros_like(alive)
            found[torch.cat([block.units for width in widths for block in width.there()])] = True
            return found

        while over := [c for c in constraints if not c.holds(float(c.cost(open_units())))]:
            can_lose = [width for width in widths if width.n_blocks > 1]
            if not can_lose:
                break
            prices = _prices(over, open_units())
            min(can_lose, key=lambda width: width.blocks[width.n_blocks - 1].worth(prices)).grow(-1)
        while _gain(constraints, widths, open_units):
            pass
        return open_units()


def _gain(
    constraints: Sequence[Constraint], widths: Sequence[_Width], open_units: Callable[[], Tensor]
) -> bool:
    """Let one group grow, if the budgets allow it; tell whether one did."""
    prices = _prices(constraints, open_units())
    can_gain = [width for width in widths if width.n_blocks < len(width.blocks)]
    can_gain.sort(key=lambda width: width.blocks[width.n_blocks].worth(prices), reverse=True)
    for width in can_gain:
        if width.blocks[width.n_blocks].score > 0:
            width.grow(1)
            if all(c.holds(float(c.cost(open_units()))) for c in constraints):
                return True
            width.grow(-1)
    return False


def _prices(constraints: Sequence[Constraint], alive: Tensor) -> Tensor:
    """Return the marginal cost of each unit, as a share of the budgets."""
    shares = [c.cost.marginal(alive)[1] / max(c.limit, 1) for c in constraints]
    return torch.stack(shares).sum(0)


@dataclass(frozen=True, eq=False)
class _Block:
    """Units that come and go together."""

    units: Tensor
    score: float

    def worth(self, prices: Tensor) -> float:
        """Return the score for the cost."""
        price = float(prices[self.units].sum())
        return self.score / price if price > 0 else math.inf


class _Width:
    """The units of a group in the order in which they stay, in blocks."""

    def __init__(self, start: int, step: int, alive: Tensor, scores: Tensor) -> None:
        best = torch.argsort(scores, descending=True, stable=True)
        order = best[torch.argsort((~alive[best]).long(), stable=True)]
        size = len(alive)
        counts = [*range(0, size, step), size]
        self.blocks = [
            _Block(start + order[low:high], float(scores[order[low:high]].sum()))
            for low, high in pairwise(counts)
        ]
        self.n_blocks = sum(n < max(1, int(alive.sum())) for n in counts)

    def there(self) -> list[_Block]:
        """Return the blocks that stay."""
        return self.blocks[: self.n_blocks]

    def grow(self, n: int) -> None:
        """Take so many blocks more."""
        self.n_blocks += n


def _step(group: UnitGroup, round_to: int) -> int:
    """Return the number whose multiples of units may stay."""
    step = 1
    for member in group.producers:
        each = torch.bincount(member.units, minlength=group.n_units)
        n = int(each[0])
        if bool((each != n).any()):
            return group.n_units
        step = math.lcm(step, round_to // math.gcd(round_to, n))
    return step
