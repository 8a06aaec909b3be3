"""Read which records must be kept: their keys, a boolean array, or a boolean column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.inputs.survey import find_keys
from l0.calibration.problem.core import Problem
from l0.calibration.problem.given_order import refuse_another_order
from l0.common.errors import SHOWN, InputError, first_few
from l0.common.formatting import counted
from l0.common.validation import check_length
from l0.data.columns import is_key, is_text, plain
from l0.data.tables import is_frame

WAYS = "keys, a boolean array with an entry for each record, or the name of a boolean column"


def read_must_keep(problem: Problem, given: Any) -> NDArray[np.bool_]:
    """Read and check the option `must_keep`.

    Parameters
    ----------
    problem : Problem
    given : str, array or None
        The name of a boolean column of the records, the keys of records, or a boolean array of
        shape (n,) in the order in which the records came. A key may occur more than once. A pandas
        series of flags must not have the labels of the records in another order.

    Returns
    -------
    ndarray of bool, shape (n,)

    Raises
    ------
    InputError
        If there is no such column, if it is not boolean, or if a key is null or unknown.
    """
    if given is None:
        return np.zeros(problem.n_records, dtype=bool)
    if isinstance(given, str):
        if problem.survey is None:
            raise InputError(
                f"`must_keep` names a column, {given!r}, and a problem from a matrix has no "
                "columns; pass keys, or a boolean array with an entry for each column of `A`"
            )
        return problem.survey.flags(given, "must_keep")
    if isinstance(given, Iterator):
        raise InputError(
            f"`must_keep` is a {type(given).__name__}, which can be read only once; pass a list"
        )
    values = _array(given)
    if values.null_count:
        null = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))
        raise InputError(
            f"`must_keep` is null at {counted(len(null), 'position')} "
            f"({first_few(null.tolist())}); drop them"
        )
    if pa.types.is_boolean(values.type):
        refuse_another_order(problem, given, "must_keep")
        return _flags(problem, values.to_numpy(zero_copy_only=False))
    return _keys(problem, values)


def _array(given: Any) -> pa.Array:
    if is_frame(given):  # Arrow would take the names of its columns, or fail
        raise InputError(f"`must_keep` is a {type(given).__name__}; pass one column of it: {WAYS}")
    try:
        if isinstance(given, (set, frozenset)):
            given = list(given)
        array = plain(pa.array(given, from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"`must_keep` is a {type(given).__name__} that cannot be read ({error.args[0]}); pass "
            f"{WAYS}"
        ) from None
    if not (is_key(array.type) or pa.types.is_boolean(array.type)):
        raise InputError(f"`must_keep` has values of the type {array.type}; pass {WAYS}")
    return array


def _flags(problem: Problem, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    check_length(len(flags), problem.n_records + problem.n_dropped, "must_keep", "records")
    must = flags[problem.record_order]
    if lost := int(flags.sum() - must.sum()):
        raise InputError(
            f"`must_keep` has {counted(lost, 'record')} of design weight 0, which "
            "`zero_weights='drop'` leaves out; give them a weight, or take them out of `must_keep`"
        )
    return must


def _keys(problem: Problem, keys: pa.Array) -> NDArray[np.bool_]:
    must = np.zeros(problem.n_records, dtype=bool)
    if not len(keys):
        return must
    found = find_keys(keys, problem.keys)
    if found.null_count:
        lost = pc.unique(keys.filter(found.is_null()))
        shown = first_few(lost.slice(0, SHOWN).to_pylist(), len(lost))
        types = (
            ""
            if is_text(keys.type) == is_text(problem.keys.type)
            else f" ({keys.type} where the records have {problem.keys.type})"
        )
        are = "is" if problem.n_dropped == 1 else "are"
        dropped = (
            f"; {counted(problem.n_dropped, 'record')} of design weight 0 {are} left out"
            if problem.n_dropped
            else ""
        )
        raise InputError(
            f"`must_keep` has {counted(len(lost), 'key')} that no record has: "
            f"{shown}{types}{dropped}; correct them or take them out"
        )
    must[found.to_numpy()] = True
    return must
