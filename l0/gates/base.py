"""A gate for each of some items, and which of them are most probably open."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from l0.common.validation import whole_number
from l0.hard_concrete import HardConcrete

#: The open probability that training starts from at most, whatever share is asked for.
MOST_OPEN = 0.99
#: P(open) of the gates that a fit opens and closes: far apart, and with a gradient on both sides.
SURE = 0.99


class L0Gate(nn.Module):
    """A hard-concrete gate for each of some items.

    Parameters
    ----------
    size : int
        Number of items.
    temperature : float, default 0.5
        See `HardConcrete`.
    init_mean : float, default 0.5
        See `HardConcrete`.

    Attributes
    ----------
    gates : HardConcrete
    size : int
    init_mean : float

    Raises
    ------
    ValueError
        If an argument is out of its range.
    """

    def __init__(self, size: int, temperature: float = 0.5, init_mean: float = 0.5) -> None:
        super().__init__()
        self.size = size
        self.init_mean = init_mean
        self.gates = HardConcrete(size, temperature=temperature, init_mean=init_mean)

    @property
    def temperature(self) -> float:
        """That of `gates`."""
        return self.gates.temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self.gates.temperature = value

    def forward(self) -> Tensor:
        """Do what `get_gates` does: ``torch.func.functional_call`` needs it under this name."""
        return self.get_gates()

    def get_gates(self) -> Tensor:
        """Gate values: a fresh sample in training mode, the median gates in evaluation mode.

        Returns
        -------
        Tensor, shape (size,)
            In [0, 1], differentiable.
        """
        z: Tensor = self.gates()
        return z

    def apply_gates(self, x: Tensor, dim: int = 0) -> Tensor:
        """Multiply the items along an axis of a tensor by their gates.

        Parameters
        ----------
        x : Tensor
            Of length `size` along `dim`.
        dim : int, default 0
            Negative ones count from the end.

        Returns
        -------
        Tensor, the shape of `x`

        Raises
        ------
        ValueError
            If `x` has no such axis, or one of another length.
        """
        if not -x.ndim <= dim < x.ndim or x.shape[dim] != self.size:
            raise ValueError(
                f"`x` has shape {tuple(x.shape)}; it needs {self.size:,} items along `dim` {dim}"
            )
        along = [1] * x.ndim
        along[dim] = self.size
        return x * self.get_gates().reshape(along)

    def get_penalty(self) -> Tensor:
        """Return the expected number of open gates, differentiable, shape ()."""
        return self.gates.get_penalty()

    @torch.no_grad()
    def get_active_indices(self, threshold: float = 0.5) -> Tensor:
        """Tell which items' median gate is above a threshold, in training mode too.

        Parameters
        ----------
        threshold : float, default 0.5

        Returns
        -------
        Tensor of int64
            Positions, ascending. As many as there are: the `select` methods of the subclasses
            give the number asked for.
        """
        return torch.nonzero(self.gates.gates_at(0.0) > threshold).flatten()

    def get_top_indices(self, k: int) -> Tensor:
        """Tell which k items are most probably open.

        Parameters
        ----------
        k : int
            At most `size`.

        Returns
        -------
        Tensor of int64, shape (k,)
            Positions, ascending; of equal items the first.
        """
        # P(open) grows with the logit, and rounds to 1 where logits still differ.
        order = torch.argsort(self.gates.qz_logits.detach(), descending=True, stable=True)
        return order[:k].sort().values

    @property
    def trained(self) -> bool:
        """Whether the logits tell items apart."""
        logits = self.gates.qz_logits.detach()
        return bool((logits != logits[0]).any())

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return f"size={self.size}"

    def _reach(self) -> float:
        """Size of the logit from which on the median gate is exactly 1, or exactly 0 below 0."""
        return -self.temperature * math.log(-self.gates.gamma / self.gates.zeta)

    @torch.no_grad()
    def _set_open_probabilities(
        self, probabilities: NDArray[np.float64], chosen: NDArray[np.int64]
    ) -> None:
        """Set P(open); where that leaves the median gate of a chosen item below 1, set more."""
        logits = np.log(probabilities) - np.log1p(-probabilities) - self._reach()
        # At a high temperature a gate that is mostly open may be below 1 all the same.
        short = max(0.0, 1.01 * self._reach() - float(logits[chosen].min()))
        logits[chosen] += short
        self.gates.qz_logits.copy_(torch.from_numpy(logits))

    def _top(self, k: int) -> NDArray[np.int64]:
        return self.get_top_indices(k).cpu().numpy()


def share_of(part: int, whole: int, part_name: str, whole_name: str) -> float:
    """Check a number of items to keep against the number of items, and give their share."""
    whole, part = whole_number(whole, whole_name, 1), whole_number(part, part_name, 1)
    if part > whole:
        raise ValueError(
            f"`{part_name}` is {part:,} and `{whole_name}` only {whole:,}; ask for at most all"
        )
    return part / whole
