"""Which rank eliminates which fronts of a nested normal matrix, and what the ranks send each other.

Whole subtrees go to a rank, so that it needs nothing of the others until its subtrees are done
(the subtree-to-process mapping of multifrontal solvers: Liu 1992, SIAM Review 34(1), section 8).
What is above them is little, and all ranks eliminate it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from l0.common.ranks import Ranks
from l0.common.unlocked_blas import Narrow

Ints = NDArray[np.int64]

#: A subtree is taken apart if it costs more than this part of the work of a rank.
MOST_OF_A_RANK = 0.25
#: The owner of a front that all ranks eliminate.
ALL = -1


class Subtrees:
    """The fronts of each rank.

    Parameters
    ----------
    ranks : Ranks
    shapes : sequence of (int, int)
        The number of own targets of each front, and of the others. Children are before their
        parents.
    children : sequence of sequence of int
    costs : ndarray of float64, shape (f,)
        The work that each front takes.

    Attributes
    ----------
    mine, above : list of int
        The fronts that this rank eliminates alone, and those that all ranks do, in order.
    of_others : list of int
        The fronts that other ranks eliminate.
    """

    def __init__(
        self,
        ranks: Ranks,
        shapes: Sequence[tuple[int, int]],
        children: Sequence[Sequence[int]],
        costs: NDArray[np.float64],
    ) -> None:
        self._ranks, self._shapes = ranks, shapes
        tops = _tops(children, costs, ranks.size) if ranks.size > 1 else []
        owner = np.full(len(costs), ALL)
        done = [(0.0, rank) for rank in range(ranks.size)]
        for cost, top in sorted(tops, reverse=True):
            so_far, rank = heapq.heappop(done)
            owner[_subtree(children, top)] = rank
            heapq.heappush(done, (so_far + cost, rank))
        self._tops = {top for _, top in tops}
        self._of_rank = [np.flatnonzero(owner == rank).tolist() for rank in range(ranks.size)]
        self.mine, self.above = self._of_rank[ranks.rank], np.flatnonzero(owner == ALL).tolist()
        self.of_others = np.flatnonzero((owner != ALL) & (owner != ranks.rank)).tolist()

    def exchange(
        self,
        factors: dict[int, Narrow],
        left: dict[int, Narrow],
        failed: np.linalg.LinAlgError | None,
    ) -> None:
        """Add what the subtrees of the other ranks gave to what those of this rank gave.

        Parameters
        ----------
        factors, left : dict
            The own columns of the factor of each front, and what the tops of the subtrees leave
            over. All ranks have the same after this.
        failed : LinAlgError or None
            Why this rank has no factors. It is raised, and all other ranks raise one too.
        """
        if self._ranks.size == 1:
            return
        # The first number of each rank tells whether it has failed.
        lengths = [
            1 + sum(m * n for number in numbers for m, n in self._sent(number))
            for numbers in self._of_rank
        ]
        own = np.ones(lengths[self._ranks.rank], dtype=np.float32)
        if failed is None:
            arrays = [
                array.ravel(order="F")
                for number in self.mine
                for array in (factors[number], left.get(number))
                if array is not None
            ]
            np.concatenate([np.zeros(1, dtype=np.float32), *arrays], out=own)
        whole = self._ranks.joined_array(own, lengths)
        starts = np.cumsum([0, *lengths[:-1]]).tolist()
        if whole[starts].any():
            raise failed or np.linalg.LinAlgError("another rank found no factor")
        for rank, start in enumerate(starts):
            if rank != self._ranks.rank:
                self._take(rank, whole[start + 1 :], factors, left)

    def _sent(self, number: int) -> list[tuple[int, int]]:
        """List the shapes of the arrays that the owner of a front sends."""
        own, others = self._shapes[number]
        has_left = number in self._tops and others
        return [(own + others, own), *([(others, others)] if has_left else [])]

    def _take(
        self, rank: int, sent: Narrow, factors: dict[int, Narrow], left: dict[int, Narrow]
    ) -> None:
        """Read what a rank has sent."""
        start = 0
        for number in self._of_rank[rank]:
            arrays = []
            for m, n in self._sent(number):
                stop = start + m * n
                # A copy begins at an address that suits the routines of BLAS.
                arrays.append(sent[start:stop].copy().reshape((m, n), order="F"))
                start = stop
            factors[number] = arrays[0]
            if len(arrays) > 1:
                left[number] = arrays[1]


def _tops(
    children: Sequence[Sequence[int]], costs: NDArray[np.float64], n_parts: int
) -> list[tuple[float, int]]:
    """Find subtrees that are small beside the work of a rank: the cost and the top of each."""
    of_subtree = costs.copy()
    for number, below in enumerate(children):
        of_subtree[number] += of_subtree[list(below)].sum()
    most = MOST_OF_A_RANK * of_subtree[-1] / n_parts
    waiting, found = list(children[-1]), []
    while waiting:
        top = waiting.pop()
        if of_subtree[top] > most and children[top]:
            waiting.extend(children[top])
        else:
            found.append((float(of_subtree[top]), top))
    return found


def _subtree(children: Sequence[Sequence[int]], top: int) -> list[int]:
    return [top, *(number for child in children[top] for number in _subtree(children, child))]
