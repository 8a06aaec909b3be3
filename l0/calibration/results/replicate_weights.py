"""The replicate weights of a result: a table, and what its run says about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from l0.calibration.results.standard_errors import with_standard_errors
from l0.calibration.variance.replicates import Replicates
from l0.common.errors import InputError

ResultT = TypeVar("ResultT", bound=Any)


def column_names(n: int) -> list[str]:
    """Name n columns of replicate weights: rw1, rw2, ..."""
    return [f"rw{place}" for place in range(1, n + 1)]


def attach(result: ResultT, replicates: Replicates, **more: Any) -> ResultT:
    """Give a result its replicate weights.

    Its targets and untargeted statistics get standard errors, if the result has its problem.

    Parameters
    ----------
    result : CalibrationResult
    replicates : Replicates
        In the order of the weights of the result.
    **more
        More of what ``run["replicates"]`` says of them.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem
    >>> from l0.calibration.results.replicate_weights import attach
    >>> from l0.calibration.variance.replicates import Replicates
    >>> result = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1]).solve()
    >>> columns = Replicates([[0, 6], [10, 0]], [0.5, 0.5], "Jackknife(2)")
    >>> attach(result, columns).replicate_weights.column_names
    ['record', 'rw1', 'rw2']
    """
    weights = result.tables["weights"]
    keys = {name: weights.column(name) for name in key_columns(weights)}
    names = column_names(replicates.size)
    columns = dict(zip(names, replicates.weights.T, strict=True))
    run = {
        **result.run,
        "replicates": {
            "method": replicates.method,
            "rscales": replicates.rscales.tolist(),
            "gap": replicates.gap,
            **more,
        },
    }
    tables = {**result.tables, "replicates": pa.table({**keys, **columns})}
    if result._statistics is not None:
        under = result._statistics(columns=replicates.weights)
        tables = with_standard_errors(tables, replicates, under)
    return replace(result, tables=tables, run=run)


def replicates_of(tables: Mapping[str, pa.Table], run: Mapping[str, Any]) -> Replicates:
    """Take the replicate weights of a result.

    Raises
    ------
    InputError
        If it has none.
    """
    table, of = tables.get("replicates"), run.get("replicates")
    if table is None or of is None:
        raise InputError(
            "this result has no replicate weights, which standard errors need; calibrate with "
            "`replicates=80`"
        )
    columns = [table.column(name).to_numpy() for name in column_names(len(of["rscales"]))]
    return Replicates(np.column_stack(columns), np.array(of["rscales"]), of["method"], of["gap"])


def key_columns(weights: pa.Table) -> list[str]:
    """List the column that identifies the records, in the table of the weights."""
    return [name for name in weights.column_names if name not in ("weight", "design_weight")]
