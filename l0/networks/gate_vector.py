"""All gates of a model as one vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from l0.networks.unit_gates import UnitGate


class GateVector:
    """The gates of all groups; vectors run over their units, one group after the other.

    Vectors are on the CPU and float64, wherever the gates are: what is decided with them is the
    same on every device.

    Parameters
    ----------
    gates : list of UnitGate
        One for each group; also the items.
    seed : int
        Of the noise of stochastic gates.
    """

    def __init__(self, gates: list[UnitGate], seed: int) -> None:
        self._gates = gates
        self._sizes = [len(gate.alive) for gate in gates]
        self._seed = seed

    def __len__(self) -> int:
        """Return the number of groups."""
        return len(self._gates)

    def __getitem__(self, i: int) -> UnitGate:
        """Return the gates of one group."""
        return self._gates[i]

    def __iter__(self) -> Iterator[UnitGate]:
        """Go through the groups."""
        return iter(self._gates)

    @property
    def settles(self) -> bool:
        """Whether gates that count as closed stay so, and may be closed for good."""
        return self._gates[0].settles

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained."""
        return [p for gate in self._gates for p in gate.parameters()]

    def alive(self) -> Tensor:
        """Tell which units were not closed for good; of bool."""
        return self._gather(lambda gate: gate.alive) > 0

    def settled(self) -> Tensor:
        """Return the gates of evaluation mode, 0 where closed."""
        return self._gather(lambda gate: gate.settled())

    def openness(self) -> Tensor:
        """Tell how open each unit counts for the budget, between 0 and 1."""
        return self._gather(lambda gate: gate.openness())

    def keep(self, alive: Tensor) -> None:
        """Close all other units for good."""
        for gate, part in zip(self._gates, self.split(alive), strict=True):
            gate.alive.copy_(part)

    def split(self, vector: Tensor) -> tuple[Tensor, ...]:
        """Take a vector apart, by group."""
        parts: tuple[Tensor, ...] = vector.split(self._sizes)
        return parts

    def penalty(self, prices: Tensor | None) -> Tensor:
        """Return what open units cost, differentiable.

        Parameters
        ----------
        prices : Tensor, shape (n_units,), optional
            Of each unit; 0 for closed ones. None where all are 0.

        Returns
        -------
        Tensor, shape ()
        """
        if prices is None:
            return torch.zeros((), device=self._gates[0].alive.device)
        costs = [
            gate.penalty(part.to(gate.alive.device, torch.float32))
            for gate, part in zip(self._gates, self.split(prices), strict=True)
        ]
        return torch.stack(costs).sum()

    def draw(self, step: int) -> None:
        """Draw the noise of a step of training: another on every rank, the same when resumed."""
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + step) * 65_537 + rank)
        for gate in self._gates:
            gate.draw(generator)

    def state(self) -> list[dict[str, Any]]:
        """Return copies of all tensors, by group."""
        return [
            {key: tensor.detach().clone() for key, tensor in gate.state_dict().items()}
            for gate in self._gates
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Take up what :meth:`state` returned for as many groups."""
        for gate, saved in zip(self._gates, state, strict=True):
            gate.load_state_dict(saved)

    def _gather(self, part: Callable[[UnitGate], Tensor]) -> Tensor:
        return torch.cat([part(gate).detach() for gate in self._gates]).cpu().double()
