"""Values for each record or target are taken by position: a pandas index must not say otherwise.

A series knows its rows by its index. Where the index has the labels of the records in another
order, nobody can tell whether the values are to go by the labels or by their positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from l0.calibration.problem.core import Problem
from l0.common.errors import InputError, first_few
from l0.common.formatting import counted
from l0.data.pandas_index import index_of


def refuse_another_order(problem: Problem, given: Any, argument: str) -> None:
    """Refuse a series with the labels of the records in another order.

    Parameters
    ----------
    problem : Problem
    given : array or series
        A value for each record, in the order in which the records came.
    argument : str
        Its name in the error message.

    Raises
    ------
    InputError
        If its index has the labels of an index of the records, or the keys, in another order. The
        message names the first positions that differ.
    """
    own = index_of(given)
    if own is None or any(own.equals(each) for each in problem.index.values()):
        return
    keys: dict[str, Sequence[Any]] = {}
    if problem.key is not None and not problem.n_dropped:
        rows = pa.array(np.argsort(problem.record_order))
        name = "keys" if problem.survey is None else f"records[{problem.key!r}]"
        keys[name] = problem.keys.take(rows).to_pylist()
    check_order(own, f"the index of `{argument}`", problem.index, keys)


def check_order(
    own: Any,
    what: str,
    labels: Mapping[str, Sequence[Any]],
    names: Mapping[str, Sequence[Any]],
) -> None:
    """Check that an index does not have the labels of something else in another order.

    Parameters
    ----------
    own : pandas.Index
    what : str
        What it is the index of, for the error message.
    labels : mapping of str to pandas.Index
        Other indices, by how a program writes them. If `own` is equal to one, it may be another
        order of the next.
    names : mapping of str to sequence
        The same, of keys and names. Row numbers, which any series has by default, are not compared
        with them.

    Raises
    ------
    InputError
        The message names the first positions that differ.
    """
    ours = list(own)
    others = {name: list(each) for name, each in labels.items()}
    if ours != list(range(len(ours))):
        others |= {name: list(each) for name, each in names.items()}
    try:
        moved = {} if ours in others.values() else _moved(ours, others)
    except TypeError:  # labels of which some are missing cannot be compared
        return
    for name, places in moved.items():
        raise InputError(
            f"{what} has the labels of `{name}` in another order, with other ones at "
            f"{counted(len(places), 'position')} ({first_few(places)}); pass `.reindex({name})` of "
            "it to go by the labels, or `.to_numpy()` to go by position"
        )


def _moved(ours: list[Any], others: Mapping[str, list[Any]]) -> dict[str, list[int]]:
    """Find the positions at which the labels differ, of those that have the same labels."""
    return {
        name: [place for place, label in enumerate(ours) if label != theirs[place]]
        for name, theirs in others.items()
        if len(ours) == len(theirs) and set(ours) == set(theirs)
    }
