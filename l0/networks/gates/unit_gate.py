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
        False for the units that were closed for good.
    """

    alive: Tensor
    #: Whether a closed gate stays closed, so that its unit may be closed for good.
    settles: ClassVar[bool]

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(n_units, dtype=torch.bool))

    def draw(self, generator: torch.Generator) -> None:
        """Draw the noise of one training step; deterministic gates have none."""

    def forward(self) -> Tensor:
        """Return the gate values; they are 0 for closed units.

        Returns
        -------
        Tensor, shape (n_units,)
            All layers see the same draw until the next call of :meth:`draw`.
        """
        return self.values() * self.alive

    def values(self) -> Tensor:
        """Return the gate values of all units, including units that were closed for good."""
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

    def penalty(self, costs: Tensor) -> Tensor:
        """Return the price of the open gates, differentiable.

        Parameters
        ----------
        costs : Tensor, shape (n_units,)
            The price of each unit; 0 for units that were closed for good.

        Returns
        -------
        Tensor, shape ()
        """
        raise NotImplementedError
