"""Write a result to a folder, whole or not at all, and read it with a check of all parts."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import Metrics
from l0.calibration.evaluation.target_labels import labels_of
from l0.calibration.results.checked_run import broken_entries
from l0.calibration.results.handover import REPLICATE_FILES, REPLICATES, replicate_files
from l0.calibration.results.replicate_weights import column_names, key_columns, replicates_of
from l0.common.atomic_files import whole_folder
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.data.readers.parquet_files import checked_parquet
from l0.data.writers.arrow_files import checked_write

#: The files of a result in the order of writing, with the columns or entries that each must have.
LAYOUT = {
    "weights.parquet": ("weight", "design_weight", "row"),
    "targets.csv": (
        "name", "value", "estimate", "error", "relative_error", "group", "status", "reason",
        "importance", "shadow_price", "at_limit", "design_estimate", "design_relative_error",
    ),
    "untargeted.csv": (
        "statistic", "variable", "by", "reference", "estimate", "relative_error", "effective_n",
        "held_out", "trained",
    ),
    "entities.csv": ("entity", "rows", "rows_kept", "design_total", "total"),
    "history.csv": ("stage", "iteration", "n_records", "loss", "gap", "seconds"),
    "calibration_log.csv": (
        "target_name", "estimate", "target", "epoch", "error", "rel_error", "abs_error",
        "rel_abs_error", "loss",
    ),
    "metrics.json": tuple(Metrics.__annotations__),
    "run.json": (
        "key", "weight", "arguments", "call", "problem_sha256", "threads", "versions", "notes",
    ),
}  # fmt: skip
#: The table that need not be written, what to do with it, and up to how many bytes it is written if
#: nobody says.
LOG, LOGS, LARGEST_LOG = "calibration_log", ("all", "none"), 10_000_000
CSV_TABLES = tuple(name.removesuffix(".csv") for name in LAYOUT if name.endswith(".csv"))
#: All files that `write_result` writes.
RESULT_FILES = (*LAYOUT, *REPLICATE_FILES, "report.html")

#: The types of the columns that are not float64.
_TYPES = {
    **dict.fromkeys(
        ("name", "group", "status", "reason", "statistic", "variable", "by", "stage",
         "target_name", "entity"), pa.string()
    ),
    **dict.fromkeys(("epoch", "iteration", "n_records", "rows", "rows_kept"), pa.int64()),
    **dict.fromkeys(("at_limit", "held_out", "trained"), pa.bool_()),
}  # fmt: skip


def write_result(
    folder: str | os.PathLike[str],
    *,
    indices: NDArray[np.int64],
    metrics: Metrics,
    run: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    page: str,
    log: str | None = None,
) -> None:
    """Write the parts of a result and its report (see `CalibrationResult.save`)."""
    check_log(log)
    with whole_folder(folder, RESULT_FILES) as draft:
        weights = tables["weights"].append_column("row", pa.array(indices))
        checked_write(weights, draft / "weights.parquet")
        for name in CSV_TABLES:
            if name in tables and not (name == LOG and log == "none"):
                _write_csv(tables[name], draft / f"{name}.csv")
        written = draft / f"{LOG}.csv"
        if log is None and written.exists() and written.stat().st_size > LARGEST_LOG:
            written.unlink()
        for name, part in replicate_files(tables, run).items():
            if isinstance(part, str):
                (draft / name).write_text(part, encoding="utf-8")
            elif name.endswith(".csv"):
                _write_csv(part, draft / name)
            else:
                checked_write(part, draft / name)
        for name, content in (("metrics.json", metrics), ("run.json", run)):
            text = json.dumps(content, indent=2, allow_nan=False) + "\n"
            (draft / name).write_text(text, encoding="utf-8")
        (draft / "report.html").write_text(page, encoding="utf-8")


def check_log(log: str | None) -> None:
    """Check what to do with the log. None means that its size decides."""
    if log is not None and log not in LOGS:
        raise InputError(f"`log` is {log!r}; it must be one of {first_few(LOGS)}")


def read_result(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the parts of a saved result: `indices`, `metrics`, `run` and `tables`.

    Raises
    ------
    InputError
        If the folder has no saved result, or if the result is damaged or from another version. The
        message names the files and what they lack.
    """
    path = Path(folder)
    if not (path / "run.json").is_file():
        raise InputError(
            f"{str(path)!r} has no saved result (no run.json); name a folder that `save` wrote"
        )
    missing = [name for name in LAYOUT if not (path / name).is_file()]
    content = {name: _read(path / name, LAYOUT[name]) for name in LAYOUT if name not in missing}
    metrics = content.get("metrics.json", {})
    if "untargeted.csv" in missing and metrics.get("untargeted_capped_error") is None:
        missing.remove("untargeted.csv")  # the result has no untargeted statistics
    if "entities.csv" in missing:  # the problem was a matrix, or the result is an old one
        missing.remove("entities.csv")
    if f"{LOG}.csv" in missing:  # it was too large, or nobody wanted it
        missing.remove(f"{LOG}.csv")
    if missing:
        raise InputError(
            f"{str(path)!r} lacks {first_few(missing)}; restore them or calibrate again"
        )
    n_targets = metrics["n_targets"] + metrics["n_holdout"]
    for name, count in (("weights.parquet", metrics["n_records"]), ("targets.csv", n_targets)):
        rows = content[name].num_rows
        if rows != count:
            raise InputError(
                f"{str(path / name)!r} has {counted(rows, 'row')}, where metrics.json says "
                f"{count}; restore them or calibrate again"
            )
    _check_history(path / "history.csv", content["history.csv"])
    if broken := broken_entries(content["run.json"]):
        raise InputError(
            f"{str(path / 'run.json')!r} is damaged at {first_few(broken)}; restore it or "
            "calibrate again"
        )
    weights = content["weights.parquet"]
    return {
        "indices": weights.column("row").to_numpy(),
        "metrics": metrics,
        "run": content["run.json"],
        "tables": {
            **{name: content[f"{name}.csv"] for name in CSV_TABLES if f"{name}.csv" in content},
            "weights": weights.drop_columns(["row"]),
            **_read_replicates(path, content["run.json"], weights),
        },
    }


