"""The fronts of nested targets: which targets and records each block of the tree works on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from l0.calibration.fitting.dissection import Block, Ints, deepest, places_of_rows
from l0.calibration.fitting.record_groups import groups_of
from l0.common.blas_threads import one_thread
from l0.common.threads import thread_parts, up_the_tree

#: A front leaves out the targets of its ancestors that it does not meet, if it meets less than this
#: share of them. Otherwise it takes all: then its parent can add what it leaves over in one block.
FEW = 0.6


@dataclass(eq=False)
class Front:
    """A block with its records.

    Attributes
    ----------
    rows : ndarray of int64, shape (f,)
        The targets of the front, in the order of elimination: the own ones are first.
    own : int
        The number of own targets.
    groups : list of (ndarray of int64, ndarray of int64)
        The positions of the records, in groups that meet few targets, and where in this front the
        targets are that each group meets.
    children : list of (int, slice or ndarray of int64)
        The places of the children in the order of the tree, and where in this front the targets
        are that they leave over.
    """

    rows: Ints
    own: int
    groups: list[tuple[Ints, Ints]]
    children: list[tuple[int, slice | Ints]]

    @property
    def left_over(self) -> Ints:
        """The targets of the ancestors."""
        return self.rows[self.own :]

    @property
    def cost(self) -> float:
        """The multiplications that the front takes."""
        size, own = float(len(self.rows)), float(self.own)
        products = sum(len(group) * float(len(met)) ** 2 for group, met in self.groups)
        return products + own * size * (size - own) + own**3 / 3


def fronts_of(records: sp.csr_array, root: Block) -> list[Front]:
    """Give each block its records, and the targets that they and its children meet.

    Parameters
    ----------
    records : scipy.sparse.csr_array, shape (k, m)
        Every record must have its targets on one path from the root.
    root : Block

    Returns
    -------
    list of Front
        In the order of `Block.in_order`.
    """
    blocks, m = root.in_order(), records.shape[1]
    place = {id(block): number for number, block in enumerate(blocks)}
    children = [[place[id(child)] for child in block.children] for block in blocks]
    holder = deepest(records, places_of_rows(blocks, m), len(blocks) - 1)
    by_block = np.argsort(holder, kind="stable")
    ends = np.searchsorted(holder[by_block], np.arange(len(blocks) + 1))
    above = {id(root): root.rows[:0]}
    for block in blocks[::-1]:  # parents before their children
        for child in block.children:
            above[id(child)] = np.concatenate([block.rows, above[id(block)]])
    order = np.empty(m, dtype=np.int64)
    order[np.concatenate([block.rows for block in blocks])] = np.arange(m)
    fronts: dict[int, Front] = {}

    def make(number: int) -> None:
        block, held = blocks[number], by_block[ends[number] : ends[number + 1]]
        left = [fronts[child].left_over for child in children[number]]
        part = records[held]
        met = np.zeros(m, dtype=bool)
        for rows in (part.indices, *left):
            met[rows] = True
        others = above[id(block)]
        if met[others].sum() < FEW * len(others):
            others = others[met[others]]
        front = np.concatenate([block.rows, others])
        front = front[np.argsort(order[front])]
        local = np.empty(m, dtype=np.int64)
        local[front] = np.arange(len(front))
        groups = [
            (held[group], _met(local[part[group].indices], len(front))) for group in groups_of(part)
        ]
        groups = [(group, targets) for group, targets in groups if len(targets)]
        if len(groups) == 1:  # it fills the front itself, and nothing is to be added
            groups = [(groups[0][0], np.arange(len(front)))]
        meets = [_as_slice(local[rows]) for rows in left]
        fronts[number] = Front(
            front, len(block.rows), groups, list(zip(children[number], meets, strict=True))
        )

    n_threads = len(thread_parts(np.diff(records.indptr)))
    with one_thread:
        up_the_tree(range(len(blocks)), children, make, n_threads)
    return [fronts[number] for number in range(len(blocks))]


def _met(places: Ints, size: int) -> Ints:
    """List the different places, in ascending order."""
    return np.flatnonzero(np.bincount(places, minlength=size))


def _as_slice(places: Ints) -> slice | Ints:
    """Write ascending places as a slice where they are neighbours, to add blocks quickly."""
    neighbours = len(places) and places[-1] - places[0] == len(places) - 1
    return slice(int(places[0]), int(places[-1]) + 1) if neighbours else places
