"""The transpose of a sparse matrix with many entries, a stretch of its columns at a time.

SciPy puts the entries of a row into as many distant places. Of fifty million entries, nearly none
then finds its place in a cache of the processor. The entries of a stretch of columns lie close
together, and threads work on several stretches at the same time.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.common.threads import side_by_side

Ints = NDArray[np.integer[Any]]

#: How many entries a stretch of columns holds on average.
STRETCH = 1 << 20


def transposed(matrix: sp.csr_array) -> sp.csr_array:
    """Lay out the transpose row by row. Threads share the stretches.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)

    Returns
    -------
    scipy.sparse.csr_array, shape (n, m)
    """
    m, n = matrix.shape
    if matrix.nnz <= STRETCH or not matrix.has_sorted_indices:
        return matrix.T.tocsr()
    edges = np.linspace(0, n, 1 + min(n, matrix.nnz // STRETCH)).astype(matrix.indices.dtype)
    begins = _begins(matrix, edges)
    ends = begins.sum(axis=1) - begins[0].sum()
    data = np.empty(matrix.nnz, dtype=matrix.dtype)
    indices = np.empty(matrix.nnz, dtype=matrix.indices.dtype)
    indptr = np.zeros(n + 1, dtype=matrix.indptr.dtype)

    def turn(number: int) -> None:
        first, last = edges[number : number + 2]
        part = _turned(matrix, begins[number], begins[number + 1], first, last)
        entries = slice(ends[number], ends[number + 1])
        data[entries], indices[entries] = part.data, part.indices
        indptr[first + 1 : last + 1] = np.diff(part.indptr)

    side_by_side(len(edges) - 1, turn)
    np.cumsum(indptr, out=indptr)
    return sp.csr_array((data, indices, indptr), shape=(n, m))


def _begins(matrix: sp.csr_array, edges: Ints) -> Ints:
    """Find where each stretch begins among the entries of each row, and the last one ends.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
    edges : ndarray of int, shape (s + 1,)
        The columns at which the stretches begin, and n.

    Returns
    -------
    ndarray of int64, shape (s + 1, m)
    """
    begins = np.empty((len(edges), matrix.shape[0]), dtype=np.int64)
    ends = matrix.indptr.tolist()
    for row, (start, stop) in enumerate(pairwise(ends)):
        begins[:, row] = start + np.searchsorted(matrix.indices[start:stop], edges)
    return begins


def _turned(matrix: sp.csr_array, begins: Ints, ends: Ints, first: int, last: int) -> sp.csr_array:
    """Transpose some columns, whose entries begin and end at these places in each row."""
    lengths = ends - begins
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(begins - indptr[:-1], lengths)
    places += np.arange(indptr[-1])
    indices = matrix.indices[places]
    indices -= first
    entries = matrix.data[places], indices, indptr.astype(indices.dtype)
    return sp.csr_array(entries, shape=(len(lengths), last - first)).T.tocsr()
