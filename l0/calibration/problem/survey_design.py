"""Read what a problem says about the design of its survey: clusters, strata, replicate weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.calibration.problem.given_order import refuse_another_order
from l0.common.errors import SHOWN, InputError, closest, first_few
from l0.common.formatting import counted
from l0.common.validation import checked_labels
from l0.data.columns import as_numbers, encode, is_label, is_number


def read_labels(problem: Problem, given: Any, argument: str) -> tuple[NDArray[np.int64], list[str]]:
    """Read labels of the records: a column of the records, or an array.

    Parameters
    ----------
    problem : Problem
    given : str or array
        The name of a column, or, for a problem from a matrix, labels of shape (n,).
    argument : str

    Returns
    -------
    codes : ndarray of int64, shape (n,)
    levels : list of str

    Raises
    ------
    InputError
        If there is no such column, or if a label is missing.
    """
    if isinstance(given, str):
        values = _column(problem, given, argument)
        if not is_label(values.type):
            raise InputError(
                f"`{argument}` names the column {given!r}, which is {values.type}; name a column "
                "of text or numbers"
            )
        codes, levels = encode(values)
        _refuse(problem, codes < 0, f"`{argument}` names the column {given!r}, which is empty")
        return codes, levels
    if problem.survey is not None:
        raise InputError(f"`{argument}` is {type(given).__name__}; name a column of the records")
    labels = checked_labels(given, problem.n_records, argument, "columns of `A`")
    refuse_another_order(problem, given, argument)
    texts, codes = np.unique(list(map(str, labels)), return_inverse=True)
    return codes[problem.record_order].astype(np.int64), texts.tolist()


def read_replicate_columns(problem: Problem, names: Sequence[str]) -> NDArray[np.float64]:
    """Read replicate weights of the records, and divide them by the design weights.

    Returns
    -------
    ndarray of float64, shape (n, R)

    Raises
    ------
    InputError
        If a column does not exist, or if a weight is no number, missing or negative.
    """
    factors = np.empty((problem.n_records, len(names)))
    for place, name in enumerate(names):
        values = _column(problem, name, "columns")
        if not is_number(values.type):
            raise InputError(
                f"`columns` names the column {name!r}, which is {values.type}; replicate weights "
                "are numbers"
            )
        numbers = as_numbers(values)
        wrong = ~(np.isfinite(numbers) & (numbers >= 0))
        _refuse(
            problem, wrong, f"`columns` names the column {name!r}, which is missing or negative"
        )
        factors[:, place] = numbers / problem.design_weights
    return factors


def _column(problem: Problem, name: str, argument: str) -> pa.ChunkedArray:
    if problem.survey is None:
        raise InputError(
            f"`{argument}` names a column, {name!r}, and a problem from a matrix has none; make "
            "the problem from tables, with `l0.calibrate` or `CalibrationProblem.from_frames`"
        )
    table = problem.survey.records.table
    if name not in table.column_names:
        raise InputError(
            f"`{argument}` names the column {name!r}, which `records` do not have; "
            f"{closest(name, table.column_names)}"
        )
    return table.column(name)


def _refuse(problem: Problem, wrong: NDArray[np.bool_], what: str) -> None:
    """Raise an error that names the records where something is wrong."""
    places = np.flatnonzero(wrong)
    if places.size:
        keys = problem.keys.take(pa.array(places[:SHOWN])).to_pylist()
        raise InputError(
            f"{what} in {counted(places.size, 'record')} ({first_few(keys, places.size)}); correct "
            "these records, or drop them"
        )
