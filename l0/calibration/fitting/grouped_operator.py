"""A sparse linear map of nested targets: the different columns of records, then their copies."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.nesting import Nesting
from l0.common.ranks import Ranks
from l0.common.scaled_entries import ScaledEntries
from l0.common.sparse_rows import block_of, filled_rows
from l0.common.threads import in_stretches
from l0.sparse_operator import SparseOperator


class GroupedOperator:
    """The matrix R E V' C of some records as a differentiable function of a vector.

    V are the different columns, and E tells which targets have copies of them. This takes fewer
    multiplications than the entries of the matrix do.

    Parameters
    ----------
    nesting : Nesting
        Of a matrix of shape (m, n).
    row_factor : ndarray of float64, shape (m,)
        R.
    column_factor : ndarray of float64, shape (n,)
        C.
    records : ndarray of int64, shape (k,)
        In ascending order.
    device : torch.device
    ranks : Ranks
    """

    def __init__(
        self,
        nesting: Nesting,
        row_factor: NDArray[np.float64],
        column_factor: NDArray[np.float64],
        records: NDArray[np.int64],
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        # A column has the factor of one of its copies, so that its sums have the size of a target.
        of_column = row_factor[
            np.concatenate([each.targets[each.first] for each in nesting.columns])
        ]
        values, place = nesting.by_record()
        place = place[records]
        order = np.argsort(place, kind="stable")
        scaled = ScaledEntries(
            [filled_rows(values, place[order])], column_factor[records[order]], of_column
        )
        in_order = scaled.by_rows(np.arange(len(records)))
        n_records, n_columns = zip(*(block.values.shape for block in nesting.columns), strict=True)
        row_ends = np.searchsorted(place[order], np.cumsum([0, *n_records]))
        by_column = _turned(in_order, row_ends, np.cumsum([0, *n_columns]))
        # A column has records of one kind, which are in ascending order in both orders.
        by_column.indices = order.astype(by_column.indices.dtype)[by_column.indices]
        every_column = torch.arange(len(of_column))
        by_record = in_order[np.argsort(order)]
        self._columns = SparseOperator(by_column, by_record, every_column, device, ranks)
        self._copies = SparseOperator.from_scipy(
            nesting.copies, row_factor, 1 / of_column, device, ranks
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Map a vector, float32 of shape (k,), to the sums of the rows, shape (m,)."""
        return self._copies(self._columns(x))

    def cut(self, records: NDArray[np.int64]) -> None:
        """Drop all other records (see `SparseOperator.cut`)."""
        self._columns.cut(records)


def _turned(
    matrix: sp.csr_array, row_ends: NDArray[np.int64], column_ends: NDArray[np.int64]
) -> sp.csr_array:
    """Transpose a matrix that has entries in blocks along its diagonal only.

    The entries of a block find their places in a cache of the processor.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (n, c)
    row_ends, column_ends : ndarray of int64, shape (b + 1,)
        Where each block begins, and where the last one ends.
    """
    data, indices = np.empty_like(matrix.data), np.empty_like(matrix.indices)
    # With other types than those of the indices, SciPy would make all int64, and products slow.
    indptr = np.zeros(matrix.shape[1] + 1, dtype=matrix.indptr.dtype)
    ends = matrix.indptr[row_ends]

    def turn(stretch: slice) -> None:
        for number in range(stretch.start, stretch.stop):
            rows, columns = (slice(*each[number : number + 2]) for each in (row_ends, column_ends))
            block = block_of(matrix, rows, columns).T.tocsr()
            entries = slice(*ends[number : number + 2])
            data[entries], indices[entries] = block.data, block.indices + rows.start
            indptr[1:][columns] = np.diff(block.indptr)

    in_stretches(np.diff(ends), turn)
    np.cumsum(indptr, out=indptr)
    return sp.csr_array((data, indices, indptr), shape=matrix.shape[::-1])
