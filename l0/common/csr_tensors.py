"""CSR matrices as tensors on a device: sent there, multiplied, and cut to some rows or columns."""

from __future__ import annotations

import warnings

import scipy.sparse as sp
import torch
from torch import Tensor

from l0.common.devices import check_room
from l0.common.dtypes import without_autocast


def sent(matrix: sp.csr_array, device: torch.device) -> Tensor:
    """Send a matrix to a device. On the CPU, the tensor shares its memory.

    Raises
    ------
    InputError
        If the device has no room for it.
    """
    parts = matrix.indptr, matrix.indices, matrix.data
    check_room(device, sum(part.nbytes for part in parts))
    # Else `torch.set_default_device` decides.
    indptr, indices, data = (torch.from_numpy(part) for part in parts)
    return _csr(indptr, indices, data, matrix.shape, "cpu").to(device)


def times(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply a matrix and a vector in their own precision."""
    # On CUDA autocast would turn the whole matrix into half precision at every product.
    with without_autocast(x.device):
        return torch.mv(matrix, x)


def columns_of(matrix: Tensor, columns: Tensor) -> Tensor:
    """Take some columns.

    Parameters
    ----------
    matrix : Tensor, shape (m, n)
    columns : Tensor of int64, shape (k,)
        In ascending order.

    Returns
    -------
    Tensor, shape (m, k)
    """
    begins, indices = matrix.crow_indices(), matrix.col_indices()
    place = indices.new_full((matrix.shape[1],), -1)
    place[columns] = torch.arange(len(columns), dtype=place.dtype, device=place.device)
    new = place[indices]
    kept = new >= 0
    upto = _ends(kept, begins.dtype)[begins.long()]
    shape = matrix.shape[0], len(columns)
    return _csr(upto, new[kept], matrix.values()[kept], shape, matrix.device)


def rows_of(matrix: Tensor, rows: Tensor) -> Tensor:
    """Take some rows.

    Parameters
    ----------
    matrix : Tensor, shape (m, n)
    rows : Tensor of int64, shape (k,)

    Returns
    -------
    Tensor, shape (k, n)
    """
    begins = matrix.crow_indices()
    lengths = begins.diff()[rows]
    upto = _ends(lengths, begins.dtype)
    # From a place among the entries that stay to its place before.
    places = torch.repeat_interleave(begins[rows] - upto[:-1], lengths)
    places += torch.arange(len(places), dtype=places.dtype, device=places.device)
    entries = matrix.col_indices()[places], matrix.values()[places]
    shape = len(rows), matrix.shape[1]
    return _csr(upto, *entries, shape, matrix.device)


def empty_rows(matrix: Tensor) -> Tensor:
    """Tell which rows have no entry but zeros, shape (m,)."""
    # Not the sums of absolute entries, which would copy them all.
    offsets = matrix.crow_indices().long()
    largest, smallest = (
        torch.segment_reduce(matrix.values(), reduce, offsets=offsets, initial=0)
        for reduce in ("max", "min")
    )
    return (largest == 0) & (smallest == 0)


def _ends(lengths: Tensor, dtype: torch.dtype) -> Tensor:
    """Add up lengths, from 0."""
    upto = torch.zeros(len(lengths) + 1, dtype=dtype, device=lengths.device)
    torch.cumsum(lengths, 0, dtype=dtype, out=upto[1:])
    return upto


def _csr(
    indptr: Tensor,
    indices: Tensor,
    data: Tensor,
    shape: tuple[int, ...],
    device: torch.device | str,
) -> Tensor:
    with warnings.catch_warnings():
        # PyTorch says once a process that its CSR layout is in beta.
        warnings.simplefilter("ignore", UserWarning)
        return torch.sparse_csr_tensor(
            indptr, indices, data, shape, device=device, check_invariants=False
        )
