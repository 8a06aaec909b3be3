"""Deterministic gates on units: a power of a parameter."""

from __future__ import annotations

import torch
from torch import Tensor

from l0.common.dtypes import at_least_float32
from l0.hadamard import HadamardGate
from l0.networks.gates.unit_gate import UnitGate

#: A Hadamard gate below this value counts as closed; the default of `HadamardGate.get_open` too.
CLOSED_BELOW = 1e-3


class HadamardUnits(UnitGate):
    """Deterministic gates: see :class:`l0.HadamardGate`."""

    spares = True

    def __init__(self, n_units: int, start_open: bool) -> None:
        super().__init__(n_units)
        self.gate = HadamardGate(n_units, init=1.0 if start_open else 0.5)

    def values(self) -> Tensor:
        """Return the gates z, which may exceed 1."""
        z: Tensor = self.gate()
        return z

    @torch.no_grad()
    def ranks(self) -> Tensor:
        """Return z."""
        return self.unless_constant(self.values())

    @torch.no_grad()
    def settled(self) -> Tensor:
        """Return z, with 0 for values below the threshold."""
        z = self()
        return torch.where((z < CLOSED_BELOW) & (self.constant < 0), 0, z)

    @torch.no_grad()
    def openness(self) -> Tensor:
        """Tell which gates are open."""
        return (self.settled() > 0).float()

    @torch.no_grad()
    def undecided(self) -> Tensor:
        """Tell which gates are open, but less than ten times the threshold."""
        z = self.settled()
        return (self.constant < 0) & (z > 0) & (z < 10 * CLOSED_BELOW)

    def penalised(self) -> Tensor:
        """Return v^2, differentiable."""
        return at_least_float32(self.gate.v).square()
