"""Choosing the units to close for a budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from l0.networks.budgets.budgets import ROUNDING, Constraint
from l0.networks.graph.units import UnitGroup, units_of_channels

#: The cost falls by this factor in a round of closing. Ours: smaller steps chose hardly better.
_ROUND = 0.9


class Closing:
    """Chooses the units of a model to be closed; units are numbered one group after the other.

    Parameters
    ----------
    model : nn.Module
        With or without gates.
    groups : sequence of UnitGroup
        The groups of units of the model.
    in_common : bool
        Whether layers that select features of one group protect the same unit of it, which leaves
        the cheapest model of all. Each protects the best one for itself otherwise.
    """

    def __init__(
        self, model: nn.Module, groups: Sequence[UnitGroup], in_common: bool = False
    ) -> None:
        self._in_common = in_common
        self._sizes = [group.n_units for group in groups]
        self._n_units = sum(self._sizes)
        consumers = {(m.module, m.side) for group in groups for m in group.consumers}
        read = [torch.zeros(0, 2, dtype=torch.long, device="cpu")]
        read += [
            units for key, units in units_of_channels(model, groups).items() if key in consumers
        ]
        # One row for each channel that a layer reads: its unit, and the unit that selects it.
        self._read = torch.cat(read)
        both = (self._read < self._n_units).all(1)
        selected = self._read[:, 1]
        # Groups that select features come first, because the feature that they protect decides
        # which unit is protected in the group that makes it.
        starts = [0, *accumulate(self._sizes)]
        self._weights = torch.cat(
            [torch.full((g.n_units,), g.weights is not None, device="cpu") for g in groups]
        )
        self._groups: list[tuple[int, int, Tensor | None]] = []
        for group, start, end in zip(groups, starts, starts[1:], strict=False):
            pairs = self._read[both & (selected >= start) & (selected < end)]
            spot = len(self._groups) if group.producers else 0
            self._groups.insert(spot, (start, end, pairs if len(pairs) else None))

    def protected(self, alive: Tensor, z: Tensor) -> Tensor:
        """Mark one unit in each group, the most open one, that is never closed.

        Parameters
        ----------
        alive : Tensor of bool, shape (n_units,)
            The units that were not closed.
        z : Tensor, shape (n_units,)
            Gate values, or other scores of the units.

        Returns
        -------
        Tensor of bool, shape (n_units,)
            If these units stay, every layer still reads at least one channel.
        """
        marked = torch.zeros_like(alive)
        z = torch.where(alive, z, -1.0)
        for start, end, pairs in self._groups:
            if marked[start:end].any():
                continue
            if pairs is None:
                marked[start + int(z[start:end].argmax())] = True
            else:  # a layer reads a selected feature only if the feature's own unit is open
                there = alive[pairs].all(1)
                shared = there & marked[pairs[:, 0]]
                if self._in_common and shared.any():
                    there = shared
                value = torch.where(there, z[pairs].prod(1), -1.0)
                marked[pairs[int(value.argmax())]] = True
        return marked

    def used(self, alive: Tensor, z: Tensor) -> Tensor:
        """Return the open units that are still of use: the others have no reader left.

        A unit has no reader left if the layers that read its group select none of its channels.
        Single weights and protected units always stay.

        Parameters
        ----------
        alive, z : Tensor, shape (n_units,)
            As for :meth:`protected`.

        Returns
        -------
        Tensor of bool, shape (n_units,)
        """
        there = torch.cat([alive, alive.new_ones(1)])
        read = self._read[there[self._read].all(1)]
        reached = torch.zeros_like(there)
        reached[read.flatten()] = True
        return alive & (reached[:-1] | self._weights | self.protected(alive, z))

    def remaining(self, constraint: Constraint, alive: Tensor, z: Tensor, limit: float) -> Tensor:
        """Return the units that remain when as few as possible are closed for a limit.

        Units are closed in the order of their score divided by their marginal cost, the smallest
        first. One unit stays in every group, so the limit may be missed.

        Parameters
        ----------
        constraint : Constraint
            The budget.
        alive, z : Tensor, shape (n_units,)
            As for :meth:`protected`.
        limit : float
            The cost to be met, between the present cost and the budget.

        Returns
        -------
        Tensor of bool, shape (n_units,)

        Notes
        -----
        Score per cost is the greedy order of the knapsack problem (G. B. Dantzig,
        "Discrete-Variable Extremum Problems", Operations Research 5(2), 1957). The marginal cost
        of a unit falls with the number of units that its neighbours have left. So the units are
        closed in rounds, and each round has the marginal costs of the units that are still open.
        """
        candidates = alive & ~self.protected(alive, z)
        before: Tensor | None = None
        while True:
            cost, marginal = constraint.cost.marginal(alive)
            at = (candidates & alive & (marginal > 0)).nonzero().flatten()
            if cost <= limit or not len(at):
                return alive
            # Marginal costs that did not change will not change, as those of single weights.
            flat = before is not None and torch.equal(before, marginal)
            goal = limit if flat else max(limit, _ROUND * cost)
            alive = _without(
                constraint, alive, at[torch.argsort(z[at] / marginal[at], stable=True)], goal
            )
            before = marginal

    def refilled(
        self, constraints: Sequence[Constraint], alive: Tensor, able: Tensor, z: Tensor
    ) -> Tensor:
        """Open closed units again, the best first, as long as one fits into every budget.

        Parameters
        ----------
        constraints : sequence of Constraint
            The budgets, which the open units meet.
        able : Tensor of bool, shape (n_units,)
            The units that may be opened.
        alive, z : Tensor, shape (n_units,)
            As for :meth:`protected`.

        Returns
        -------
        Tensor of bool, shape (n_units,)
            No closed unit that is of use fits any more.
        """
        candidates = able & ~alive
        while True:
            price = torch.zeros_like(z)
            for constraint in constraints:
                cost, marginal = constraint.cost.marginal(alive)
                # What a unit adds is at least its marginal cost, which grows with the open units.
                candidates &= marginal <= constraint.limit - cost + ROUNDING
                price += marginal / max(constraint.limit, 1)
            at = candidates.nonzero().flatten()
            if not len(at):
                return alive
            worth = z[at] / price[at].clamp_min(1e-300)
            order = at[torch.argsort(worth, descending=True, stable=True)]
            trial = _with(constraints, alive, order)
            tried = trial & ~alive
            candidates = candidates & ~tried
            if not tried.any():
                candidates[order[0]] = False
            alive = alive | (tried & self.used(trial, z))


def _with(constraints: Sequence[Constraint], alive: Tensor, order: Tensor) -> Tensor:
    """Open as many of some units as fit into every budget, in their order."""

    def opened(k: int) -> Tensor:
        more = alive.clone()
        more[order[:k]] = True
        return more

    # Bisection: opening `few` units fits, and opening `many` does not.
    few, many = 0, len(order) + 1
    while many - few > 1:
        middle = (few + many) // 2
        if all(c.holds(float(c.cost(opened(middle)))) for c in constraints):
            few = middle
        else:
            many = middle
    return opened(few)


def _without(constraint: Constraint, alive: Tensor, order: Tensor, goal: float) -> Tensor:
    """Close as few of some units as a cost asks for, in their order; or all, if that is too few."""

    def without(k: int) -> Tensor:
        left = alive.clone()
        left[order[:k]] = False
        return left

    # Bisection: closing `few` candidates is not enough; `enough` are enough, or are all.
    few, enough = 0, len(order)
    while enough - few > 1:
        middle = (few + enough) // 2
        if float(constraint.cost(without(middle))) <= goal:
            enough = middle
        else:
            few = middle
    return without(enough)
