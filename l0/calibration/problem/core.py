"""The problem as data: a sparse matrix, the totals to hit, and the design weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.inputs.survey import Survey
from l0.calibration.problem.kinds import Kinds, record_ratios
from l0.calibration.problem.representation import Represent, SoftTargets
from l0.common.sparse_rows import product, rows_of, stretches
from l0.data.tables import Kind

#: The scale of a target is at least this share of its absolute total. A small net total of large
#: amounts is published with the rounding error of the amounts, and the fit adds the amounts up in
#: float32: this alone gives errors of up to 1e-7 of the absolute total. These are up to 1e-4 of the
#: scale, a hundredth of the error of a target that counts as met. A larger share would excuse the
#: error of a rare group, whose total is 10 where the survey has 10,000.
FLOOR = 1e-3

#: A target is met if its relative error is at most this, or at most its tolerance if larger.
MET = 0.01


#: The status of a target that no fit sees.
HELD_OUT = "held out"


class Stratification(Protocol):
    """What a probability sample can use to represent the records: their order and their features.

    Both methods take the inclusion probabilities, shape (n,).
    """

    def __call__(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Order the records, int64 (n,), so that similar ones are neighbours."""
        ...

    def features(self, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
        """List features on which a sample can be balanced, shape (p, n), the main ones first.

        They are on a common scale of about 1.
        """
        ...


class UntargetedStatistics(Protocol):
    """Statistics that are not targets."""

    def compare(
        self,
        reference: NDArray[np.float64],
        weights: NDArray[np.float64],
        trained: AbstractSet[str] = frozenset(),
    ) -> pa.Table:
        """Compare the statistics under two sets of weights of all n records.

        Parameters
        ----------
        reference : ndarray, shape (n,)
            The weights of the calibrated full file, which keeps all records.
        weights : ndarray, shape (n,)
            The weights of the result, and 0 for a record that was not chosen.
        trained : set of str
            The names of the statistics that the result was held to.

        Returns
        -------
        pyarrow.Table
            One row for each statistic: `statistic`, `variable`, `by` (the label columns),
            `reference`, `estimate`, `relative_error`, `effective_n`, `held_out` (no result is ever
            held to it, unless `represent` names it), `trained`.
        """
        ...

    def estimates(
        self,
        reference: NDArray[np.float64],
        records: NDArray[np.int64],
        columns: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Compute the statistics under other weights of some records.

        Parameters
        ----------
        reference : ndarray, shape (n,)
            The weights of the calibrated full file.
        records : ndarray of int64, shape (k,)
        columns : ndarray, shape (k, C)
            A column for each set of weights of these records. All others have the weight 0.

        Returns
        -------
        ndarray, shape (p, C)
            In the order of the rows of `compare`. A ratio with a denominator of 0 is 0, as there.
        """
        ...

    def soft_targets(
        self, reference: NDArray[np.float64], represent: Represent, most: int
    ) -> SoftTargets | None:
        """Make soft targets of the statistics that a result can be held to.

        Parameters
        ----------
        reference : ndarray, shape (n,)
            The weights of the calibrated full file.
        represent : bool or list
            What the soft targets are.
        most : int
            The largest number of soft targets.

        Returns
        -------
        SoftTargets or None
            None if there is nothing to be held to.

        Raises
        ------
        InputError
            If `represent` names a column or a row that there is not.
        """
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Problem:
    """Find weights w >= 0 such that A w is close to the values.

    A problem keeps its records sorted by key and its targets sorted by name. The same rows in
    another order therefore give exactly the same problem.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
        A. An entry is what one unit of a record's weight adds to a target, in the target's unit.
        For a mean, a ratio or a share it is N - v D (see `kinds`).
    values : ndarray of float64, shape (m,)
        The published totals, in the same units, or the published means, ratios and shares. NaN for
        a target that has limits in place of a value.
    design_weights : ndarray of float64, shape (n,)
        w0 > 0.
    names, groups, variables : sequence of str, length m
        The report shows the fit by `groups`. `variables` are the columns that targets add up.
    importance : ndarray of float64, shape (m,)
        The shares of the targets in the loss. They add up to one.
    tolerance : ndarray of float64, shape (m,)
        Relative errors up to this size cost nothing in the fit. The reported loss counts them.
    keys : pyarrow.Array, shape (n,)
        The keys of the records.
    key : str or None
        The name of the key column, or None if the row number identifies a record.
    weight : str or None
        The name of the column of design weights, or None if no column was named.
    record_order : ndarray of int64, shape (n,)
        The row of each record in the input table.
    target_order : ndarray of int64, shape (m,)
        The row of each target in the input table.
    stratification : Stratification
        Orders the records for a draw, so that similar records are neighbours, and lists features on
        which a draw can be balanced.
    untargeted : UntargetedStatistics or None
        The statistics that are not targets.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frames in a result.
    inputs : mapping or None
        The sources of the input tables, or None if the input was a matrix.
    survey : Survey or None
        The survey, for options that name its columns, or None if the input was a matrix.
    floor : float
        The scale of a target is at least this share of its absolute total.
    kinds : Kinds or None
        The kinds of the targets, or None if all of them are totals with a value.
    n_dropped : int
        The number of records of design weight 0 that the problem leaves out.
    grouped : bool
        Whether each of `groups` has the same share of the loss, times the importance of its
        targets.
    held_out : Problem or None
        Targets of the same records that no fit sees and that a result reports, or None if there are
        none.
    labels : pyarrow.Table or None
        What the targets are about, a row for each: `entity` (the member table, or "" for the
        records), `variable`, and the label columns, with "" for "all". None for a matrix.
    index : mapping of str to pandas.Index
        What pandas says of the order of the records in the input, by how a program writes it:
        ``records.index``. Empty for frames of others and for files.
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
    survey: Survey | None
    floor: float = FLOOR
    kinds: Kinds | None = None
    n_dropped: int = 0
    grouped: bool = False
    held_out: Problem | None = None
    labels: pa.Table | None = None
    index: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_records(self) -> int:
        """The number of records, n."""
        return int(self.matrix.shape[1])

    @property
    def n_targets(self) -> int:
        """The number of targets, m."""
        return int(self.matrix.shape[0])

    @cached_property
    def design_totals(self) -> NDArray[np.float64]:
        """The design-weighted totals of the rows of the matrix, shape (m,)."""
        totals = product(self.matrix, self.design_weights)
        totals.flags.writeable = False  # all callers share this array
        return totals

    @cached_property
    def design_estimates(self) -> NDArray[np.float64]:
        """The estimates of all targets under the design weights, shape (m,)."""
        return self.estimate(self.design_weights)

    @cached_property
    def absolute_totals(self) -> NDArray[np.float64]:
        """The design-weighted sums of the absolute entries, shape (m,)."""
        return _absolute_totals(self.matrix, self.design_weights)

    @cached_property
    def low(self) -> NDArray[np.float64]:
        """The least total of each row that meets its target, shape (m,); -inf without a limit.

        It is 0 for a mean, a ratio or a share, whose row is N - v D.
        """
        return self.values if self.kinds is None else self.kinds.of_rows(self.kinds.at_least)

    @cached_property
    def high(self) -> NDArray[np.float64]:
        """The largest total of each row that meets its target, shape (m,); inf without a limit."""
        return self.values if self.kinds is None else self.kinds.of_rows(self.kinds.at_most)

    @cached_property
    def goals(self) -> NDArray[np.float64]:
        """The total that each row should have, shape (m,): of two limits, the lower one."""
        return self.values if self.kinds is None else self.kinds.of_rows(self.kinds.ends)

    @cached_property
    def nearest(self) -> NDArray[np.float64]:
        """The total nearest to 0 that meets each target, shape (m,)."""
        return np.asarray(np.clip(0.0, self.low, self.high))

    @cached_property
    def free_below(self) -> NDArray[np.float64]:
        """How far a row may be below its goal at no cost, as a share of its scale, shape (m,)."""
        return (self.goals - self.low) / self.scales + self.tolerance

    @cached_property
    def free_above(self) -> NDArray[np.float64]:
        """How far a row may be above its goal at no cost, as a share of its scale, shape (m,)."""
        return (self.high - self.goals) / self.scales + self.tolerance

    @cached_property
    def scales(self) -> NDArray[np.float64]:
        """The scale of each row, shape (m,): relative errors are errors divided by it.

        The scale of a target j is ``max(|b_j|, floor * sum_i w0_i |a_ji|)``, where b is the value
        and the sum is the absolute total. For most targets this is the size of the value. A target
        of value 0 has an error of 1% if a hundred-thousandth of its absolute total remains.

        Of limits, b is the larger one. For a mean, a ratio or a share, b is the value times the
        size of its denominator.
        """
        kinds = self.kinds
        size = np.abs(self.values) if kinds is None else kinds.largest * kinds.sizes
        scales = np.maximum(size, self.floor * self.absolute_totals)
        scales[scales == 0] = 1.0
        scales.flags.writeable = False  # all callers share this array
        return scales

    @cached_property
    def own_scales(self) -> NDArray[np.float64]:
        """The scale of each target in its own terms, shape (m,): of a mean, its size."""
        return self.scales if self.kinds is None else self.scales / self.kinds.sizes

    @cached_property
    def ratio_limits(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The smallest and the largest mean, ratio or share that weights can give, shapes (m,).

        These are the ratios of single records (see `record_ratios`). They are infinite for totals.
        """
        lowest, highest = np.full(self.n_targets, -np.inf), np.full(self.n_targets, np.inf)
        if self.kinds is not None:
            rows = np.flatnonzero(~self.kinds.is_total)
            parts = record_ratios(self.matrix[rows], self.kinds.denominators[rows])
            lowest[rows], highest[rows] = (self.kinds.ends[rows] + part for part in parts)
        return lowest, highest

    def estimate(
        self, weights: NDArray[np.float64], records: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Compute the weighted totals, means, ratios and shares of all targets, in float64.

        Parameters
        ----------
        weights : ndarray of float64, shape (n,) or (k,)
        records : ndarray of int64, shape (k,), optional
            The positions of the records that have these weights. All other records have weight 0.

        Returns
        -------
        ndarray of float64, shape (m,)
            NaN for a mean, a ratio or a share whose denominator is 0.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]])
        >>> problem = CalibrationProblem.from_matrix(A, [30, 120], [10, 10, 10])
        >>> problem.estimate(np.array([20.0, 10.0]), records=np.array([1, 2]))
        array([ 30., 190.])
        """
        if records is not None:
            full = np.zeros(self.n_records)
            full[records] = weights
            weights = full
        totals = product(self.matrix, weights)
        if self.kinds is None:
            return totals
        return self.kinds.in_own_terms(totals, self.kinds.denominators @ weights)

    def errors(self, estimates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute how far estimates are from the values, or outside of the limits, in own terms.

        Parameters
        ----------
        estimates : ndarray of float64, shape (m,)

        Returns
        -------
        ndarray of float64, shape (m,)
            0 between the limits, and NaN where there is no estimate.
        """
        if self.kinds is None:
            return estimates - self.values
        return estimates - np.clip(estimates, self.kinds.at_least, self.kinds.at_most)

    def relative_errors(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Divide errors by the scales. A target without an estimate has an error of -100%."""
        relative: NDArray[np.float64] = errors / self.own_scales
        return np.where(np.isnan(relative), -1.0, relative)


def _absolute_totals(matrix: sp.csr_array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute ``abs(matrix) @ weights`` by stretches of rows: ``abs`` copies what it is given."""
    totals = np.empty(matrix.shape[0])
    for rows in stretches(matrix.indptr):
        totals[rows] = abs(rows_of(matrix, rows)) @ weights
    return totals
