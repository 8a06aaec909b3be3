"""Stochastic gates on units: hard concrete."""

from __future__ import annotations

import torch
from torch import Tensor

from l0.common.dtypes import at_least_float32
from l0.hard_concrete import HardConcrete, logistic_noise
from l0.networks.gates.unit_gate import UnitGate


class HardConcreteUnits(UnitGate):
    """Stochastic gates: see :class:`l0.HardConcrete`.

    Notes
    -----
    All examples of a batch see the same draw, because the gates act on weights. A draw for each
    example would have to act on activations, and between layers the package does not know which
    axis counts the examples: the first axis may count the positions of a sequence, or the windows
    of an image. We measured draws for each example on small perceptrons and convolutional networks.
    They made these gates better, but not as good as Hadamard gates, which have no noise.
    """

    spares = False

    def __init__(self, n_units: int, start_open: bool) -> None:
        super().__init__(n_units)
        self.gate = HardConcrete(n_units, temperature=2 / 3, init_mean=0.99 if start_open else 0.5)
        # Not a buffer, because DistributedDataParallel copies the buffers of one rank to all.
        self.noise = torch.zeros(n_units)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the noise of one training step."""
        self.noise = logistic_noise(at_least_float32(self.gate.qz_logits.detach()), generator)

    def values(self) -> Tensor:
        """Return a sample in training mode, the medians in evaluation mode."""
        if not self.training:
            return self._gates(0.0)
        return self._gates(self.noise.to(self.gate.qz_logits.device))

    @torch.no_grad()
    def ranks(self) -> Tensor:
        """Return the medians; of gates with the median 0, the more probable one ranks higher."""
        values = self._gates(0.0) + 1e-3 * self.gate.get_active_prob()
        return self.unless_constant(values)

    @torch.no_grad()
    def settled(self) -> Tensor:
        """Return the median of each gate; 0 for units that are closed."""
        return self.unless_constant(self._gates(0.0)) * self.alive

    @torch.no_grad()
    def openness(self) -> Tensor:
        """Return the probability that each gate is open."""
        probability = self.gate.get_active_prob()
        return torch.where(self.constant < 0, probability, 1) * self.alive

    @torch.no_grad()
    def undecided(self) -> Tensor:
        """Tell which gates are open with a probability between 0.05 and 0.95."""
        probability = self.openness()
        return (probability > 0.05) & (probability < 0.95)

    def penalised(self) -> Tensor:
        """Return the probabilities that the gates are open, differentiable."""
        return self.gate.get_active_prob()

    def _gates(self, noise: Tensor | float) -> Tensor:
        return self.gate.gates_at(noise).to(self.gate.qz_logits.dtype)
