"""Read and check the table of targets.

Each row is a target: `value` is the weighted sum of `variable` over the rows of `entity` whose
columns equal all labels of the target.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.inputs.survey import Survey
from l0.common.errors import SHOWN, InputError, closest, first_few
from l0.data.columns import (
    as_level,
    as_numbers,
    as_text,
    is_label,
    is_number,
    not_a_number,
    try_encode,
)
from l0.data.readers.csv_files import merged_cells
from l0.data.tables import column, read_table

#: The variable that means the number of rows.
COUNT = "count"
NUMBERS = ("value", "importance", "tolerance")
RESERVED = ("name", "entity", "variable", *NUMBERS, "group", "source")
#: The purpose of the text columns that are not labels, for error messages.
TEXTS = {
    "name": "name the targets",
    "group": "group the loss",
    "source": "name the source of the totals",
}


@dataclass(frozen=True)
class Targets:
    """The checked table of targets, by column.

    Attributes
    ----------
    names, groups : list of str, length m
    entities : list of str, length m
        The name of the member table, or "" for the records.
    variables : list of str, length m
    labels : list of tuple of (str, str), length m
        The labels of each target, ``((column, level), ...)``, in the order of the columns.
    values, importance, tolerance : ndarray of float64, shape (m,)
        `importance` adds up to one. If the table has groups, each of `groups` has the same share,
        times the importance of its targets.
    """

    names: list[str]
    entities: list[str]
    variables: list[str]
    labels: list[tuple[tuple[str, str], ...]]
    values: NDArray[np.float64]
    groups: list[str]
    importance: NDArray[np.float64]
    tolerance: NDArray[np.float64]

    def sort_key(self, row: int) -> tuple[str, str, float, float]:
        """Sort by name, and then by the rest of the row: a target may occur twice."""
        return self.names[row], self.groups[row], self.importance[row], self.tolerance[row]


def read_targets(source: Any, survey: Survey) -> Targets:
    """Read the table of targets and check its rows against the survey.

    Parameters
    ----------
    source : frame or path
        The table (see `CalibrationProblem.from_frames`).
    survey : Survey

    Returns
    -------
    Targets
        In the order of the table.

    Raises
    ------
    InputError
        If an entity, a variable, a label column or a level is unknown (with the closest names), if
        a value is not a finite number, or if a target has two values. The message names the
        targets.
    """
    table, _ = read_table(source, "targets", {name: pa.float64() for name in NUMBERS})
    for name, meaning in (("variable", "what is added up"), ("value", "the published total")):
        column(table, name, "targets", meaning)
    stated = _optional_text(table, "entity")
    entities = _entities(stated, survey)  # first: the columns of an entity are in its table
    _check_swallowed(table, survey)
    label_columns = _label_columns(table, stated, survey)
    _check_merged(label_columns, survey)
    variables = _optional_text(table, "variable")
    empty = [row for row, variable in enumerate(variables) if not variable]
    if empty:
        raise InputError(
            f"`targets` column 'variable' is empty in {len(empty):,} rows (rows "
            f"{first_few(empty)}); name the column to add up, or 'count' for the number of rows"
        )
    _check_forgotten(stated, variables, survey)
    labels = _labels(table, label_columns, entities, survey)
    names = [
        name or describe(entity, variable, row_labels)
        for name, entity, variable, row_labels in zip(
            _optional_text(table, "name"), stated, variables, labels, strict=True
        )
    ]
    values = _checked_numbers(table, "value", names)
    _check_unique(list(zip(entities, variables, labels, strict=True)), values, names)
    stated_groups = _optional_text(table, "group")
    groups = [
        group or describe(entity, variable, [(name, "") for name, _ in row_labels])
        for group, entity, variable, row_labels in zip(
            stated_groups, stated, variables, labels, strict=True
        )
    ]
    importance = _non_negative(table, "importance", names, 1.0)
    return Targets(
        names=names,
        entities=entities,
        variables=variables,
        labels=labels,
        values=values,
        groups=groups,
        importance=shares(importance, groups if any(stated_groups) else None, names),
        tolerance=_non_negative(table, "tolerance", names, 0.0),
    )


def describe(entity: str, variable: str, labels: Sequence[tuple[str, str]]) -> str:
    """Write the definition of a target as a name: ``person count by state=AL, age_band=25-29``."""
    by = ", ".join(f"{name}={level}" if level else name for name, level in labels)
    return " ".join(part for part in (entity, variable, by and f"by {by}") if part)


def shares(
    importance: NDArray[np.float64], groups: Sequence[str] | None, names: Sequence[str]
) -> NDArray[np.float64]:
    """Turn importances into shares of the loss.

    Each group has the same share, times the importance of its targets.

    Parameters
    ----------
    importance : ndarray, shape (m,)
        Multipliers, at least 0.
    groups : sequence of str, length m, or None
        With None, each target has the same share.
    names : sequence of str, length m
        The names of the targets, for the error message.

    Returns
    -------
    ndarray, shape (m,)
        The shares, which add up to one.
    """
    if not importance.any():
        raise InputError(f"`importance` is zero for all targets ({first_few(names)}); raise one")
    if groups is not None:
        _, group, size = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
        importance = importance / size[group]
    return importance / math.fsum(importance)  # does not depend on the order of the rows


def _check_swallowed(table: pa.Table, survey: Survey) -> None:
    """Refuse a column that looks like a label but has another purpose."""
    for name, use in TEXTS.items():
        if name not in table.column_names or not is_label(table.column(name).type):
            continue
        asked = {text for text in as_text(table.column(name)) if text is not None}
        for entity in (survey.records, *survey.members.values()):
            if not asked or name not in entity.table.column_names:
                continue
            values = entity.table.column(name)
            coded = try_encode(values) if is_label(values.type) else None
            if coded is None:
                continue
            levels = set(coded[1])
            lost = sorted(text for text in asked if as_level(text, values.type) not in levels)
            if len(lost) < len(asked):
                some = f", which has some of its values and not {first_few(lost)}" if lost else ""
                raise InputError(
                    f"`targets` column {name!r} is also a column of `{entity.argument}`{some}; to "
                    f"use it as a label, {'correct these and ' if lost else ''}rename it in both "
                    f"tables; to {use}, rename it in `{entity.argument}`"
                )


def _label_columns(table: pa.Table, stated: list[str], survey: Survey) -> list[str]:
    known = set(survey.records.table.column_names)
    for member in survey.members.values():
        known |= set(member.table.column_names)
    columns = [name for name in table.column_names if name not in RESERVED]
    _check_forgotten(stated, columns, survey)
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise InputError(
            f"`targets` have the label columns {first_few(unknown)}, which neither `records` nor "
            f"`members` have; drop or rename them; for {unknown[0]!r}, "
            f"{closest(unknown[0], known | set(RESERVED))}"
        )
    return columns


def _check_forgotten(stated: list[str], used: Iterable[str], survey: Survey) -> None:
    """Ask for the table of an entity, if it means the records and they lack its columns."""
    name = next(filter(None, stated), "")
    known = {*survey.records.table.column_names, COUNT}
    lost = [column for column in dict.fromkeys(used) if column not in known]
    if name and lost and not survey.members:
        raise InputError(
            f"`targets` name the entity {name!r}, and use {first_few(lost)}, which `records` do "
            f"not have: pass `members=` with the table of {name!r}; if the records are meant, "
            f"correct these; for {lost[0]!r}, {closest(lost[0], known | set(RESERVED))}"
        )


def _check_merged(columns: list[str], survey: Survey) -> None:
    """Refuse labels that differ in a CSV file and are the same number."""
    for entity in (survey.records, *survey.members.values()):
        for name in columns:
            if (
                entity.file is not None
                and name in entity.table.column_names
                and pa.types.is_floating(entity.table.column(name).type)
                and (cells := merged_cells(entity.file, name))
            ):
                raise InputError(
                    f"`targets` use the label {name!r}, and that column of `{entity.argument}` is "
                    f"numeric, where {' and '.join(map(repr, cells[:SHOWN]))} are the same number; "
                    "pass a frame with that column as text, or write these cells alike"
                )


def _optional_text(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        return [""] * table.num_rows
    return [text or "" for text in _texts(table, name)]


def _texts(table: pa.Table, name: str) -> list[str | None]:
    values = table.column(name)
    try:
        if is_label(values.type):
            return as_text(values)
    except pa.ArrowException:
        pass  # a type that Arrow cannot write, such as an unknown time zone
    raise InputError(f"`targets` column {name!r} is {values.type}; write it as text")


def _checked_numbers(table: pa.Table, name: str, names: Sequence[str]) -> NDArray[np.float64]:
    values = table.column(name)
    if not is_number(values.type):
        raise InputError(
            f"`targets` column {name!r} is {not_a_number(values)}; write plain numbers"
        )
    numbers = as_numbers(values)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise InputError(
            f"`targets` column {name!r} is empty, NaN or infinite for {bad.size:,} targets "
            f"({first_few([names[row] for row in bad.tolist()])}); "
            "give each a number or drop the row"
        )
    return numbers


def _non_negative(
    table: pa.Table, name: str, names: Sequence[str], default: float
) -> NDArray[np.float64]:
    """Read an optional column of numbers. An empty cell has the default value."""
    if name not in table.column_names or pa.types.is_null(table.column(name).type):
        return np.full(table.num_rows, default)
    values = table.column(name)
    filled = table.set_column(
        table.column_names.index(name),
        name,
        values.fill_null(default) if is_number(values.type) else values,
    )
    numbers = _checked_numbers(filled, name, names)
    bad = np.flatnonzero(numbers < 0)
    if bad.size:
        raise InputError(
            f"`targets` column {name!r} is negative for {bad.size:,} targets "
            f"({first_few([names[row] for row in bad.tolist()])}); it must be zero or more"
        )
    return numbers


def _entities(stated: list[str], survey: Survey) -> list[str]:
    """Resolve entities: the names of the member tables, and one other name for the records."""
    rows_of: dict[str, list[int]] = {}
    for row, entity in enumerate(stated):
        if entity not in survey.members:
            rows_of.setdefault(entity, []).append(row)
    others = {entity: rows for entity, rows in rows_of.items() if entity}
    # The only other name means the records, unless it could mean a member table.
    unused = survey.members and survey.members.keys().isdisjoint(stated)
    if others and (len(rows_of) > 1 or unused or _alike(next(iter(others)), survey.members)):
        if not survey.members:
            raise InputError(
                f"`targets` name the entities {first_few(others)}: pass `members=` with the table "
                "of each, such as {'person': persons}, and leave the cell empty for the records"
            )
        places = [f"{entity!r} (rows {first_few(rows)})" for entity, rows in others.items()]
        raise InputError(
            f"`targets` have {', '.join(places[:SHOWN])} as `entity`, and the tables in `members` "
            f"are {first_few(survey.members)}; pass the table of each in `members=`, or use the "
            "same name in both, or leave the cell empty for the records"
        )
    return [entity if entity in survey.members else "" for entity in stated]


def _alike(name: str, others: Iterable[str]) -> bool:
    known = [other.casefold() for other in others]
    return bool(difflib.get_close_matches(name.casefold(), known, cutoff=0.8))


def _labels(
    table: pa.Table, columns: list[str], entities: list[str], survey: Survey
) -> list[tuple[tuple[str, str], ...]]:
    """Take the labels of each row, in the spelling of the survey's columns."""
    labels: list[list[tuple[str, str]]] = [[] for _ in entities]
    for name in columns:
        written: dict[tuple[str, str], str] = {}
        rows = zip(labels, entities, _texts(table, name), strict=True)
        for row_labels, entity, text in rows:
            if text is None:
                continue
            if (entity, text) not in written:
                units = survey.members[entity] if entity else survey.records
                holder = survey.holder(units, name)
                written[entity, text] = (
                    as_level(text, holder.table.schema.field(name).type) if holder else text
                )
            row_labels.append((name, written[entity, text]))
    return [tuple(row_labels) for row_labels in labels]


def _check_unique(
    definitions: list[tuple[Any, ...]], values: NDArray[np.float64], names: list[str]
) -> None:
    row_of: dict[Any, int] = {}
    twice = [
        f"{describe(*definition)}: {values[first]:,g} ({names[first]}), {values[row]:,g} "
        f"({names[row]})"
        for row, definition in enumerate(definitions)
        if values[first := row_of.setdefault(definition, row)] != values[row]
    ]
    if twice:
        raise InputError(
            f"`targets` have different values for one target ({first_few(twice)}); keep one"
        )
    definition_of: dict[str, Any] = {}
    reused = [
        name
        for definition, name in zip(definitions, names, strict=True)
        if definition_of.setdefault(name, definition) != definition
    ]
    if reused:
        raise InputError(
            f"`targets` use one name for different targets ({first_few(dict.fromkeys(reused))}); "
            "rename all but one"
        )
