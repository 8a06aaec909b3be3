"""A sparse linear map of nested targets: the different columns of records, then their copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.nesting import ALL, Nesting
from l0.common.ranks import ONE, Ranks
from l0.common.scaled_entries import ScaledEntries
from l0.sparse_operator import SparseOperator


class _JoinedSums(torch.autograd.Function):
    """The sums of the columns of all ranks, of which each rank has those of its own blocks."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, ranks: Ranks, lengths: Sequence[int]) -> Tensor:
        begin = sum(lengths[: ranks.rank])
        ctx.own = slice(begin, begin + len(own))
        return ranks.joined(own, lengths)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Each rank has the whole gradient, as it has all estimates.
        return gradient[ctx.own], None, None


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
    blocks : sequence of slice, optional
        Those of each rank, one after the other. The records are then those of the own blocks, and
        the ranks send each other the sums of their columns. By default all ranks have the records
        of all blocks, and share the rows of V and of V'.
    """

    def __init__(
        self,
        nesting: Nesting,
        row_factor: NDArray[np.float64],
        column_factor: NDArray[np.float64],
        records: NDArray[np.int64],
        device: torch.device,
        ranks: Ranks,
        blocks: Sequence[slice] | None = None,
    ) -> None:
        # A column has the factor of one of its copies, so that its sums have the size of a target.
        factors = [row_factor[each.targets[each.first]] for each in nesting.columns]
        of_column = np.concatenate(factors)
        own = ALL if blocks is None else blocks[ranks.rank]
        values, place = nesting.by_record(own)
        scaled = ScaledEntries(
            [values[place[records]]], column_factor[records], np.concatenate(factors[own])
        )
        self._columns = SparseOperator(
            scaled.by_columns(),
            scaled.by_rows(np.arange(len(records))),
            torch.arange(values.shape[1]),
            device,
            ranks if blocks is None else ONE,
        )
        self._copies = SparseOperator.from_scipy(
            nesting.copies, row_factor, 1 / of_column, device, ranks
        )
        self._ranks = ranks
        self._lengths: list[int] | None = None
        if blocks is not None:
            self._lengths = [sum(len(each) for each in factors[part]) for part in blocks]

    def __call__(self, x: Tensor) -> Tensor:
        """Map a vector, float32 of shape (k,), to the sums of the rows, shape (m,)."""
        sums = self._columns(x)
        if self._lengths is not None:
            sums = _JoinedSums.apply(sums, self._ranks, self._lengths)  # type: ignore[no-untyped-call]
        return self._copies(sums)

    def cut(self, records: NDArray[np.int64]) -> None:
        """Drop all others of the records that this rank has (see `SparseOperator.cut`)."""
        self._columns.cut(records)
