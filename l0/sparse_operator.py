"""A sparse linear map, quick both ways: two CSR matrices, one autograd function."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.common import csr_tensors
from l0.common.ranks import ONE, Ranks, even_parts, lengths_of
from l0.common.scaled_entries import ScaledEntries, keep_columns, keep_rows
from l0.common.sparse_rows import rows_of

#: Rows are shared among ranks if those of each thread have so many entries on average, and each of
#: several threads has so many rows (see `have_one_order`).
LEAST_MEAN, LEAST_ROWS = 12, 64
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
        return csr_tensors.times(matrix, x)[place]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return csr_tensors.times(ctx.transpose, gradient), None, None, None


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

    The entries are tensors on `device`, which know how to multiply quickly and can be cut there. On
    the CPU, they share the memory of scipy arrays, which are cut in place.

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
        self._matrix = _laid_out(matrix, self.device, ranks)
        self._transpose = _laid_out(transpose, self.device, ranks)

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
        return self._matrix.shape

    def __call__(self, x: Tensor) -> Tensor:
        """Map a vector, float32 of shape (n,), to A x, shape (m,)."""
        if self._ranks.size > 1:
            return _SharedProduct.apply(x, self)  # type: ignore[no-any-return,no-untyped-call]
        matrices = self._matrix.own, self._transpose.own
        return _Product.apply(x, *matrices, self._place)  # type: ignore[no-any-return,no-untyped-call]

    def transposed(self, y: Tensor) -> Tensor:
        """Map a vector, float32 of shape (m,), to A' y, shape (n,), without a gradient."""
        return self._transpose.times(y)

    @property
    def empty_rows(self) -> NDArray[np.bool_]:
        """Which rows have no entry but zeros, shape (m,)."""
        return np.asarray(self._matrix.empty_rows()[self._place].cpu().numpy())

    def cut(self, columns: NDArray[np.int64]) -> None:
        """Drop all other columns. On the CPU, no second copy of the entries is made.

        Parameters
        ----------
        columns : ndarray of int64, shape (k,)
            In ascending order.
        """
        # One half after the other, so that what is left of both is not there beside both.
        self._matrix = self._matrix.with_columns(columns)
        self._transpose = self._transpose.with_rows(columns)


class _Rows(Protocol):
    """One of the two layouts of an operator.

    Attributes
    ----------
    shape : (int, int)
    own : Tensor
        The rows that this process multiplies.
    """

    shape: tuple[int, int]
    own: Tensor

    def times(self, x: Tensor) -> Tensor:
        """Multiply all rows with a vector."""

    def empty_rows(self) -> Tensor:
        """Tell which of all rows have no entry but zeros."""

    def with_columns(self, columns: NDArray[np.int64]) -> _Rows:
        """Take some columns. These rows are lost."""

    def with_rows(self, rows: NDArray[np.int64]) -> _Rows:
        """Take some rows. These rows are lost."""


class _HostRows:
    """On the CPU: cut in place, and shared among ranks if they are large."""

    def __init__(self, matrix: sp.csr_array, ranks: Ranks) -> None:
        self._host, self.shape = matrix, matrix.shape
        self._given = ranks
        self._ranks, parts = _sharing(np.diff(matrix.indptr), matrix.shape[1], ranks)
        self._lengths = lengths_of(parts)
        self.own = csr_tensors.sent(rows_of(matrix, parts[self._ranks.rank]), torch.device("cpu"))

    def times(self, x: Tensor) -> Tensor:
        return self._ranks.joined(csr_tensors.times(self.own, x), self._lengths)

    def empty_rows(self) -> Tensor:
        return csr_tensors.empty_rows(csr_tensors.sent(self._host, torch.device("cpu")))

    def with_columns(self, columns: NDArray[np.int64]) -> _HostRows:
        return _HostRows(keep_columns(self._host, columns), self._given)

    def with_rows(self, rows: NDArray[np.int64]) -> _HostRows:
        return _HostRows(keep_rows(self._host, rows), self._given)


class _DeviceRows:
    """On another device, where they are cut as well: nothing is sent again."""

    def __init__(self, matrix: Tensor) -> None:
        self.own, (m, n) = matrix, matrix.shape
        self.shape = m, n

    def times(self, x: Tensor) -> Tensor:
        return csr_tensors.times(self.own, x)

    def empty_rows(self) -> Tensor:
        return csr_tensors.empty_rows(self.own)

    def with_columns(self, columns: NDArray[np.int64]) -> _DeviceRows:
        return _DeviceRows(csr_tensors.columns_of(self.own, self._sent(columns)))

    def with_rows(self, rows: NDArray[np.int64]) -> _DeviceRows:
        return _DeviceRows(csr_tensors.rows_of(self.own, self._sent(rows)))

    def _sent(self, places: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(places).to(self.own.device)


def _laid_out(matrix: sp.csr_array, device: torch.device, ranks: Ranks) -> _Rows:
    if device.type == "cpu":
        return _HostRows(matrix, ranks)
    return _DeviceRows(csr_tensors.sent(matrix, device))


def _sharing(
    lengths: NDArray[np.integer], n_columns: int, ranks: Ranks
) -> tuple[Ranks, list[slice]]:
    """Decide which rows each rank multiplies: all of them, if sharing does not pay."""
    if ranks.shares(int(lengths.sum(dtype=np.int64)), len(lengths) + n_columns):
        parts = even_parts(lengths, ranks.size)
        if all(have_one_order(lengths[rows]) for rows in (*parts, slice(None))):
            return ranks, parts
    return ONE, [slice(0, len(lengths))]


def have_one_order(lengths: NDArray[np.integer]) -> bool:
    """Tell whether a product adds up each of these rows as one with other rows does.

    This is so if it is true of the other rows too. MKL gives threads equal numbers of rows, and
    chooses by the mean length of the rows of a thread in which order it adds them up. By trial, the
    order changes below nine entries, and with some ten rows.

    Parameters
    ----------
    lengths : ndarray of int, shape (m,)
        The number of entries of each row.
    """
    n_threads = torch.get_num_threads()
    if n_threads > 1 and len(lengths) < LEAST_ROWS * n_threads:
        return False
    ends = np.linspace(0, len(lengths), n_threads + 1).astype(np.int64)
    upto = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    # Either of two threads may have a row between them.
    first, last = ends[:-1] + (ends[:-1] > 0), ends[1:] - (ends[1:] < len(lengths))
    return bool((upto[last] - upto[first] >= LEAST_MEAN * np.maximum(np.diff(ends), 1)).all())


def _deal(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Order rows so that each of `LOTS` equal stretches holds about as many entries.

    A product gives every thread as many rows. A few national targets can hold most entries, and
    side by side they would all fall to one thread: with two, the product takes 1.7 times as long.
    """
    lot = np.empty(len(lengths), dtype=np.int64)
    lot[np.argsort(-lengths, kind="stable")] = np.arange(len(lengths)) % LOTS
    return np.argsort(lot, kind="stable")
