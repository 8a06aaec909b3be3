"""Which rank eliminates which fronts of a nested normal matrix, and what the ranks send each other.

Whole subtrees go to a rank, so that it needs nothing of the others until its subtrees are done
(the subtree-to-process mapping of multifrontal solvers: Liu 1992, SIAM Review 34(1), section 8).
What is above them is little, and all ranks eliminate it. A factor stays with the rank that made it:
what goes to the others is what a subtree leaves over, and parts of a solution.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence

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
    children : sequence of sequence of int
        Of each front. They are before their parents.
    costs : ndarray of float64, shape (f,)
        The work that each front takes.

    Attributes
    ----------
    mine, above : list of int
        The fronts that this rank eliminates alone, and those that all ranks do, in order.
    owned, of_others : list of int
        The fronts that one rank eliminates alone, and those of them that are not of this rank.
    tops : list of int
        The top of each subtree that one rank eliminates.
    """

    def __init__(
        self,
        ranks: Ranks,
        children: Sequence[Sequence[int]],
        costs: NDArray[np.float64],
    ) -> None:
        self._ranks = ranks
        tops = _tops(children, costs, ranks.size) if ranks.size > 1 else []
        owner = np.full(len(costs), ALL)
        done = [(0.0, rank) for rank in range(ranks.size)]
        for cost, top in sorted(tops, reverse=True):
            so_far, rank = heapq.heappop(done)
            owner[_subtree(children, top)] = rank
            heapq.heappush(done, (so_far + cost, rank))
        self.tops = sorted(top for _, top in tops)
        self._of_rank = [np.flatnonzero(owner == rank).tolist() for rank in range(ranks.size)]
        self.mine, self.above = self._of_rank[ranks.rank], np.flatnonzero(owner == ALL).tolist()
        self.owned = np.flatnonzero(owner != ALL).tolist()
        self.of_others = np.flatnonzero((owner != ALL) & (owner != ranks.rank)).tolist()

    def exchange(
        self,
        arrays: dict[int, Narrow],
        shapes: Mapping[int, tuple[int, int]],
        failed: np.linalg.LinAlgError | None = None,
    ) -> None:
        """Give arrays of fronts to all ranks.

        Parameters
        ----------
        arrays : dict
            By front. Those of the other ranks are added.
        shapes : mapping
            The fronts whose arrays are exchanged, and the shapes of these.
        failed : LinAlgError or None
            Why this rank has no arrays. It is raised, and all other ranks raise one too.
        """
        if self._ranks.size == 1:
            return
        sent = [[number for number in numbers if number in shapes] for numbers in self._of_rank]
        # The first number of each rank tells whether it has failed.
        lengths = [1 + sum(math.prod(shapes[number]) for number in numbers) for numbers in sent]
        own = np.ones(lengths[self._ranks.rank], dtype=np.float32)
        if failed is None:
            flat = [arrays[number].ravel(order="F") for number in sent[self._ranks.rank]]
            np.concatenate([np.zeros(1, dtype=np.float32), *flat], out=own)
        whole = self._ranks.joined_array(own, lengths)
        starts = np.cumsum([0, *lengths[:-1]])
        if whole[starts].any():
            raise failed or np.linalg.LinAlgError("another rank found no factor")
        for rank, begin in enumerate(starts + 1):
            if rank == self._ranks.rank:
                continue
            for number in sent[rank]:
                end = begin + math.prod(shapes[number])
                # A copy begins at an address that suits the routines of BLAS.
                arrays[number] = whole[begin:end].copy().reshape(shapes[number], order="F")
                begin = end


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
