"""Nested targets: their tree, and the different columns of the records of each block.

Records and targets may be left out without a new search. All that is true of a matrix here is true
of a part of it: each record has its targets on one path of the tree, and equal columns are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.different_columns import (
    Columns,
    different_columns,
    joined,
    part_of,
)
from l0.calibration.fitting.dissection import Block, Ints, deepest, places_of_rows
from l0.calibration.fitting.fronts import Front, fronts_of
from l0.calibration.fitting.kinds import kinds_of
from l0.common.blas_threads import one_thread
from l0.common.ranks import ONE, Ranks
from l0.common.sparse_rows import places_of
from l0.common.threads import thread_parts, up_the_tree

#: All blocks.
ALL = slice(None)


@dataclass(frozen=True, eq=False)
class Nesting:
    """The tree of the targets of a matrix A, shape (m, k), and its records.

    Attributes
    ----------
    root : Block
    columns : sequence of Columns
        Of the records of each block, in the order of `Block.in_order`. Every record with an entry
        is in one.
    shape : tuple of int
        (m, k).
    """

    root: Block
    columns: Sequence[Columns]
    shape: tuple[int, int]

    @classmethod
    def of(
        cls, root: Block, matrix: sp.csr_array, records: sp.csr_array, ranks: Ranks = ONE
    ) -> Nesting:
        """Find the records of each block, and their different columns.

        Parameters
        ----------
        root : Block
            Every record has its targets on one path from it.
        matrix : scipy.sparse.csr_array, shape (m, k)
            A.
        records : scipy.sparse.csr_array, shape (k, m)
            The transpose.
        ranks : Ranks
            The processes that share the search for the blocks of the records. Each finds the
            columns of all blocks: it would take as long to send them.
        """
        m, k = matrix.shape
        blocks = root.in_order()
        holder = deepest(
            records, places_of_rows(blocks, m), len(blocks) - 1, ranks.if_shared(records.nnz, k)
        )
        by_block = np.argsort(holder, kind="stable")
        ends = np.searchsorted(holder[by_block], np.arange(len(blocks) + 1))
        kind = kinds_of(matrix, records, root.rows, int(np.count_nonzero(np.diff(ends))))
        columns: dict[int, Columns] = {}

        def find(number: int) -> None:
            those = by_block[ends[number] : ends[number + 1]]
            columns[number] = different_columns(records, those, kind)

        n_threads = len(thread_parts(np.diff(records.indptr)))
        with one_thread:
            up_the_tree(range(len(blocks)), [()] * len(blocks), find, n_threads)
        return cls(root, [columns[number] for number in range(len(blocks))], (m, k))

    def part(self, rows: NDArray[np.int64], records: NDArray[np.int64]) -> Nesting:
        """Take some of the rows and columns of A.

        Parameters
        ----------
        rows : ndarray of int64, shape (r,)
        records : ndarray of int64, shape (n,)
            Both in ascending order.
        """
        m, k = self.shape
        row_place, record_place = places_of(rows, m), places_of(records, k)
        columns = [part_of(those, row_place, record_place) for those in self.columns]
        return Nesting(_relabelled(self.root, row_place), columns, (len(rows), len(records)))

    @property
    def records(self) -> Ints:
        """The records with an entry, in the order of the blocks and their kinds."""
        return _records_of(self.columns)

    @cached_property
    def copies(self) -> sp.csr_array:
        """E, shape (m, c): 1 where a target has a copy of a column, in the order of the blocks."""
        ends = np.cumsum([0, *(those.values.shape[1] for those in self.columns)])
        targets = np.concatenate([those.targets for those in self.columns])
        places = [those.copies + end for those, end in zip(self.columns, ends[:-1], strict=True)]
        entries = np.ones(len(targets)), (targets, np.concatenate(places))
        return sp.csr_array(entries, shape=(self.shape[0], int(ends[-1])))

    def by_record(self, blocks: slice = ALL) -> tuple[sp.csr_array, Ints]:
        """The columns of blocks side by side: a row for each of their records, and an empty one.

        Parameters
        ----------
        blocks : slice

        Returns
        -------
        values : scipy.sparse.csr_array, shape (r + 1, c)
        place : ndarray of int64, shape (k,)
            The row of each record. All that have no entry here share the last.
        """
        columns = self.columns[blocks]
        values = joined(columns)
        n, c = values.shape
        values.resize(n + 1, c)
        place = np.full(self.shape[1], n)
        place[_records_of(columns)] = np.arange(n)
        return values, place

    @property
    def nnz(self) -> int:
        """The number of entries of the different columns, and of copies of them."""
        return sum(those.values.nnz + len(those.targets) for those in self.columns)

    @cached_property
    def fronts(self) -> list[Front]:
        """The fronts of the blocks."""
        return fronts_of(self.root, self.columns, self.shape[0])


def _records_of(blocks: Sequence[Columns]) -> Ints:
    return np.concatenate([those.records for those in blocks])


def _relabelled(block: Block, place: Ints) -> Block:
    rows = place[block.rows]
    return Block(rows[rows >= 0], [_relabelled(child, place) for child in block.children])
