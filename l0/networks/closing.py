"""Which units to close for a budget."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from l0.networks.budgets import Constraint
from l0.networks.units import UnitGroup, units_of_channels


class Closing:
    """Chooses units of a model, numbered one group after the other, to be closed.

    Parameters
    ----------
    model : nn.Module
        With or without gates.
    groups : sequence of UnitGroup
        Its units.
    """

    def __init__(self, model: nn.Module, groups: Sequence[UnitGroup]) -> None:
        self._sizes = [group.n_units for group in groups]
        self._n_units = sum(self._sizes)
        consumers = {member.module for group in groups for member in group.consumers}
        read = [torch.zeros(0, 2, dtype=torch.long)]
        read += [
            units
            for (name, side), units in units_of_channels(model, groups).items()
            if side == "in" and name in consumers
        ]
        # For each channel that a layer reads, its unit and the unit that selects it.
        self._read = torch.cat(read)
        both = (self._read < self._n_units).all(1)
        selected = self._read[:, 1]
        # Selecting groups first: what they keep decides which unit below them is kept.
        starts = torch.tensor([0, *self._sizes]).cumsum(0).tolist()
        self._weights = torch.cat([torch.full((g.n_units,), g.weights is not None) for g in groups])
        self._groups: list[tuple[int, int, Tensor | None]] = []
        for group, start, end in zip(groups, starts, starts[1:], strict=False):
            pairs = self._read[both & (selected >= start) & (selected < end)]
            spot = len(self._groups) if group.producers else 0
            self._groups.insert(spot, (start, end, pairs if len(pairs) else None))

    def kept(self, alive: Tensor, z: Tensor) -> Tensor:
        """Mark the most open unit of each group, which stays.

        Parameters
        ----------
        alive : Tensor of bool, shape (n_units,)
            Units that were not closed.
        z : Tensor, shape (n_units,)
            Gate values, or other scores of the units.

        Returns
        -------
        Tensor of bool, shape (n_units,)
            So marked that every layer still reads a channel.
        """
        marked = torch.zeros_like(alive)
        z = torch.where(alive, z, -1.0)
        for start, end, pairs in self._groups:
            if marked[start:end].any():
                continue
            if pairs is None:
                marked[start + int(z[start:end].argmax())] = True
            else:  # a selected feature is read only where its channel is there
                there = alive[pairs].all(1)
                value = torch.where(there, z[pairs].prod(1), -1.0)
                marked[pairs[int(value.argmax())]] = True
        return marked

    def used(self, alive: Tensor, z: Tensor) -> Tensor:
        """Drop the units that no layer reads any more, because it selects none of their channels.

        Returns
        -------
        Tensor of bool, shape (n_units,)
        """
        there = torch.cat([alive, alive.new_ones(1)])
        read = self._read[there[self._read].all(1)]
        reached = torch.zeros_like(there)
        reached[read.flatten()] = True
        return alive & (reached[:-1] | self._weights | self.kept(alive, z))

    def closed(
        self, constraint: Constraint, alive: Tensor, candidates: Tensor, z: Tensor
    ) -> Tensor:
        """Close as few candidates as a budget asks for, or all where that is not enough.

        Those go first that give least for what they cost: in the order of score per marginal cost.
        One unit stays in every group.

        Parameters
        ----------
        constraint : Constraint
            The budget.
        alive, candidates : Tensor of bool, shape (n_units,)
            Units that are there, and those among them that may be closed.
        z : Tensor, shape (n_units,)
            Gate values, or other scores of the units.

        Returns
        -------
        Tensor of bool, shape (n_units,)
            The units that are left.
        """
        cost, marginal = constraint.cost.marginal(alive)
        candidates = candidates & (marginal > 0) & ~self.kept(alive, z)
        if cost <= constraint.limit or not candidates.any():
            return alive
        at = candidates.nonzero().flatten()
        order = at[torch.argsort(z[at] / marginal[at], stable=True)]

        def without(k: int) -> Tensor:
            left = alive.clone()
            left[order[:k]] = False
            return left

        few, enough = 0, len(order)  # few are not enough; the other is, or is all there is
        while enough - few > 1:
            middle = (few + enough) // 2
            if float(constraint.cost(without(middle))) <= constraint.limit:
                enough = middle
            else:
                few = middle
        return without(enough)
