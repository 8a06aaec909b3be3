"""The result of a calibration: the weights, their metrics, and the tables behind them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from textwrap import fill
from typing import Any, Generic, Unpack, cast, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import Metrics, Quality
from l0.calibration.replicate_settings import (
    Jackknife,
    SurveyReplicates,
    checked_replicates,
    describe_replicates,
)
from l0.calibration.results.chosen_rows import check_same_rows, rows_by_key
from l0.calibration.results.provenance import add_replicates, add_trimming
from l0.calibration.results.replicate_weights import attach, replicates_of
from l0.calibration.results.report.report import render
from l0.calibration.results.standard_errors import standard_error_rows
from l0.calibration.results.storage import read_result, write_result
from l0.calibration.results.summary import (
    FOOTNOTE,
    certificate,
    dearest_rows,
    joint_reasons,
    result_rows,
    worst_rows,
)
from l0.calibration.results.trimming import checked_limits, trimmed
from l0.calibration.variance.estimate import ChosenRows, estimate
from l0.calibration.variance.functions import Variance, variance_of
from l0.calibration.variance.question import Asked, read_question
from l0.calibration.variance.replicates import Replicates
from l0.common.atomic_files import whole_file
from l0.common.errors import InputError
from l0.common.formatting import counted, percent
from l0.common.text_tables import TERMINAL, as_html, as_text
from l0.common.validation import check_path, whole_number
from l0.data.locations import locate
from l0.data.readers.csv_files import csv_file
from l0.data.rewriting import reweighted, source_of
from l0.data.tables import (
    FrameT,
    Kind,
    TableT,
    checked_kind,
    checked_name,
    collected,
    is_path,
    native,
    read_file,
    read_table,
    take_weighted_rows,
)
from l0.data.writers import check_apart, write_table, writer_of

#: The column of `expand` with the number of a copy, and the largest number of rows by default.
COPY, MAX_ROWS = "copy", 10_000_000


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationResult(Generic[FrameT]):
    """The chosen records with positive weights, and the evaluation of these weights.

    The frames are of the kind of the records (pandas, polars or pyarrow), or of the kind that was
    asked for. `print` shows the main metrics beside those of the design weights, and a notebook
    shows the same table.

    Attributes
    ----------
    indices : ndarray of int64, shape (k,)
        The rows of the chosen records in the input table, in ascending order.
    values : ndarray of float64, shape (k,)
        The weights of these records.
    metrics : dict
        The metrics, which the notes describe.
    run : dict
        What is needed to repeat the run: the call, its arguments, versions, digests of the inputs,
        and the number of records that ``zero_weights="drop"`` left out (``n_dropped``, if any).
        Its ``notes`` are sentences on what the reader should know, such as what stopped a fit.
        With replicate weights, ``replicates`` has their `method`, `rscales` and `gap`.
    tables : dict of str to pyarrow.Table
        The tables behind the frames: ``weights`` (key, `weight`, `design_weight`), ``targets``,
        ``untargeted`` (if there are such statistics), ``entities`` (rows, rows kept and sums of the
        weights of the records and of each member table, if the problem came from tables),
        ``history``, ``calibration_log`` (a loaded result has it if its folder does), and
        ``replicates`` (key, `rw1`, `rw2`, ...) if there are replicate weights.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the frames.

    Notes
    -----
    The metrics are:

    * `n_records`: k, the number of chosen records.
    * `n_candidates`: the number of all records, without those of design weight 0.
    * `n_forced_out`: the number of records that must have the weight 0, because they only add to a
      target of value 0.
    * `n_targets`, `n_unreachable`: the numbers of targets in the fit, and of those that no weights
      can hit. No metric but the next three counts targets that were held out (`holdout`).
    * `n_holdout`, `holdout_median_error`, `holdout_capped_error`: the number of targets that were
      held out, and the median and the mean of their relative errors, as in `median_error` and
      `loss`. The errors are None if there are no such targets.
    * `loss`: the mean over all targets, also unreachable ones, of the relative error, capped at 1
      and weighted by importance.
    * `median_error`, `max_error`: of the relative errors of all targets.
    * `within_1pct`, `within_10pct`: shares of the targets, without the importance.
    * `gap`: the relative duality gap of the fit. Its objective, the weighted mean error and the
      distance of the weights, is certainly within this share of the best possible one.
    * `fit_status`: ``exact`` if the closest weights meet all targets, ``optimal`` if the gap is as
      small as asked for, ``stopped`` if the fit ended before, ``rounded`` if whole weights were
      asked for and differ from the fitted ones, or ``trimmed`` (see `trim`).
    * `untargeted_median_error`, `untargeted_capped_error`: the median and the mean capped relative
      error of the held-out statistics, against the calibrated full file. No fit trains on them,
      unless `represent` names them. None if there are no such statistics, and without `n_records`,
      because that file is itself the reference, unless its weights were rounded to whole numbers.
    * `represented_capped_error`: the mean capped relative error of the statistics that the fit was
      trained on (`represent`), against the calibrated full file. It says how well the soft targets
      are kept, and nothing about other statistics. None if the fit was trained on none.
    * `effective_sample_size`: Kish's, ``(sum w)^2 / sum w^2``.
    * `design_effect`: k over the effective sample size.
    * `max_weight_ratio`: the largest ratio of a final weight to its design weight.
    * `top_1pct_weight_share`: the share of the sum of the weights that the 1% of the records with
      the largest weights have.
    * `seconds`: the time for choosing and weighting the records. Reading the inputs and compiling
      the targets come before, and do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> A = np.random.default_rng(0).uniform(size=(2, 100))
    >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
    >>> result = problem.solve(20, epochs=200)
    >>> result
    <CalibrationResult: 20 of 100 records, 2 targets, loss <0.001%>
    >>> result.values.shape
    (20,)
    """

    indices: NDArray[np.int64]
    metrics: Metrics
    run: dict[str, Any]
    tables: dict[str, pa.Table]
    kind: Kind = "pyarrow"
    #: Evaluates other weights of the same records. It holds the problem, so a file, a copy and a
    #: pickle of the result do not contain it.
    _evaluate: Callable[..., tuple[Quality, dict[str, pa.Table]]] | None = None
    #: Computes the targets and the untargeted statistics under columns of weights. It holds the
    #: problem too.
    _statistics: Callable[..., dict[str, NDArray[np.float64]]] | None = None
    #: Makes replicate weights of the fit. It holds the problem too.
    _replicate: Callable[[Any], Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_evaluate": None, "_statistics": None, "_replicate": None}

    @property
    def values(self) -> NDArray[np.float64]:
        """The weights of the chosen records, shape (k,), in the order of `indices`."""
        return np.asarray(self.tables["weights"].column("weight").to_numpy(), dtype=np.float64)

    @property
    def weights(self) -> FrameT:
        """A frame of the chosen records: their key and `weight`.

        The weights are int64 with ``integer_weights=True``, and otherwise float64.
        """
        return self._frame(self.tables["weights"].drop_columns(["design_weight"]))

    @property
    def targets(self) -> FrameT:
        """A frame of all targets, in the order of the input.

        Its columns are `name`, `value`, `estimate`, `error` (estimate - value), `relative_error`
        (error over ``|value|``, or over 0.1% of the design-weighted total of the absolute entries
        if that is larger, as it is for a value of 0), `group`, `status` (``met`` if the relative
        error is within 1% or within the tolerance, else ``missed`` or ``unreachable``; ``held out``
        of a target that no fit saw), `reason` (why it is unreachable, or why it cannot be met
        together with others), `importance` (shares that add up to one, over the targets in the fit
        and over those that were held out), `shadow_price` (the change of the fit's objective if the
        value were 1% larger; negative if the fit would be better), `at_limit` (whether the target
        gives way in the fit: its price is as high as its importance allows), `design_estimate` and
        `design_relative_error` under the design weights, and `suspect_factor` (how many times as
        large the value is as the survey and similar targets say, if it is suspect, and else null;
        targets that were held out are compared with each other).

        If some targets are no totals, there is a column `statistic`, and all numbers of a mean, a
        ratio or a share are in its own terms. `estimate` and `error` are null if the chosen records
        add up to a denominator of 0: then `relative_error` is -1, and `reason` says so. If some
        targets have limits, there are the columns `at_least` and `at_most`. Their `value` is null,
        their `error` is how far the estimate is outside of the limits (0 between them), and
        `relative_error` is a share of the larger limit.

        If the problem came from tables, the columns `entity`, `variable` and those of the labels
        are there too, with "" for "all" (and for the records, as the entity). A label column that
        has the name of another column here gets ``label_`` in front.

        With replicate weights, there is a column `standard_error`, of the estimates.
        """
        return self._frame(self.tables["targets"])

    @property
    def untargeted(self) -> FrameT | None:
        """A frame of the statistics that are not targets, or None if there are none.

        It is None too without `n_records`: other files are compared with that one. If its weights
        were rounded to whole numbers, it is compared with the weights before.

        Its columns are `statistic`, `variable`, `by` (the label columns; a name with a comma is in
        quotes), `reference` (the value in the calibrated full file), `estimate`, `relative_error`,
        `effective_n` (the effective number of records behind the reference), `held_out` (whether
        the statistic counts in `untargeted_capped_error`: no fit trains on it) and `trained`
        (whether this fit was trained on it). With ``represent=False``, counts and totals by one
        label column are neither. With replicate weights, there is a column `standard_error`, of the
        estimates.
        """
        table = self.tables.get("untargeted")
        return None if table is None else self._frame(table)

    @property
    def history(self) -> FrameT:
        """A frame of the snapshots of the run, with the fields of `Progress` as columns.

        Its columns are `stage`, `iteration`, `n_records`, `loss`, `gap` (null where it is not
        known) and `seconds`.
        """
        return self._frame(self.tables["history"])

    @overload
    def select(self, table: str | os.PathLike[str], weight: str | None = None) -> FrameT: ...
    @overload
    def select(self, table: TableT, weight: str | None = None) -> TableT: ...
    def select(self, table: Any, weight: str | None = None) -> Any:
        """Take the rows of the chosen records from any table with the key column.

        Parameters
        ----------
        table : frame or path
            The records themselves, their members, or another table with the key column.
        weight : str, optional
            The column for the calibrated weights. A column of this name is replaced. The default
            is the column of design weights that was named in the calibration, so that nobody adds
            up the old weights by mistake. If none was named, the default is a new column
            ``weight``.

        Returns
        -------
        frame
            The rows in their order, with all columns as they are. It is of the kind of `table`, and
            of the result's kind for a path.

        Raises
        ------
        InputError
            If the key column is missing or has no chosen record; if the records have no key, and
            `table` has another number of rows; if `table` has a column ``weight``, and neither
            the calibration nor `weight` names it; or if `weight` is the key column.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from l0.calibration import CalibrationProblem
        >>> homes = pa.table({"id": [1, 2, 3, 4], "wgt": [10.0, 10.0, 10.0, 10.0]})
        >>> persons = pa.table({"id": [1, 1, 2, 3, 4], "age": [40, 8, 33, 71, 25]})
        >>> targets = pa.table({"variable": ["count"], "value": [44.0]})
        >>> survey = {"key": "id", "weight": "wgt"}
        >>> problem = CalibrationProblem.from_frames(homes, targets, **survey)
        >>> result = problem.solve()  # keeps all records
        >>> result.select(homes).column("wgt").to_numpy().round(1)
        array([11., 11., 11., 11.])
        >>> result.select(persons).column_names
        ['id', 'age', 'wgt']
        """
        source, rows, _ = self._read(table)
        name = self._weight_column(rows, weight)
        places, of = self._chosen_rows(rows)
        calibrated = self.tables["weights"].column("weight").to_numpy()[of]
        chosen = take_weighted_rows(source, places, name, calibrated)
        return native(chosen, self.kind) if is_path(table) else chosen

    def write(
        self, table: Any, path: str | os.PathLike[str], weight: str | None = None
    ) -> list[str]:
        """Write the rows of the chosen records to a file, as `select` takes them.

        Parameters
        ----------
        table : frame or path
            The records themselves, their members, or another table with the key column.
        path : str or Path
            Where to write: ``.csv``, ``.tsv``, ``.parquet``, ``.feather``, ``.dta``, ``.sav``,
            ``.zsav`` or ``.xlsx``. An existing file is replaced, but not `table` itself. The cells
            of a CSV file are written to another CSV file as they are, with the same signs and
            encoding. Files of Stata and SPSS keep labels, formats and missing codes in files of the
            same program.
        weight : str, optional
            The column for the calibrated weights (see `select`).

        Returns
        -------
        list of str
            Sentences on what the file cannot hold, such as value labels or missing codes, and on
            chosen records without a row in `table`.

        Raises
        ------
        InputError
            As in `select`; if the suffix is unknown or is one of files that are only read, if the
            path is that of `table` or in its folder, if a package is missing, or if the file
            cannot hold a column.
        OSError
            If there is no room or no permission. Then an existing file does not change.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import pyarrow as pa
        >>> from l0.calibration import CalibrationProblem
        >>> homes = pa.table({"id": [1, 2], "wgt": [10.0, 10.0]})
        >>> targets = pa.table({"variable": ["count"], "value": [22.0]})
        >>> problem = CalibrationProblem.from_frames(homes, targets, key="id", weight="wgt")
        >>> result = problem.solve()
        >>> with TemporaryDirectory() as folder:
        ...     result.write(homes, f"{folder}/homes.csv")
        ...     print((Path(folder) / "homes.csv").read_text().split()[0])
        []
        id,wgt
        """
        writer_of(path, "path")
        if is_path(table):
            check_apart(path, [table], "path")
        keeps_text = csv_file(path) is not None
        source, rows, form = source_of(table, "table", self.run["key"], keeps_text)
        name = self._weight_column(rows, weight)
        places, of = self._chosen_rows(rows)
        calibrated = self.tables["weights"].column("weight").to_numpy()[of]
        notes = write_table(reweighted(source, places, name, calibrated), path, "path", form)
        if lost := self.tables["weights"].num_rows - len(np.unique(of)):
            file_name = locate(path).path.name
            notes.append(f"{file_name}: {lost:,} of the chosen records had no row in the table")
        return notes

    @overload
    def expand(self, table: str | os.PathLike[str], *, max_rows: int = MAX_ROWS) -> FrameT: ...
    @overload
    def expand(self, table: TableT, *, max_rows: int = MAX_ROWS) -> TableT: ...
    def expand(self, table: Any, *, max_rows: int = MAX_ROWS) -> Any:
        """Repeat each row of the chosen records as often as its whole weight says.

        This makes a synthetic population, in which each row stands for one unit. It needs whole
        weights: ``integer_weights=True`` in the calibration.

        Parameters
        ----------
        table : frame or path
            The records themselves, their members, or another table with the key column.
        max_rows : int
            The largest number of rows to make.

        Returns
        -------
        frame
            The rows in their order, those of one record one after another. The new column ``copy``
            numbers the copies of a record from 1. The key and `copy` together identify a record of
            the population, also in the tables of its members. The column of design weights that
            was named in the calibration is left out, because each row counts once. The frame is of
            the kind of `table`, and of the result's kind for a path.

        Raises
        ------
        InputError
            If the weights are not whole numbers; if there would be more than `max_rows` rows; if
            `table` has a column ``copy``; if the key column is missing or has no chosen record; or
            if the records have no key, and `table` has another number of rows.

        Examples
        --------
        >>> import pyarrow as pa
        >>> from l0.calibration import CalibrationProblem
        >>> homes = pa.table({"id": [1, 2], "wgt": [1.0, 1.0], "rooms": [3, 5]})
        >>> targets = pa.table({"variable": ["count", "rooms"], "value": [3.0, 11.0]})
        >>> problem = CalibrationProblem.from_frames(homes, targets, key="id", weight="wgt")
        >>> result = problem.solve(integer_weights=True)
        >>> population = result.expand(homes)
        >>> population.to_pydict()
        {'id': [1, 1, 2], 'rooms': [3, 3, 5], 'copy': [1, 2, 1]}
        """
        if not self._is_whole:
            raise InputError(
                "`expand` repeats rows as often as their weights say, and these weights are not "
                "whole numbers; calibrate with `integer_weights=True`"
            )
        most = whole_number(max_rows, "max_rows", 1)
        source, rows, _ = self._read(table)
        if COPY in rows.column_names:
            raise InputError(
                f"`table` has a column {COPY!r}, the name of the new column with the number of the "
                "copy; rename it"
            )
        places, of = self._chosen_rows(rows)
        counts = self.tables["weights"].column("weight").to_numpy()[of]
        if (n_rows := int(counts.sum())) > most:
            raise InputError(
                f"`expand` would make {n_rows:,} rows, and `max_rows` is {most:,}; raise "
                "`max_rows`, or expand a part of the table at a time"
            )
        weight = self.run["weight"]
        without = [weight] if weight in rows.column_names else []
        # The first copy of a row stands where the copies of all rows before it end.
        starts = np.repeat(np.cumsum(counts) - counts, counts)
        copies = np.arange(1, n_rows + 1) - starts
        repeated = take_weighted_rows(source, np.repeat(places, counts), COPY, copies, without)
        return native(repeated, self.kind) if is_path(table) else repeated

    @property
    def replicate_weights(self) -> FrameT:
        """A frame of the replicate weights: the key, and the columns `rw1`, `rw2`, ...

        The rows are those of `weights`. The variance of an estimate is the sum over the columns of
        `rscales` times the squared difference of the estimates under the column and under
        `weights`. If there are no replicate weights, this is an `InputError`: calibrate with
        ``replicates=80``.
        """
        replicates_of(self.tables, self.run)
        return self._frame(self.tables["replicates"])

    @property
    def rscales(self) -> list[float]:
        """The factors of the columns of `replicate_weights` in a variance."""
        return list(map(float, replicates_of(self.tables, self.run).rscales))

    @overload
    def estimate(
        self, table: str | os.PathLike[str], of: str | None = None, **question: Unpack[Asked]
    ) -> FrameT: ...
    @overload
    def estimate(
        self, table: TableT, of: str | None = None, **question: Unpack[Asked]
    ) -> TableT: ...
    def estimate(
        self,
        table: Any,
        of: str | None = None,
        *,
        by: str | Sequence[str] = (),
        statistic: str = "total",
        denominator: str | None = None,
        within: str | Sequence[str] | None = None,
        q: float | None = None,
        level: float = 0.95,
        compared_with: Mapping[str, Any] | None = None,
    ) -> Any:
        """Estimate a statistic in domains, with its standard error.

        The standard error is that of the replicate weights. It needs a calibration with
        `replicates`.

        Parameters
        ----------
        table : frame or path
            The records themselves, their members, or another table with the key column. A row has
            the weight of its record.
        of : str, optional
            A numeric column. None and ``count`` mean the number of rows.
        by : str or sequence of str
            Label columns of `table`. The frame has a row for each domain, the rows with the same
            labels. A null is a label of its own.
        statistic : {"total", "mean", "share", "ratio", "quantile", "gini"}
            A share is the total of a domain over that of a larger domain, which `within` names. A
            ratio is the total over that of `denominator`. A quantile is the smallest amount up to
            which at least the share `q` of the rows lie.
        denominator : str, optional
            The column in the denominator of a ratio, or ``count``.
        within : str or sequence of str, optional
            The columns of `by` that make the larger domain of a share. None means all rows.
        q : float, optional
            The share below a quantile, above 0 and below 1.
        level : float
            The coverage that an interval should have.
        compared_with : dict of str to object, optional
            Columns of `by`, each with a label. All estimates are then differences: each domain less
            the one that has these labels, and otherwise its own. Their standard errors contain the
            covariance of both.

        Returns
        -------
        frame
            Of the kind of `table`, and of the result's kind for a path: the columns `by`, and

            * `estimate`, `standard_error`,
            * `low`, `high`: the interval, with Student's t of as many degrees of freedom as there
              are replicates, less 1, or records (`n_records`), less 1, if they are fewer; at least
              1. That of a quantile is Woodruff's (1952, JASA 47, 635-646).
            * `effective_n`: the effective number of records, ``(sum c)^2 / sum c^2`` of what each
              record contributes to the total (for a ratio and a mean: or to the denominator, if
              that number is smaller),
            * `design_effect`: the variance over that in a simple random sample, with replacement,
              of as many records as were chosen. Null for quantiles, Gini coefficients, and
              differences, and where the latter variance is 0.
            * `cv`: the standard error over the size of the estimate,
            * `n_records`: the number of records (not of rows) with a contribution,
            * `few_records`: whether it is below 30, where intervals are less reliable.

            The standard error is null if a replicate has no weight in the domain, if no chosen
            record of the domain has an amount other than 0 (nothing is then known of the error),
            and if Woodruff's interval of a quantile goes beyond the smallest or the largest amount.

        Raises
        ------
        InputError
            If there are no replicate weights; if an argument or a column is missing or wrong; if a
            chosen row has no amount; if a domain has no chosen record; if a statistic is not
            defined in a domain; or if `by` names a column that has the name of one of the above.

        Examples
        --------
        >>> import numpy as np
        >>> import pyarrow as pa
        >>> from l0.calibration import CalibrationProblem
        >>> from l0.calibration.results.replicate_weights import attach
        >>> from l0.calibration.variance.replicates import Replicates
        >>> homes = pa.table({"id": [1, 2, 3, 4], "state": ["A", "A", "B", "B"],
        ...                   "rooms": [2.0, 4.0, 3.0, 9.0]})
        >>> targets = pa.table({"variable": ["count"], "value": [4.0]})
        >>> problem = CalibrationProblem.from_frames(homes, targets, key="id")
        >>> jackknife = Replicates((1 - np.eye(4)) * 4 / 3, np.full(4, 3 / 4), "Jackknife(4)")
        >>> result = attach(problem.solve(), jackknife)
        >>> found = result.estimate(homes, "rooms", by="state", statistic="mean")
        >>> found.column("estimate").to_pylist()
        [3.0, 6.0]
        >>> apart = result.estimate(homes, "rooms", by="state", statistic="mean",
        ...                         compared_with={"state": "A"})
        >>> apart.select(["state", "estimate"]).to_pylist()
        [{'state': 'B', 'estimate': 3.0}]
        """
        replicates = replicates_of(self.tables, self.run)
        question = read_question(of, by, statistic, denominator, within, q, level, compared_with)
        _, rows, kind = self._read(table)
        chosen = ChosenRows(rows, *self._chosen_rows(rows))
        return native(estimate(question, chosen, self.values, replicates), kind)

    def variance(self, function: Callable[[NDArray[np.float64]], Any]) -> Variance:
        """Compute the standard error of any function of the weights.

        Parameters
        ----------
        function : callable
            It takes weights in the order of `weights`, shape (k,), and returns a number or an
            array. It is called with the weights, and with each column of `replicate_weights`, in
            which some records have the weight 0.

        Returns
        -------
        Variance
            `estimate`, `standard_error` and `covariance`, the covariance matrix of the numbers.

        Raises
        ------
        InputError
            If there are no replicate weights, or if `function` does not return finite numbers of
            one shape.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> from l0.calibration.results.replicate_weights import attach
        >>> from l0.calibration.variance.replicates import Replicates
        >>> jackknife = Replicates((1 - np.eye(4)) * 4 / 3, np.full(4, 3 / 4), "Jackknife(4)")
        >>> problem = CalibrationProblem.from_matrix(np.ones((1, 4)), [4], np.ones(4))
        >>> result = attach(problem.solve(), jackknife)
        >>> x = np.array([2.0, 4.0, 3.0, 9.0])
        >>> found = result.variance(lambda w: np.log(w @ x / w.sum()))
        >>> round(found.estimate, 3), round(found.standard_error, 3)
        (1.504, 0.393)
        """
        return variance_of(function, self.values, replicates_of(self.tables, self.run))

    @property
    def _is_whole(self) -> bool:
        """Whether the weights are whole numbers because the user asked for it."""
        return bool(pa.types.is_integer(self.tables["weights"].schema.field("weight").type))

    def _read(self, table: Any) -> tuple[Any, pa.Table, Kind]:
        """Read a table: as it came, as an Arrow table, and the kind of frame to return."""
        path = is_path(table)
        source = read_file(table, "table", key=self.run["key"]) if path else collected(table)
        rows, kind = read_table(source, "table")
        return source, rows, self.kind if path else kind

    def _chosen_rows(self, rows: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the rows of chosen records in a table, and the position of each record's weight."""
        key, weights = self.run["key"], self.tables["weights"]
        if key is not None:
            return rows_by_key(rows, key, weights)
        n_rows = self.metrics["n_candidates"] + self.run.get("n_dropped", 0)
        check_same_rows(rows, self.run, n_rows, self.indices, weights)
        return self.indices, np.arange(weights.num_rows)

    def _weight_column(self, rows: pa.Table, asked: str | None) -> str:
        if asked is not None:
            if checked_name(asked, "weight") == self.run["key"]:
                raise InputError(f"`weight` is {asked!r}, the key column; pass another name")
            return asked
        named: str | None = self.run["weight"]
        if named is None and "weight" in rows.column_names:
            raise InputError(
                "`table` has a column 'weight', and the calibration had no column of design "
                "weights; pass `weight='weight'` to replace it, or another name"
            )
        return named or "weight"

    def trim(
        self, lower: float | None = None, upper: float | None = None
    ) -> CalibrationResult[FrameT]:
        """Trim the weights: set those outside the limits to the limits, and keep the sum.

        The other weights share equally what the trimming takes away or adds, until no weight is
        outside. This is ``trimWeights`` of R's package survey, with ``strict=TRUE``. Trimmed
        weights meet the targets less well, and need not keep `bounds`. The options `bounds` and
        `weight_bounds` limit the weights of the fit itself.

        Parameters
        ----------
        lower, upper : float, optional
            The limits of the weights. None means no limit.

        Returns
        -------
        CalibrationResult
            The same records with the trimmed weights. The estimates, the errors and the metrics are
            those of these weights, and `fit_status` is ``trimmed``; `gap`, the history and the
            columns `shadow_price` and `at_limit` of the targets are those of the fit. The limits
            are in ``run["arguments"]["trim"]``. It has no replicate weights, because they were
            fitted and not trimmed; a note says so if there were any.

        Raises
        ------
        InputError
            If there is no limit; if a limit is negative or NaN; if the limits cross, or if the mean
            of the weights is outside; if some weights are negative, and `lower` is not above 0; if
            the weights are whole numbers, which trimming does not keep; or if the result was loaded
            from a folder, which does not contain the problem.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.random.default_rng(0).uniform(size=(2, 100))
        >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
        >>> result = problem.solve(20)
        >>> float(result.trim(upper=4.5).values.max())
        4.5
        """
        if self._is_whole:
            raise InputError(
                "`trim` does not keep whole weights; calibrate with `weight_bounds=(lower, upper)` "
                "and `integer_weights=True`"
            )
        if self._evaluate is None:
            raise InputError(
                "`trim` evaluates the targets again, and this result does not contain the problem "
                "any more (it was loaded, copied or unpickled); calibrate again, and trim then"
            )
        low, high = checked_limits(lower, upper, self.values)
        quality, tables = self._evaluate(weights=trimmed(self.values, low, high))
        without_replicates = {
            name: table for name, table in self.tables.items() if name != "replicates"
        }
        return replace(
            self,
            metrics={**quality, "fit_status": "trimmed", "seconds": self.metrics["seconds"]},
            run=add_trimming(self.run, lower, upper),
            tables={**without_replicates, **tables},
        )

    def replicate(
        self, replicates: int | Jackknife | SurveyReplicates = 80
    ) -> CalibrationResult[FrameT]:
        """Make replicate weights, as the option `replicates` of a calibration does.

        Parameters
        ----------
        replicates : int, Jackknife or SurveyReplicates
            A number is the number of groups of a `Jackknife`.

        Returns
        -------
        CalibrationResult
            The same weights, with the table ``replicates`` (the key, and the columns ``rw1``,
            ``rw2``, ...). ``run["replicates"]`` has the method, what the squared deviations of the
            columns count (`rscales`), and the largest duality gap of a column (`gap`). They are
            those that a calibration with this option makes at once.

        Raises
        ------
        InputError
            If the calibration was without ``keep_problem=True``, if the result was loaded, copied
            or trimmed, or if the settings do not suit the records.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.random.default_rng(0).uniform(size=(2, 100))
        >>> problem = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100))
        >>> result = problem.solve(50, keep_problem=True).replicate(10)
        >>> result.run["replicates"]["method"]
        'Jackknife(10)'
        """
        asked = describe_replicates(replicates)
        settings = checked_replicates(replicates)
        if settings is None or asked is None:
            raise InputError("`replicates` is None; pass a number of groups, such as 80")
        if "trim" in self.run["arguments"]:
            raise InputError(
                "`replicate` fits weights, and these were trimmed after their fit; calibrate with "
                "`weight_bounds` in place of the trimming"
            )
        if self._replicate is None:
            raise InputError(
                "`replicate` needs the problem, and this result does not contain it (it was made "
                "without `keep_problem=True`, or loaded, copied or unpickled); calibrate again, "
                "with `replicates=80`, for example"
            )
        found = self._replicate(settings)
        of = found.description
        columns = Replicates(found.weights, np.array(of["rscales"]), of["method"], of["gap"])
        run = add_replicates(self.run, asked, of, found.notes)
        return replace(attach(self, columns), run=run)

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one HTML file that needs no network.

        Parameters
        ----------
        path : str or Path
            The file to write. An existing file is replaced.

        Raises
        ------
        OSError
            If there is no room or no permission. Then an existing file does not change.

        Examples
        --------
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> problem = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1])
        >>> result = problem.solve(epochs=10)
        >>> with TemporaryDirectory() as folder:
        ...     result.to_html(Path(folder) / "report.html")
        ...     sorted(path.name for path in Path(folder).iterdir())
        ['report.html']
        """
        check_path(path, "path", "the file to write")
        with whole_file(path) as draft:
            draft.write_text(render(self.metrics, self.run, self.tables), encoding="utf-8")

    def save(self, folder: str | os.PathLike[str], log: str | None = None) -> None:
        """Write the result to a folder.

        The files are ``weights.parquet``, ``targets.csv``, ``entities.csv`` (of a survey),
        ``untargeted.csv`` (if there are such statistics), ``history.csv``,
        ``calibration_log.csv`` (a row for each target and snapshot), ``metrics.json``,
        ``run.json`` and ``report.html``. With replicate weights, there are also
        ``replicates.parquet``, ``replicates.csv``, ``how_to_read_replicates.md`` (for R, Python,
        Stata and SAS), and ``replicates_jk1.csv`` for software that takes no `rscales`, if repeated
        columns can replace them. All files are written, or none.

        Parameters
        ----------
        folder : str or Path
            A new or empty folder, or the folder of an earlier result, which is replaced.
        log : {"all", "none"}, optional
            Whether ``calibration_log.csv`` is written. The default is to write it up to 10 MB.

        Raises
        ------
        InputError
            If the folder contains other files, or if `log` is something else.
        OSError
            If there is no room or no permission. Then an existing folder does not change.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem, CalibrationResult
        >>> problem = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1])
        >>> result = problem.solve(epochs=10)
        >>> with TemporaryDirectory() as folder:
        ...     result.save(f"{folder}/result")
        ...     again = CalibrationResult.load(f"{folder}/result")
        >>> bool((again.values == result.values).all())
        True
        """
        check_path(folder, "folder", "the folder to write")
        write_result(
            folder, indices=self.indices, metrics=self.metrics, run=self.run, tables=self.tables,
            page=render(self.metrics, self.run, self.tables), log=log,
        )  # fmt: skip

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, kind: Kind | None = None
    ) -> CalibrationResult[Any]:
        """Read a saved result.

        Parameters
        ----------
        folder : str or Path
            A folder that `save` wrote.
        kind : {"pyarrow", "pandas", "polars"}, optional
            The kind of the frames in the result. The default is pyarrow.

        Returns
        -------
        CalibrationResult

        Raises
        ------
        InputError
            If the folder has no saved result, or if the result is damaged or from another version.
            The message names the files and what they lack.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem, CalibrationResult
        >>> problem = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1])
        >>> result = problem.solve(epochs=10)
        >>> with TemporaryDirectory() as folder:
        ...     result.save(f"{folder}/result")
        ...     CalibrationResult.load(f"{folder}/result").metrics["n_records"]
        2
        """
        check_path(folder, "folder", "a folder that `save` wrote")
        kind = checked_kind(kind, "pyarrow")
        return CalibrationResult(**read_result(folder), kind=kind)

    def summary(self) -> str:
        """Return the main metrics, the targets with the largest errors and those out of reach.

        Returns
        -------
        str
            What `print` shows, and below it up to five targets that are missed, the largest errors
            first, the five targets with the largest shadow prices, and the number of unreachable
            targets with the first of them. With replicate weights, there is also a table of the
            standard errors, as shares of the estimates, by family of targets and of untargeted
            statistics. The command line prints it.

        Examples
        --------
        >>> import numpy as np
        >>> from l0.calibration import CalibrationProblem
        >>> A = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> result = CalibrationProblem.from_matrix(A, [3, 3, 4, 5], [2, 2]).solve()
        >>> text = result.summary()
        >>> print(text[text.index("Missed") :])
        Missed by most  Value  Estimate  Error
        target 2            4         3   −25%
        <BLANKLINE>
        Dearest targets  Value  Error  Shadow price  Gives way
        ...
        <BLANKLINE>
        1 target is out of reach: target 3 (no record behind it)
        """
        parts = [str(self)]
        targets = self.tables["targets"]
        for head, rows in (worst_rows(targets), dearest_rows(targets)):
            if rows:
                parts.append(as_text(head, rows))
        if lost := self.metrics["n_unreachable"]:
            statuses = targets.select(["name", "status", "reason"]).to_pylist()
            first = next(row for row in statuses if row["status"] == "unreachable")
            many = counted(lost, "target is", "targets are")
            parts.append(f"{many} out of reach: {first['name']} ({first['reason']})")
        if "trim" in self.run["arguments"]:
            parts.append("The weights were trimmed after the fit")
        head, rows = standard_error_rows(self.tables)
        if rows:
            parts.append(as_text(head, rows))
        parts += joint_reasons(targets)
        return "\n\n".join(parts)

    def __str__(self) -> str:
        table = as_text(*result_rows(self.metrics, self.tables["targets"]))
        remarks = (fill(remark, TERMINAL) for remark in self._remarks())
        return "\n\n".join([f"{table}\n{FOOTNOTE}", *remarks])

    def __repr__(self) -> str:
        m = self.metrics
        held_out = f" ({m['n_holdout']:,} held out)" if m["n_holdout"] else ""
        return (
            f"<CalibrationResult: {m['n_records']:,} of {counted(m['n_candidates'], 'record')}, "
            f"{counted(m['n_targets'], 'target')}{held_out}, loss {percent(m['loss'])}>"
        )

    def _repr_html_(self) -> str:
        table = as_html(*result_rows(self.metrics, self.tables["targets"]))
        return table + "".join(f"<p>{escape(remark)}</p>" for remark in self._remarks())

    def _remarks(self) -> list[str]:
        """List what stands below the table: the certificate of the fit, and the notes."""
        return [certificate(self.metrics), *self.run["notes"]]

    def _frame(self, table: pa.Table) -> FrameT:
        return cast(FrameT, native(table, self.kind))
