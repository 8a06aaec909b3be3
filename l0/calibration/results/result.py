"""What a calibration gives: the weights, and the account of what they hit and what they lost."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from l0.calibration.inputs.survey import find_keys
from l0.common.atomic_files import whole_file, whole_folder
from l0.common.errors import InputError, first_few
from l0.data.columns import plain
from l0.data.tables import Kind, column, native, read_table

#: What `CalibrationResult.load` reads, in the order it is written: each file, and the columns or
#: entries without which it is no file of this version.
LAYOUT = {
    "weights.parquet": ("weight", "design_weight", "row"),
    "targets.csv": (
        "name", "value", "estimate", "error", "relative_error", "group", "status", "reason",
        "importance", "design_estimate", "design_relative_error",
    ),
    "untargeted.csv": (
        "statistic", "variable", "by", "reference", "estimate", "relative_error", "support",
    ),
    "history.csv": ("stage", "epoch", "n_records", "loss", "seconds"),
    "calibration_log.csv": (
        "target_name", "estimate", "target", "epoch", "error", "rel_error", "abs_error",
        "rel_abs_error", "loss",
    ),
    "metrics.json": (
        "n_records", "n_candidates", "n_targets", "n_unreachable", "loss", "median_error",
        "max_error", "within_1pct", "within_10pct", "untargeted_median_error",
        "untargeted_capped_error", "effective_sample_size", "design_effect", "max_weight_ratio",
        "top_1pct_weight_share", "seconds",
    ),
    "run.json": ("key", "arguments", "problem_sha256", "threads", "versions"),
}  # fmt: skip
CSV_TABLES = tuple(name.removesuffix(".csv") for name in LAYOUT if name.endswith(".csv"))
#: All that `CalibrationResult.save` writes to a folder.
RESULT_FILES = (*LAYOUT, "report.html")


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Chosen records with positive weights, and how they fare.

    Frames come in the kind that the records had (pandas, polars or pyarrow).

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
        against the dense calibrated file; None without auxiliary statistics);
        `effective_sample_size` (Kish), `design_effect` (k over it), `max_weight_ratio` (largest
        w / w0), `top_1pct_weight_share`;
        `seconds` (by the clock, for choosing and weighing the records; reading the inputs and
        compiling the targets come before and are left out).
    run : dict
        What it takes to repeat the run: arguments, seed, versions, digests of the inputs.
    tables : dict of str to pyarrow.Table
        ``weights`` (key, `weight`, `design_weight`), ``targets``, ``untargeted`` (where there
        is one), ``history`` and ``calibration_log``: what the frames are made of.
    kind : {"pandas", "polars", "pyarrow"}
        Of the frames that the properties give.
    """

    indices: NDArray[np.int64]
    metrics: dict[str, Any]
    run: dict[str, Any]
    tables: dict[str, pa.Table]
    kind: Kind = "pyarrow"

    @property
    def values(self) -> NDArray[np.float64]:
        """Weights of the chosen records, shape (k,), in the order of `indices`."""
        return np.asarray(self.tables["weights"].column("weight").to_numpy())

    @property
    def weights(self) -> Any:
        """Frame of the key and the `weight` of the chosen records."""
        return native(self.tables["weights"].drop_columns(["design_weight"]), self.kind)

    @property
    def targets(self) -> Any:
        """Frame of all targets in the order they came.

        `name`, `value`, `estimate`, `error` (estimate - value), `relative_error` (error over
        ``|value|``; for a value of 0 over the design-weighted total of absolute entries), `group`,
        `status` (``met`` within the larger of 1% and its tolerance, ``missed``,
        ``unreachable``), `reason` (why unreachable), `importance` (shares that add up to one),
        and `design_estimate` and `design_relative_error`, those of the design weights.
        """
        return native(self.tables["targets"], self.kind)

    @property
    def untargeted(self) -> Any:
        """Frame of statistics that are no target, or None where there are none.

        `statistic`, `variable`, `by`, `reference` (the dense calibrated file), `estimate`,
        `relative_error`, `support` (effective number of records behind the reference).
        """
        table = self.tables.get("untargeted")
        return None if table is None else native(table, self.kind)

    @property
    def history(self) -> Any:
        """Frame of the run: `stage`, `epoch`, `n_records`, `loss`, `seconds`."""
        return native(self.tables["history"], self.kind)

    def select(self, table: Any, weight: str = "weight") -> Any:
        """Take the rows of the chosen records from any table that carries the key.

        Parameters
        ----------
        table : frame or path
            The records themselves, their members, or anything else with the key column.
        weight : str, default "weight"
            Column the calibrated weights are written to; one of that name is replaced.

        Returns
        -------
        frame
            Of the kind that came in, rows in their order.

        Raises
        ------
        InputError
            Where the key column is missing or holds no chosen record; where the records have no
            key, and `table` has not their number of rows.
        """
        rows, kind = read_table(table, "table", key=self.run["key"])
        weights = self.tables["weights"]
        key = self.run["key"]
        if key is None:
            return native(self._by_row_number(rows, weight), kind)
        own = column(rows, key, "table", "the key")
        found = find_keys(plain(own), plain(weights.column(key)))
        if found.null_count == len(found):
            raise InputError(
                f"`table` has no row of a chosen record in {key!r} ({own.type}; the result has "
                f"{weights.column(key).type}); pass a table with the same keys"
            )
        kept = rows.filter(found.is_valid())
        calibrated = weights.column("weight").take(found.drop_null())
        return native(_with_column(kept, weight, calibrated), kind)

    def _by_row_number(self, rows: pa.Table, weight: str) -> pa.Table:
        n = self.metrics["n_candidates"]
        if rows.num_rows != n:
            raise InputError(
                f"`table` has {rows.num_rows:,} rows, and the records of a result without a key "
                f"are known by their row in the {n:,} that came in; calibrate with `key`"
            )
        return _with_column(
            rows.take(self.indices), weight, self.tables["weights"].column("weight")
        )

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
        from l0.calibration.results.report import render

        with whole_file(path) as draft:
            draft.write_text(render(self), encoding="utf-8")

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
        from l0.calibration.results.report import render

        with whole_folder(folder, RESULT_FILES) as draft:
            weights = self.tables["weights"].append_column("row", pa.array(self.indices))
            pa.parquet.write_table(weights, draft / "weights.parquet")
            for name in CSV_TABLES:
                if name in self.tables:
                    _write_csv(self.tables[name], draft / f"{name}.csv")
            for name, content in (("metrics.json", self.metrics), ("run.json", self.run)):
                text = json.dumps(content, indent=2, allow_nan=False) + "\n"
                (draft / name).write_text(text, encoding="utf-8")
            (draft / "report.html").write_text(render(self), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> CalibrationResult:
        """Read a saved result; its frames are pyarrow tables.

        Parameters
        ----------
        folder : str or Path
            One that `save` wrote.

        Returns
        -------
        CalibrationResult

        Raises
        ------
        InputError
            Where the folder holds no saved result, or one that is damaged or was written by
            another version; names the files and what they lack.
        """
        path = Path(folder)
        if not (path / "run.json").is_file():
            raise InputError(
                f"{str(path)!r} holds no saved result (no run.json); "
                "name a folder that `save` wrote"
            )
        missing = [name for name in LAYOUT if not (path / name).is_file()]
        content = {name: _read(path / name) for name in LAYOUT if name not in missing}
        metrics = content.get("metrics.json", {})
        if "untargeted.csv" in missing and metrics.get("untargeted_capped_error") is None:
            missing.remove("untargeted.csv")  # there never was one
        if missing:
            raise InputError(
                f"{str(path)!r} lacks {first_few(missing)}; restore them or calibrate again"
            )
        for name, count in (("weights.parquet", "n_records"), ("targets.csv", "n_targets")):
            rows = content[name].num_rows
            if rows != metrics[count]:
                raise InputError(
                    f"{str(path / name)!r} has {rows:,} rows, where metrics.json says "
                    f"{metrics[count]}; restore them or calibrate again"
                )
        weights = content["weights.parquet"]
        return cls(
            indices=weights.column("row").to_numpy(),
            metrics=metrics,
            run=content["run.json"],
            tables={
                **{name: content[f"{name}.csv"] for name in CSV_TABLES if f"{name}.csv" in content},
                "weights": weights.drop_columns(["row"]),
            },
        )


def _with_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """Append a column, or put it in the place of one of that name."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


#: Columns of the tables that are no float64.
_TYPES = {
    **dict.fromkeys(
        ("name", "group", "status", "reason", "statistic", "variable", "by", "stage",
         "target_name"), pa.string()
    ),
    "epoch": pa.int64(),
    "n_records": pa.int64(),
}  # fmt: skip


def _write_csv(table: pa.Table, path: Path) -> None:
    quoted = io.BytesIO()
    # Of chunks without rows, as tables put together have, pyarrow (26) writes stray memory.
    pa.csv.write_csv(table.combine_chunks(), quoted)
    quoted.seek(0)
    with path.open("wb") as file:
        # pyarrow quotes the names, which plain readers of the log do not expect.
        file.write(quoted.readline().replace(b'"', b""))
        shutil.copyfileobj(quoted, file)


def _read(path: Path) -> Any:
    """Read a file of a saved result, and make sure that it holds what this version needs."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".parquet": pa.parquet.read_table, ".csv": _read_csv, ".json": _read_json,
    }  # fmt: skip
    try:
        content = readers[path.suffix](path)
    except (ValueError, OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"cannot read {str(path)!r} ({reason}); restore it or calibrate again"
        ) from None
    names = content.column_names if isinstance(content, pa.Table) else content
    lacking = [name for name in LAYOUT[path.name] if name not in names]
    if lacking:
        raise InputError(
            f"{str(path)!r} has no {first_few(lacking)}: another version of l0 wrote it; "
            "calibrate again"
        )
    return content


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    return content


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8") as file:
        names = file.readline().rstrip("\n").split(",")
    return pa.csv.read_csv(
        path,
        # A target's name may hold a line break.
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: _TYPES.get(name, pa.float64()) for name in names}
        ),
    )
