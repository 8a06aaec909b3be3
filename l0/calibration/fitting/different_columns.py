"""The different columns of the records of a block.

A record counts with the same number in many targets: its income counts for its district, its state
and the nation, and there for everyone and for its age. Among records of one block and kind, the
columns of all these targets are equal, and a product with one of them serves all. Each different
column is therefore kept once, beside the targets that have a copy of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.dissection import Ints
from l0.calibration.fitting.kinds import spread


@dataclass(frozen=True, eq=False)
class Columns:
    """The different columns of the records of a block, kind by kind.

    Attributes
    ----------
    records : ndarray of int64, shape (r,)
        Those with an entry, in the order of their kinds.
    values : scipy.sparse.csr_array, shape (r, c)
        The columns. Those of a kind have entries in its rows only.
    kinds : list of (slice, slice)
        The rows and the columns of each kind.
    targets, copies : ndarray of int64, shapes (t,)
        Pairs of a target and a column that it has a copy of, ordered by the columns.
    """

    records: Ints
    values: sp.csr_array
    kinds: list[tuple[slice, slice]]
    targets: Ints
    copies: Ints

    @property
    def first(self) -> Ints:
        """A place among the pairs for each column, shape (c,)."""
        return np.searchsorted(self.copies, np.arange(self.values.shape[1]))


def different_columns(records: sp.csr_array, those: Ints, kind: Ints) -> Columns:
    """Find the different columns, by a sum of products modulo 2^64 for each.

    Sums of equal columns are equal, and those of two others with a chance of about 2^-63.

    Parameters
    ----------
    records : scipy.sparse.csr_array, shape (k, m)
        The entries of all records.
    those : ndarray of int64, shape (r,)
        The records of the block.
    kind : ndarray of int64, shape (k,)
        The kind of each record.
    """
    those = those[np.argsort(kind[those], kind="stable")]
    part, m = records[those], records.shape[1]
    lengths = np.diff(part.indptr)
    those, part, lengths = (each[lengths > 0] for each in (those, part, lengths))
    begins = np.flatnonzero(np.diff(kind[those], prepend=-1))
    rows = np.append(begins, len(those))
    # Each pair of a kind and a target has a column of its own.
    of_record = np.repeat(np.arange(len(begins)), np.diff(rows))
    pairs, which = _numbered(part.indices + np.repeat(of_record * m, lengths), len(begins) * m)
    odd = np.random.default_rng(0).integers(0, 1 << 63, len(those), dtype=np.uint64)
    odd = 2 * odd + 1
    codes = sp.csr_array((spread(part.data), which, part.indptr), (len(those), len(pairs)))
    _, first, copies = np.unique(codes.T @ odd, return_index=True, return_inverse=True)
    # In the order of their first pairs, the columns of a kind are together.
    order = np.argsort(first)
    first, copies = first[order], np.argsort(order)[copies]
    column = np.full(len(pairs), -1, dtype=np.int32)
    column[first] = np.arange(len(first))
    column = column[which]
    kept = np.flatnonzero(column >= 0)
    ends = np.searchsorted(kept, part.indptr).astype(np.int32)
    values = sp.csr_array((part.data[kept], column[kept], ends), (len(those), len(first)))
    columns = np.searchsorted(pairs[first], m * np.arange(len(rows)))
    by_column = np.argsort(copies, kind="stable")
    return Columns(
        those,
        values,
        _with_columns(zip(_slices(rows), _slices(columns), strict=True)),
        pairs[by_column] % m,
        copies[by_column],
    )


def _slices(ends: Ints) -> list[slice]:
    """Write the stretches between neighbouring places."""
    return [slice(*pair) for pair in pairwise(ends.tolist())]


def _with_columns(kinds: Iterable[tuple[slice, slice]]) -> list[tuple[slice, slice]]:
    """Drop kinds without a column: columns of entries that are 0 are equal in all kinds."""
    return [(rows, columns) for rows, columns in kinds if columns.stop > columns.start]


def part_of(columns: Columns, row_place: Ints, record_place: Ints) -> Columns:
    """Take the part of columns in some targets and records.

    Parameters
    ----------
    columns : Columns
    row_place, record_place : ndarray of int64
        The new numbers of targets and records; -1 for those that are left out.
    """
    records, targets = record_place[columns.records], row_place[columns.targets]
    has = records >= 0
    values = columns.values if has.all() else columns.values[has]
    # Columns that no target or no record has any more go.
    used = np.bincount(values.indices, minlength=values.shape[1]) > 0
    used &= np.bincount(columns.copies[targets >= 0], minlength=values.shape[1]) > 0
    if not used.all():
        values = values[:, used]
    kept = (targets >= 0) & used[columns.copies]
    row, column = (np.concatenate([[0], np.cumsum(mask)]).tolist() for mask in (has, used))
    kinds = _with_columns(
        (slice(row[rows.start], row[rows.stop]), slice(column[cols.start], column[cols.stop]))
        for rows, cols in columns.kinds
    )
    copies = (np.cumsum(used) - 1)[columns.copies[kept]]
    return Columns(records[has], values, kinds, targets[kept], copies)


def joined(blocks: Sequence[Columns]) -> sp.csr_array:
    """Put the records of blocks below each other, and their columns side by side."""
    if not blocks:
        return sp.csr_array((0, 0))
    starts = np.cumsum([0, *(block.values.shape[1] for block in blocks)]).tolist()
    data = np.concatenate([block.values.data for block in blocks])
    columns = np.empty(len(data), dtype=np.int32)
    end = 0
    for block, start in zip(blocks, starts, strict=False):
        begin, end = end, end + block.values.nnz
        np.add(block.values.indices, start, out=columns[begin:end])
    lengths = [np.diff(block.values.indptr) for block in blocks]
    ends = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    if ends[-1] < np.iinfo(np.int32).max:  # SciPy would turn the columns into int64 as well
        ends = ends.astype(np.int32)
    return sp.csr_array((data, columns, ends), shape=(len(ends) - 1, starts[-1]))


def _numbered(numbers: Ints, size: int) -> tuple[Ints, NDArray[np.int32]]:
    """List the different numbers below `size`, in ascending order, and the place of each number."""
    met = np.flatnonzero(np.bincount(numbers, minlength=size)).astype(np.int64)
    place = np.empty(size, dtype=np.int32)
    place[met] = np.arange(len(met))
    return met, place[numbers]
