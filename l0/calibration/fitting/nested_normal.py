"""The normal matrix of nested targets, formed and factored block by block.

Each block of the tree has a front: its own targets, and those of its ancestors that it shares
records with. The records of the block fill the front, the children add what they leave over, and
the own targets are eliminated; what is left over of the front goes on to the parent. This is the
multifrontal method (Duff & Reid 1983, ACM Transactions on Mathematical Software 9(3)) with dense
fronts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.dissection import Block, Ints, deepest
from l0.calibration.fitting.normal_matrix import BLOCK, Array, Solve

#: The fronts are products in float32, whose rounding errors could make them indefinite.
RIDGE = 1e-6


@dataclass(eq=False)
class _Front:
    """A block with its records.

    Attributes
    ----------
    rows : ndarray of int64, shape (f,)
        The targets of the front, the own ones first.
    own : int
        The number of own targets.
    records : ndarray of int64, shape (r,)
        The positions of the records.
    entries : scipy.sparse.csr_array of float32, shape (r, f)
    children : list of (int, ndarray)
        The places of the children in the tree, and of what they leave over in this front.
    """

    rows: Ints
    own: int
    records: Ints
    entries: sp.csr_array
    children: list[tuple[int, Ints]]

    def products(self, d: NDArray[np.float32]) -> Array:
        """Form the part of the normal matrix that the records of this block make."""
        size = len(self.rows)
        front = np.zeros((size, size))
        width = max(1, BLOCK // max(size, 1))
        roots = np.sqrt(d[self.records])
        for start in range(0, len(self.records), width):
            dense = self.entries[start : start + width].toarray()
            dense *= roots[start : start + width, None]
            front += dense.T @ dense
        return front


class NestedNormalMatrix:
    """The normal matrix as a tree of dense blocks.

    Parameters
    ----------
    records : scipy.sparse.csr_array, shape (k, m)
        The transpose of B.
    root : Block
        Every record must have its targets on one path from the root.
    """

    def __init__(self, records: sp.csr_array, root: Block) -> None:
        blocks = root.in_order()
        place = {id(block): number for number, block in enumerate(blocks)}
        of_row = np.empty(records.shape[1], dtype=np.int64)
        for number, block in enumerate(blocks):
            of_row[block.rows] = number
        holder = deepest(records, of_row, len(blocks) - 1)
        by_block = np.argsort(holder, kind="stable")
        ends = np.searchsorted(holder[by_block], np.arange(len(blocks) + 1))
        self._fronts: list[_Front] = []
        local = np.empty(records.shape[1], dtype=np.int32)
        for number, block in enumerate(blocks):
            held = by_block[ends[number] : ends[number + 1]]
            entries = records[held].astype(np.float32)
            children = [place[id(child)] for child in block.children]
            left = [self._fronts[child].rows[self._fronts[child].own :] for child in children]
            above = np.setdiff1d(np.concatenate([np.unique(entries.indices), *left]), block.rows)
            rows = np.concatenate([block.rows, above])
            local[rows] = np.arange(len(rows), dtype=np.int32)
            entries = sp.csr_array(
                (entries.data, local[entries.indices], entries.indptr), (len(held), len(rows))
            )
            places = [local[over].astype(np.int64) for over in left]
            self._fronts.append(
                _Front(
                    rows, len(block.rows), held, entries, list(zip(children, places, strict=True))
                )
            )

    def factor(self, d: Array, e: Array) -> Solve:
        """See `NormalMatrix.factor`."""
        narrow = d.astype(np.float32)
        left: dict[int, Array] = {}
        factors: list[tuple[Array, Array]] = []
        for number, front in enumerate(self._fronts):
            whole, own = front.products(narrow), front.own
            for child, places in front.children:
                whole[np.ix_(places, places)] += left.pop(child)
            diagonal = whole.diagonal()[:own] + e[front.rows[:own]]
            diagonal = np.where(diagonal > 0, diagonal * (1 + RIDGE), 1.0)
            whole[np.arange(own), np.arange(own)] = diagonal
            triangle = sl.cholesky(whole[:own, :own], lower=True, check_finite=False)
            side = sl.solve_triangular(triangle, whole[:own, own:], lower=True, check_finite=False)
            left[number] = whole[own:, own:] - side.T @ side
            factors.append((triangle, side))

        def solve(right: Array) -> Array:
            solution = right.copy()
            for front, (triangle, side) in zip(self._fronts, factors, strict=True):
                own, above = front.rows[: front.own], front.rows[front.own :]
                part = sl.solve_triangular(triangle, solution[own], lower=True, check_finite=False)
                solution[own] = part
                solution[above] -= side.T @ part
            for front, (triangle, side) in zip(self._fronts[::-1], factors[::-1], strict=True):
                own, above = front.rows[: front.own], front.rows[front.own :]
                part = solution[own] - side @ solution[above]
                solution[own] = sl.solve_triangular(
                    triangle, part, lower=True, trans=1, check_finite=False
                )
            return solution

        return solve
