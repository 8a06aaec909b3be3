"""A gate for each item, and the items that are most probably open."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from l0.common.validation import whole_number
from l0.hard_concrete import HardConcrete

#: The largest `init_mean` of a gate, also where all items are to be kept.
MOST_OPEN = 0.99
#: A fit gives P(open) = SURE to the gates it opens, and 1 - SURE to the others. They are far apart,
#: and both still have a gradient.
SURE = 0.99


class L0Gate(nn.Module):
    """A hard-concrete gate for each item.

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
        The gates.
    size : int
        As given.
    init_mean : float
        As given.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    Train the gates of four numbers, of which the first and the third lower the loss. The
    penalty closes the others:

    >>> import torch
    >>> from l0 import L0Gate
    >>> _ = torch.manual_seed(0)
    >>> gate = L0Gate(4)
    >>> useful = torch.tensor([1.0, 0.0, 1.0, 0.0])
    >>> optimizer = torch.optim.Adam(gate.parameters(), lr=0.1)
    >>> for _ in range(100):
    ...     optimizer.zero_grad()
    ...     loss = (useful * (gate.get_gates() - 1) ** 2).sum() + 0.1 * gate.get_penalty()
    ...     loss.backward()
    ...     optimizer.step()
    >>> gate.get_active_indices()
    tensor([0, 2])
    """

    def __init__(self, size: int, temperature: float = 0.5, init_mean: float = 0.5) -> None:
        super().__init__()
        self.size = size
        self.init_mean = init_mean
        self.gates = HardConcrete(size, temperature=temperature, init_mean=init_mean)

    @property
    def temperature(self) -> float:
        """The temperature of `gates`."""
        return self.gates.temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self.gates.temperature = value

    def forward(self) -> Tensor:
        """Return :meth:`get_gates`; ``torch.func.functional_call`` needs this name."""
        return self.get_gates()

    def get_gates(self) -> Tensor:
        """Return the gates: a fresh sample in training mode, the medians in evaluation mode.

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
            With length `size` along `dim`.
        dim : int, default 0
            The axis; a negative one counts from the end.

        Returns
        -------
        Tensor, the shape of `x`

        Raises
        ------
        ValueError
            If `x` has no such axis, or if that axis has another length.
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
        """Return the items whose median gate is above a threshold, in training mode too.

        Parameters
        ----------
        threshold : float, default 0.5

        Returns
        -------
        Tensor of int64
            Positions, ascending. Their number is not fixed; the `select` methods of the subclasses
            return exactly the number asked for.
        """
        return torch.nonzero(self.gates.gates_at(0.0) > threshold).flatten()

    def get_top_indices(self, k: int) -> Tensor:
        """Return the k items that are most probably open.

        Parameters
        ----------
        k : int
            At most `size`.

        Returns
        -------
        Tensor of int64, shape (k,)
            Positions, ascending. Among items with equal logits, the first ones are taken.
        """
        k = whole_number(k, "k", 0, self.size, "the number of items")
        # Compare logits: P(open) grows with the logit, but rounds to 1 where logits still differ.
        order = torch.argsort(self.gates.qz_logits.detach(), descending=True, stable=True)
        return order[:k].sort().values

    @property
    def trained(self) -> bool:
        """Whether the logits are not all equal."""
        logits = self.gates.qz_logits.detach()
        return bool((logits != logits[0]).any())

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return f"size={self.size}"

    def _reach(self) -> float:
        """Return the logit above which a median gate is 1; below its negative, the gate is 0."""
        return -self.temperature * math.log(-self.gates.gamma / self.gates.zeta)

    @torch.no_grad()
    def _set_open_probabilities(
        self, probabilities: NDArray[np.float64], chosen: NDArray[np.int64]
    ) -> None:
        """Set P(open), but raise it for the chosen items until their median gates are 1."""
        logits = np.log(probabilities) - np.log1p(-probabilities) - self._reach()
        # At a high temperature a gate may be open with probability 0.99 and have a median below 1.
        short = max(0.0, 1.01 * self._reach() - float(logits[chosen].min()))
        logits[chosen] += short
        self.gates.qz_logits.copy_(torch.from_numpy(logits))

    def _top(self, k: int) -> NDArray[np.int64]:
        return self.get_top_indices(k).cpu().numpy()


def share_of(part: int, whole: int, part_name: str, whole_name: str) -> float:
    """Check that a part is between 1 and the whole, and return its share.

    Parameters
    ----------
    part, whole : int
    part_name, whole_name : str
        The arguments, for messages.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If either is no such number.
    """
    whole, part = whole_number(whole, whole_name, 1), whole_number(part, part_name, 1)
    if part > whole:
        raise ValueError(
            f"`{part_name}` is {part:,} and `{whole_name}` only {whole:,}; keep at most all"
        )
    return part / whole
