"""Kinds of records, which meet the targets of the root of a tree in the same way.

Records of the same age, tenure and kind of income have an entry in the same targets, or in none of
them, and the same entry in many. The targets of an age share no record with those of another age.
Records are split by all targets that keep apart from the same others: into those with an entry for
one of them and the rest, if the products of the halves then cost less. The halves are split in the
same way. The products are those of different columns (`different_columns`). Splits are found in a
sample.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.fitting.dissection import Ints

#: Splits are found from a sample of so many records.
SAMPLE = 1_000
#: Records are told apart by at most so many targets, those with the most entries in the sample.
MOST_TARGETS = 1_000
#: Of so many targets that split well by a quick rule, the exact costs in the sample are compared.
COMPARED = 8
#: To write an entry of a dense block takes as long as so many multiplications, and each group has a
#: cost of its own.
WRITING, OF_GROUP = 20.0, 4e6
#: Targets are alike if one shares no record with this part of those with which the other one shares
#: none.
ALIKE = 0.95
#: A split is made if the products of the halves cost at most this share of that of the whole.
WORTH = 0.9
#: Codes of records and of values are whole numbers below this one, so that sums of a thousand
#: products of two of them are exact in float64.
LARGEST_CODE = 1 << 21
#: A factor that spreads the bits of a number (Steele, Lea & Flood 2014, OOPSLA, SplitMix64).
SPREADING = np.uint64(0xBF58476D1CE4E5B9)


def kinds_of(matrix: sp.csr_array, records: sp.csr_array, targets: Ints, n_blocks: int) -> Ints:
    """Number the kind of each record.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, k)
    records : scipy.sparse.csr_array, shape (k, m)
        The transpose.
    targets : ndarray of int64
        Those by which records are told apart.
    n_blocks : int
        The number of blocks that have records of each kind.

    Returns
    -------
    ndarray of int64, shape (k,)
    """
    k = matrix.shape[1]
    size = min(k, SAMPLE)
    sampled = np.sort(np.random.default_rng(0).choice(k, size, replace=False))
    sample = records[sampled]
    met = np.bincount(sample.indices, minlength=records.shape[1])[targets]
    targets = targets[np.argsort(-met, kind="stable")[:MOST_TARGETS]]
    kind, has, n_kinds = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=bool), 0

    def split(those: Ints, codes: NDArray[np.float64]) -> None:
        nonlocal n_kinds
        found = _best_split(len(those), codes, n_blocks)
        if found is None:
            kind[those] = n_kinds
            n_kinds += 1
            return
        by, in_sample = found
        has[those] = False
        for row in targets[by]:
            has[matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]] = True
        within = has[those]
        split(those[within], codes[in_sample])
        split(those[~within], codes[~in_sample])

    split(np.arange(k), _codes(sample[:, targets]))
    return kind


def spread(values: NDArray[np.floating]) -> NDArray[np.uint64]:
    """Give each value a number of 64 bits that looks random."""
    bits = values.astype(np.float64).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * SPREADING
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def _codes(sample: sp.csr_array) -> NDArray[np.float64]:
    """Write a whole number for each entry, so that sums over records tell columns apart.

    Each is a random number of the record times one that only depends on the value; 0 for no entry.
    """
    s = sample.shape[0]
    of_record = np.random.default_rng(0).integers(1, LARGEST_CODE, s).astype(np.float64)
    of_value = (spread(sample.data) % np.uint64(LARGEST_CODE - 1)).astype(np.float64) + 1
    codes = of_value * np.repeat(of_record, np.diff(sample.indptr))
    dense = sp.csr_array((codes, sample.indices, sample.indptr), shape=sample.shape).toarray()
    return np.asarray(dense)


def _best_split(
    n: int, codes: NDArray[np.float64], n_blocks: int
) -> tuple[Ints, NDArray[np.bool_]] | None:
    """Find the best targets to split n records by, and which of the sample have an entry there."""
    s = len(codes)
    total = codes.sum(axis=0)
    different, first = np.unique(total, return_index=True)
    columns = first[different > 0]

    def cost(n: float | NDArray[np.float64], size: int | Ints) -> NDArray[np.float64]:
        u = np.asarray(size, dtype=float)
        return np.asarray(n * (u + WRITING) * u + n_blocks * OF_GROUP)

    whole = cost(n, len(columns))
    if s < 2 or not len(columns) or whole < 2 * n_blocks * OF_GROUP:
        return None
    codes, total = codes[:, columns], total[columns]
    held = (codes > 0).astype(np.float32)
    shared = held.T @ held
    counts = shared.diagonal()
    n_with = n * counts.astype(float) / s
    # Which columns the halves meet is known from pairs. Which of these are equal takes a product.
    met_with, met_without = (np.count_nonzero(met, axis=1) for met in (shared, shared < counts))
    costs = cost(n_with, met_with) + cost(n - n_with, met_without)
    costs[counts == s] = np.inf
    tried = np.argsort(costs, kind="stable")[:COMPARED]
    alike = _alike(shared == 0, tried)
    has = (held @ alike.T.astype(np.float32) > 0).T
    n_with = n * np.count_nonzero(has, axis=1) / s
    sums = has.astype(float) @ codes
    costs = cost(n_with, _n_different(sums)) + cost(n - n_with, _n_different(total - sums))
    costs[n_with == n] = np.inf
    best = int(costs.argmin())
    if not costs[best] <= WORTH * whole:
        return None
    return columns[alike[best]], has[best]


def _alike(apart: NDArray[np.bool_], tried: Ints) -> NDArray[np.bool_]:
    """Find the columns that share no record with nearly all that a column shares none with.

    Parameters
    ----------
    apart : ndarray of bool, shape (u, u)
        Which columns share no record.
    tried : ndarray of int64, shape (t,)

    Returns
    -------
    ndarray of bool, shape (t, u)
        A column that shares records with all others is alike to itself only.
    """
    from_tried = apart[tried].astype(np.float32)
    most = from_tried.sum(axis=1, keepdims=True)
    alike = (from_tried @ apart.astype(np.float32) >= ALIKE * most) & (most > 0)
    alike[np.arange(len(tried)), tried] = True
    return np.asarray(alike)


def _n_different(sums: NDArray[np.float64]) -> Ints:
    """Count the different numbers above 0 in each row."""
    ordered = np.sort(sums, axis=1)
    return np.asarray(np.count_nonzero(np.diff(ordered, axis=1, prepend=0.0), axis=1))
