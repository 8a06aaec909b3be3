"""A sparse linear map, quick both ways: two CSR matrices, one autograd function."""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.common.dtypes import without_autocast
from l0.common.ranks import ONE, Ranks, even_parts, lengths_of
from l0.common.scaled_entries import ScaledEntries, keep_columns, keep_rows
from l0.common.sparse_rows import rows_of

#: Rows are shared among ranks if those of each rank have so many entries on average. At six, MKL
#: changes the order in which it adds up a row.
LEAST_MEAN = 12
#: Rows are laid out in this many lots of equal work, for up to as many threads.
LOTS = 16


class _Product(torch.autograd.Function):
    """y = A x with dL/dx = A' dL/dy, the transpose being kept as a matrix of its own.

    A CSR product reads memory once, in order, and in parallel over its rows. Autograd's own
    backward of a sparse product would do neither.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transpose: Tensor, place: Tensor) -> Tensor:
        ctx.transpose = transpose
        return _times(matrix, x)[place]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return _times(ctx.transpose, gradient), None, None, None


class _SharedProduct(torch.autograd.Function):
    """The same, of which each rank computes some rows.

    It is apart because compilers of modules look into a function that takes nothing but tensors.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: SparseOperator) -> Tensor:
        ctx.operator = operator
        return operator._matrix.times(x)[operator._place]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return ctx.operator.transposed(gradient), None


class SparseOperator:
    """A sparse matrix A as a differentiable function of a vector.

    The entries live on the host as scipy arrays, which can be cut, and on `device` as tensors,
    which know how to multiply quickly; on the CPU both are the same memory.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array of float32, shape (m, n)
        A with its rows in any order.
    transpose : scipy.sparse.csr_array of float32, shape (n, m)
        Of A with its rows in their own order.
    place : Tensor of int64, shape (m,)
        Where each row of A stands in `matrix`.
    device : torch.device or str
    ranks : Ranks
        The processes that share the rows of A and of its transpose, if A is large. All of them have
        the same map.
    """

    def __init__(
        self,
        matrix: sp.csr_array,
        transpose: sp.csr_array,
        place: Tensor,
        device: torch.device | str = "cpu",
        ranks: Ranks = ONE,
    ) -> None:
        self.device = torch.device(device)
        self._place = place.to(self.device)
        self._ranks = ranks
        self._matrix = _SharedRows(matrix, self.device, ranks)
        self._transpose = _SharedRows(transpose, self.device, ranks)

    @classmethod
    def from_scipy(
        cls,
        matrix: sp.csr_array,
        row_factor: NDArray[np.float64],
        column_factor: NDArray[np.float64],
        device: torch.device | str = "cpu",
        ranks: Ranks = ONE,
    ) -> SparseOperator:
        """Scale a matrix by rows and columns and lay it out both ways, in float32.

        Parameters
        ----------
        matrix : scipy.sparse.csr_array, shape (m, n)
        row_factor : ndarray, shape (m,)
        column_factor : ndarray, shape (n,)
        device : torch.device or str
        ranks : Ranks
        """
        return cls.of(ScaledEntries([matrix], row_factor, column_factor), None, device, ranks)

    @classmethod
    def of(
        cls,
        scaled: ScaledEntries,
        columns: NDArray[np.int64] | None = None,
        device: torch.device | str = "cpu",
        ranks: Ranks = ONE,
    ) -> SparseOperator:
        """Lay out some of the columns both ways.

        Parameters
        ----------
        scaled : ScaledEntries
        columns : ndarray of int64, shape (k,), optional
            In ascending order; by default all.
        device : torch.device or str
        ranks : Ranks
        """
        # The rows have the same order with any columns, so that a cut gives the same operator.
        order = _deal(scaled.lengths_of_rows)
        place = torch.from_numpy(np.argsort(order))
        return cls(scaled.by_rows(order, columns), scaled.by_columns(columns), place, device, ranks)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (m, n)."""
        m, n = self._matrix.host.shape
        return m, n

    def __call__(self, x: Tensor) -> Tensor:
        """Map a vector, float32 of shape (n,), to A x, shape (m,)."""
        if self._ranks.size > 1:
            return _SharedProduct.apply(x, self)  # type: ignore[no-any-return,no-untyped-call]
        matrices = self._matrix.own, self._transpose.own
        return _Product.apply(x, *matrices, self._place)  # type: ignore[no-any-return,no-untyped-call]

    def transposed(self, y: Tensor) -> Tensor:
        """Map a vector, float32 of shape (m,), to A' y, shape (n,), without a gradient."""
        return self._transpose.times(y)

    @cached_property
    def empty_rows(self) -> NDArray[np.bool_]:
        """Which rows have no entry but zeros, shape (m,)."""
        matrix = self._matrix.host
        # Not the sum of absolute entries, which would copy them all.
        extremes = (matrix.max(axis=1), matrix.min(axis=1))
        largest, smallest = (extreme.toarray().ravel() for extreme in extremes)
        return np.asarray(((largest == 0) & (smallest == 0))[self._place.cpu().numpy()])

    def cut(self, columns: NDArray[np.int64]) -> None:
        """Drop all other columns, in place: no second copy of the entries is made.

        Parameters
        ----------
        columns : ndarray of int64, shape (k,)
            In ascending order.
        """
        # One half after the other, so that what is left of both is not there beside both.
        self._matrix = _SharedRows(
            keep_columns(self._matrix.host, columns), self.device, self._ranks
        )
        self._transpose = _SharedRows(
            keep_rows(self._transpose.host, columns), self.device, self._ranks
        )


class _SharedRows:
    """A matrix, the rows of which are shared among ranks if it is large."""

    def __init__(self, matrix: sp.csr_array, device: torch.device, ranks: Ranks) -> None:
        self.host = matrix
        lengths = np.diff(matrix.indptr)
        whole = [slice(0, matrix.shape[0])]
        parts = even_parts(lengths, ranks.size) if ranks.size > 1 else whole
        mean = min(lengths[part].mean() if part.stop > part.start else 0.0 for part in parts)
        if ranks.size > 1 and not (
            mean >= LEAST_MEAN and ranks.shares(matrix.nnz, sum(matrix.shape))
        ):
            ranks, parts = ONE, whole
        self._ranks, self._lengths = ranks, lengths_of(parts)
        self.own = _to_torch(rows_of(matrix, parts[ranks.rank]), device)

    def times(self, x: Tensor) -> Tensor:
        return self._ranks.joined(_times(self.own, x), self._lengths)


def _deal(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Order rows so that each of `LOTS` equal stretches holds about as many entries.

    A product gives every thread as many rows. A few national targets can hold most entries, and
    side by side they would all fall to one thread: with two, the product takes 1.7 times as long.
    """
    lot = np.empty(len(lengths), dtype=np.int64)
    lot[np.argsort(-lengths, kind="stable")] = np.arange(len(lengths)) % LOTS
    return np.argsort(lot, kind="stable")


def _times(matrix: Tensor, x: Tensor) -> Tensor:
    # On CUDA autocast would turn the whole matrix into half precision at every product.
    with without_autocast(x.device):
        return torch.mv(matrix, x)


def _to_torch(matrix: sp.csr_array, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # PyTorch says once a process that its CSR layout is in beta.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr),
            torch.from_numpy(matrix.indices),
            torch.from_numpy(matrix.data),
            matrix.shape,
            # Else `torch.set_default_device` decides.
            device="cpu",
            check_invariants=False,
        ).to(device)
