"""The fronts of nested targets: which targets and records each block of the tree works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l0.calibration.fitting.different_columns import Columns
from l0.calibration.fitting.dissection import Block, Ints

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
    columns : Columns
        Of the records.
    places : ndarray of int64, shape (t,)
        Where in this front the targets are that have copies of the columns.
    children : list of (int, slice or ndarray of int64)
        The places of the children in the order of the tree, and where in this front the targets
        are that they leave over.
    """

    rows: Ints
    own: int
    columns: Columns
    places: Ints
    children: list[tuple[int, slice | Ints]]

    @property
    def left_over(self) -> Ints:
        """The targets of the ancestors."""
        return self.rows[self.own :]

    @property
    def cost(self) -> float:
        """The multiplications that the front takes."""
        size, own = float(len(self.rows)), float(self.own)
        products = sum(
            float(rows.stop - rows.start) * float(columns.stop - columns.start) ** 2
            for rows, columns in self.columns.kinds
        )
        return products + own * size * (size - own) + own**3 / 3


def fronts_of(root: Block, columns: Sequence[Columns], m: int) -> list[Front]:
    """Give each block the targets that its records and its children meet.

    Parameters
    ----------
    root : Block
        A tree of m targets.
    columns : sequence of Columns
        Of the records of each block, in the order of `Block.in_order`. Their targets are on the
        path from the block to the root.
    m : int

    Returns
    -------
    list of Front
        In the same order.
    """
    blocks = root.in_order()
    place = {id(block): number for number, block in enumerate(blocks)}
    above = {id(root): root.rows[:0]}
    for block in blocks[::-1]:  # parents before their children
        for child in block.children:
            above[id(child)] = np.concatenate([block.rows, above[id(block)]])
    order = np.empty(m, dtype=np.int64)
    order[np.concatenate([block.rows for block in blocks])] = np.arange(m)
    local = np.empty(m, dtype=np.int64)
    fronts: list[Front] = []
    for block, those in zip(blocks, columns, strict=True):
        children = [place[id(child)] for child in block.children]
        left = [fronts[child].left_over for child in children]
        met = np.zeros(m, dtype=bool)
        for targets in (those.targets, *left):
            met[targets] = True
        others = above[id(block)]
        if met[others].sum() < FEW * len(others):
            others = others[met[others]]
        rows = np.concatenate([block.rows, others])
        rows = rows[np.argsort(order[rows])]
        local[rows] = np.arange(len(rows))
        meets = [_as_slice(local[targets]) for targets in left]
        below = list(zip(children, meets, strict=True))
        fronts.append(Front(rows, len(block.rows), those, local[those.targets], below))
    return fronts


def _as_slice(places: Ints) -> slice | Ints:
    """Write ascending places as a slice where they are neighbours, to add blocks quickly."""
    neighbours = len(places) and places[-1] - places[0] == len(places) - 1
    return slice(int(places[0]), int(places[-1]) + 1) if neighbours else places
