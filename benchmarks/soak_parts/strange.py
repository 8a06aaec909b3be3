"""Random frames, tables and options, most of which are wrong, in Python and on the command line."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from typer.testing import CliRunner

import l0
from l0.cli import app
from soak_parts import survey

WHAT = "random frames, tables and options"
#: What a cell may be that is no usual number.
ODD_NUMBERS = [0.0, -0.0, -1.0, 1e-300, 1e300, math.nan, math.inf, -math.inf, 1e-9, 2.0**53 + 2]
ODD_CELLS = [
    *ODD_NUMBERS, None, "", " ", "NA", "nan", "1", "1,5", True, "é", "a" * 300, "<b>", "x\ny", "'",
    pd.Timestamp("2020-01-01"), 10**20,
]  # fmt: skip
METHODS = ["hybrid", "path", "pps", "random", "cube", "hard_concrete"]
#: How often one in so many tries has a fault of each kind.
SELDOM = 4


def attempt(seed: int, scratch: Path) -> None:
    """Calibrate something random; what comes back must be whole."""
    rng = np.random.default_rng(seed)
    records, targets = survey.make(int(rng.integers(1, 150)), seed)
    targets = targets.iloc[: rng.integers(1, len(targets) + 1)]
    for frame in (records, targets):
        _spoil(frame, rng)
    options = _options(rng, len(records))
    if rng.integers(5):
        result = l0.calibrate(records, targets, key="id", weight="weight", **options)
        _check(result, options)
        return
    _on_the_command_line(records, targets, options, scratch)


def _spoil(frame: pd.DataFrame, rng: np.random.Generator) -> None:
    """Change cells, types, rows and columns of a frame at random."""
    while not rng.integers(SELDOM):
        column = str(rng.choice(frame.columns))
        some = rng.random(len(frame)) < rng.choice([0.02, 0.3, 1.0])
        how = rng.integers(7)
        if how == 0:
            odd = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
            if pd.api.types.is_float_dtype(frame[column]):
                frame.loc[some, column] = odd
        elif how == 1:
            cells = frame[column].astype(object).to_numpy(copy=True)
            for place in np.flatnonzero(some):
                cells[place] = ODD_CELLS[rng.integers(len(ODD_CELLS))]
            frame[column] = pd.Series(cells, index=frame.index, dtype=object)
        elif how == 2:
            frame[column] = frame[column].astype(str)
        elif how == 3:
            frame[column] = frame[column].astype("category")
        elif how == 4:
            frame.drop(columns=column, inplace=True)
        elif how == 5:
            frame.drop(index=frame.index[some], inplace=True)
        elif pd.api.types.is_float_dtype(frame[column]):
            frame[column] *= float(10.0 ** rng.integers(-30, 30))
        if not len(frame.columns):
            break


def _options(rng: np.random.Generator, n: int) -> dict[str, Any]:
    """Choose a budget, a method and a few options, some out of their range."""
    options: dict[str, Any] = {
        "n_records": [None, 1, max(n // 3, 1), n, n + 1, 0, -3][rng.integers(7)],
        "method": METHODS[rng.integers(len(METHODS))],
        "seed": int(rng.integers(-1, 100)),
        "epochs": int(rng.choice([1, 5, 20])),
    }
    more: dict[str, list[Any]] = {
        "loss": ["capped", "absolute", "squared", "x"],
        "distance": ["raking", "linear", "logit", "x"],
        "exact": [True], "keep_total": [True], "integer_weights": [True],
        "bounds": [(0.1, 10), (0, None), (1, 1), (3, 2), (-1, 4), (math.nan, 2)],
        "weight_bounds": [(1, None), (0, 1e9), (5, 1), ("weight", None)],
        "must_keep": [[0], [0, 0], [-7], []],
        "holdout": [["*"], ["count*"], ["no such target"], []],
        "represent": [True, False, ["area"], [("area", "age")], ["x"]],
        "replicates": [2, 5, 1, 0],
    }  # fmt: skip
    for name in rng.choice(list(more), size=rng.integers(0, 3), replace=False):
        options[name] = more[name][rng.integers(len(more[name]))]
    return options


def _check(result: l0.CalibrationResult[Any], options: dict[str, Any]) -> None:
    """Fail where a result is not whole: other counts, or numbers that are none."""
    values = result.values
    if not np.isfinite(values).all():
        raise AssertionError(f"weights that are not finite, with {options}")
    if options["n_records"] is not None and len(values) != options["n_records"]:
        raise AssertionError(f"{len(values)} weights, with {options}")
    if options.get("distance") != "linear" and not (values > 0).all():
        raise AssertionError(f"weights that are not positive, with {options}")
    unknown = [
        name for name, value in result.metrics.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]  # fmt: skip
    if unknown:
        raise AssertionError(f"{unknown} are not finite, with {options}")
    result.summary()


def _on_the_command_line(
    records: pd.DataFrame, targets: pd.DataFrame, options: dict[str, Any], scratch: Path
) -> None:
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    for name, frame in (("records", records), ("targets", targets)):
        frame.to_csv(scratch / f"{name}.csv", index=False)
    words = ["--key", "id", "--weight", "weight", "--out", str(out), "--quiet"]
    for name in ("n_records", "method", "seed", "epochs", "loss", "distance"):
        if options.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(options[name])]
    ended = CliRunner().invoke(
        app, ["calibrate", str(scratch / "records.csv"), str(scratch / "targets.csv"), *words]
    )
    if ended.exit_code == 2 and out.exists():
        raise AssertionError(f"a folder is left behind: {words}")
    if ended.exit_code == 2 and len(ended.stderr.strip().splitlines()) == 1:
        raise l0.InputError(ended.stderr)
    if ended.exit_code:
        raise AssertionError(f"{ended.exit_code}: {ended.stderr[-200:]} {ended.exception!r}")
    survey.digest(out)
