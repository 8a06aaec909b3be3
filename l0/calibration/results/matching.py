"""What two results share: targets by name, statistics by name, and records by key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from l0.common.errors import SHOWN, InputError, first_few
from l0.data.columns import plain

#: Errors that differ by at most this are alike.
ALIKE = 1e-3
#: The outcomes of a target or of a statistic.
OUTCOMES = ("A is nearer", "alike", "B is nearer")
#: What a target states.
STATED = ("statistic", "value", "at_least", "at_most")


@dataclass(frozen=True, eq=False)
class Shared:
    """Rows of two tables that are about the same things.

    Attributes
    ----------
    table : pyarrow.Table
        A row for each thing that both have, in the order of A.
    only_a, only_b : list of str
        The names of all others.
    changed : list of str
        The names of those that both have and that are not the same in both. They are not in the
        table.
    """

    table: pa.Table
    only_a: list[str]
    only_b: list[str]
    changed: list[str]


def shared_targets(a: pa.Table, b: pa.Table) -> Shared:
    """Match targets by their names. What they state must be the same too.

    Raises
    ------
    InputError
        If no target is in both.
    """
    of_a, of_b = _targets_by_name(a), _targets_by_name(b)
    both = [key for key in of_a if key in of_b]
    same = [key for key in both if of_a[key][1] == of_b[key][1]]
    if not same:
        what = (
            f"state other values ({first_few([name for name, _ in both])})"
            if both
            else f"have other names (A: {first_few(_names(of_a))}; B: {first_few(_names(of_b))})"
        )
        raise InputError(
            f"`a` and `b` have no target in common: all targets {what}; compare results of the "
            "same targets, with a column `name` in both tables if they differ in their labels"
        )
    rows_a, rows_b = ([of[key][0] for key in same] for of in (of_a, of_b))
    a, b = a.take(rows_a), b.take(rows_b)
    columns: dict[str, Any] = {"name": a.column("name"), "group": a.column("group")}
    columns |= {name: a.column(name) for name in STATED if name in a.column_names}
    errors = []
    for side, table in (("a", a), ("b", b)):
        for name in ("estimate", "relative_error", "status"):
            columns[f"{name}_{side}"] = table.column(name)
        errors.append(table.column("relative_error").to_numpy())
    columns["outcome"] = outcomes(*errors)
    return Shared(
        pa.table(columns),
        _names(key for key in of_a if key not in of_b),
        _names(key for key in of_b if key not in of_a),
        _names(key for key in both if of_a[key][1] != of_b[key][1]),
    )


def shared_statistics(a: pa.Table | None, b: pa.Table | None) -> Shared | None:
    """Match untargeted statistics that are held out in both. None if one has none."""
    if a is None or b is None:
        return None
    a, b = (each.filter(each.column("held_out")) for each in (a, b))
    of_a, of_b = (
        {name: row for row, name in enumerate(each.column("statistic").to_pylist())}
        for each in (a, b)
    )
    both = [name for name in of_a if name in of_b]
    if not both:
        return None
    a, b = a.take([of_a[name] for name in both]), b.take([of_b[name] for name in both])
    errors = [each.column("relative_error").to_numpy() for each in (a, b)]
    table = pa.table(
        {
            **{name: a.column(name) for name in ("statistic", "variable", "by")},
            "reference_a": a.column("reference"),
            "reference_b": b.column("reference"),
            "relative_error_a": errors[0],
            "relative_error_b": errors[1],
            "outcome": outcomes(*errors),
        }
    )
    only_a, only_b = ([name for name in one if name not in other]
                      for one, other in ((of_a, of_b), (of_b, of_a)))  # fmt: skip
    return Shared(table, only_a, only_b, [])


def matched_records(
    a: pa.Table, b: pa.Table, by_row: tuple[bool, bool], same_rows: bool
) -> pa.Table:
    """Match the chosen records by their keys.

    Parameters
    ----------
    a, b : pyarrow.Table
        The weights of two results.
    by_row : tuple of bool
        Whether the keys of A and of B are row numbers, because no column was named as the key.
    same_rows : bool
        Whether a row number means the same record in both.

    Returns
    -------
    pyarrow.Table
        The key, and `weight_a`, `weight_b`, `design_weight_a` and `design_weight_b`, which are null
        for a record that the result does not have. The records of A come first.

    Raises
    ------
    InputError
        If the keys are different columns, of different types, or row numbers of different tables.
    """
    key = a.column_names[0]
    named = [
        "row number" if row else repr(each.column_names[0])
        for row, each in zip(by_row, (a, b), strict=True)
    ]
    keys = _of_one_type(*(plain(each.column(0)) for each in (a, b)))
    if named[0] != named[1] or keys is None:
        kinds = [_kind(each.column(0).type) for each in (a, b)]
        if keys is None and kinds[0] == kinds[1]:  # whole numbers that no type can all hold
            kinds = [str(each.column(0).type) for each in (a, b)]
        raise InputError(
            f"`a` has the key {named[0]} ({kinds[0]}), and `b` {named[1]} ({kinds[1]}); "
            "calibrate both with the same `key`, of the same type"
        )
    if all(by_row) and not same_rows:
        raise InputError(
            "`a` and `b` know their records by row number, and come from different records; "
            "calibrate both with a `key`"
        )
    in_b, in_a = pc.index_in(keys[0], keys[1]), pc.index_in(keys[1], keys[0])
    only_b = pc.indices_nonzero(pc.is_null(in_a))
    nothing = pa.nulls(len(only_b), pa.int64())
    place_a = pa.concat_arrays([pa.array(np.arange(len(in_b))), nothing])
    place_b = pa.concat_arrays([in_b.cast(pa.int64()), only_b.cast(pa.int64())])
    found = {key: pa.concat_arrays([keys[0], keys[1].take(only_b)])}
    for name in ("weight", "design_weight"):
        found[f"{name}_a"] = a.column(name).take(place_a)
        found[f"{name}_b"] = b.column(name).take(place_b)
    return pa.table(found)


def outcomes(a: NDArray[np.float64], b: NDArray[np.float64]) -> pa.Array:
    """Say which of two relative errors is smaller, by more than `ALIKE`."""
    ahead = np.abs(a) - np.abs(b)
    place = np.where(ahead > ALIKE, 2, np.where(ahead < -ALIKE, 0, 1))
    return pa.array([OUTCOMES[each] for each in place.tolist()], pa.string())


def described(names: Sequence[str]) -> str:
    """Count names, and write the first of them."""
    return f"{len(names):,} ({first_few(names[:SHOWN], len(names))})"


def _targets_by_name(table: pa.Table) -> dict[tuple[str, int], tuple[int, tuple[Any, ...]]]:
    """Find the row of each target, and what it states, by its name and a number for repetitions."""
    names = table.column("name").to_pylist()
    columns = [
        table.column(name).to_pylist() if name in table.column_names else [None] * len(names)
        for name in STATED
    ]
    of_name: dict[str, list[tuple[str, int, tuple[Any, ...]]]] = defaultdict(list)
    for row, (name, statistic, *numbers) in enumerate(zip(names, *columns, strict=True)):
        says = (statistic or "total", *numbers)
        of_name[name].append((repr(says), row, says))
    return {
        (name, place): (row, says)
        for name, targets in of_name.items()
        for place, (_, row, says) in enumerate(sorted(targets))
    }


def _names(keys: Any) -> list[str]:
    return [name for name, _ in keys]


def _of_one_type(a: pa.Array, b: pa.Array) -> tuple[pa.Array, pa.Array] | None:
    """Give keys of one kind one type. None if they are of two, or if no type can hold them all."""
    if a.type == b.type:
        return a, b
    if _kind(a.type) != _kind(b.type):
        return None
    for wide in (pa.int64(), pa.uint64()) if pt.is_integer(a.type) else (pa.large_string(),):
        try:
            return a.cast(wide), b.cast(wide)
        except pa.ArrowInvalid:
            continue  # a number that this type does not have
    return None


def _kind(of: pa.DataType) -> str:
    if pt.is_integer(of):
        return "whole numbers"
    return "text" if pt.is_string(of) or pt.is_large_string(of) else str(of)
