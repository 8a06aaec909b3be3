"""The survey: records with design weights, and member tables with the keys of their records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.findings import ERROR, Complain, Finding, refuse
from l0.common.errors import SHOWN, InputError, first_few
from l0.common.formatting import counted
from l0.common.validation import as_plain
from l0.data.codings import coding_of
from l0.data.columns import as_numbers, as_text, is_key, is_number, is_text, not_a_number, plain
from l0.data.locations import Location
from l0.data.pandas_index import index_of
from l0.data.readers.csv_files import csv_file
from l0.data.tables import Kind, checked_name, column, read_table

#: The other columns in the weights of a result and in its file.
RESULT_COLUMNS = ("weight", "design_weight", "row")
#: The names of the columns of replicate weights.
REPLICATE_COLUMN = re.compile(r"rw[1-9]\d*")
#: What to do with records of design weight 0.
ZERO_WEIGHTS = ("error", "drop")
#: A member has the weight of its record if both differ by at most this share.
SAME_WEIGHT = 1e-6
#: Design weights are between these. The squares of their ratios are then numbers, times squares of
#: amounts up to 1e50. Beyond, sums of squares and Newton systems overflow, and weights of 0 and
#: results without a meaning follow.
LEAST_WEIGHT, LARGEST_WEIGHT = 1e-50, 1e50


@dataclass(frozen=True)
class Entity:
    """A table of units. Each unit belongs to one record.

    Attributes
    ----------
    table : pyarrow.Table
        One row for each unit.
    record : ndarray of int64, shape (n_units,)
        The position of each unit's record. For the records themselves it is 0, 1, 2, ...
    argument : str
        The name of the table in error messages.
    file : Location or None
        The CSV file that the table was read from.
    """

    table: pa.Table
    record: NDArray[np.int64]
    argument: str
    file: Location | None


@dataclass(frozen=True)
class Survey:
    """A checked survey. Its records are sorted by key.

    Attributes
    ----------
    records : Entity
    members : dict of str to Entity
    key : str or None
        The name of the key column, or None if the row number identifies a record.
    weight : str or None
        The name of the column of design weights.
    keys : pyarrow.Array, shape (n,)
    weights : ndarray of float64 or None, shape (n,)
        The design weights, or None if no column was named.
    order : ndarray of int64, shape (n,)
        ``order[i]`` is the row of record i in the input.
    kind : {"pandas", "polars", "pyarrow"}
        The kind of the input frame.
    n_dropped : int
        The number of records of design weight 0, which are left out.
    index : pandas.Index or None
        The index of the input frame.
    """

    records: Entity
    members: dict[str, Entity]
    key: str | None
    weight: str | None
    keys: pa.Array
    weights: NDArray[np.float64] | None
    order: NDArray[np.int64]
    kind: Kind
    n_dropped: int = 0
    index: Any = None

    def holder(self, entity: Entity, name: str) -> Entity | None:
        """Find the table with a column: the entity itself, else the records, else None."""
        for holder in (entity, self.records):
            if name in holder.table.column_names:
                return holder
        return None

    def measure(self, entity: Entity, name: str) -> NDArray[np.float64]:
        """Take a numeric column of an entity as float64.

        Raises
        ------
        InputError
            If a value is null, NaN or infinite. The message names the first such records.
        """
        numbers = as_numbers(entity.table.column(name))
        bad = np.flatnonzero(~np.isfinite(numbers))
        if bad.size:
            lost = np.unique(entity.record[bad])
            where = self.keys.take(pa.array(lost[:5])).to_pylist()
            coding = coding_of(entity.table.schema.field(name))
            codes = (
                f", with the missing codes {first_few(coding.found)} of the file"
                if (coding and coding.found)
                else ""
            )
            raise InputError(
                f"`{entity.argument}` column {name!r} has {bad.size:,} null, NaN or infinite "
                f"values (records {first_few(where, lost.size)}{codes}); fill them or drop the rows"
            )
        return numbers

    def numbers(self, name: str, argument: str) -> NDArray[np.float64]:
        """Take a numeric column of the records that an argument names. Unknown numbers are NaN."""
        values = column(self.records.table, name, "records", f"a limit of `{argument}`")
        if not is_number(values.type):
            raise InputError(
                f"`{argument}` names the column {name!r}, which is {not_a_number(values)}; "
                "write plain numbers or name another"
            )
        return as_numbers(values)

    def flags(self, name: str, argument: str) -> NDArray[np.bool_]:
        """Take a column of the records that says yes or no: booleans, or the numbers 1 and 0."""
        values = column(self.records.table, name, "records", f"`{argument}`")
        numbers = as_numbers(values) if is_number(values.type) else None
        if numbers is None or not np.isin(numbers[~np.isnan(numbers)], (0, 1)).all():
            raise InputError(
                f"`{argument}` names the column {name!r}, which is {values.type}; it must be "
                "boolean, or have the numbers 1 and 0 alone"
            )
        empty = np.flatnonzero(np.isnan(numbers))
        if empty.size:
            shown = self.keys.take(pa.array(empty[:SHOWN])).to_pylist()
            raise InputError(
                f"`{argument}` names the column {name!r}, which is null in "
                f"{counted(empty.size, 'record')} ({first_few(shown, empty.size)}); fill them"
            )
        return np.asarray(numbers == 1)


def read_survey(
    records: Any,
    *,
    key: str | None = None,
    weight: str | None = None,
    members: Mapping[str, Any] | None = None,
    zero_weights: str = "error",
    complain: Complain = refuse,
) -> Survey:
    """Read and check the records and their members (see `CalibrationProblem.from_frames`).

    If `complain` returns, members without a record are left out.
    """
    if zero_weights not in ZERO_WEIGHTS:
        raise InputError(
            f"`zero_weights` is {zero_weights!r}; it must be one of {first_few(ZERO_WEIGHTS)}"
        )
    key, weight = _checked_columns(key, weight)
    named = checked_members(members)
    if named and key is None:
        raise InputError("`members` need the key of their record; name its column in `key`")
    table, kind = read_table(records, "records", key=key)
    table, keys, order = _sorted_by_key(table, key)
    weights = None
    if weight is not None:
        weights = _checked_weights(table, weight, keys, drop=zero_weights == "drop")
    survey = Survey(
        records=Entity(table, np.arange(table.num_rows), "records", csv_file(records)),
        members={
            name: _tie(member, name, key, keys, complain)
            for name, member in named.items()
            if key is not None
        },
        key=key,
        weight=weight,
        keys=keys,
        weights=weights,
        order=order,
        kind=kind,
        index=index_of(records),
    )
    if weight is not None:
        for entity in survey.members.values():
            _check_own_weights(entity, weight, survey)
    return survey if weights is None else _without(survey, weights == 0)


def checked_members(members: Any, example: str = "{'person': persons}") -> dict[str, Any]:
    """Check that members are tables by name. The `example` is for the error message."""
    if members is None:
        return {}
    if not isinstance(members, Mapping):
        raise InputError(
            f"`members` is a {type(members).__name__}; pass a dictionary of tables, such as "
            f"{example}"
        )
    bad = [name for name in members if not isinstance(name, str) or not name.strip()]
    if bad:
        raise InputError(
            f"`members` has the names {first_few(bad)}, and targets name a table by text; write "
            f"names of some letters, as in {example}"
        )
    return {as_plain(name): member for name, member in members.items()}


def _checked_columns(key: str | None, weight: str | None) -> tuple[str | None, str | None]:
    """Check the names of the columns of the keys and of the weights."""
    key = None if key is None else checked_name(key, "key")
    weight = None if weight is None else checked_name(weight, "weight")
    if key is not None and key == weight:
        raise InputError(
            f"`key` and `weight` both name the column {key!r}; name two columns, or leave one out"
        )
    if key is not None and (key in RESULT_COLUMNS or REPLICATE_COLUMN.fullmatch(key)):
        raise InputError(f"`key` column {key!r} has the name of a column of the result; rename it")
    return key, weight


def _sorted_by_key(
    table: pa.Table, key: str | None
) -> tuple[pa.Table, pa.Array, NDArray[np.int64]]:
    """Sort the records by key: the table, its keys, and the row that each came from."""
    if key is None:
        order = np.arange(table.num_rows)
        return table, pa.array(order), order
    keys = check_keys(
        key_column(table, key, "records", "the `key`"), f"`key` column {key!r}", "rows"
    )
    order = pc.sort_indices(keys).to_numpy().astype(np.int64)
    if np.array_equal(order, np.arange(len(order))):  # it stays, because it may exceed the memory
        return table, keys, order
    return table.take(order), keys.take(order), order


def _check_own_weights(member: Entity, weight: str, survey: Survey) -> None:
    """Refuse members that have another weight than their record."""
    if weight not in member.table.column_names:
        return
    assert survey.weights is not None
    values = member.table.column(weight)
    other = np.ones(len(values), dtype=bool)
    if is_number(values.type):
        # A weight that was stored as float32 is the same weight.
        other = ~np.isclose(
            as_numbers(values), survey.weights[member.record], rtol=SAME_WEIGHT, atol=0
        )
    if other.any():
        rows = np.flatnonzero(other)
        shown = survey.keys.take(pa.array(member.record[rows[:SHOWN]])).to_pylist()
        raise InputError(
            f"`{member.argument}` has the `weight` column {weight!r} too, with another value than "
            f"the record in {counted(len(rows), 'row')} (keys {first_few(shown, len(rows))}); "
            "members with weights of their own are not supported: drop or rename the column, and "
            "each member has the weight of its record"
        )


def _without(survey: Survey, out: NDArray[np.bool_]) -> Survey:
    """Leave out records, and their members."""
    if not out.any():
        return survey
    kept = np.flatnonzero(~out)
    if not len(kept):
        raise InputError(
            f"`weight` column {survey.weight!r} is 0 in all {len(out):,} records; name another"
        )
    place = np.cumsum(~out) - 1  # the new positions of the records that stay

    def left(entity: Entity) -> Entity:
        rows = np.flatnonzero(~out[entity.record])
        return replace(entity, table=entity.table.take(rows), record=place[entity.record[rows]])

    assert survey.weights is not None
    return replace(
        survey,
        records=left(survey.records),
        members={name: left(member) for name, member in survey.members.items()},
        keys=survey.keys.take(pa.array(kept)),
        weights=survey.weights[kept],
        order=survey.order[kept],
        n_dropped=int(out.sum()),
    )


def key_column(table: pa.Table, key: str, argument: str, meaning: str) -> pa.Array:
    """Take the column that identifies rows, and check its type."""
    values = column(table, key, argument, meaning)
    if not is_key(values.type):
        raise InputError(
            f"`{argument}` column {key!r} cannot be {meaning}: it is {values.type}; write it as "
            "text or whole numbers"
        )
    return plain(values)


def check_keys(keys: pa.Array, what: str, places: str) -> pa.Array:
    """Check that keys are unique and that none is null.

    Parameters
    ----------
    keys : pyarrow.Array
    what : str
        The beginning of the error message: ``"`key` column 'id'"``.
    places : str
        "rows" or "positions", for the error message.
    """
    null = _null_rows(keys)
    if null.size:
        raise InputError(
            f"{what} is null in {counted(null.size, places[:-1])} ({places} "
            f"{first_few(null.tolist())}); give every record a key or drop it"
        )
    counts = pc.value_counts(keys)
    if len(counts) < len(keys):
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        raise InputError(
            f"{what} repeats {counted(len(twice), 'key')} "
            f"({first_few(twice.slice(0, 5).to_pylist(), len(twice))}); keys must be unique: drop "
            "the repeated records or number them"
        )
    return keys


def _checked_weights(
    table: pa.Table, weight: str, keys: pa.Array, drop: bool
) -> NDArray[np.float64]:
    column(table, weight, "records", "the design `weight`")
    values = table.column(weight)
    if not is_number(values.type):
        raise InputError(
            f"`weight` column {weight!r} is {not_a_number(values)}; "
            "write plain numbers or name another"
        )
    return check_weights(
        as_numbers(values),
        f"`weight` column {weight!r}",
        keys,
        zeros=drop,
        remedy=""
        if drop
        else ", or leave out those of weight 0 with `zero_weights='drop'` "
        "(on the command line --zero-weights drop)",
    )


def check_weights(
    weights: NDArray[np.float64],
    what: str,
    keys: pa.Array,
    zeros: bool = False,
    remedy: str = "",
) -> NDArray[np.float64]:
    """Check that design weights are positive and finite, and neither tiny nor huge.

    Parameters
    ----------
    weights : ndarray of float64, shape (n,)
    what : str
        The beginning of the error message: ``"`weight` column 'w'"``.
    keys : pyarrow.Array, shape (n,)
        The keys of the records, for the error message.
    zeros : bool
        Whether weights of 0 are allowed.
    remedy : str
        Another remedy for weights that are not positive, for the error message.
    """
    for bad, how, another in (
        (~np.isfinite(weights), "null, NaN or infinite", ""),
        (weights < 0, "negative", "") if zeros else (weights <= 0, "zero or negative", remedy),
    ):
        if bad.any():
            where = keys.filter(pa.array(bad)).slice(0, 5).to_pylist()
            raise InputError(
                f"{what} has {counted(int(bad.sum()), how + ' value')} (records "
                f"{first_few(where, int(bad.sum()))}); design weights must be positive: "
                f"drop these records or give them a weight{another}"
            )
    extreme = (weights > LARGEST_WEIGHT) | ((weights < LEAST_WEIGHT) & (weights != 0))
    if extreme.any():
        where = keys.filter(pa.array(extreme)).slice(0, SHOWN).to_pylist()
        raise InputError(
            f"{what} is outside of {LEAST_WEIGHT:g} to {LARGEST_WEIGHT:g} in "
            f"{counted(int(extreme.sum()), 'record')} ({first_few(where, int(extreme.sum()))}), "
            "and no fit can compute with such numbers; correct these weights, or drop the records"
        )
    return np.ascontiguousarray(weights, dtype=np.float64)


def _tie(member: Any, name: str, key: str, keys: pa.Array, complain: Complain) -> Entity:
    argument = f"members[{name!r}]"
    table, _ = read_table(member, argument, key=key)
    own = key_column(table, key, argument, "the `key`")
    rows = _null_rows(own)
    if rows.size:
        raise InputError(
            f"`{argument}` has {counted(rows.size, 'row')} with a null key {key!r} "
            f"(rows {first_few(rows.tolist())}); every member needs its record's key"
        )
    found = find_keys(own, keys)
    if found.null_count:
        lost = pc.unique(own.filter(found.is_null()))
        types = "" if own.type == keys.type else f", {own.type} where `records` have {keys.type}"
        shown = lost.slice(0, SHOWN).to_pylist()
        complain(
            Finding(
                ERROR,
                "members",
                f"`{argument}` has {counted(found.null_count, 'row')} whose record is missing from "
                f"`records` (keys {first_few(shown, len(lost))}{types})",
                "add these records or drop the rows",
                tuple(map(str, shown)),
                len(lost),
            )
        )
        table, found = table.filter(found.is_valid()), found.drop_null()
    return Entity(table, found.to_numpy().astype(np.int64), argument, csv_file(member))


def find_keys(own: pa.Array, keys: pa.Array) -> pa.Array:
    """Find keys among the keys of the records, also of another type. Null means not found."""
    if own.type != keys.type:
        # Text is never read as a number: '01' and '1' are two keys.
        if is_text(own.type) == is_text(keys.type):
            try:
                return pc.index_in(own.cast(keys.type), value_set=keys)
            except pa.ArrowException:
                pass  # a value does not fit the type: compare the keys as text
        try:
            own, keys = (pa.array(as_text(values), pa.string()) for values in (own, keys))
        except pa.ArrowException:  # bytes that are not text
            return pa.nulls(len(own), pa.int32())
    return pc.index_in(own, value_set=keys)


def _null_rows(keys: pa.Array) -> NDArray[np.int64]:
    return np.flatnonzero(keys.is_null(nan_is_null=True).to_numpy(zero_copy_only=False))
