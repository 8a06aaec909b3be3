"""Untargeted statistics from the rows of a matrix."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.comparison import comparison_table, flagged
from l0.calibration.evaluation.sums import effective_number
from l0.calibration.problem.representation import Represent, SoftTargets, kept
from l0.common.errors import InputError, first_few
from l0.common.sparse_rows import product, rows_of, stretches


@dataclass(frozen=True)
class MatrixStatistics:
    """Statistics from the rows of a matrix.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (p, n)
    """

    matrix: sp.csr_array

    def compare(
        self,
        reference: NDArray[np.float64],
        weights: NDArray[np.float64],
        trained: AbstractSet[str] = frozenset(),
    ) -> pa.Table:
        """See `UntargetedStatistics.compare`."""
        total, estimate = product(self.matrix, reference), product(self.matrix, weights)
        squares = _squares(self.matrix, reference)
        p = len(total)
        names, none, everyone = [f"statistic {row}" for row in range(p)], [""] * p, np.ones(p, bool)
        effective_n = effective_number(total, squares)
        table = comparison_table(names, none, none, total, estimate, effective_n, held_out=everyone)
        return flagged(table, trained)

    def estimates(
        self,
        reference: NDArray[np.float64],
        records: NDArray[np.int64],
        columns: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """See `UntargetedStatistics.estimates`."""
        return np.asarray(self.matrix[:, records] @ columns)

    def soft_targets(
        self, reference: NDArray[np.float64], represent: Represent, most: int
    ) -> SoftTargets | None:
        """See `UntargetedStatistics.soft_targets`. By default, no row is trained on."""
        p = self.matrix.shape[0]
        rows = range(p) if represent is True else represent
        assert not isinstance(rows, bool)
        wrong = [row for row in rows if not (isinstance(row, int) and 0 <= row < p)]
        if wrong:
            raise InputError(
                f"`represent` holds {first_few(wrong)}; of a problem from a matrix, it is a list "
                f"of rows of `untargeted`, from 0 to {p - 1}"
            )
        chosen = np.array(sorted(set(rows)), dtype=np.int64)
        if not len(chosen):
            return None
        matrix = self.matrix[chosen]
        total = product(matrix, reference)
        support = effective_number(total, _squares(matrix, reference))
        names = [f"statistic {row}" for row in chosen]
        return kept(SoftTargets(matrix, total, names), support, most)


def _squares(matrix: sp.csr_array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the squares of the weighted entries of each row, by stretches that are copied."""
    sums, squares = np.empty(matrix.shape[0]), weights**2
    for rows in stretches(matrix.indptr):
        part = rows_of(matrix, rows)
        sums[rows] = part.multiply(part) @ squares
    return sums
