"""Read the arguments `groups`, `must_keep`, `n_features` and `max_features`."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from l0.common.errors import InputError, closest, first_few
from l0.common.validation import is_missing, is_whole_number, whole_number
from l0.linear_model.design import Positions

#: The largest size that is tried by default; see `largest_size`.
LARGEST = 50


def group_members(
    groups: ArrayLike | Mapping[Any, Any] | None, n_columns: int, names: Sequence[str] | None = None
) -> list[Positions] | None:
    """Return the columns of each group; the groups come in the order of their first columns.

    Parameters
    ----------
    groups : array of labels, shape (n_columns,), Series, dict, or None
        A dict has the label of each column, by name or position. So has a Series whose index has
        the names or positions of columns; another index without names of columns is ignored. A
        name in a dict may have wildcards (`*`, `?`). A column that fits no name of such a dict is a
        group of its own.
    n_columns : int
    names : sequence of str, optional
        The names of the columns.

    Returns
    -------
    list of ndarray of int64, or None
        None without `groups`.

    Raises
    ------
    InputError
        If there is not one label for each column.
    """
    if groups is None:
        return None
    labels = np.asarray(_in_order(groups, n_columns, names), dtype=object)
    if labels.shape != (n_columns,):
        raise InputError(
            f"`groups` has shape {labels.shape}; pass a label for each of the {n_columns:,} columns"
        )
    without = [column for column, label in enumerate(labels) if is_missing(label)]
    if without:
        raise InputError(
            f"`groups` has no label for the columns {first_few(without)}; give each a label, and a "
            "column without a group a label of its own"
        )
    members: dict[object, list[int]] = {}
    for column, label in enumerate(labels):
        members.setdefault(label, []).append(column)
    return [np.array(columns, np.int64) for columns in members.values()]


def _in_order(groups: Any, n_columns: int, names: Sequence[str] | None) -> Any:
    """Return labels in the order of the columns, where they come with names or positions."""
    columns = [] if names is None else list(names)
    if isinstance(groups, Mapping):
        if columns and (patterns := _patterns(groups, columns)):
            return _by_pattern(groups, columns, patterns)
        keys, labels = list(groups), list(groups.values())
    elif not callable(getattr(groups, "index", callable)):  # a method of lists and strings
        keys, labels = list(groups.index), list(groups)
        known = [*columns, *range(n_columns)]
        if not set(keys) & set(known) or (columns and keys == list(range(n_columns))):
            if any(isinstance(key, str) for key in keys) and columns:
                raise InputError(
                    f"`groups` has an index without names of columns: {first_few(keys)}; give it "
                    "the names of the columns of `X` as index, or pass an array"
                )
            return labels
    else:
        return groups
    by_name = bool(columns) and any(isinstance(key, str) for key in keys)
    order: list[Any] = columns if by_name else list(range(n_columns))
    wrong = [key for key in keys if key not in set(order)]
    if wrong:
        raise InputError(
            f"`groups` has labels for columns that do not exist: {first_few(wrong)}; pass names, "
            f"or positions from 0 to {n_columns - 1:,}"
        )
    found = dict(zip(keys, labels, strict=True))
    if len(found) < len(keys):
        raise InputError("`groups` has several labels for a column; make its index unique")
    without = [column for column in order if column not in found]
    if without:
        raise InputError(
            f"`groups` has no label for the columns {first_few(without)}; give each a label, and a "
            "column without a group a label of its own"
        )
    return [found[column] for column in order]


def _patterns(groups: Mapping[Any, Any], columns: list[str]) -> list[str]:
    """Return the names of a dict that have wildcards and are no column themselves."""
    known = set(columns)
    return [
        key
        for key in groups
        if isinstance(key, str) and ("*" in key or "?" in key) and key not in known
    ]


def _by_pattern(groups: Mapping[Any, Any], columns: list[str], patterns: list[str]) -> list[Any]:
    """Return the label of each column, from a dict whose names may have wildcards."""
    wrong = [key for key in groups if key not in {*columns, *patterns}]
    none = [key for key in patterns if not any(fnmatchcase(name, key) for name in columns)]
    if wrong or none:
        raise InputError(
            f"`groups` has labels for columns that do not exist: {first_few([*wrong, *none])}; the "
            f"columns are {first_few(columns)}"
        )
    labels: list[Any] = []
    for name in columns:
        fits = [key for key in patterns if fnmatchcase(name, key)]
        found = [groups[name]] if name in groups else [groups[key] for key in fits]
        if len(set(found)) > 1:
            raise InputError(
                f"`groups` has several labels for the column {name!r}, which fits "
                f"{first_few(fits)}; name the column itself too, or change the names"
            )
        # A tuple of its own equals no label that a user would give.
        labels.append(found[0] if found else ("alone", name))
    return labels


def kept_units(
    must_keep: Iterable[Any] | None,
    names: Sequence[str] | None,
    n_columns: int,
    members: list[Positions] | None,
) -> Positions:
    """Return the units that `must_keep` names: its columns, or the groups that hold them.

    Parameters
    ----------
    must_keep : iterable of int or str, optional
        Positions or names of columns.
    names : sequence of str, optional
        The names of the columns.
    n_columns : int
    members : list of ndarray of int64, optional
        The columns of each group.

    Returns
    -------
    ndarray of int64
        Ascending.

    Raises
    ------
    InputError
        If `must_keep` is no list, or names a column that does not exist.
    """
    # An iterator would be empty at the next fit.
    if isinstance(must_keep, (str, Iterator)) or not isinstance(must_keep, Iterable | None):
        raise InputError(f"`must_keep` is {must_keep!r}; pass a list of positions or names")
    asked = [] if must_keep is None else list(must_keep)
    columns = np.unique(np.array(positions(asked, names, n_columns, "must_keep"), np.int64))
    if members is None:
        return columns
    return np.array([g for g, m in enumerate(members) if np.isin(m, columns).any()], np.int64)


def positions(
    asked: Iterable[Any], names: Sequence[str] | None, n_columns: int, argument: str
) -> list[int]:
    """Return the positions of columns that are named or given by position.

    Raises
    ------
    InputError
        If a column does not exist.
    """
    place = {name: position for position, name in enumerate(names)} if names is not None else {}
    wrong = [column for column in asked if not _is_column(column, place, n_columns)]
    if wrong:
        hint = f"; {closest(wrong[0], place)}" if place else ""
        raise InputError(
            f"`{argument}` names columns that do not exist: {first_few(wrong)}; "
            f"pass positions from 0 to {n_columns - 1:,}, or names{hint}"
        )
    return [int(place.get(column, column)) for column in asked]


def checked_size(n_features: object, n_units: int, n_kept: int, argument: str) -> int:
    """Return a number of units, if it is between the number of kept units and that of all units."""
    size = whole_number(n_features, argument, 0)
    if size > n_units:
        raise InputError(
            f"`{argument}` is {size:,}, but there are only {n_units:,} to choose from; lower it"
        )
    if size < n_kept:
        raise InputError(
            f"`{argument}` is {size:,}, but `must_keep` alone takes {n_kept:,}; raise it"
        )
    return size


def largest_size(n_rows: float, n_units: int, n_kept: int) -> int:
    """Return the largest size to try: n / log p, and at most 50.

    In larger models the best of many columns fit the noise so well that no criterion stops.
    """
    supported = int(n_rows / np.log(max(n_units, 3)))
    return max(n_kept, min(n_units, supported, LARGEST))


def _is_column(column: object, place: Container[object], n_columns: int) -> bool:
    """Whether a value is a name or a position. True and False are neither."""
    if is_whole_number(column):
        return bool(0 <= column < n_columns)
    return isinstance(column, str) and column in place
