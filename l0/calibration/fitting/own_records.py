"""The records of a search that this rank has: it fits their ratios, and no others.

The blocks of nested targets have their own records and their own columns. A rank has the records of
some blocks, and the ranks send each other the sums of columns in each step, and the numbers of
their records only now and then. Each sum is over the records of one block, in ascending order, so
that the bits are those of a single process.

The numbers of own records are followed by zeros. A step of Adam in PyTorch computes the last
numbers of an array one by one and the others several at once, and the two round in other ways. With
zeros at the end, a record has the same bits wherever it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.different_columns import Columns
from l0.calibration.fitting.grouped_operator import GroupedOperator
from l0.calibration.fitting.objective import Objective
from l0.common.ranks import ONE, Ranks, even_parts
from l0.sparse_operator import LEAST_MEAN, SparseOperator, have_one_order

#: Own numbers fill whole stretches of this length. It is a multiple of what any processor computes
#: at once.
LANES = 64


class OwnRecords:
    """The own part of the records of a search, and the map from their ratios to all estimates.

    A rank has all records if it is alone, and where sharing would not pay or would change bits.

    Parameters
    ----------
    objective : Objective
    records : ndarray of int64, shape (n,)
        Of all ranks, in ascending order.
    n_begun : int
        The number of records that the search began with.

    Attributes
    ----------
    records : ndarray of int64, shape (n,)
        Those of all ranks.
    places : ndarray of int64, shape (l,)
        Where the own ones are among them, in ascending order.
    room : int
        The length of own vectors: l, and zeros up to a multiple of `LANES`.
    """

    def __init__(self, objective: Objective, records: NDArray[np.int64], n_begun: int) -> None:
        self._objective, self._n_begun = objective, n_begun
        self._ranks: Ranks = ONE
        self._blocks: list[slice] | None = None
        self._shares = _Shares.of(objective, n_begun)
        self._take(records)
        self._operator = self._operator_of_own()

    def estimates(self, ratios: Tensor) -> Tensor:
        """Map the own ratios, float32 of shape (room,), to the estimates, as shares of the scales.

        They are those of all records, shape (m,).
        """
        return self._operator(ratios[: len(self.places)])

    def part_of(self, whole: NDArray[Any]) -> NDArray[Any]:
        """Take the numbers of own records.

        Parameters
        ----------
        whole : ndarray, shape (n + s,)
            The last s numbers are of no record.

        Returns
        -------
        ndarray, shape (room + s,)
        """
        own, others = whole[self.places], whole[len(self.records) :]
        zeros = np.zeros(self.room - len(own), dtype=whole.dtype)
        return np.concatenate([own, zeros, others])

    def joined(self, own: NDArray[Any]) -> NDArray[Any]:
        """Join the numbers of the own records of all ranks: the inverse of `part_of`.

        Parameters
        ----------
        own : ndarray, shape (room + s,)
            The last s numbers are the same on all ranks.

        Returns
        -------
        ndarray, shape (n + s,)
        """
        joined = self._ranks.joined_array(own[: len(self.places)], self._lengths)
        whole = np.empty_like(joined)
        whole[self._order] = joined
        return np.concatenate([whole, own[self.room :]])

    def cut(self, kept: NDArray[np.int64]) -> None:
        """Drop all other records.

        Parameters
        ----------
        kept : ndarray of int64, shape (k,)
            Places among the records of all ranks, in ascending order.
        """
        is_kept = np.zeros(len(self.records), dtype=bool)
        is_kept[kept] = True
        of_own, ranks = np.flatnonzero(is_kept[self.places]), self._ranks
        self._take(self.records[kept])
        if self._ranks is ranks:
            self._operator.cut(of_own)
        else:  # fewer records are not shared any more, or again
            self._operator = self._operator_of_own()

    def _take(self, records: NDArray[np.int64]) -> None:
        """Find the own records among those of all ranks."""
        self.records = records
        self._ranks, self._blocks = ONE, None
        holder = np.zeros(len(records), dtype=np.int64)
        if self._shares is not None and self._shares.suit(records):
            self._ranks, self._blocks = self._objective.ranks, self._shares.blocks
            holder = self._shares.rank[records]
        self._order = np.argsort(holder, kind="stable")
        self._lengths = np.bincount(holder, minlength=self._ranks.size).tolist()
        begin = sum(self._lengths[: self._ranks.rank])
        self.places = self._order[begin : begin + self._lengths[self._ranks.rank]]
        self.room = max(1, -(-len(self.places) // LANES)) * LANES

    def _operator_of_own(self) -> SparseOperator | GroupedOperator:
        own = self.records[self.places]
        return self._objective.operator_of(own, self._n_begun, self._blocks)


@dataclass(frozen=True, eq=False)
class _Shares:
    """How the ranks share the blocks of nested targets.

    Attributes
    ----------
    ranks : Ranks
    blocks : list of slice
        Those of each rank.
    rank : ndarray of int64, shape (k,)
        The rank that has each record of the problem. Rank 0 has those without an entry.
    lengths : ndarray of int64, shape (k,)
        The number of entries of each in the different columns.
    n_columns : ndarray of int64, shape (number of ranks,)
        The number of different columns of each rank.
    columns : sequence of Columns
        Of all blocks.
    """

    ranks: Ranks
    blocks: list[slice]
    rank: NDArray[np.int64]
    lengths: NDArray[np.int64]
    n_columns: NDArray[np.int64]
    columns: Sequence[Columns]

    @classmethod
    def of(cls, objective: Objective, n_begun: int) -> _Shares | None:
        """Cut the blocks into stretches of about as many entries. None if ranks share no blocks."""
        ranks, nesting = objective.ranks, objective.nesting_for(n_begun)
        if ranks.size == 1 or nesting is None or objective.device.type != "cpu":
            return None
        blocks = even_parts(np.array([those.values.nnz for those in nesting.columns]), ranks.size)
        rank, lengths = np.zeros((2, nesting.shape[1]), dtype=np.int64)
        n_columns = np.zeros(ranks.size, dtype=np.int64)
        for number, part in enumerate(blocks):
            for those in nesting.columns[part]:
                rank[those.records] = number
                lengths[those.records] = np.diff(those.values.indptr)
                n_columns[number] += those.values.shape[1]
        return cls(ranks, blocks, rank, lengths, n_columns, nesting.columns)

    def suit(self, records: NDArray[np.int64]) -> bool:
        """Tell whether it pays to share some of the records, and leaves all bits as they are."""
        holder, lengths = self.rank[records], self.lengths[records]
        n_entries = np.bincount(holder, lengths, self.ranks.size)
        if not self.ranks.shares(int(n_entries.sum()), int(self.n_columns.sum())):
            return False
        # Both layouts of the operators count (`have_one_order`).
        n_rows = np.maximum(np.bincount(holder, minlength=self.ranks.size), self.n_columns)
        if (n_entries < LEAST_MEAN * np.maximum(n_rows, 1)).any():
            return False
        if torch.get_num_threads() == 1:  # the means are all that counts
            return True
        of_columns = self._lengths_of_columns(records)
        layouts = [
            lengths,
            *(lengths[holder == rank] for rank in range(self.ranks.size)),
            of_columns,
            *np.split(of_columns, np.cumsum(self.n_columns)[:-1]),
        ]
        return all(map(have_one_order, layouts))

    def _lengths_of_columns(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count the entries of each different column in some of the records."""
        kept = np.zeros(len(self.rank), dtype=bool)
        kept[records] = True
        found = [
            np.bincount(
                each.values.indices[np.repeat(kept[each.records], np.diff(each.values.indptr))],
                minlength=each.values.shape[1],
            )
            for each in self.columns
        ]
        return np.concatenate(found)
