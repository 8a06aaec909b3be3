"""The base class of the families of gates: gates on the units of one group."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn


class UnitGate(nn.Module):
    """The gates of one group of units; a subclass is a family of gates.

    Parameters
    ----------
    n_units : int
        Number of units.

    Attributes
    ----------
    alive : Tensor of bool, shape (n_units,)
        False for the units that are closed.
    constant : Tensor, shape (n_units,)
        The values of gates that no longer learn; -1 while they learn.
    """

    alive: Tensor
    constant: Tensor
    #: Whether units that need not go yet may pay less than the price; otherwise, all pay it.
    spares: ClassVar[bool]

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(n_units, dtype=torch.bool))
        self.register_buffer("constant", torch.full((n_units,), -1.0))

    def draw(self, generator: torch.Generator) -> None:
        """Draw the noise of one training step; deterministic gates have none."""

    def forward(self) -> Tensor:
        """Return the gate values; they are 0 for closed units.

        Returns
        -------
        Tensor, shape (n_units,)
            All layers see the same draw until the next call of :meth:`draw`.
        """
        return self.unless_constant(self.values()) * self.alive

    def unless_constant(self, values: Tensor) -> Tensor:
        """Return values of the gates, or their constant values if they no longer learn."""
        # The values stay part of the graph, which DistributedDataParallel expects.
        return torch.where(self.constant < 0, values, self.constant.to(values.dtype))

    def ranks(self) -> Tensor:
        """Return values by which units are ranked; also of closed units, as if they were open.

        Returns
        -------
        Tensor, shape (n_units,)
            0 only if the gate can never open again.
        """
        raise NotImplementedError

    def values(self) -> Tensor:
        """Return the gate values of all units, including units that are closed."""
        raise NotImplementedError

    def settled(self) -> Tensor:
        """Return the gate values of evaluation mode; they are 0 for closed gates."""
        raise NotImplementedError

    def openness(self) -> Tensor:
        """Return how much each unit counts for the budget, between 0 and 1."""
        raise NotImplementedError

    def undecided(self) -> Tensor:
        """Tell which gates are neither open nor closed."""
        raise NotImplementedError

    def penalised(self) -> Tensor:
        """Return what the price of each unit multiplies, differentiable.

        Returns
        -------
        Tensor, shape (n_units,)
        """
        raise NotImplementedError
