"""The calibration problem as users meet it: made from tables or a matrix, and solved."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, Unpack, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from l0.calibration.evaluation.untargeted import MatrixStatistics, SurveyStatistics
from l0.calibration.inputs.column_types import classify
from l0.calibration.inputs.survey import check_keys, check_weights, read_survey
from l0.calibration.inputs.targets import describe, read_targets, shares
from l0.calibration.options import Options, takes_options
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.core import Problem
from l0.calibration.problem.matrix import compile_targets
from l0.calibration.results.frontier import Frontier
from l0.calibration.results.provenance import describe_inputs
from l0.calibration.results.result import CalibrationResult
from l0.calibration.sampling.stratification import (
    SharedTargetsStratification,
    SurveyStratification,
)
from l0.calibration.selection import Selector
from l0.calibration.solve import solve, trace
from l0.common.errors import InputError, first_few
from l0.common.text_tables import Row, as_html, as_text
from l0.common.validation import check_length, checked_labels, checked_matrix, checked_vector
from l0.data.columns import is_key, plain
from l0.data.tables import FrameT, Kind, checked_kind
from l0.sparse_operator import narrow


class CalibrationProblem(Problem, Generic[FrameT]):
    """Find weights w >= 0 with which A w comes close to the published totals.

    `from_frames` makes one of survey tables, `from_matrix` of a matrix. `solve` chooses records and
    weighs them, `frontier` says what budgets cost, and `print` shows the targets by variable. One
    problem can be solved many times.

    Records are held sorted by key and targets sorted by name, so that the same rows in any order
    are the same problem, to the last bit.

    Attributes
    ----------
    n_records, n_targets : int
        Numbers n of records and m of targets.
    matrix : scipy.sparse.csr_array, shape (m, n)
        A: what a unit of each record's weight adds to each target, in the target's own unit.
    values : ndarray of float64, shape (m,)
        The totals, in the same units.
    design_weights : ndarray of float64, shape (n,)
        w0 > 0.
    names, groups : sequence of str, length m
        Of the targets. The report breaks the fit down by group.
    importance : ndarray of float64, shape (m,)
        Shares of the loss; they add up to one.
    tolerance : ndarray of float64, shape (m,)
        Relative error up to which a target costs nothing in the fit; the reported loss counts it.
    keys : pyarrow.Array, shape (n,)
        Of the records.
    scales : ndarray of float64, shape (m,)
        What an error of each target is measured against.
    kind : {"pandas", "polars", "pyarrow"}
        Kind of the frames that results give.
    """

    @overload
    @classmethod
    def from_frames(
        cls,
        records: str | os.PathLike[str],
        targets: Any,
        *,
        key: str | None = None,
        weight: str | None = None,
        members: Mapping[str, Any] | None = None,
        kind: Kind | None = None,
    ) -> CalibrationProblem[Any]: ...
    @overload
    @classmethod
    def from_frames(
        cls,
        records: FrameT,
        targets: Any,
        *,
        key: str | None = None,
        weight: str | None = None,
        members: Mapping[str, Any] | None = None,
        kind: None = None,
    ) -> CalibrationProblem[FrameT]: ...
    @overload
    @classmethod
    def from_frames(
        cls,
        records: Any,
        targets: Any,
        *,
        key: str | None = None,
        weight: str | None = None,
        members: Mapping[str, Any] | None = None,
        kind: Kind,
    ) -> CalibrationProblem[Any]: ...
    @classmethod
    def from_frames(
        cls,
        records: Any,
        targets: Any,
        *,
        key: str | None = None,
        weight: str | None = None,
        members: Mapping[str, Any] | None = None,
        kind: Kind | None = None,
    ) -> CalibrationProblem[Any]:
        """Compile survey tables and a tidy table of targets.

        Parameters
        ----------
        records : frame or path
            The survey file, a row a record: pandas, polars, pyarrow, or the path of a
            ``.parquet`` or ``.csv`` file. A column that nothing here names may be of any type.
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
            column of text. A level that differs from another only in blanks or case is refused,
            unless targets ask for each of them; one that no row has may have the value 0.
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
        kind : {"pyarrow", "pandas", "polars"}, optional
            Kind of the frames that results give. By default it is the kind of `records`;
            for a path it is pyarrow.

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            Naming the argument, up to five offending rows or names, and the remedy.
        FileNotFoundError
            Where a path does not exist.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from l0.calibration import CalibrationProblem
        >>> homes = pa.table({"w": [10.0, 10.0, 10.0], "area": ["N", "N", "S"]})
        >>> targets = pa.table(
        ...     {"variable": ["count"] * 2, "area": ["N", "S"], "value": [24.0, 8.0]}
        ... )
        >>> problem = CalibrationProblem.from_frames(homes, targets, weight="w")
        >>> problem.matrix.toarray()
        array([[1., 1., 0.],
               [0., 0., 1.]])
        """
        survey = read_survey(records, key=key, weight=weight, members=members)
        kind = checked_kind(kind, survey.kind)
        table = read_targets(targets, survey)
        matrix = compile_targets(table, survey)
        column_types = classify(survey, {name for labels in table.labels for name, _ in labels})
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
            variables=[describe(table.entities[row], table.variables[row], ()) for row in by_name],
            importance=table.importance[by_name],
            tolerance=table.tolerance[by_name],
            keys=survey.keys,
            key=survey.key,
            weight=weight,
            record_order=survey.order,
            target_order=by_name,
            stratification=SurveyStratification(survey, column_types),
            untargeted=SurveyStatistics(survey, column_types, table),
            kind=kind,
            inputs=describe_inputs(records, targets, members),
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
        untargeted: Any = None,
    ) -> CalibrationProblem[pa.Table]:
        """Take a problem that is a matrix already.

        Parameters
        ----------
        A : array or scipy.sparse array, shape (m, n)
            What a unit of each record's weight adds to each target. float32 entries are kept
            as they are, all others become float64; True counts as 1.
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
        untargeted : array or scipy.sparse array, shape (p, n), optional
            Statistics that are no target, for the `untargeted_*` metrics; without it they
            are None.

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            Where shapes do not fit, numbers are not finite or no numbers, and names, groups or
            keys are missing.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]])
        >>> CalibrationProblem.from_matrix(A, [30, 120], [10, 10, 10])
        <CalibrationProblem: 3 records, 2 targets>
        """
        matrix = checked_matrix(A, "A")
        m, n = matrix.shape
        totals = checked_vector(values, m, "values", "rows of `A`")
        w0 = checked_vector(weights, n, "weights", "columns of `A`")
        key_array = _key_array(np.arange(n) if keys is None else keys)
        check_length(len(key_array), n, "keys", "columns of `A`")
        check_keys(key_array, "`keys`", "positions")
        check_weights(w0, "`weights`", key_array)
        named = (
            [f"target {row}" for row in range(m)] if names is None else _texts(names, m, "names")
        )
        grouped = None if groups is None else _texts(groups, m, "groups")
        empty = [row for row, name in enumerate(named) if not name.strip()]
        if empty:
            raise InputError(
                f"`names` is empty at {len(empty):,} positions ({first_few(empty)}); name each"
            )
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
        if untargeted is not None:
            statistics = checked_matrix(untargeted, "untargeted")
            if statistics.shape[1] != n:
                raise InputError(
                    f"`untargeted` has {statistics.shape[1]:,} columns where `A` has {n:,}; "
                    "pass one for each record"
                )
            extra = MatrixStatistics(statistics[:, by_key])
        return cls(
            matrix=matrix,
            values=totals,
            design_weights=w0,
            names=[named[row] for row in by_name],
            groups=["all"] * m if grouped is None else [grouped[row] for row in by_name],
            variables=["row of the matrix"] * m,
            importance=importance,
            tolerance=np.zeros(m),
            keys=key_array,
            key=None if keys is None else "key",
            weight=None,
            record_order=by_key,
            target_order=by_name,
            stratification=SharedTargetsStratification(matrix),
            untargeted=extra,
            kind="pyarrow",
            inputs=None,
        )

    @takes_options
    def solve(
        self,
        n_records: int | None = None,
        method: str | Selector = "hybrid",
        **options: Unpack[Options],
    ) -> CalibrationResult[FrameT]:
        """Choose `n_records` records and weigh them.

        Parameters
        ----------
        n_records : int, optional
            How many to keep; None keeps and calibrates all.
        method : str or Selector, default "hybrid"
            As in `l0.calibrate`.
        **options

        Returns
        -------
        CalibrationResult

        Raises
        ------
        InputError
            For options that cannot be, and where no target can be reached.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.random.default_rng(0).uniform(size=(2, 100))
        >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
        >>> result = problem.solve(20, epochs=200)
        >>> bool(np.allclose(A[:, result.indices] @ result.values, [60, 40], rtol=1e-3))
        True
        """
        return solve(self, n_records, method, options)

    @takes_options
    def frontier(self, n_records: Sequence[int], **options: Unpack[Options]) -> Frontier[FrameT]:
        """Trace what budgets cost, in one pass of the path.

        Parameters
        ----------
        n_records : sequence of int
            Budgets, in any order.
        **options

        Returns
        -------
        Frontier

        Raises
        ------
        InputError
            As `solve`, and for an empty list of budgets.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.random.default_rng(0).uniform(size=(2, 100))
        >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
        >>> problem.frontier([10, 40], epochs=100).table.column("n_records").to_pylist()
        [40, 10]
        """
        return trace(self, n_records, options)

    def summary(self) -> str:
        """Write the size of the problem, its targets by variable, and how many can be reached."""
        return str(self)

    def __str__(self) -> str:
        return f"{self!r}\n\n{as_text(*self._rows())}"

    def __repr__(self) -> str:
        return f"<CalibrationProblem: {self.n_records:,} records, {self.n_targets:,} targets>"

    def _repr_html_(self) -> str:
        return as_html(*self._rows())

    def _rows(self) -> tuple[Row, list[Row]]:
        """Count targets, records behind them and targets out of reach, a variable a row."""
        reached = unreachable(self, Bounds(), self.n_records) == ""
        entries = np.diff(self.matrix.indptr)
        rows: list[Row] = []
        for variable in dict.fromkeys(self.variables):
            of = np.array([name == variable for name in self.variables])
            median = np.median(entries[of])
            rows.append((variable, f"{of.sum():,}", f"{median:,.0f}", f"{(of & ~reached).sum():,}"))
        head = ("Targets of", "Targets", "Records behind one (median)", "Out of reach")
        return head, rows


def _key_array(keys: Any) -> pa.Array:
    try:
        array = plain(pa.array(keys, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"`keys` are of mixed or unknown types ({error.args[0]}); pass text or whole numbers"
        ) from None
    if not is_key(array.type):
        raise InputError(f"`keys` are {array.type}; pass text or whole numbers")
    return array


def _texts(labels: Any, m: int, argument: str) -> list[str]:
    if isinstance(labels, (pa.Array, pa.ChunkedArray)):
        labels = labels.to_pylist()  # a scalar of Arrow hides what it holds
    return list(map(str, checked_labels(labels, m, argument, "rows of `A`")))


def _even_weights(matrix: sp.csr_array, values: NDArray[np.float64]) -> NDArray[np.float64]:
    unweighted = np.asarray(matrix.sum(axis=1)).ravel()
    usable = unweighted * values > 0
    if not usable.any():
        raise InputError(
            "`weight` is not given, and no target tells how many units a record stands for; "
            "name a column of design weights"
        )
    return np.full(matrix.shape[1], np.median(values[usable] / unweighted[usable]))
