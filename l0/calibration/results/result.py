"""What a calibration gives: the weights, and the account of what they hit and what they lost."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Generic, cast, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.inputs.survey import find_keys, key_column
from l0.calibration.results.report import render
from l0.calibration.results.storage import read_result, write_result
from l0.calibration.results.summary import FOOTNOTE, result_rows, worst_rows
from l0.common.atomic_files import whole_file
from l0.common.errors import InputError
from l0.common.formatting import percent
from l0.common.text_tables import as_html, as_text
from l0.data.columns import plain
from l0.data.tables import (
    FrameT,
    Kind,
    TableT,
    checked_kind,
    is_path,
    native,
    read_file,
    read_table,
    take_weighted_rows,
)


@dataclass(frozen=True, eq=False, repr=False)
class CalibrationResult(Generic[FrameT]):
    """Chosen records with positive weights, and how they fare.

    Frames come in the kind that the records had (pandas, polars or pyarrow), or in the one that was
    asked for. `print` shows the headline numbers beside those of the design weights.

    Attributes
    ----------
    indices : ndarray of int64, shape (k,)
        Rows of the chosen records in the table that came in, ascending.
    values : ndarray of float64, shape (k,)
        Their weights.
    metrics : dict
        `n_records` (k), `n_candidates`, `n_targets`, `n_unreachable`;
        `loss` (mean over all targets, unreachable ones counted, of the relative error capped at
        1, weighted by importance), `median_error`, `max_error`, `within_1pct`, `within_10pct`
        (shares of the targets, all alike);
        `untargeted_median_error`, `untargeted_capped_error` (on statistics that are no target,
        against the calibrated full file; None where there are none);
        `effective_sample_size` (Kish), `design_effect` (k over it), `max_weight_ratio` (largest
        w / w0), `top_1pct_weight_share`;
        `seconds` (by the clock, for choosing and weighing the records; reading the inputs and
        compiling the targets come before and are left out).
    run : dict
        What it takes to repeat the run: the call, its arguments, versions, digests of the inputs.
    tables : dict of str to pyarrow.Table
        ``weights`` (key, `weight`, `design_weight`), ``targets``, ``untargeted`` (where there
        is one), ``history`` and ``calibration_log``: what the frames are made of.
    kind : {"pandas", "polars", "pyarrow"}
        Of the frames that the properties give.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> A = np.random.default_rng(0).uniform(size=(2, 100))
    >>> result = CalibrationProblem.from_matrix(A, [60, 40], np.ones(100)).solve(20, epochs=200)
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

    @property
    def values(self) -> NDArray[np.float64]:
        """Weights of the chosen records, shape (k,), in the order of `indices`."""
        return np.asarray(self.tables["weights"].column("weight").to_numpy())

    @property
    def weights(self) -> FrameT:
        """Frame of the key and the `weight` of the chosen records."""
        return self._frame(self.tables["weights"].drop_columns(["design_weight"]))

    @property
    def targets(self) -> FrameT:
        """Frame of all targets in the order they came.

        `name`, `value`, `estimate`, `error` (estimate - value), `relative_error` (error over
        ``|value|``; for a value of 0 over the design-weighted total of absolute entries), `group`,
        `status` (``met`` within the larger of 1% and its tolerance, ``missed``,
        ``unreachable``), `reason` (why unreachable), `importance` (shares that add up to one),
        and `design_estimate` and `design_relative_error`, those of the design weights.
        """
        return self._frame(self.tables["targets"])

    @property
    def untargeted(self) -> FrameT | None:
        """Frame of statistics that are no target, or None where there are none.

        `statistic`, `variable`, `by`, `reference` (the calibrated full file), `estimate`,
        `relative_error`, `effective_n` (effective number of records behind the reference).
        """
        table = self.tables.get("untargeted")
        return None if table is None else self._frame(table)

    @property
    def history(self) -> FrameT:
        """Frame of the run: `stage`, `epoch`, `n_records`, `loss`, `seconds`."""
        return self._frame(self.tables["history"])

    @overload
    def select(self, table: str | os.PathLike[str], weight: str | None = None) -> FrameT: ...
    @overload
    def select(self, table: TableT, weight: str | None = None) -> TableT: ...
    def select(self, table: Any, weight: str | None = None) -> Any:
        """Take the rows of the chosen records from any table that carries the key.

        Parameters
        ----------
        table : frame or path
            The records themselves, their members, or anything else with the key column.
        weight : str, optional
            Column that the calibrated weights are written to; one of that name is replaced. By
            default it is the column of design weights that was named in the calibration, so that
            nobody adds up the old weights. Where none was named, it is a new column ``weight``.

        Returns
        -------
        frame
            Of the kind that came in, rows in their order and all columns as they are; of the
            result's own kind for a path.

        Raises
        ------
        InputError
            Where the key column is missing or holds no chosen record; where the records have no
            key, and `table` has not their number of rows; where no column of design weights was
            named, and `table` has a column ``weight`` that nobody asked to replace.
        """
        key = self.run["key"]
        source = read_file(table, "table", key=key) if is_path(table) else table
        rows, _ = read_table(source, "table")
        name = self._weight_column(rows, weight)
        weights = self.tables["weights"]
        if key is None:
            places, calibrated = self._by_row_number(rows), self.values
        else:
            own = key_column(rows, key, "table", "the key")
            found = find_keys(own, plain(weights.column(key)))
            if found.null_count == len(found):
                raise InputError(
                    f"`table` has no row of a chosen record in {key!r} ({own.type}; the result has "
                    f"{weights.column(key).type}); pass a table with the same keys"
                )
            places = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
            calibrated = self.values[found.drop_null().to_numpy()]
        chosen = take_weighted_rows(source, places, name, calibrated)
        return native(chosen, self.kind) if is_path(table) else chosen

    def _weight_column(self, rows: pa.Table, asked: str | None) -> str:
        if asked is not None:
            return asked
        named: str | None = self.run["weight"]
        if named is None and "weight" in rows.column_names:
            raise InputError(
                "`table` has a column 'weight', and the calibration named no column of design "
                "weights; pass `weight='weight'` to replace it, or another name"
            )
        return named or "weight"

    def _by_row_number(self, rows: pa.Table) -> NDArray[np.int64]:
        n = self.metrics["n_candidates"]
        if rows.num_rows != n:
            raise InputError(
                f"`table` has {rows.num_rows:,} rows, and the records of a result without a key "
                f"are known by their row in the {n:,} that came in; calibrate with `key`"
            )
        return self.indices

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the report: one HTML file that opens without a network.

        Parameters
        ----------
        path : str or Path
            File to write, whole or not at all; one that is there is replaced.

        Raises
        ------
        OSError
            Where there is no room or no permission; nothing is left behind.
        """
        with whole_file(path) as draft:
            draft.write_text(render(self.metrics, self.run, self.tables), encoding="utf-8")

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write everything to a folder, whole or not at all.

        ``weights.parquet``, ``targets.csv``, ``untargeted.csv`` (where there is one),
        ``history.csv``, ``calibration_log.csv`` (one row a target and snapshot),
        ``metrics.json``, ``run.json`` and ``report.html``.

        Parameters
        ----------
        folder : str or Path
            A new or empty folder, or one that an earlier run wrote: that is replaced.

        Raises
        ------
        InputError
            Where the folder holds other files.
        OSError
            Where there is no room or no permission; nothing is left behind.
        """
        write_result(
            folder, indices=self.indices, metrics=self.metrics, run=self.run, tables=self.tables,
            page=render(self.metrics, self.run, self.tables),
        )  # fmt: skip

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, kind: Kind | None = None
    ) -> CalibrationResult[Any]:
        """Read a saved result.

        Parameters
        ----------
        folder : str or Path
            One that `save` wrote.
        kind : {"pyarrow", "pandas", "polars"}, optional
            Kind of the result's frames, by default pyarrow.

        Returns
        -------
        CalibrationResult

        Raises
        ------
        InputError
            Where the folder holds no saved result, or one that is damaged or was written by
            another version; names the files and what they lack.
        """
        kind = checked_kind(kind, "pyarrow")
        return CalibrationResult(**read_result(folder), kind=kind)

    def summary(self) -> str:
        """Write the headline numbers, the targets missed by most and those out of reach."""
        parts = [str(self)]
        head, rows = worst_rows(self.tables["targets"])
        if rows:
            parts.append(as_text(head, rows))
        if lost := self.metrics["n_unreachable"]:
            statuses = self.tables["targets"].select(["name", "status", "reason"]).to_pylist()
            first = next(row for row in statuses if row["status"] == "unreachable")
            many = f"{lost:,} targets are" if lost > 1 else "1 target is"
            parts.append(f"{many} out of reach: {first['name']} ({first['reason']})")
        return "\n\n".join(parts)

    def __str__(self) -> str:
        return f"{as_text(*result_rows(self.metrics, self.tables['targets']))}\n{FOOTNOTE}"

    def __repr__(self) -> str:
        m = self.metrics
        return (
            f"<CalibrationResult: {m['n_records']:,} of {m['n_candidates']:,} records, "
            f"{m['n_targets']:,} targets, loss {percent(m['loss'])}>"
        )

    def _repr_html_(self) -> str:
        return as_html(*result_rows(self.metrics, self.tables["targets"]))

    def _frame(self, table: pa.Table) -> FrameT:
        return cast(FrameT, native(table, self.kind))
