"""The arguments that say which columns go together, which must stay, and how many may come."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from l0.common.errors import InputError, closest, first_few
from l0.common.validation import is_whole_number, whole_number
from l0.linear_model.design import Positions

#: The largest size tried where none is given; see `largest_size`.
LARGEST = 50


def group_members(groups: ArrayLike | None, n_columns: int) -> list[Positions] | None:
    """The columns of each group, in order of its first column, from a label for each column."""
    if groups is None:
        return None
    labels = np.asarray(groups, dtype=object)
    if labels.shape != (n_columns,):
        raise InputError(
            f"`groups` has shape {labels.shape}; pass a label for each of the {n_columns:,} columns"
        )
    without = [column for column, label in enumerate(labels) if _missing(label)]
    if without:
        raise InputError(
            f"`groups` has no label for the columns {first_few(without)}; give one that stands "
            "alone a label of its own"
        )
    members: dict[object, list[int]] = {}
    for column, label in enumerate(labels):
        members.setdefault(label, []).append(column)
    return [np.array(columns, np.int64) for columns in members.values()]


def kept_units(
    must_keep: Iterable[Any] | None,
    names: Sequence[str] | None,
    n_columns: int,
    members: list[Positions] | None,
) -> Positions:
    """The units of the columns that must be kept, which are positions or names."""
    # What can be read once only would be forgotten at the next fit.
    if isinstance(must_keep, (str, Iterator)) or not isinstance(must_keep, Iterable | None):
        raise InputError(f"`must_keep` is {must_keep!r}; pass a list of positions or names")
    asked = [] if must_keep is None else list(must_keep)
    place = {name: position for position, name in enumerate(names)} if names is not None else {}
    wrong = [column for column in asked if not _is_column(column, place, n_columns)]
    if wrong:
        hint = f"; {closest(wrong[0], place)}" if place else ""
        raise InputError(
            f"`must_keep` names columns that are not there: {first_few(wrong)}; "
            f"pass positions from 0 to {n_columns - 1:,}, or names{hint}"
        )
    columns = np.unique(np.array([place.get(column, column) for column in asked], np.int64))
    if members is None:
        return columns
    return np.array([g for g, m in enumerate(members) if np.isin(m, columns).any()], np.int64)


def checked_size(n_features: object, n_units: int, n_kept: int, argument: str) -> int:
    """Insist on a number of units that there are, and that holds those kept."""
    size = whole_number(n_features, argument, 0)
    if size > n_units:
        raise InputError(f"`{argument}` is {size:,}, and there are {n_units:,} to choose from")
    if size < n_kept:
        raise InputError(
            f"`{argument}` is {size:,}, and `must_keep` alone takes {n_kept:,}; raise it"
        )
    return size


def largest_size(n_rows: float, n_units: int, n_kept: int) -> int:
    """The largest size tried: n / log p, at most 50.

    Beyond, the best of many columns fit noise so well that no criterion stops.
    """
    supported = int(n_rows / np.log(max(n_units, 3)))
    return max(n_kept, min(n_units, supported, LARGEST))


def _missing(label: object) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:
        # Whether pandas' NA differs from itself is NA, which is neither true nor false.
        return True


def _is_column(column: object, place: Container[object], n_columns: int) -> bool:
    """Whether it is a name or a position; True and False are neither, though they are integers."""
    if is_whole_number(column):
        return bool(0 <= column < n_columns)
    return isinstance(column, str) and column in place
