"""The choice of a method to solve Newton systems, by what a system costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from l0.calibration.fitting.bordered_normal import BorderedNormalMatrix
from l0.calibration.fitting.dissection import dissect
from l0.calibration.fitting.nested_normal import NestedNormalMatrix
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.normal_matrix import (
    DenseNormalMatrix,
    NormalMatrix,
    SparseNormalMatrix,
)
from l0.calibration.fitting.scaled_matrix import FEW, ScaledMatrix
from l0.common.ranks import ONE, Ranks
from l0.common.sparse_rows import lengths_of_columns

#: The largest number of listed products, of 12 bytes each. A dense factor takes more than a sparse
#: one: the normal matrix is probably dense if there are more products than cells.
MOST_PRODUCTS, MOST_OF_FULL = 10_000_000, 30_000_000
#: All systems of a fit cost this many multiplications of dense arrays for each listed product.
LIST_COST = 250
#: Up to this number of multiplications, no dissection is tried.
QUICK = 2e9
#: With more multiplications than both of these, in all and for each entry, a system is too
#: expensive. Eight systems with 10,000 for each entry take as long as a first-order fit.
MOST, MOST_PER_ENTRY = 6e11, 1e4
#: With more targets, a dense normal matrix is too large.
MOST_DENSE = 8_000
#: A target is wide if it has an entry for more than this share of the records. At most so many
#: wide targets become a border.
WIDE, MOST_WIDE = 0.1, 300


def normal_matrix(matrix: ScaledMatrix, ranks: Ranks = ONE) -> NormalMatrix | None:
    """Choose how to form and factor the normal matrices of B, shape (m, k).

    Ranks share the search for nested targets, and their blocks.

    Returns
    -------
    NormalMatrix or None
        None if the systems are too expensive.
    """
    make = _chosen(matrix, ranks)
    return None if make is None else make()


def too_expensive(matrix: ScaledMatrix) -> bool:
    """Tell whether the systems of B, shape (m, k), are too expensive, without forming any."""
    return _chosen(matrix, ONE) is None


def nesting_of(entries: sp.csr_array, ranks: Ranks = ONE) -> Nesting | None:
    """Nest the targets of a matrix, shape (m, k), if its systems are to be solved in this way.

    Ranks share the search for the tree.

    Returns
    -------
    Nesting or None
        None too if there are few entries: a new search then takes no time.
    """
    if entries.nnz <= FEW:
        return None
    matrix = ScaledMatrix.of(entries)
    if _unnested(matrix) is not None:
        return None
    found = _nested(matrix, ranks)
    return found if isinstance(found, Nesting) else None


def _chosen(matrix: ScaledMatrix, ranks: Ranks) -> Callable[[], NormalMatrix] | None:
    """Choose a kind of normal matrix, and give what makes it."""
    make = _unnested(matrix)
    if make is not None:
        return make
    found = matrix.nesting or _nested(matrix, ranks)
    if not isinstance(found, Nesting):
        return found
    # The sample may lack the few records that live in two areas, and join these in one block.
    if sum(front.cost for front in found.fronts) > _most(matrix):
        return None
    return lambda: NestedNormalMatrix(matrix, found.fronts, ranks)


def _unnested(matrix: ScaledMatrix) -> Callable[[], NormalMatrix] | None:
    """Choose a kind for which no nesting is needed; None if none suits."""
    m, k = matrix.shape
    dense = _dense_cost(matrix)
    if _suits_a_list(matrix, dense):
        return lambda: SparseNormalMatrix(matrix)
    if m <= MOST_DENSE and dense <= QUICK:
        return lambda: DenseNormalMatrix(matrix)
    wide = np.diff(matrix.entries.indptr) > WIDE * k
    if 0 < np.count_nonzero(wide) <= min(MOST_WIDE, m / 2):
        narrow = matrix.rows(~wide)
        if _suits_a_list(narrow, dense):
            return lambda: BorderedNormalMatrix(matrix, wide, SparseNormalMatrix(narrow))
    return None


def _nested(matrix: ScaledMatrix, ranks: Ranks) -> Nesting | Callable[[], NormalMatrix] | None:
    """Nest the targets, or choose a dense array if that is cheaper; None if both are too much."""
    m, dense, most = matrix.shape[0], _dense_cost(matrix), _most(matrix)
    root, nested = dissect(matrix.entries, matrix.transpose, ranks)
    if m <= MOST_DENSE and (not root.children or dense <= nested):
        return (lambda: DenseNormalMatrix(matrix)) if dense <= most else None
    return Nesting.of(root, matrix.entries, matrix.transpose, ranks) if nested <= most else None


def _dense_cost(matrix: ScaledMatrix) -> float:
    m, k = matrix.shape
    return (k + m / 3) * float(m) ** 2


def _most(matrix: ScaledMatrix) -> float:
    return max(MOST, MOST_PER_ENTRY * matrix.nnz)


def _suits_a_list(matrix: ScaledMatrix, dense: float) -> bool:
    """Tell whether the list of products is short, and cheaper than a dense array."""
    lengths = lengths_of_columns(matrix.entries).astype(float)
    products = float((lengths * (lengths + 1)).sum() / 2)
    m = matrix.shape[0]
    full = products >= m**2 and m <= MOST_DENSE
    most = max(MOST_PRODUCTS, MOST_OF_FULL if full else 0)
    return products <= most and LIST_COST * products <= dense
