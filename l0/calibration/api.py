"""`CalibrationProblem`: a problem that is made from tables or from a matrix, and then solved."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, Unpack, cast, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from l0.calibration.checking import MAX_SECONDS, check_problem
from l0.calibration.compiled import read_problem, write_problem
from l0.calibration.cross_validation import cross_validate
from l0.calibration.diagnosis.report import CheckReport
from l0.calibration.evaluation.matrix_statistics import MatrixStatistics
from l0.calibration.evaluation.untargeted import SurveyStatistics
from l0.calibration.inputs.column_types import classify
from l0.calibration.inputs.survey import check_keys, check_weights
from l0.calibration.inputs.targets import shares
from l0.calibration.mapped import mapped_tables
from l0.calibration.options import (
    NOT_OF_A_CROSS_VALIDATION,
    NOT_OF_A_FRONTIER,
    Options,
    TableOptions,
    takes,
)
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.core import Problem
from l0.calibration.problem.given_order import check_order
from l0.calibration.reading import read_tables
from l0.calibration.results.frontier import Frontier
from l0.calibration.results.provenance import describe_inputs
from l0.calibration.results.result import CalibrationResult
from l0.calibration.sampling.stratification import (
    SharedTargetsStratification,
    SurveyStratification,
)
from l0.calibration.selection import Selector
from l0.calibration.solve import solve
from l0.calibration.trace import trace
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.common.sparse_rows import narrow
from l0.common.text_tables import Row, as_html, as_text
from l0.common.validation import (
    check_length,
    check_path,
    checked_labels,
    checked_matrix,
    checked_vector,
)
from l0.data.columns import is_key, plain
from l0.data.pandas_index import index_of
from l0.data.tables import FrameT, Kind, checked_kind, collected, is_path, native
from l0.data.writers import check_apart


class CalibrationProblem(Problem, Generic[FrameT]):
    """A calibration problem: find weights w >= 0 such that A w is close to the published totals.

    `from_frames` makes a problem from survey tables, and `from_matrix` makes one from a matrix.
    `solve` chooses records and computes their weights, and `frontier` computes the metrics of
    several budgets. `print` shows the targets by variable. A problem can be solved many times.

    A problem keeps its records sorted by key and its targets sorted by name. The same rows in
    another order therefore give exactly the same problem.

    Attributes
    ----------
    n_records, n_targets : int
        n, the number of records, and m, the number of targets.
    matrix : scipy.sparse.csr_array, shape (m, n)
        A. An entry is what one unit of a record's weight adds to a target, in the target's unit.
        For a mean, a ratio or a share of value v it is N - v D: what the weight adds to the
        numerator, less v times what it adds to the denominator.
    values : ndarray of float64, shape (m,)
        The published totals, in the same units, or the published means, ratios and shares. NaN for
        a target that has limits in place of a value.
    design_weights : ndarray of float64, shape (n,)
        w0 > 0.
    names, groups : sequence of str, length m
        The names and the groups of the targets. The report shows the fit by group.
    importance : ndarray of float64, shape (m,)
        The shares of the targets in the loss. They add up to one.
    tolerance : ndarray of float64, shape (m,)
        Relative errors up to this size cost nothing in the fit. The reported loss counts them.
    keys : pyarrow.Array, shape (n,)
        The keys of the records.
    scales : ndarray of float64, shape (m,)
        The relative error of a target is its error divided by its scale: by ``|value|``, or by
        0.1% of the design-weighted total of the absolute entries if that is larger. It is larger
        for a value of 0 only, or for a small net total of amounts of both signs. These are scales
        of the rows of A: for a mean, a ratio or a share, ``|value|`` is multiplied by the size of
        its denominator, a published total if there is a target for it, and else design-weighted.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frames in a result.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> A = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]])
    >>> problem = CalibrationProblem.from_matrix(A, values=[30, 120], weights=[10, 10, 10])
    >>> problem
    <CalibrationProblem: 3 records, 2 targets>
    >>> problem.estimate(problem.design_weights)
    array([ 30., 140.])
    """

    @overload
    @classmethod
    def from_frames(
        cls,
        records: str | os.PathLike[str],
        targets: Any,
        *,
        kind: Kind | None = None,
        **options: Unpack[TableOptions],
    ) -> CalibrationProblem[Any]: ...
    @overload
    @classmethod
    def from_frames(
        cls, records: FrameT, targets: Any, *, kind: None = None, **options: Unpack[TableOptions]
    ) -> CalibrationProblem[FrameT]: ...
    @overload
    @classmethod
    def from_frames(
        cls, records: Any, targets: Any, *, kind: Kind, **options: Unpack[TableOptions]
    ) -> CalibrationProblem[Any]: ...
    @classmethod
    @takes(TableOptions)
    def from_frames(
        cls,
        records: Any,
        targets: Any,
        *,
        kind: Kind | None = None,
        **options: Unpack[TableOptions],
    ) -> CalibrationProblem[Any]:
        """Make a problem from survey tables and a table of targets.

        Parameters
        ----------
        records : frame or path
            The survey file, with one record in each row: pandas, polars, pyarrow, or the path of
            a file, such as ``.parquet``, ``.csv``, ``.dta``, ``.sav`` or ``book.xlsx#Sheet``.
            Columns that no argument or target names may have any type.
        targets : frame or path
            One target in each row. Its columns are described in the notes.
        kind : {"pyarrow", "pandas", "polars"}, optional
            The kind of the frames in a result. The default is the kind of `records`, and pyarrow
            for a path.
        **options

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            If the input is wrong. The message names the argument, up to five offending rows or
            names, and the remedy.
        FileNotFoundError
            If there is no file at a path.

        Notes
        -----
        The columns of the targets are:

        * `value`: the published total. It is the weighted sum of `variable` over the rows of
          `entity` whose columns equal all labels of the target. It may be empty if the target has
          limits.
        * `at_least`, `at_most`: limits in place of a value. A target may have one or both.
        * `statistic`: ``total`` (or an empty cell), ``mean`` (of `variable`), ``ratio`` (the total
          of `variable` over the total of `denominator`), or ``share`` (the total of `variable` in
          the cell of the target over the total in a larger cell).
        * `denominator`: for a ratio, a numeric column, or ``count``.
        * `within`: for a share, the labels of the target that the larger cell keeps: the names of
          label columns, with commas between them. An empty cell means all rows of the entity.
        * `variable`: a numeric column, or ``count`` for the number of rows.
        * `entity`: the name of a member table. An empty cell means the records. One other name,
          such as ``household``, means the records too, unless there are `members` and no target
          names any of them.
        * `name`: the name of the target, for the results.
        * `group`: with it, all groups have the same share of the loss, times the `importance` of
          their targets.
        * `importance`: a multiplier of the target's share of the loss.
        * `tolerance`: relative errors up to this size cost nothing in the fit. The reported loss
          counts them.
        * `source`: where the total comes from. The package ignores it.
        * Every other column is a label. It must be a column of the entity's table or of the
          records. An empty cell means "all".

        Only `variable` and `value` are required, and `value` is not if there are limits. Labels
        match by value, not by type: 1, 1.0 and the text "1" mean the same level of a numeric
        column, but "01" and "1" are two codes in a column of text. Levels that differ only in
        blanks or in case are an error, unless there is a target for each of them. A target for a
        level that no row has must have the value 0. A target of value 0 whose amounts have one sign
        forces the weights of its records to 0, unless it has a tolerance or another target needs
        these records. A relative error is a share of the value, or of 0.1% of the survey's own
        total of absolute amounts if that is larger (see `scales`).

        Values, estimates and errors of a mean, a ratio or a share are in its own terms. In the fit,
        it is the total N - v D of its numerator and its denominator, which is linear in the
        weights. An error of the ratio, and its `tolerance`, count there with the denominator at the
        size that `scales` describes. Under limits, an estimate has no error between them, and
        outside its error is the distance to the nearer one. A mean, a ratio or a share with two
        limits becomes two targets, one for each. It is unreachable if no mixture of records gives
        it: a mean, for example, is never above the largest mean of a record.

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
        records, targets = collected(records), collected(targets)
        if isinstance(members := options.get("members"), Mapping):
            options["members"] = {name: collected(member) for name, member in members.items()}
        tables = read_tables(records, targets, options)
        survey = tables.survey
        used = {name for labels in tables.targets.labels for name, _ in labels}
        column_types = classify(survey, used)
        return cls(
            **tables.fields,
            stratification=SurveyStratification(survey, column_types),
            untargeted=SurveyStatistics(
                survey,
                {
                    "": column_types,
                    **{name: classify(survey, used, name) for name in survey.members},
                },
                tables.targets,
            ),
            kind=checked_kind(kind, survey.kind),
            inputs=describe_inputs(records, targets, options.get("members")),
        )

    @classmethod
    @takes(TableOptions)
    def from_files(
        cls,
        records: str | os.PathLike[str],
        targets: Any,
        path: str | os.PathLike[str],
        **options: Unpack[TableOptions],
    ) -> CalibrationProblem[pa.Table]:
        """Make a problem from parquet files that may be larger than memory, in a file.

        The files are read column by column, and never held as a whole. What is held is the matrix,
        the codes of label columns and a few numbers for each row. The problem is that of
        `from_frames`.

        Parameters
        ----------
        records : path
            The survey file: a parquet file, or a folder of parquet parts that are alike.
        targets : frame or path
            As in `from_frames`.
        path : path
            The file to write. The problem is `load` of it. The columns of the survey need twice
            their size there for a while.
        **options
            The member tables must be parquet files or folders of them too.

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            As in `from_frames`, if a survey file is no parquet file, and if `path` is a folder, or
            one of the files that are read or in a folder of them.
        FileNotFoundError
            If there is no file at a path.

        Examples
        --------
        >>> import pyarrow as pa
        >>> import pyarrow.parquet
        >>> from l0.calibration import CalibrationProblem
        >>> homes = pa.table({"id": [2, 1, 3], "w": [10.0, 10.0, 10.0], "area": ["N", "N", "S"]})
        >>> pa.parquet.write_table(homes, "homes.parquet")
        >>> targets = pa.table(
        ...     {"variable": ["count"] * 2, "area": ["N", "S"], "value": [24.0, 8.0]}
        ... )
        >>> CalibrationProblem.from_files(
        ...     "homes.parquet", targets, "homes.l0", key="id", weight="w"
        ... )
        <CalibrationProblem: 3 records, 2 targets>
        """
        members = options.get("members")
        tables_of_units = members.values() if isinstance(members, Mapping) else ()
        _check_new(path, [records, targets, *tables_of_units])
        with mapped_tables(records, members, options.get("key"), Path(path).parent) as tables:
            of_tables: TableOptions = {**options, "members": tables.members}
            problem = cls.from_frames(tables.records, targets, **of_tables)
            replace(
                problem,
                record_order=tables.order[problem.record_order],
                inputs=describe_inputs(records, targets, members),
            ).save(path)
        return cls.load(path)

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
        """Make a problem from a matrix.

        Parameters
        ----------
        A : array or scipy.sparse array, shape (m, n)
            An entry is what one unit of a record's weight adds to a target. float32 stays
            float32, and all other types become float64; True counts as 1.
        values : array, shape (m,)
            The totals to hit.
        weights : array, shape (n,)
            The design weights.
        names : iterable, length m, optional
            The names of the targets, which must be unique as text. The default is ``target 0``,
            ``target 1``, ...
        groups : iterable, length m, optional
            The groups of the targets. All groups have the same share of the loss.
        keys : array, shape (n,), optional
            Unique keys of the records. The default is their positions.
        untargeted : array or scipy.sparse array, shape (p, n), optional
            Statistics that are not targets, one in each row, for the `untargeted_*` metrics.
            Without it, these metrics are None.

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            If the shapes do not match, if a value is not a finite number, if names, groups or keys
            are missing, if names or keys are not unique, or if a pandas series or frame has the
            labels of another one, or the names or keys, in another order.

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
                f"`names` is empty at {counted(len(empty), 'position')} ({first_few(empty)}); "
                "name each"
            )
        if len(set(named)) < m:
            twice = sorted(name for name, times in Counter(named).items() if times > 1)
            raise InputError(
                f"`names` repeats {first_few(twice)}; names must be unique: rename them"
            )
        _check_one_order(
            {
                "A.index": index_of(A),
                "values.index": index_of(values),
                "names.index": index_of(names),
                "groups.index": index_of(groups),
            },
            {} if names is None else {"names": named},
        )
        index = _check_one_order(
            {
                "A.columns": _columns_of(A),
                "untargeted.columns": _columns_of(untargeted),
                "weights.index": index_of(weights),
                "keys.index": index_of(keys),
            },
            {} if keys is None else {"keys": key_array.to_pylist()},
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
                    f"`untargeted` has {counted(statistics.shape[1], 'column')} where `A` has "
                    f"{n:,}; pass one for each record"
                )
            extra = MatrixStatistics(statistics[:, by_key])
        return cls(
            matrix=matrix,
            values=totals,
            design_weights=w0,
            names=[named[row] for row in by_name],
            groups=["all"] * m if grouped is None else [grouped[row] for row in by_name],
            grouped=grouped is not None,
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
            survey=None,
            index=index,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the problem to a file, from which `load` gives it back without a new reading.

        The file has the matrix, the targets, and all columns of the survey. It is written whole or
        not at all, with a digest, and has no code in it.

        Parameters
        ----------
        path : str or Path
            A name such as ``homes.l0``. A file that is there is replaced.

        Raises
        ------
        OSError
            If there is no room or no permission.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]])
        >>> CalibrationProblem.from_matrix(A, [30, 120], [10, 10, 10]).save("three.l0")
        >>> CalibrationProblem.load("three.l0")
        <CalibrationProblem: 3 records, 2 targets>
        """
        check_path(path, "path", "the file to write")
        write_problem(path, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CalibrationProblem[Any]:
        """Take a problem from a file that `save` wrote.

        The file is checked, and then mapped into memory: several processes on one machine share
        it. It must stay as it is while the problem is in use. Fits give the same bits as those of
        the problem that was saved.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        CalibrationProblem

        Raises
        ------
        InputError
            If the file is damaged, of another kind, or from another version with another layout.
        FileNotFoundError
            If there is no file.
        """
        check_path(path, "path", "a file that `save` wrote")
        return cls(**read_problem(path))

    @takes(Options)
    def solve(
        self,
        n_records: int | None = None,
        method: str | Selector = "hybrid",
        **options: Unpack[Options],
    ) -> CalibrationResult[FrameT]:
        """Choose `n_records` records and compute their weights.

        Parameters
        ----------
        n_records : int, optional
            The number of records to keep. None keeps and calibrates all records.
        method : str or Selector, default "hybrid"
            As in `l0.calibrate`.
        **options

        Returns
        -------
        CalibrationResult

        Raises
        ------
        InputError
            If an option is wrong, or if no target can be reached.

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

    @takes(Options, but=NOT_OF_A_FRONTIER)
    def frontier(
        self,
        n_records: Sequence[int],
        method: str | Selector = "hybrid",
        **options: Unpack[Options],
    ) -> Frontier[FrameT]:
        """Compute the metrics of several budgets.

        Parameters
        ----------
        n_records : sequence of int
            The budgets, in any order.
        method : str or Selector, default "hybrid"
            As in `l0.frontier`.
        **options

        Returns
        -------
        Frontier

        Raises
        ------
        InputError
            As in `solve`, if the list of budgets is empty, and if an option of `solve` is given
            that is not listed here.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.random.default_rng(0).uniform(size=(2, 100))
        >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
        >>> problem.frontier([10, 40], epochs=100).table.column("n_records").to_pylist()
        [40, 10]
        """
        return trace(self, n_records, method, options)

    @takes(Options, but=NOT_OF_A_CROSS_VALIDATION)
    def cross_validate(
        self,
        families: Sequence[str | Sequence[str]],
        n_records: int | None = None,
        method: str | Selector = "hybrid",
        **options: Unpack[Options],
    ) -> FrameT:
        """Hold out one family of targets after the other, and see how far each ends.

        The error of a family that was held out says how good the file is for what no target is
        about. The problem is compiled once. Each row is what `solve` gives with the family as its
        `holdout`.

        Parameters
        ----------
        families : sequence of str, or of sequences of str
            Each is a pattern, or a list of patterns, as in `holdout` of `solve`.
        n_records : int, optional
            The number of records to keep. None keeps and calibrates all records.
        method : str or Selector, default "hybrid"
            As in `l0.calibrate`.
        **options

        Returns
        -------
        frame
            One row for each family: `family` (its patterns), `n_targets`, `held_out_error` (the
            mean capped relative error of its targets, weighted by importance, if they are held
            out), `fitted_error` (if all targets are fitted), `design_error` (under the design
            weights), `n_records` and `seconds` (of the fit without the family).

        Raises
        ------
        InputError
            If a pattern matches no target, if a family has all targets, if an option of `solve` is
            given that is not listed here, or as in `solve`.

        Examples
        --------
        Women are the persons who are no men, and nothing else says how many pupils there are:

        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]])
        >>> names = ["persons", "men", "women", "pupils"]
        >>> problem = CalibrationProblem.from_matrix(A, [60, 20, 40, 10], np.full(4, 10.0), names)
        >>> table = problem.cross_validate(["women", "pupils"])
        >>> [f"{error:.0%}" for error in table.column("held_out_error").to_pylist()]
        ['0%', '100%']
        >>> [f"{error:.0%}" for error in table.column("fitted_error").to_pylist()]
        ['0%', '0%']
        """
        table = cross_validate(self, families, n_records, method, options)
        return cast(FrameT, native(table, self.kind))

    def check(
        self,
        n_records: int | None = None,
        *,
        bounds: Any = None,
        weight_bounds: Any = None,
        must_keep: Any = None,
        quotas: Any = None,
        max_seconds: float = MAX_SECONDS,
    ) -> CheckReport[FrameT]:
        """Say before a fit what would stop or spoil it.

        `l0.calibration.check` says more: it also collects what `from_frames` refuses, such as
        levels that differ only in blanks or members without a record.

        Parameters
        ----------
        n_records : int, optional
            The budget. Without it, all records are kept.
        bounds, weight_bounds, must_keep, quotas
            As in `solve`.
        max_seconds : float, default 1.5
            The limit of time for the search for contradictions. The report says if it was reached.

        Returns
        -------
        CheckReport

        Raises
        ------
        InputError
            If an option is wrong.

        Examples
        --------
        Within these bounds, 2 of 4 records are too few:

        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1.0, 0, 0], [0, 0, 1, 1]])
        >>> problem = CalibrationProblem.from_matrix(A, [20, 20], np.full(4, 10.0))
        >>> report = problem.check(2, bounds=(None, 1.5))
        >>> print(report.table.column("what")[0].as_py().partition(" (")[0])
        2 records within these bounds reach together at most about 30 of 40
        """
        return check_problem(
            self, n_records, bounds, weight_bounds, must_keep, quotas, max_seconds, []
        )

    def summary(self) -> str:
        """Return the size of the problem and a table of its targets, as text.

        The table has a row for each variable: the number of targets, the median number of records
        behind a target, and the number of targets that no weights can hit.

        Returns
        -------
        str

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1.0, 1.0], [0.0, 5.0, 9.0]])
        >>> print(CalibrationProblem.from_matrix(A, [30, 120], [10, 10, 10]).summary())
        <CalibrationProblem: 3 records, 2 targets>
        <BLANKLINE>
        Targets of         Targets  Records behind one (median)  Out of reach
        row of the matrix        2                            2             0
        """
        return str(self)

    def __str__(self) -> str:
        return f"{self!r}\n\n{as_text(*self._rows())}"

    def __repr__(self) -> str:
        records, targets = counted(self.n_records, "record"), counted(self.n_targets, "target")
        return f"<CalibrationProblem: {records}, {targets}>"

    def _repr_html_(self) -> str:
        return as_html(*self._rows())

    def _rows(self) -> tuple[Row, list[Row]]:
        """Count the targets of each variable, the records behind them and those out of reach."""
        reached = unreachable(self, Bounds(), self.n_records) == ""
        entries = np.diff(self.matrix.indptr)
        rows: list[Row] = []
        for variable in dict.fromkeys(self.variables):
            of = np.array([name == variable for name in self.variables])
            median = np.median(entries[of])
            rows.append((variable, f"{of.sum():,}", f"{median:,.0f}", f"{(of & ~reached).sum():,}"))
        head = ("Targets of", "Targets", "Records behind one (median)", "Out of reach")
        return head, rows


def _check_new(path: str | os.PathLike[str], sources: Iterable[Any]) -> None:
    """Refuse a path that is a folder, or that would replace what is read."""
    check_path(path, "path", "the file to write")
    if Path(path).is_dir():
        raise InputError(f"`path`: {str(path)!r} is a folder; name a file")
    check_apart(path, filter(is_path, sources), "path")


def _columns_of(frame: Any) -> Any:
    """Take the labels of the columns of a pandas frame; None for all else."""
    return None if index_of(frame) is None else getattr(frame, "columns", None)


def _check_one_order(
    indices: Mapping[str, Any], names: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """Check that pandas indices do not have each other's labels, or names, in another order.

    Return those that there are.
    """
    known: dict[str, Any] = {}
    for name, own in indices.items():
        if own is not None:
            # The index of names is of the same things, and no list of them.
            others = {key: each for key, each in names.items() if f"{key}.index" != name}
            check_order(own, f"`{name}`", known, others)
            known[name] = own
    return known


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
        labels = labels.to_pylist()  # Python values in place of Arrow scalars
    return list(map(str, checked_labels(labels, m, argument, "rows of `A`")))
