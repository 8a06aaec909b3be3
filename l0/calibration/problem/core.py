"""What is to be solved: a sparse matrix, the totals to hit, the weights to start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.data.tables import Kind
from l0.sparse_operator import BLOCK, row_blocks

#: A value this small a share of the weighted sum of absolute entries counts as a total of 0: it
#: is what rounding leaves of amounts that cancel.
FLOOR = 1e-9

#: Takes the inclusion probabilities, shape (n,), and gives the records in an order that puts like
#: beside like, int64 (n,).
Stratification = Callable[[NDArray[np.float64]], NDArray[np.int64]]


class UntargetedStatistics(Protocol):
    """Statistics that are no target."""

    def compare(self, reference: NDArray[np.float64], weights: NDArray[np.float64]) -> pa.Table:
        """Compare two weightings of all n records.

        Parameters
        ----------
        reference : ndarray, shape (n,)
            Weights of the calibrated full file, which keeps all records.
        weights : ndarray, shape (n,)
            Weights of the result; 0 where a record was not chosen.

        Returns
        -------
        pyarrow.Table
            One row a statistic: `statistic`, `variable`, `by` (the label columns), `reference`,
            `estimate`, `relative_error`, `effective_n`.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """Find weights w >= 0 with A w close to the values.

    Records are held sorted by key and targets sorted by name, so that the same rows in any
    order are the same problem, to the last bit.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
        A: what a unit of each record's weight adds to each target, in the target's own unit.
    values : ndarray of float64, shape (m,)
        The totals, in the same units.
    design_weights : ndarray of float64, shape (n,)
        w0 > 0.
    names, groups, variables : sequence of str, length m
        The report breaks the fit down by `groups`. `variables` say what is added up.
    importance : ndarray of float64, shape (m,)
        Shares of the loss; they add up to one.
    tolerance : ndarray of float64, shape (m,)
        Relative error up to which a target costs nothing in the fit; the reported loss counts it.
    keys : pyarrow.Array, shape (n,)
    key : str or None
        Name of the key column; None where records are known by row number.
    weight : str or None
        Name of the column of design weights; None where none was named.
    record_order : ndarray of int64, shape (n,)
        Row of each record in the table that came in.
    target_order : ndarray of int64, shape (m,)
        Row of each target in the table that came in.
    stratification : callable
        Puts like records side by side, for systematic sampling.
    untargeted : UntargetedStatistics or None
        Statistics that are no target.
    kind : {"pandas", "polars", "pyarrow"}
        Kind of frame that results are given in.
    inputs : mapping or None
        Where the tables came from; None where the matrix itself came.
    """

    matrix: sp.csr_array
    values: NDArray[np.float64]
    design_weights: NDArray[np.float64]
    names: Sequence[str]
    groups: Sequence[str]
    variables: Sequence[str]
    importance: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    keys: pa.Array
    key: str | None
    weight: str | None
    record_order: NDArray[np.int64]
    target_order: NDArray[np.int64]
    stratification: Stratification
    untargeted: UntargetedStatistics | None
    kind: Kind
    inputs: Mapping[str, Any] | None

    @property
    def n_records(self) -> int:
        """Number of records, n."""
        return int(self.matrix.shape[1])

    @property
    def n_targets(self) -> int:
        """Number of targets, m."""
        return int(self.matrix.shape[0])

    @cached_property
    def absolute_totals(self) -> NDArray[np.float64]:
        """Design-weighted sums of absolute entries, shape (m,)."""
        return _absolute_totals(self.matrix, self.design_weights)

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """What an error of each target is measured against, shape (m,).

        The target's absolute value; for a target of value 0 the design-weighted sum of absolute
        entries, so that its relative error is the share of the survey's own total that is left.
        A value within `FLOOR` of that sum, the residue of rounding, counts as 0.
        """
        size = np.abs(self.values)
        scales = np.where(size <= FLOOR * self.absolute_totals, self.absolute_totals, size)
        scales[scales == 0] = 1.0
        scales.flags.writeable = False  # every caller shares it
        return scales

    def estimate(
        self, weights: NDArray[np.float64], records: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Weighted totals in the targets' units, in float64.

        Parameters
        ----------
        weights : ndarray of float64, shape (n,) or (k,)
        records : ndarray of int64, shape (k,), optional
            Positions of the records that have these weights; all others have none.

        Returns
        -------
        ndarray of float64, shape (m,)
        """
        if records is not None:
            full = np.zeros(self.n_records)
            full[records] = weights
            weights = full
        return np.asarray(self.matrix @ weights, dtype=np.float64)


def _absolute_totals(matrix: sp.csr_array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """``abs(matrix) @ weights``, a block of rows at a time: the whole would be copied."""
    totals = np.empty(matrix.shape[0])
    for rows, _ in row_blocks(matrix.indptr, BLOCK):
        totals[rows] = abs(matrix[rows]) @ weights
    return totals
