"""Which channels between two layers belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from l0.networks.graph.marks import NO_PLACES, Marks, Replay
from l0.networks.graph.places import Place

#: In a range of channels that all seem to belong together, so many are looked at one by one; in a
#: range of fewer channels than this, only the first and the last.
_SAMPLES, _SHORT = 3, 16


@dataclass(frozen=True)
class Relation:
    """The places that the channels of one layer reach, and what belongs together there.

    Attributes
    ----------
    places : list of Place
        The places that are reached.
    source : ndarray of int, shape (n_channels,)
        For each channel of the layer, the number of its unit.
    reached : list of ndarray of int
        For each place, the number of the unit of each of its channels; -1 if nothing reaches it.
    at_output, steers, as_number : bool
        Whether a channel reaches the model's output, decides which way other data take, or becomes
        a number of Python.
    across : set of Place
        Layers that tie channels of the layer by working along another axis.
    """

    places: list[Place]
    source: np.ndarray
    reached: list[np.ndarray]
    at_output: bool
    steers: bool
    as_number: bool
    across: frozenset[Place] = frozenset()


def relation(replay: Replay, place: Place, n: int) -> Relation:
    """Find the units that the channels of a layer form with the channels that they reach.

    Parameters
    ----------
    replay : Replay
        The recorded pass.
    place : Place
        A layer, a state of a layer, or a sum.
    n : int
        Number of its channels.

    Returns
    -------
    Relation

    Notes
    -----
    Two runs for each binary digit mark the channels whose number has the digit 1, and those with
    the digit 0. A channel that is reached by one channel alone thus shows the number of that
    channel. What is reached by several channels is searched by halving ranges of channels until
    all that a range reaches is known to belong together. Two or three channels of such a range are
    then tried one by one; a channel between them that reaches less is tied to more than it must be.
    """
    found = _Search(replay, place, n).relation()
    widest = np.flatnonzero(found.source == np.bincount(found.source).argmax())
    if len(widest) == 1:
        return found
    first, last = (replay.across(place, int(i), n, len(widest)) for i in widest[[0, -1]])
    return replace(found, across=frozenset(first & last))


class _Search:
    def __init__(self, replay: Replay, place: Place, n: int) -> None:
        self._replay, self._place, self._n = replay, place, n
        self._all = replay.from_place(place, torch.ones(n, dtype=torch.bool, device="cpu"))
        self._places = [p for p in self._all if p not in NO_PLACES and self._all[p].any()]
        sizes = [len(self._all[p]) for p in self._places]
        self._sizes = sizes
        # A forest: the channels of the layer, and then those of the places.
        self._parent = np.arange(n + sum(sizes))
        self._ranges: dict[tuple[int, int], np.ndarray] = {}

    def relation(self) -> Relation:
        reached = self._flat(self._all)
        if len(reached):
            labels, unclear = self._decode()
            clear = np.flatnonzero(reached & ~unclear)
            for i, at in zip(labels[clear], clear, strict=True):
                self._join(np.array([i, self._n + at]))
            self._unclear = unclear
            if unclear.any():
                self._halve(0, self._n, np.flatnonzero(reached & unclear))
        roots = np.array([self._root(i) for i in range(len(self._parent))])
        ends = roots[self._n :]
        ends = np.where(reached, ends, -1)
        parts = np.split(ends, np.cumsum(self._sizes)[:-1]) if self._sizes else []
        ends_at = [key in self._all and bool(self._all[key].any()) for key in NO_PLACES]
        at_output, steers, as_number = ends_at
        return Relation(self._places, roots[: self._n], parts, at_output, steers, as_number)

    def _run(self, mark: Tensor) -> np.ndarray:
        return self._flat(self._replay.from_place(self._place, mark))

    def _flat(self, marks: Marks) -> np.ndarray:
        parts = [
            marks[p].numpy() if p in marks else np.zeros(size, dtype=bool)
            for p, size in zip(self._places, self._sizes, strict=True)
        ]
        return np.concatenate([np.zeros(0, dtype=bool), *parts])

    def _range(self, lo: int, hi: int) -> np.ndarray:
        """Return the unclear channels that a range reaches; a half asks again for its first one."""
        if (lo, hi) not in self._ranges:
            at = torch.arange(self._n, device="cpu")
            reached = self._run((at >= lo) & (at < hi)) & self._unclear
            self._ranges[lo, hi] = np.flatnonzero(reached)
        return self._ranges[lo, hi]

    def _decode(self) -> tuple[np.ndarray, np.ndarray]:
        at = torch.arange(self._n, device="cpu")
        labels = np.zeros(sum(self._sizes), dtype=np.int64)
        unclear = np.zeros(sum(self._sizes), dtype=bool)
        for bit in range(max(1, (self._n - 1).bit_length())):
            digit = (at >> bit & 1).bool()
            ones, zeros = self._run(digit), self._run(~digit)
            unclear |= ones & zeros
            labels += ones.astype(np.int64) << bit
        return labels, unclear

    def _halve(self, lo: int, hi: int, ends: np.ndarray) -> None:
        """Join the channels of a range with the unclear channels that they reach, `ends`."""
        if not len(ends):
            return
        one = hi - lo == 1
        if not one and len({self._root(self._n + at) for at in ends}) == 1:
            n = _SAMPLES if hi - lo >= _SHORT else 2
            every = np.linspace(lo, hi - 1, n).astype(int)
            one = all(len(self._range(i, i + 1)) for i in every)
        if one:
            self._join(np.concatenate([np.arange(lo, hi), self._n + ends]))
            return
        # The first channel may tie all that the range reaches.
        if len({self._root(self._n + at) for at in ends}) > 1:
            first = self._range(lo, lo + 1)
            if len(first) > 1:
                self._join(np.concatenate([[lo], self._n + first]))
                if len(first) == len(ends):
                    self._halve(lo, hi, ends)
                    return
        middle = (lo + hi) // 2
        self._halve(lo, middle, self._range(lo, middle))
        self._halve(middle, hi, self._range(middle, hi))

    def _root(self, node: Any) -> int:
        parent, i = self._parent, int(node)
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def _join(self, nodes: np.ndarray) -> None:
        roots = [self._root(i) for i in nodes]
        self._parent[roots] = min(roots)
