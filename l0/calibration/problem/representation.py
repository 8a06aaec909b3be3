"""Soft targets: totals of the calibrated full file, which the chosen records should keep.

A selection that hits the published targets is free to do anything to all other totals. The full
file's own totals hold it back. They are soft: each counts less than a published target, so that
they are close where nothing published suffers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.common.errors import InputError
from l0.common.validation import as_plain, is_whole_number

#: The share of a soft target in the loss, as a part of the mean share of a published target. It
#: falls with the square of the budget if there are fewer than `AMPLE` records for each target. On
#: the bundled CPS (hybrid, means of three seeds), a part of .03 leaves the loss of 1,386 records at
#: 3.7%, and .1 raises it to 4.0%. With 5,545 records, .3 does no harm.
PRICE, AMPLE = 0.3, 2.0
#: There are at most so many soft targets for each chosen record.
PER_RECORD = 0.5

#: Whether to train on the full file's totals; or label columns and pairs of them, or rows.
Represent = bool | Sequence[str | tuple[str, str] | int]


@dataclass(frozen=True, eq=False)
class SoftTargets:
    """Totals of the calibrated full file.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array of float64, shape (p, n)
        What one unit of a record's weight adds to each total.
    values : ndarray of float64, shape (p,)
        The totals of the full file. None is 0.
    names : list of str, length p
    part : float
        The share of each in the loss, as a part of the mean share of a published target (`price`).
    """

    matrix: sp.csr_array
    values: NDArray[np.float64]
    names: list[str]
    part: float = PRICE


def price(n_records: int, n_targets: int) -> float:
    """Compute the share of a soft target, as a part of the mean share of a published one.

    Parameters
    ----------
    n_records : int
        The number of records to choose.
    n_targets : int
        The number of published and soft targets.
    """
    return PRICE * min(1.0, n_records / (AMPLE * n_targets)) ** 2


def kept(soft: SoftTargets, effective_n: NDArray[np.float64], most: int) -> SoftTargets | None:
    """Keep the totals with the largest effective numbers of records, and none of 0.

    Parameters
    ----------
    soft : SoftTargets
    effective_n : ndarray of float64, shape (p,)
    most : int
        The largest number of totals.
    """
    useful = np.flatnonzero(soft.values)
    largest = useful[np.argsort(-effective_n[useful], kind="stable")[:most]]
    if not len(largest):
        return None
    rows = np.sort(largest)
    if len(rows) == len(soft.values):
        return soft
    return replace(
        soft,
        matrix=soft.matrix[rows],
        values=soft.values[rows],
        names=[soft.names[row] for row in rows],
    )


def checked_represent(represent: object) -> Represent | None:
    """Check the form of `represent`; None stands for the default."""
    if represent is None or isinstance(represent, (bool, np.bool_)):
        return None if represent is None else bool(represent)
    if isinstance(represent, (list, tuple)) and all(map(_is_item, represent)):
        return [
            (item[0], item[1]) if isinstance(item, (list, tuple)) else item
            for item in as_plain(represent)
        ]
    raise InputError(
        f"`represent` is {represent!r}; pass True, False, or a list of label columns and of pairs "
        "of label columns, such as ['state', ('state', 'age')] (of a problem from a matrix, a list "
        "of rows of `untargeted`)"
    )


def _is_item(item: object) -> bool:
    if isinstance(item, (list, tuple)):
        return len(item) == 2 and all(isinstance(name, str) for name in item)
    return isinstance(item, str) or is_whole_number(item)
