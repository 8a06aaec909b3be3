"""Choose some items, and draw the others at random."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from l0.calibration.sampling.designs import inclusion_probabilities, systematic
from l0.common.errors import InputError, first_few
from l0.common.validation import whole_number
from l0.data.arrays import as_vector, positions, take_rows
from l0.gates.base import share_of
from l0.gates.sample import SampleGate


class HybridGate(nn.Module):
    """Choose some items that stand for all, and draw the others at random.

    Parameters
    ----------
    n_items : int
        Number of items, the rows of the data.
    l0_fraction, random_fraction : float, default 0.25 and 0.75
        The shares of `target_items` that are learnt and drawn. They are at least 0, and their sum
        is at most 1. If it is below 1, only their ratio counts.
    target_items : int, optional
        How many to take, exactly; by default a fifth of the items, and at least one.
    temperature : float, default 0.25
        The temperature of the gates of the learnt part.

    Attributes
    ----------
    l0_gate : SampleGate
        Chooses the learnt part.
    n_l0, n_random : int
        The sizes of the two parts, rounded to the nearest item.
    n_items, target_items : int
        As given.
    l0_fraction, random_fraction : float
        As given.

    Raises
    ------
    ValueError
        If an argument is out of its range, or if the learnt part has no item.

    Examples
    --------
    >>> import numpy as np
    >>> from l0 import HybridGate
    >>> data = np.random.default_rng(0).lognormal(size=(200, 3))
    >>> gate = HybridGate(n_items=200, target_items=40)
    >>> selected, rows, types = gate.select(data, random_seed=0)
    >>> selected.shape
    (40, 3)
    >>> int((types == "l0").sum()), int((types == "random").sum())
    (10, 30)
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
        # Allow for rounding: 0.7 + 0.2 + 0.1 is not 1.
        if not (l0_fraction >= 0 and random_fraction >= 0 and 0 < both <= 1 + 1e-9):
            raise ValueError(
                f"`l0_fraction` {l0_fraction} and `random_fraction` {random_fraction} must be at "
                "least 0, and their sum must be above 0 and at most 1"
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
                "raise one of them, or draw at random without this gate"
            )
        self.l0_gate = SampleGate(n_items, self.n_l0, temperature)

    def select(
        self, data: Any, random_seed: int | None = None, *, probabilities: Any = None
    ) -> tuple[Any, Any, NDArray[np.str_]]:
        """Return the learnt items, and others drawn from the rest without replacement.

        Parameters
        ----------
        data : Tensor, array or frame of `n_items` rows
        random_seed : int, optional
            Seed of the draw. By default it comes from torch's global generator.
        probabilities : vector of length n_items, optional
            Sizes of at least 0. The probability of drawing an item is proportional to its size, and
            at most 1. By default all sizes are equal.

        Returns
        -------
        selected : of the kind of `data`
            `target_items` rows, in their order.
        indices : Tensor of int64, or ndarray of int64 unless `data` is a tensor
            Their positions, ascending.
        types : ndarray of str
            ``"l0"`` or ``"random"`` for each row.

        Raises
        ------
        InputError
            As in `SampleGate.fit`; also if a size is negative, if too few sizes are positive, or if
            `random_seed` is no whole number of at least 0.
        """
        if random_seed is not None:
            whole_number(random_seed, "random_seed", 0)
        if probabilities is None:
            size = np.ones(self.n_items)
        else:
            size = as_vector(probabilities, self.n_items, "probabilities")
            bad = np.flatnonzero(size < 0)
            if bad.size:
                raise InputError(
                    f"`probabilities` is negative at {first_few(bad.tolist())}; pass sizes of at "
                    "least 0"
                )
        _, learnt = self.l0_gate.select_samples(data)
        types = np.full(self.n_items, "", dtype="<U6")
        types[np.asarray(learnt.cpu() if isinstance(learnt, Tensor) else learnt)] = "l0"
        drawable = np.flatnonzero((types == "") & (size > 0))
        if len(drawable) < self.n_random:
            raise InputError(
                f"`probabilities` are positive for {len(drawable):,} items beside the learnt ones, "
                f"but {self.n_random:,} are to be drawn; give more items a positive size"
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