def _check_history(path: Path, history: pa.Table) -> None:
    """Refuse a history without rows, or with empty cells where every run has a number."""
    lacking = "" if history.num_rows else "no rows"
    for name in ("stage", "iteration", "n_records", "loss", "seconds"):
        if history.column(name).null_count:
            lacking = f"empty cells in {name!r}"
    if lacking:
        raise InputError(
            f"{str(path)!r} has {lacking}, as where it was cut; restore it or calibrate again"
        )


def _read_replicates(path: Path, run: Mapping[str, Any], weights: pa.Table) -> dict[str, pa.Table]:
    """Read the replicate weights, if the result has any, and check them against the weights."""
    if "replicates" not in run:
        return {}
    where = path / REPLICATES
    if not where.is_file():
        raise InputError(f"{str(path)!r} lacks {REPLICATES!r}; restore it or calibrate again")
    try:
        names = column_names(len(run["replicates"]["rscales"]))
        table = _read(where, (*key_columns(weights.drop_columns(["row"])), "weight", *names))
        same = all(table.column(name).equals(weights.column(name)) for name in table.column_names
                   if name not in names)  # fmt: skip
        found = {"replicates": table.drop_columns(["weight"])}
        replicates_of(found, run)
    except (KeyError, TypeError):
        raise InputError(
            f"{str(path / 'run.json')!r} has no method, rscales and gap of the replicate weights; "
            "restore it or calibrate again"
        ) from None
    if not same:
        raise InputError(
            f"{str(where)!r} has other records or weights than 'weights.parquet'; restore both or "
            "calibrate again"
        )
    return found


def _write_csv(table: pa.Table, path: Path) -> None:
    with path.open("wb") as file:
        # pyarrow quotes all column names, which simple readers do not expect.
        names = io.StringIO()
        csv.writer(names).writerow(table.column_names)  # its line end makes it quote both of these
        file.write(names.getvalue().removesuffix("\r\n").encode() + b"\n")
        # pyarrow (26) writes wrong bytes for chunks without rows, which concatenated tables have.
        pa.csv.write_csv(table.combine_chunks(), file, pa.csv.WriteOptions(include_header=False))


def _read(path: Path, needed: Sequence[str]) -> Any:
    """Read a file of a saved result, and check that it has what this version needs."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".parquet": _read_parquet, ".csv": _read_csv, ".json": _read_json,
    }  # fmt: skip
    try:
        content = readers[path.suffix](path)
    except (ValueError, OSError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"cannot read {str(path)!r} ({reason}); restore it or calibrate again"
        ) from None
    names = content.column_names if isinstance(content, pa.Table) else content
    lacking = [name for name in needed if name not in names]
    if lacking:
        raise InputError(
            f"{str(path)!r} has no {first_few(lacking)}: another version of l0 wrote it; "
            "calibrate again"
        )
    return content


def _read_parquet(path: Path) -> pa.Table:
    """Read a parquet file. Its pages have checksums, and Arrow keeps the names of columns twice."""
    table = checked_parquet(path)
    kept = (pa.parquet.read_metadata(path).metadata or {}).get(b"ARROW:schema")
    if kept is not None:
        names = pa.ipc.read_schema(pa.BufferReader(base64.b64decode(kept))).names
        if names != table.column_names:
            raise ValueError(f"its columns {first_few(table.column_names)} were {first_few(names)}")
    return table


def _read_json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content


def _read_csv(path: Path) -> pa.Table:
    with path.open(encoding="utf-8", newline="") as file:
        names = next(csv.reader(file), [])
    types = {name: _TYPES.get(name, pa.float64()) for name in names}
    if path.name == "targets.csv":
        types |= dict.fromkeys(labels_of(names), pa.string())
    return pa.csv.read_csv(
        path,
        # The name of a target may contain a line break.
        parse_options=pa.csv.ParseOptions(newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(column_types=types),
    )
