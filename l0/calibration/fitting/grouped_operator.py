"""A sparse linear map of nested targets: the different columns of records, then their copies."""

from __future__ import annotations

from typing import Any

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

#: Columns with at most so many entries are added up in order. In float32, the sums of longer ones
#: would lose digits.
LONGEST = 1 << 14


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
        # In the order of the blocks, a product reads a stretch of the vector for each block.
        place = place[records]
        order = np.argsort(place, kind="stable")
        scaled = ScaledEntries(
            [filled_rows(values, place[order])], column_factor[records[order]], of_column
        )
        by_record = scaled.by_rows(np.arange(len(records)))
        n_records, n_columns = zip(*(block.values.shape for block in nesting.columns), strict=True)
        row_ends = np.searchsorted(place[order], np.cumsum([0, *n_records]))
        by_column = _turned(by_record, row_ends, np.cumsum([0, *n_columns]))
        longest = np.diff(by_column.indptr).max(initial=0)
        every_column = torch.arange(len(of_column))
        self._columns = SparseOperator(
            by_column, by_record, every_column, device, ranks, in_order=bool(longest <= LONGEST)
        )
        self._keep(order, device)
        self._copies = SparseOperator.from_scipy(
            nesting.copies, row_factor, 1 / of_column, device, ranks
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Map a vector, float32 of shape (k,), to the sums of the rows, shape (m,)."""
        in_order: Tensor = _Reordered.apply(x, self._order, self._place)  # type: ignore[no-untyped-call]
        return self._copies(self._columns(in_order))

    def cut(self, records: NDArray[np.int64]) -> None:
        """Drop all other records (see `SparseOperator.cut`)."""
        places = self._place.cpu().numpy()[records]
        order = np.argsort(places)
        self._columns.cut(places[order])
        self._keep(order, self._place.device)

    def _keep(self, order: NDArray[np.int64], device: torch.device) -> None:
        """Keep which record is at each place, and the place of each record."""
        self._order, self._place = (
            torch.from_numpy(each).to(device) for each in (order, np.argsort(order))
        )


class _Reordered(torch.autograd.Function):
    """x[order]. Autograd would add up the gradients of each number, of which there is one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, place: Tensor) -> Tensor:
        ctx.place = place
        return x[order]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.place], None, None


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
    lengths = np.empty(matrix.shape[1], dtype=matrix.indptr.dtype)
    ends = matrix.indptr[row_ends]

    def turn(stretch: slice) -> None:
        for number in range(stretch.start, stretch.stop):
            rows, columns = (slice(*each[number : number + 2]) for each in (row_ends, column_ends))
            block = block_of(matrix, rows, columns).T.tocsr()
            entries = slice(*ends[number : number + 2])
            data[entries], indices[entries] = block.data, block.indices + rows.start
            lengths[columns] = np.diff(block.indptr)

    in_stretches(np.diff(ends), turn)
    indptr = np.concatenate([[0], np.cumsum(lengths, dtype=lengths.dtype)])
    return sp.csr_array((data, indices, indptr), shape=matrix.shape[::-1])
