"""The files from which other survey software computes the same standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray

from l0.calibration.results.replicate_weights import column_names, key_columns, replicates_of
from l0.calibration.variance.replicates import Replicates
from l0.data.columns import is_text

#: The files of replicate weights in the folder of a result.
REPLICATES, REPLICATES_CSV = "replicates.parquet", "replicates.csv"
JK1_CSV, HOW_TO = "replicates_jk1.csv", "how_to_read_replicates.md"
REPLICATE_FILES = (REPLICATES, REPLICATES_CSV, JK1_CSV, HOW_TO)
#: Repeated columns stand for factors if no factor is off by more than this share.
CLOSE = 0.05


def replicate_files(
    tables: Mapping[str, pa.Table], run: Mapping[str, Any]
) -> dict[str, pa.Table | str]:
    """Make the content of the files of a result's replicate weights, by their names.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> from l0.calibration.results.handover import replicate_files
    >>> from l0.calibration.results.replicate_weights import attach
    >>> from l0.calibration.variance.replicates import Replicates
    >>> result = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1]).solve()
    >>> columns = Replicates([[0, 6], [10, 0]], [0.5, 0.5], "Jackknife(2)")
    >>> result = attach(result, columns)
    >>> found = replicate_files(result.tables, result.run)
    >>> list(found)
    ['replicates.parquet', 'replicates.csv', 'replicates_jk1.csv', 'how_to_read_replicates.md']
    >>> found["replicates.csv"].column_names
    ['record', 'weight', 'rw1', 'rw2']
    """
    if "replicates" not in tables:
        return {}
    weights, replicates = tables["weights"], replicates_of(tables, run)
    (key,) = key_columns(weights)
    table = _with_weights(weights, key, replicates.weights)
    found: dict[str, pa.Table | str] = {REPLICATES: table, REPLICATES_CSV: table}
    times = repetitions(replicates.rscales)
    if times is not None:
        repeated = np.repeat(replicates.weights, times, axis=1)
        found[JK1_CSV] = _with_weights(weights, key, repeated)
    found[HOW_TO] = _how_to(replicates, key, weights.schema.field(key).type, times)
    return found


def repetitions(rscales: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Count how often each column stands in a jackknife (JK1) without factors.

    M columns of such a jackknife all have the factor (M - 1) / M.

    Parameters
    ----------
    rscales : ndarray of float64, shape (C,)

    Returns
    -------
    ndarray of int64, shape (C,), or None
        None if some factor would be off by more than `CLOSE`.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration.results.handover import repetitions
    >>> int(repetitions(np.append(np.full(80, 79 / 80), 4)).sum())
    84
    """
    times = np.maximum(np.rint(rscales), 1).astype(np.int64)
    return times if _off(rscales, times) <= CLOSE else None


def _off(rscales: NDArray[np.float64], times: NDArray[np.int64]) -> float:
    """Compute the largest error of a factor, as a share of it."""
    scale = 1 - 1 / times.sum()
    return float(np.max(np.abs(times * scale - rscales) / np.maximum(rscales, 1e-300)))


def _with_weights(weights: pa.Table, key: str, columns: NDArray[np.float64]) -> pa.Table:
    """Make the table of a file: the key, the weight and the replicate weights."""
    names = column_names(columns.shape[1])
    return pa.table(
        {
            key: weights.column(key),
            "weight": weights.column("weight"),
            **dict(zip(names, columns.T, strict=True)),
        }
    )


def _how_to(
    replicates: Replicates, key: str, key_type: pa.DataType, times: NDArray[np.int64] | None
) -> str:
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = files("l0.calibration.results").joinpath("how_to_read_replicates.md.j2")
    rscales = replicates.rscales
    runs = [(value, len(list(same))) for value, same in groupby(rscales.tolist())]
    jk1 = None
    if times is not None:
        n = int(times.sum())
        jk1 = {"n": n, "scale": repr(1 - 1 / n), "off": f"{_off(rscales, times) / 2:.1%}"}
    return environment.from_string(page.read_text(encoding="utf-8")).render(
        method=replicates.method,
        key=key,
        text_key=is_text(key_type),
        k=len(replicates.weights),
        n=replicates.size,
        degrees=replicates.degrees,
        runs=[{"value": repr(value), "times": n_equal} for value, n_equal in runs],
        in_r=f"c({', '.join(f'rep({value!r}, {times})' for value, times in runs)})",
        in_python=" + ".join(f"[{value!r}] * {times}" for value, times in runs),
        in_stata=" ".join(map(repr, rscales.tolist())),
        jk1=jk1,
    )
