"""A sparse linear map of nested targets: the different columns of records, then their copies."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.nesting import Nesting
from l0.common.ranks import Ranks
from l0.common.scaled_entries import ScaledEntries
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
        scaled = ScaledEntries([values[place[records]]], column_factor[records], of_column)
        self._columns = SparseOperator(
            scaled.by_columns(),
            scaled.by_rows(np.arange(len(records))),
            torch.arange(len(of_column)),
            device,
            ranks,
        )
        self._copies = SparseOperator.from_scipy(
            nesting.copies, row_factor, 1 / of_column, device, ranks
        )

    def __call__(self, x: Tensor) -> Tensor:
        """Map a vector, float32 of shape (k,), to the sums of the rows, shape (m,)."""
        return self._copies(self._columns(x))

    def cut(self, records: NDArray[np.int64]) -> None:
        """Drop all other records (see `SparseOperator.cut`)."""
        self._columns.cut(records)
