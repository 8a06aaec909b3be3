"""All gates of a model as one vector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from l0.networks.gates.unit_gate import UnitGate


@dataclass(frozen=True, eq=False)
class Reading:
    """What a step needs of all gates.

    Attributes
    ----------
    openness : Tensor of float64, shape (n_units,)
        How much each unit counts for the budget, between 0 and 1.
    alive : Tensor of bool, shape (n_units,)
        The units that are not closed.
    learn : bool
        Whether the gates still learn.
    """

    openness: Tensor
    alive: Tensor
    learn: bool


class GateVector:
    """The gates of all groups; a vector holds one entry for each unit, group after group.

    Vectors are float64 and on the CPU, on whatever device the gates are. So every device makes the
    same decisions.

    Parameters
    ----------
    gates : list of UnitGate
        The gates of each group; they are also the items of the vector.
    seed : int
        Seed of the noise of stochastic gates.
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
        """Iterate over the gates of each group."""
        return iter(self._gates)

    @property
    def spares(self) -> bool:
        """Whether units that need not go yet may pay less than the price."""
        return self._gates[0].spares

    @property
    def learn(self) -> bool:
        """Whether the gates still learn."""
        return bool((self._gates[0].constant < 0).any())

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters of all gates."""
        return [p for gate in self._gates for p in gate.parameters()]

    def alive(self) -> Tensor:
        """Return True for the units that are not closed."""
        return self._gather(lambda gate: gate.alive) > 0

    def ranks(self) -> Tensor:
        """Return values by which all units are ranked, also closed ones."""
        return self._gather(lambda gate: gate.ranks())

    def settled(self) -> Tensor:
        """Return the gate values of evaluation mode; they are 0 for closed gates."""
        return self._gather(lambda gate: gate.settled())

    def openness(self) -> Tensor:
        """Return how much each unit counts for the budget, between 0 and 1."""
        return self._gather(lambda gate: gate.openness())

    def read(self) -> Reading:
        """Read what a step needs of all gates, at once: a device is waited for only once."""
        each = self._gather(
            lambda gate: torch.stack([gate.openness(), gate.alive, gate.constant < 0], dim=1)
        )
        return Reading(each[:, 0], each[:, 1] > 0, bool(each[:, 2].any()))

    def keep(self, alive: Tensor) -> None:
        """Close all units for which `alive` is False, and open the others."""
        for gate, part in zip(self._gates, self.split(alive), strict=True):
            gate.alive.copy_(part)

    def split(self, vector: Tensor) -> tuple[Tensor, ...]:
        """Split a vector into the parts of the groups."""
        parts: tuple[Tensor, ...] = vector.split(self._sizes)
        return parts

    def penalty(self, prices: Tensor | None) -> Tensor:
        """Return the price of the open units, differentiable.

        Parameters
        ----------
        prices : Tensor, shape (n_units,), optional
            The price of each unit; 0 for units that are closed. None if all are 0.

        Returns
        -------
        Tensor, shape ()
        """
        first = self._gates[0].alive.device
        if prices is None:
            # 0, with a gradient: it may be all of a loss, and be changed in place.
            return self._gates[0].penalised()[:0].sum()
        penalised = torch.cat([gate.penalised().to(first) for gate in self._gates])
        return (prices.to(first, torch.float32) * penalised).sum()

    def draw(self, step: int) -> None:
        """Draw the noise of a training step.

        The noise depends on the seed, the step and the rank. So ranks draw different noise, and a
        resumed run draws the noise of an unbroken run.
        """
        here = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if here else 0
        seed = (self._seed * 1_000_003 + step) * 65_537 + rank
        generator = torch.Generator().manual_seed(seed % 2**63)  # a larger one is refused
        for gate in self._gates:
            gate.draw(generator)

    def state(self) -> list[dict[str, Any]]:
        """Return copies of all tensors, for each group."""
        return [
            {key: tensor.detach().clone() for key, tensor in gate.state_dict().items()}
            for gate in self._gates
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Restore what :meth:`state` returned."""
        for gate, saved in zip(self._gates, state, strict=True):
            gate.load_state_dict(saved)

    def _gather(self, part: Callable[[UnitGate], Tensor]) -> Tensor:
        parts = [part(gate).detach() for gate in self._gates]
        if len({one.device for one in parts}) > 1:  # a model may be on several
            parts = [one.cpu() for one in parts]
        return torch.cat(parts).cpu().double()
