"""Checks of numeric input that several rooms share; each error names the argument."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike, NDArray

from l0.common.errors import InputError, first_few


def checked_matrix(source: Any, argument: str) -> sp.csr_array:
    """Take a sparse or dense matrix as CSR with sorted, unique, finite entries.

    float32 stays, all other types become float64; what came in is not changed.
    """
    if np.ndim(source) != 2 or 0 in np.shape(source):
        raise InputError(
            f"`{argument}` has shape {np.shape(source)}; it needs two dimensions, none empty"
        )
    matrix = sp.csr_array(source)
    if matrix.dtype != np.float32:
        matrix = matrix.astype(np.float64)
    if not np.isfinite(matrix.data).all():
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        bad = np.unique(rows[~np.isfinite(matrix.data)])
        raise InputError(
            f"`{argument}` has NaN or infinite entries in {bad.size:,} rows "
            f"({first_few(bad.tolist())}); fill them or drop the rows"
        )
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def checked_vector(source: ArrayLike, length: int, argument: str, what: str) -> NDArray[np.float64]:
    """Take finite numbers as float64, one for each of `length` `what` (rows of `A`, say)."""
    try:
        vector = np.asarray(source, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`{argument}` must be numbers; cast them ({error})") from None
    if vector.ndim != 1:
        raise InputError(f"`{argument}` has shape {vector.shape}; pass one dimension")
    check_length(len(vector), length, argument, what)
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise InputError(
            f"`{argument}` is NaN or infinite at {bad.size:,} positions "
            f"({first_few(bad.tolist())}); give each a number or drop it"
        )
    return vector


def check_length(found: int, expected: int, argument: str, what: str) -> None:
    """Insist on one entry for each of the `what`."""
    if found != expected:
        raise InputError(
            f"`{argument}` has {found:,} entries for {expected:,} {what}; "
            f"pass one for each of the {what}"
        )


def checked_device(device: str | torch.device | None) -> torch.device:
    """Take a device that can be used here; None is CUDA where there is one."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        wanted = torch.device(device)
        torch.empty(0, device=wanted)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"`device` {device!r} cannot be used here ({reason}); try 'cpu'") from None
    return wanted
