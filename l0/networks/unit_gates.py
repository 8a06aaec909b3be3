"""Gates on the units of one group, by family."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from l0.common.dtypes import at_least_float32
from l0.hadamard import HadamardGate
from l0.hard_concrete import HardConcrete, logistic_noise

#: A Hadamard gate below this is as good as closed.
CLOSED_BELOW = 1e-3


class UnitGate(nn.Module):
    """The gates of one group of units; a subclass is a family of gates.

    Parameters
    ----------
    n_units : int
        Number of units.

    Attributes
    ----------
    alive : Tensor of bool, shape (n_units,)
        False where a unit was closed for good.
    """

    alive: Tensor
    #: Whether a gate that counts as closed stays so, and may be closed for good.
    settles: ClassVar[bool]

    def __init__(self, n_units: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(n_units, dtype=torch.bool))

    def draw(self, generator: torch.Generator) -> None:
        """Draw the noise of one step of training, where there is any."""

    def forward(self) -> Tensor:
        """Return the gate values, 0 for closed units.

        Returns
        -------
        Tensor, shape (n_units,)
            One draw serves all layers until :meth:`draw` makes the next.
        """
        return self.values() * self.alive

    def values(self) -> Tensor:
        """Return the gates of all units, whether alive or not."""
        raise NotImplementedError

    def settled(self) -> Tensor:
        """Return the values of evaluation mode, 0 where a gate counts as closed."""
        raise NotImplementedError

    def openness(self) -> Tensor:
        """Tell how open each gate is, between 0 and 1, for the budget."""
        raise NotImplementedError

    def undecided(self) -> Tensor:
        """Tell which gates are neither open nor closed."""
        raise NotImplementedError

    def penalty(self, costs: Tensor) -> Tensor:
        """Return what being open costs, differentiable.

        Parameters
        ----------
        costs : Tensor, shape (n_units,)
            Of each unit; 0 for closed ones.
        """
        raise NotImplementedError


class HadamardUnits(UnitGate):
    """Deterministic gates: see :class:`l0.HadamardGate`."""

    settles = True

    def __init__(self, n_units: int, start_open: bool) -> None:
        super().__init__(n_units)
        self.gate = HadamardGate(n_units, init=1.0 if start_open else 0.5)

    def values(self) -> Tensor:
        """Return z."""
        z: Tensor = self.gate()
        return z

    @torch.no_grad()
    def settled(self) -> Tensor:
        """Return z, 0 below the threshold."""
        z = self()
        return torch.where(z < CLOSED_BELOW, 0, z)

    @torch.no_grad()
    def openness(self) -> Tensor:
        """Tell which gates are open."""
        return (self.settled() > 0).float()

    @torch.no_grad()
    def undecided(self) -> Tensor:
        """Tell which gates are open, but not by a factor of ten from closed."""
        z = self.settled()
        return (z > 0) & (z < 10 * CLOSED_BELOW)

    def penalty(self, costs: Tensor) -> Tensor:
        """Return sum c v^2."""
        self.gate.costs.copy_(costs)
        return self.gate.get_penalty()


class HardConcreteUnits(UnitGate):
    """Stochastic gates: see :class:`l0.HardConcrete`.

    Notes
    -----
    One draw serves the whole batch, because gates act on weights. Draws for each example would have
    to act on activations, and between layers it is not known which axis counts the examples: a
    sequence may come first, or windows of an image be stacked as a batch. On small perceptrons and
    convolutional networks such draws made these gates better, though not as good as Hadamard gates,
    which have no noise at all.
    """

    settles = False

    def __init__(self, n_units: int, start_open: bool) -> None:
        super().__init__(n_units)
        self.gate = HardConcrete(n_units, temperature=2 / 3, init_mean=0.99 if start_open else 0.5)
        # No buffer: DistributedDataParallel would give the noise of one rank to all.
        self.noise = torch.zeros(n_units)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the noise of one step of training."""
        self.noise = logistic_noise(at_least_float32(self.gate.qz_logits.detach()), generator)

    def values(self) -> Tensor:
        """Return a sample in training mode, the medians in evaluation mode."""
        if not self.training:
            return self._gates(0.0)
        return self._gates(self.noise.to(self.gate.qz_logits.device))

    @torch.no_grad()
    def settled(self) -> Tensor:
        """Return the medians."""
        return self._gates(0.0) * self.alive

    @torch.no_grad()
    def openness(self) -> Tensor:
        """Return the probability that each gate is open."""
        return self.gate.get_active_prob() * self.alive

    @torch.no_grad()
    def undecided(self) -> Tensor:
        """Tell which gates are open with a probability between 0.05 and 0.95."""
        probability = self.openness()
        return (probability > 0.05) & (probability < 0.95)

    def penalty(self, costs: Tensor) -> Tensor:
        """Return sum c P(open)."""
        return (costs * self.gate.get_active_prob()).sum()

    def _gates(self, noise: Tensor | float) -> Tensor:
        return self.gate.gates_at(noise).to(self.gate.qz_logits.dtype)


#: The families of gates by name.
FAMILIES: dict[str, type[HadamardUnits | HardConcreteUnits]] = {
    "hadamard": HadamardUnits,
    "hard_concrete": HardConcreteUnits,
}
