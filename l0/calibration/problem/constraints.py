"""Constraints on the choice of records: some must be kept, and cells have quotas.

What constraints say about a record is whether it must be kept, and in which cells it is. Records
that may be kept and are in the same cells form a *group*. Whether a choice obeys the quotas depends
on the number of its records in each group only, so that all questions about quotas are asked about
groups, of which there are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.inputs.quotas import Quota


@dataclass(frozen=True, eq=False, repr=False)
class Constraints:
    """The constraints on the choice, by groups of records.

    Attributes
    ----------
    must : ndarray of bool, shape (n,)
        The records that must be kept.
    names : list of str, length c
        The names of the cells that have quotas, in ascending order.
    least, most : ndarray of int64, shape (c,)
        The quotas. Where there is no upper limit, it is the number of records of the cell.
    group : ndarray of int64, shape (n,)
        The group of each record, and -1 for a record that cannot be kept.
    inside : scipy.sparse.csr_array, shape (c, g)
        1 where a group is in a cell.
    sizes, forced : ndarray of int64, shape (g,)
        The number of records in each group, and of those that must be kept.
    """

    must: NDArray[np.bool_]
    names: list[str]
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    group: NDArray[np.int64]
    inside: sp.csr_array
    sizes: NDArray[np.int64]
    forced: NDArray[np.int64]

    def counts(self, records: NDArray[np.int64]) -> NDArray[np.int64]:
        """Count records by group, shape (g,)."""
        return np.bincount(self.group[records], minlength=len(self.sizes))

    def allow(self, counts: NDArray[np.int64]) -> bool:
        """Tell whether the cells may have so many records of each group."""
        of_cells = self.inside @ counts
        return bool(((self.least <= of_cells) & (of_cells <= self.most)).all())

    def obeyed_by(self, records: NDArray[np.int64]) -> bool:
        """Tell whether a choice has all records that must be kept, and obeys the quotas."""
        has_all = np.count_nonzero(self.must[records]) == self.forced.sum()
        return has_all and self.allow(self.counts(records))


def group_records(
    must: NDArray[np.bool_], quotas: Sequence[Quota], candidates: NDArray[np.int64]
) -> Constraints | None:
    """Put the records into groups.

    Parameters
    ----------
    must : ndarray of bool, shape (n,)
        Candidates only.
    quotas : sequence of Quota
        Sorted by name.
    candidates : ndarray of int64, shape (c,)
        The records that may be kept.

    Returns
    -------
    Constraints or None
        None if there is no constraint.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.inputs.quotas import Quota
    >>> from l0.calibration.problem.constraints import group_records
    >>> quotas = [Quota("a", np.array([0, 1, 2]), 1, None), Quota("b", np.array([2, 3]), 0, 1)]
    >>> constraints = group_records(np.array([True] + [False] * 4), quotas, np.arange(5))
    >>> constraints.group
    array([1, 1, 2, 3, 0])
    >>> constraints.sizes, constraints.forced
    (array([1, 2, 1, 1]), array([0, 1, 0, 0]))
    """
    if not must.any() and not quotas:
        return None
    n, c = len(must), len(quotas)
    of_cell = [quota.records for quota in quotas] or [np.empty(0, dtype=np.int64)]
    cells = np.repeat(np.arange(len(of_cell)), [len(records) for records in of_cell])
    members = np.concatenate(of_cell)
    inside = sp.csr_array((np.ones(len(cells)), (members, cells)), shape=(n, max(c, 1)))[candidates]
    # Records with the same list of cells have the same group. The lists are filled up with c.
    lengths = np.diff(inside.indptr)
    lists = np.full((len(candidates), max(int(lengths.max()), 1)), c, dtype=np.int64)
    lists[np.arange(lists.shape[1]) < lengths[:, None]] = inside.indices
    kinds = np.zeros(len(candidates), dtype=np.int64)
    for column in lists.T:  # the numbers of groups stay small
        _, kinds = np.unique(kinds * (c + 1) + (column + 1) % (c + 1), return_inverse=True)
    _, first = np.unique(kinds, return_index=True)
    sizes = np.bincount(kinds)
    group = np.full(n, -1, dtype=np.int64)
    group[candidates] = kinds
    by_cell = sp.csr_array(inside[first].T[:c])
    totals = np.asarray(by_cell @ sizes, dtype=np.int64)
    highest = [total if quota.most is None else min(quota.most, total)
               for quota, total in zip(quotas, totals.tolist(), strict=True)]  # fmt: skip
    return Constraints(
        must=must,
        names=[quota.name for quota in quotas],
        least=np.array([quota.least for quota in quotas], dtype=np.int64),
        most=np.array(highest, dtype=np.int64),
        group=group,
        inside=by_cell,
        sizes=sizes,
        forced=np.bincount(kinds, weights=must[candidates], minlength=len(sizes)).astype(np.int64),
    )
