"""Some items chosen, the others drawn at random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.common.errors import InputError, first_few
from l0.data.arrays import as_vector, positions, take_rows
from l0.gates.base import share_of
from l0.gates.sample import SampleGate


class HybridGate(nn.Module):
    """Choose some items by what they stand for and draw the others at random.

    Parameters
    ----------
    n_items : int
        Number of items, the rows of the data.
    l0_fraction, random_fraction : float, default 0.25 and 0.75
        Shares of the target that are learnt and drawn, not negative and adding up to 1 at most.
        Where they add up to less, they count relative to each other.
    target_items : int, optional
        How many to choose, exactly; by default a fifth of the items, at least one.
    temperature : float, default 0.25
        Of the learnt part.

    Attributes
    ----------
    l0_gate : SampleGate
        Chooses the learnt part.
    n_l0, n_random : int
        Sizes of the parts, to the nearest item.
    n_items, target_items : int
    l0_fraction, random_fraction : float

    Raises
    ------
    ValueError
        If an argument is out of its range, or the learnt part has no item.
    """

    def __init__(
        self,
        n_items: int,
        l0_fraction: float = 0.25,
        random_fraction: float = 0.75,
        target_items: int | None = None,
        temperature: float = 0.25,
    ) -> None:
        super().__init__()
        both = l0_fraction + random_fraction
        # Sums such as 0.7 + 0.2 + 0.1 miss 1 by rounding.
        if not (l0_fraction >= 0 and random_fraction >= 0 and 0 < both <= 1 + 1e-9):
            raise ValueError(
                f"`l0_fraction` {l0_fraction} and `random_fraction` {random_fraction} must not be "
                "negative, and add up to more than 0 and at most 1"
            )
        if target_items is None:
            target_items = max(1, n_items // 5)
        share_of(target_items, n_items, "target_items", "n_items")
        self.n_items = n_items
        self.l0_fraction = l0_fraction
        self.random_fraction = random_fraction
        self.target_items = target_items
        self.n_l0 = math.floor(target_items * l0_fraction / both + 0.5)
        self.n_random = target_items - self.n_l0
        if not self.n_l0:
            raise ValueError(
                f"`l0_fraction` {l0_fraction} of {target_items:,} `target_items` is no item; "
                "raise either, or draw at random without this gate"
            )
        self.l0_gate = SampleGate(n_items, self.n_l0, temperature)

    def select(
        self, data: Any, random_seed: int | None = None, *, probabilities: Any = None
    ) -> tuple[Any, Any, NDArray[np.str_]]:
        """Take the learnt items, and draw the others from the rest without replacement.

        Parameters
        ----------
        data : Tensor, array or frame of `n_items` rows
        random_seed : int, optional
            Of the drawn part. Without it, the draw follows torch's global generator.
        probabilities : vector of length n_items, optional
            Sizes, not negative, that the chance of each of the rest to be drawn is proportional to
            (up to a chance of 1); equal ones by default.

        Returns
        -------
        selected : of the kind of `data`
            `target_items` rows, in their order.
        indices : Tensor of int64, or ndarray of int64 unless `data` is a tensor
            Their positions, ascending.
        types : ndarray of str
            ``"l0"`` or ``"random"`` for each.

        Raises
        ------
        InputError
            As in `SampleGate.fit`, or where `probabilities` are not such numbers or leave too few
            items to draw.
        """
        if probabilities is None:
            size = np.ones(self.n_items)
        else:
            size = as_vector(probabilities, self.n_items, "probabilities")
            bad = np.flatnonzero(size < 0)
            if bad.size:
                raise InputError(
                    f"`probabilities` is negative at {first_few(bad.tolist())}; pass sizes of 0 "
                    "or more"
                )
        _, learnt = self.l0_gate.select_samples(data)
        types = np.full(self.n_items, "", dtype="<U6")
        types[np.asarray(learnt.cpu() if isinstance(learnt, Tensor) else learnt)] = "l0"
        drawable = np.flatnonzero((types == "") & (size > 0))
        if len(drawable) < self.n_random:
            raise InputError(
                f"`probabilities` are positive for {len(drawable):,} items beside the learnt ones "
                f"and {self.n_random:,} are to be drawn; give more items a chance"
            )
        if random_seed is None:
            random_seed = int(torch.randint(2**62, ()))
        types[self._draw(drawable, size[drawable], random_seed)] = "random"
        indices = np.flatnonzero(types != "")
        return take_rows(data, indices), positions(indices, data), types[indices]

    def get_penalty(self) -> Tensor:
        """Return the expected number of open gates of the learnt part, differentiable, shape ()."""
        return self.l0_gate.get_penalty()

    def _draw(
        self, drawable: NDArray[np.int64], size: NDArray[np.float64], seed: int
    ) -> NDArray[np.int64]:
        if not self.n_random:
            return drawable[:0]
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(drawable))
        return drawable[systematic(inclusion_probabilities(size, self.n_random), order, generator)]
