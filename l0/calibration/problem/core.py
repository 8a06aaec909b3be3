"""The calibration problem: a sparse matrix, the totals to hit, the weights to start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from l0.calibration.evaluation.untargeted import Auxiliary, MatrixAuxiliary, SurveyAuxiliary
from l0.calibration.inputs.column_types import classify
from l0.calibration.inputs.survey import check_keys, check_weights, read_survey
from l0.calibration.inputs.targets import read_targets, shares
from l0.calibration.problem.matrix import compile_targets
from l0.calibration.sampling.stratification import Ordering, SharedTargetsOrdering, SurveyOrdering
from l0.common.errors import InputError, first_few
from l0.common.validation import check_length, checked_matrix, checked_vector
from l0.data.columns import plain
from l0.data.tables import Kind
from l0.sparse_operator import BLOCK, narrow, row_blocks

if TYPE_CHECKING:
    from l0.calibration.fitting.history import Progress
    from l0.calibration.frontier import Frontier
    from l0.calibration.results.result import CalibrationResult
    from l0.calibration.selection import Selector


#: A value this small a share of the weighted sum of absolute entries counts as a total of 0: it
#: is what rounding leaves of amounts that cancel.
FLOOR = 1e-9


@dataclass(frozen=True, eq=False)
class CalibrationProblem:
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
    names, groups : sequence of str, length m
        `groups` is what the report breaks the fit down by.
    importance : ndarray of float64, shape (m,)
        Shares of the loss; they add up to one.
    tolerance : ndarray of float64, shape (m,)
        Relative error up to which a target costs nothing in the fit; the reported loss counts it.
    keys : pyarrow.Array, shape (n,)
    key : str or None
        Name of the key column; None where records are known by row number.
    record_order : ndarray of int64, shape (n,)
        Row of each record in the table that came in.
    target_order : ndarray of int64, shape (m,)
        Row of each target in the table that came in.
    ordering : Ordering
        Puts like records side by side, for systematic sampling.
    auxiliary : Auxiliary or None
        Statistics that are no target.
    kind : {"pandas", "polars", "pyarrow"}
        Kind of frame that results are given in.
    """

    matrix: sp.csr_array
    values: NDArray[np.float64]
    design_weights: NDArray[np.float64]
    names: Sequence[str]
    groups: Sequence[str]
    importance: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    keys: pa.Array
    key: str | None
    record_order: NDArray[np.int64]
    target_order: NDArray[np.int64]
    ordering: Ordering
    auxiliary: Auxiliary | None
    kind: Kind

    @classmethod
    def from_frames(
        cls,
        records: Any,
        targets: Any,
        *,
        key: str | None = None,
        weight: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> CalibrationProblem:
        """Compile survey tables and a tidy table of targets.

        Parameters
        ----------
        records : frame or path
            The survey file, a row a record: pandas, polars, pyarrow, ``.parquet`` or ``.csv``.
        targets : frame or path
            One target a row. `value` is the weighted sum of `variable` (a numeric column, or
            ``count``) over the rows of `entity` whose columns equal every label that the row
            fills in. `entity` names a member table; an empty cell means the records,
            and so does one other name, unless there are `members` of which no row names
            one. Every column that is none of `name`, `entity`, `variable`, `value`,
            `group`, `importance`, `tolerance` and `source` is a label column and must
            be a column of the entity's table or of the records; an empty cell means
            "all". Labels match by value, not by type: 1, 1.0 and the text "1" ask for
            the same level of a numeric column, but "01" and "1" are two codes in a
            column of text.
            With `group`, every group counts the same in the loss, times the `importance` of its
            targets; a relative error within `tolerance` costs nothing in the fit, and the reported
            loss counts it. Errors are shares of the value; a value under 1e-9 of the survey's own
            total of absolute amounts counts as 0 (see `scales`).
        key : str, optional
            Column that identifies a record in all tables. Without it records are known by row
            number, and their order matters.
        weight : str, optional
            Column of design weights. Without it all records weigh the same: the median of
            value / unweighted total over the targets.
        members : dict of str to frame or path, optional
            Tables of units inside a record (persons in a household), tied by `key`; their
            targets are summed up to the record.

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            Naming the argument, up to five offending rows or names, and the remedy.
        FileNotFoundError
            Where a path does not exist.
        """
        survey = read_survey(records, key=key, weight=weight, members=members)
        table = read_targets(targets, survey)
        matrix = compile_targets(table, survey)
        roles = classify(survey, {name for labels in table.labels for name, _ in labels})
        by_name = np.array(sorted(range(len(table.names)), key=table.sort_key))
        matrix = narrow(matrix[by_name])
        values = table.values[by_name]
        weights = survey.weights
        if weights is None:
            weights = _even_weights(matrix, values)
        return cls(
            matrix=matrix,
            values=values,
            design_weights=weights,
            names=[table.names[row] for row in by_name],
            groups=[table.groups[row] for row in by_name],
            importance=table.importance[by_name],
            tolerance=table.tolerance[by_name],
            keys=survey.keys,
            key=survey.key,
            record_order=survey.order,
            target_order=by_name,
            ordering=SurveyOrdering(survey, roles),
            auxiliary=SurveyAuxiliary(survey, roles, table),
            kind=survey.kind,
        )

    @classmethod
    def from_matrix(
        cls,
        A: Any,
        values: ArrayLike,
        weights: ArrayLike,
        names: Iterable[Any] | None = None,
        groups: Iterable[Any] | None = None,
        keys: ArrayLike | None = None,
        auxiliary: Any = None,
    ) -> CalibrationProblem:
        """Take a problem that is a matrix already.

        Parameters
        ----------
        A : array or scipy.sparse array, shape (m, n)
            What a unit of each record's weight adds to each target. float32 entries are kept
            as they are, all others become float64.
        values : array, shape (m,)
            The totals to hit.
        weights : array, shape (n,)
            Design weights.
        names : iterable, length m, optional
            Must be unique, as text; by default ``target 0``, ``target 1``, ...
        groups : iterable, length m, optional
            With it every group counts the same in the loss.
        keys : array, shape (n,), optional
            Unique keys of the records; by default their positions.
        auxiliary : array or scipy.sparse array, shape (p, n), optional
            Statistics that are no target, for the `untargeted_*` metrics; without it they
            are None.

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            Where shapes do not fit, or numbers are not finite.
        """
        matrix = checked_matrix(A, "A")
        m, n = matrix.shape
        totals = checked_vector(values, m, "values", "rows of `A`")
        w0 = checked_vector(weights, n, "weights", "columns of `A`")
        key_array = plain(pa.array(np.arange(n) if keys is None else keys, from_pandas=True))
        check_length(len(key_array), n, "keys", "columns of `A`")
        check_keys(key_array, "`keys`", "positions")
        check_weights(w0, "`weights`", key_array)
        # As lists: a pandas Series would be indexed by its labels, not by position.
        named = [f"target {row}" for row in range(m)] if names is None else list(map(str, names))
        grouped = None if groups is None else list(map(str, groups))
        check_length(len(named), m, "names", "rows of `A`")
        if grouped is not None:
            check_length(len(grouped), m, "groups", "rows of `A`")
        if len(set(named)) < m:
            twice = sorted(name for name, times in Counter(named).items() if times > 1)
            raise InputError(
                f"`names` repeats {first_few(twice)}; names must be unique: rename them"
            )
        by_key = np.arange(n)
        if keys is not None:
            by_key = pc.sort_indices(key_array).to_numpy().astype(np.int64)
            matrix, w0, key_array = matrix[:, by_key], w0[by_key], key_array.take(by_key)
        by_name = np.arange(m)
        if names is not None:
            by_name = np.argsort(np.array(named), kind="stable")
            matrix, totals = matrix[by_name], totals[by_name]
        matrix = narrow(matrix)
        importance = shares(np.ones(m), grouped, named)[by_name]
        extra = None
        if auxiliary is not None:
            statistics = checked_matrix(auxiliary, "auxiliary")
            if statistics.shape[1] != n:
                raise InputError(
                    f"`auxiliary` has {statistics.shape[1]:,} columns where `A` has {n:,}; "
                    "pass one for each record"
                )
            extra = MatrixAuxiliary(statistics[:, by_key])
        return cls(
            matrix=matrix,
            values=totals,
            design_weights=w0,
            names=[named[row] for row in by_name],
            groups=["all"] * m if grouped is None else [grouped[row] for row in by_name],
            importance=importance,
            tolerance=np.zeros(m),
            keys=key_array,
            key=None if keys is None else "key",
            record_order=by_key,
            target_order=by_name,
            ordering=SharedTargetsOrdering(matrix),
            auxiliary=extra,
            kind="pyarrow",
        )

    @property
    def n_records(self) -> int:
        """Number of records, n."""
        return int(self.matrix.shape[1])

    @property
    def n_targets(self) -> int:
        """Number of targets, m."""
        return int(self.matrix.shape[0])

    @cached_property
    def gross(self) -> NDArray[np.float64]:
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
        scales = np.where(size <= FLOOR * self.gross, self.gross, size)
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

    def solve(
        self,
        n_records: int | None = None,
        method: str | Selector = "hybrid",
        *,
        progress: bool | Callable[[Progress], None] | None = None,
        **options: Any,
    ) -> CalibrationResult:
        """Choose `n_records` records and weigh them.

        Parameters
        ----------
        n_records : int, optional
            How many to keep; None keeps and calibrates all.
        method : str or Selector, default "hybrid"
        progress : bool or callable, optional
        **options
            `loss`, `bounds`, `seed`, `device` and `epochs`, as in `l0.calibrate`.

        Returns
        -------
        CalibrationResult

        Raises
        ------
        InputError
            For options that cannot be, and where no target can be reached.
        """
        from l0.calibration.solve import Options, solve

        return solve(self, n_records, method, Options(**options), progress)

    def frontier(
        self,
        n_records: Sequence[int],
        *,
        progress: bool | Callable[[Progress], None] | None = None,
        **options: Any,
    ) -> Frontier:
        """Trace what budgets cost, in one pass of the path.

        Parameters
        ----------
        n_records : sequence of int
            Budgets, in any order.
        progress : bool or callable, optional
        **options
            `loss`, `bounds`, `seed`, `device` and `epochs`, as in `l0.calibrate`.

        Returns
        -------
        Frontier
        """
        from l0.calibration.frontier import trace
        from l0.calibration.solve import Options

        return trace(self, n_records, Options(**options), progress)


def _absolute_totals(matrix: sp.csr_array, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """``abs(matrix) @ weights``, a block of rows at a time: the whole would be copied."""
    totals = np.empty(matrix.shape[0])
    for rows, _ in row_blocks(matrix.indptr, BLOCK):
        totals[rows] = abs(matrix[rows]) @ weights
    return totals


def _even_weights(matrix: sp.csr_array, values: NDArray[np.float64]) -> NDArray[np.float64]:
    unweighted = np.asarray(matrix.sum(axis=1)).ravel()
    usable = unweighted * values > 0
    if not usable.any():
        raise InputError(
            "`weight` is not given, and no target tells how many units a record stands for; "
            "name a column of design weights"
        )
    return np.full(matrix.shape[1], np.median(values[usable] / unweighted[usable]))
