"""The normal matrix of a few wide targets beside many narrow ones.

A wide target has an entry for a large part of the records: a national total, or a share of one
state in the nation. It meets each entry of each record, so that the list of products grows by many
columns, and it would make one block of nested targets. Here the wide targets are a border:

    N = [[S, C], [C', W]],   S = B_s D B_s',   C = B_s D B_w',   W = B_w D B_w'.

S is formed and factored as usual, and W - C' S^-1 C, the Schur complement, is a small dense matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.normal_matrix import (
    BLOCK,
    DenseNormalMatrix,
    Solve,
    SparseNormalMatrix,
)
from l0.calibration.fitting.scaled_matrix import ScaledMatrix

#: Directions of the border count as dependent on the other targets if less than this part of them
#: is left after elimination. The multipliers stay as they are in these directions.
DEPENDENT = 1e-10


class BorderedNormalMatrix:
    """The normal matrix of narrow targets with wide ones as a border.

    Parameters
    ----------
    matrix : ScaledMatrix, shape (m, k)
    wide : ndarray of bool, shape (m,)
        The wide targets.
    narrow : SparseNormalMatrix or DenseNormalMatrix
        Of the other rows of the matrix.
    """

    def __init__(
        self,
        matrix: ScaledMatrix,
        wide: NDArray[np.bool_],
        narrow: SparseNormalMatrix | DenseNormalMatrix,
    ) -> None:
        self._wide, self._others = np.flatnonzero(wide), np.flatnonzero(~wide)
        whole = matrix.csr
        self._border = whole[self._wide].T.tocsr()
        self._records = whole[self._others].tocsc()
        self._narrow = narrow

    def factor(self, d: Array, e: Array) -> Solve:
        """See `NormalMatrix.factor`."""
        wide, others = self._wide, self._others
        solve_narrow = self._narrow.factor(d, e[others])
        corner = np.diag(e[wide])
        side = np.zeros((len(others), len(wide)))
        width = max(1, BLOCK // len(wide))
        for start in range(0, len(d), width):
            part = slice(start, start + width)
            border = self._border[part].toarray()
            moved = d[part, None] * border
            corner += border.T @ moved
            side += self._records[:, part] @ moved
        inner = solve_narrow(side)
        size = np.sqrt(np.where(corner.diagonal() > 0, corner.diagonal(), 1.0))
        left = (corner - side.T @ inner) / np.outer(size, size)
        values, vectors = np.linalg.eigh((left + left.T) / 2)
        usable = values > DEPENDENT
        vectors = vectors[:, usable] / size[:, None]
        values = values[usable]

        def solve(right: Array) -> Array:
            solution = np.empty(right.shape)
            along = vectors.T @ (right[wide] - inner.T @ right[others])
            of_border = vectors @ (along.T / values).T
            solution[wide] = of_border
            solution[others] = solve_narrow(right[others]) - inner @ of_border
            return solution

        return solve
