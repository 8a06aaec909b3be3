"""The records of a front in groups that meet few of its targets, so that their products are small.

A record has an entry for a small part of the targets of its front: those of its age, its tenure and
its kind of income. The product of a dense block takes as long for the zeros. Records are therefore
split by a target, into those with an entry for it and the others, if both halves then meet so much
fewer targets that their products cost less, and the halves are split in the same way. How many
targets the halves of each split would meet is known from how many records any two targets share.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: A group with fewer records is not split.
FEWEST = 500
#: Splits are found from a sample of at least so many records.
SAMPLE = 250
#: Adding a product to the front costs so many multiplications for each of its cells.
ADDING = 200.0
#: A split is made if the products of the halves cost at most this share of that of the whole.
WORTH = 0.9


def groups_of(records: sp.csr_array) -> list[Ints]:
    """Split the records of a front.

    Parameters
    ----------
    records : scipy.sparse.csr_array, shape (r, m)

    Returns
    -------
    list of ndarray of int64
        The positions of the records of each group, in ascending order.
    """
    n = records.shape[0]
    if n < FEWEST:
        return [np.arange(n)]
    has = _best_split(records)
    if has is None:
        return [np.arange(n)]
    halves = np.flatnonzero(has), np.flatnonzero(~has)
    return [half[group] for half in halves for group in groups_of(records[half])]


def _best_split(records: sp.csr_array) -> NDArray[np.bool_] | None:
    """Tell which records have an entry for the best target, or None if no split is worth it."""
    n = records.shape[0]
    sample = records[:: max(1, n // SAMPLE)]
    targets = np.flatnonzero(np.bincount(sample.indices, minlength=records.shape[1]))
    size, s = len(targets), sample.shape[0]
    if not size:
        return None
    place = np.empty(records.shape[1], dtype=np.int64)
    place[targets] = np.arange(size)
    pattern = np.ones(sample.nnz, dtype=np.float32), place[sample.indices], sample.indptr
    held = sp.csr_array(pattern, shape=(s, size)).toarray()
    shared = held.T @ held
    counts = shared.diagonal()
    met_with = np.count_nonzero(shared, axis=1)
    met_without = np.count_nonzero(shared < counts, axis=1)
    n_with = n * counts / s
    costs = (n_with + ADDING) * met_with**2.0 + (n - n_with + ADDING) * met_without**2.0
    costs[(counts == 0) | (counts == s)] = np.inf
    best = int(costs.argmin())
    if not costs[best] <= WORTH * (n + ADDING) * size**2:
        return None
    has = np.zeros(n, dtype=bool)
    has[np.repeat(np.arange(n), np.diff(records.indptr))[records.indices == targets[best]]] = True
    return has
