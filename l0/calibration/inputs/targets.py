"""Read and check the table of targets.

Each row is a target. For a total, `value` is the weighted sum of `variable` over the rows of
`entity` whose columns equal all labels of the target. `kinds` has the other statistics and limits.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.findings import ERROR, Complain, Finding, refuse
from l0.calibration.inputs.kinds import (
    COUNT,
    TOTAL,
    Labels,
    Statement,
    check_limits,
    check_statements,
    check_statistics,
    describe,
    subject,
)
from l0.calibration.inputs.survey import Entity, Survey
from l0.common.errors import SHOWN, InputError, closest, first_few
from l0.common.formatting import counted, split_names
from l0.data.codings import coding_of, level_of
from l0.data.columns import (
    as_level,
    as_numbers,
    as_text,
    is_label,
    is_number,
    not_a_number,
    try_encode,
)
from l0.data.pandas_index import without_row_numbers
from l0.data.readers.csv_files import merged_cells
from l0.data.tables import column, read_table

LIMITS = ("at_least", "at_most")
NUMBERS = ("value", *LIMITS, "importance", "tolerance")
KINDS = ("statistic", "denominator", "within")
RESERVED = ("name", "entity", "variable", *KINDS, *NUMBERS, "group", "source")
#: The purpose of the columns that could be taken for labels, for error messages.
PURPOSES = {
    "name": "name the targets",
    "group": "group the loss",
    "source": "name the source of the totals",
    "statistic": "say whether a target is a total, a mean, a ratio or a share",
    "denominator": "name the denominators of ratios",
    "within": "name the labels of the cells that shares are a part of",
    "at_least": "give lower limits",
    "at_most": "give upper limits",
}


@dataclass(frozen=True)
class Targets:
    """The checked table of targets, by column.

    A mean, a ratio or a share with two limits is two targets, one for each limit.

    Attributes
    ----------
    names, groups : list of str, length m
    statements : list of Statement, length m
        What the targets state. The name of the entity is "" for the records, and labels are in the
        order of the columns.
    importance, tolerance : ndarray of float64, shape (m,)
        `importance` adds up to one. If the table has groups, each of `groups` has the same share,
        times the importance of its targets.
    grouped : bool
        Whether the table has groups, which count the same in the loss. Else `groups` are names for
        the report.
    """

    names: list[str]
    statements: list[Statement]
    groups: list[str]
    importance: NDArray[np.float64]
    tolerance: NDArray[np.float64]
    grouped: bool

    @cached_property
    def entities(self) -> list[str]:
        """The name of the member table of each target, or "" for the records."""
        return [of.entity for of in self.statements]

    @cached_property
    def variables(self) -> list[str]:
        """The variable of each target."""
        return [of.variable for of in self.statements]

    @cached_property
    def labels(self) -> list[Labels]:
        """The labels of each target, ``((column, level), ...)``."""
        return [of.labels for of in self.statements]

    @cached_property
    def label_table(self) -> pa.Table:
        """The entity, the variable and the labels of each target, with "" for a missing label."""
        labels = [dict(pairs) for pairs in self.labels]
        names = sorted({name for pairs in self.labels for name, _ in pairs})
        columns = {
            "entity": self.entities,
            "variable": self.variables,
            **{name: [of.get(name, "") for of in labels] for name in names},
        }
        return pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """The value of each target, shape (m,), or NaN if it has limits."""
        return np.array([of.value for of in self.statements])

    def sort_key(self, row: int) -> tuple[str, str, float, float]:
        """Sort by name, and then by the rest of the row: a target may occur twice."""
        return self.names[row], self.groups[row], self.importance[row], self.tolerance[row]

    def is_published(self, row: int) -> bool:
        """Tell whether a target is a total with a value."""
        return self.statements[row].statistic == TOTAL and not self.statements[row].form

    @cached_property
    def ratios(self) -> list[int]:
        """The rows of the means, ratios and shares."""
        return [row for row, of in enumerate(self.statements) if of.statistic != TOTAL]

    def denominators(self) -> Targets:
        """Make the totals in the denominators of the means, ratios and shares.

        Their values are those of targets for the same totals, or NaN if there are none.
        """
        published = {
            of.definition: of.value
            for row, of in enumerate(self.statements)
            if self.is_published(row)
        }
        totals = [self.statements[row].denominator_total for row in self.ratios]
        return Targets(
            names=[self.names[row] for row in self.ratios],
            statements=[replace(of, value=published.get(of.definition, math.nan)) for of in totals],
            groups=[self.groups[row] for row in self.ratios],
            importance=self.importance[self.ratios],
            tolerance=self.tolerance[self.ratios],
            grouped=self.grouped,
        )

    def of(self, rows: NDArray[np.int64]) -> Targets:
        """Take some targets. Their shares of the loss are those of a table with them alone."""
        groups, names = ([each[row] for row in rows] for each in (self.groups, self.names))
        return Targets(
            names=names,
            statements=[self.statements[row] for row in rows],
            groups=groups,
            importance=shares_among(self.importance, self.groups, self.grouped, rows),
            tolerance=self.tolerance[rows],
            grouped=self.grouped,
        )


def read_targets(source: Any, survey: Survey, complain: Complain = refuse) -> Targets:
    """Read the table of targets and check its rows against the survey.

    Parameters
    ----------
    source : frame or path
        The table (see `CalibrationProblem.from_frames`).
    survey : Survey
    complain : callable
        Is told of targets that have two values. If it returns, both are kept.

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
    table = without_row_numbers(table, "targets")
    column(table, "variable", "targets", "what is added up")
    if set(LIMITS).isdisjoint(table.column_names):
        column(table, "value", "targets", "the published total")
    about = _about(table, survey)
    given = _optional_text(table, "name")
    described = about.described(about.labels)
    names = [name or text for name, text in zip(given, described, strict=True)]
    statements = _statements(table, about, names)
    check_statements(statements, names)
    given_groups = _optional_text(table, "group")
    described = about.described([[(name, "") for name, _ in row] for row in about.labels])
    groups = [group or text for group, text in zip(given_groups, described, strict=True)]
    importance = _non_negative(table, "importance", names, 1.0)
    tolerance = _non_negative(table, "tolerance", names, 0.0)
    named = [
        name if text or not of.form else f"{name} ({of.form})"
        for name, text, of in zip(names, given, statements, strict=True)
    ]
    rows, statements, named = _split_limits(statements, names, named)
    _check_unique(statements, named, complain)
    groups = [groups[row] for row in rows]
    return Targets(
        names=named,
        statements=statements,
        groups=groups,
        importance=shares(importance[rows], groups if any(given_groups) else None, named),
        tolerance=tolerance[rows],
        grouped=any(given_groups),
    )


@dataclass(frozen=True)
class _About:
    """What the rows of the table are about.

    Attributes
    ----------
    stated, entities : list of str, length m
        The entities as the table names them, and as the survey does: "" for the records.
    statistics, variables, denominators : list of str, length m
    labels : list of Labels, length m
    withins : list of tuple of str, length m
        The names of the labels of the cells that shares are a part of.
    """

    stated: list[str]
    entities: list[str]
    statistics: list[str]
    variables: list[str]
    denominators: list[str]
    labels: list[Labels]
    withins: list[tuple[str, ...]]

    def described(self, labels: Sequence[Sequence[tuple[str, str]]]) -> list[str]:
        """Describe the rows in words, with these labels."""
        subjects = map(subject, self.statistics, self.variables, self.denominators)
        return list(map(describe, self.stated, subjects, labels, self.withins))


def _about(table: pa.Table, survey: Survey) -> _About:
    """Read what the rows are about, and check it against the survey."""
    stated = _optional_text(table, "entity")
    entities = _entities(stated, survey)  # first: the columns of an entity are in its table
    _check_swallowed(table, survey)
    label_columns = _label_columns(table, stated, survey)
    check_merged(label_columns, "targets", (survey.records, *survey.members.values()))
    variables = _optional_text(table, "variable")
    empty = [row for row, variable in enumerate(variables) if not variable]
    if empty:
        raise InputError(
            f"`targets` column 'variable' is empty in {counted(len(empty), 'row')} (rows "
            f"{first_few(empty)}); name the column to add up, or 'count' for the number of rows"
        )
    statistics = [text or TOTAL for text in _optional_text(table, "statistic")]
    check_statistics(statistics)
    denominators = _optional_text(table, "denominator")
    _check_forgotten(stated, [*variables, *filter(None, denominators)], survey)
    labels = _labels(table, label_columns, entities, survey)
    withins = [tuple(split_names(text)) for text in _optional_text(table, "within")]
    return _About(stated, entities, statistics, variables, denominators, labels, withins)


def _statements(table: pa.Table, about: _About, names: list[str]) -> list[Statement]:
    """Read the values and limits, and join them to what they are about."""
    if set(LIMITS).isdisjoint(table.column_names):
        values = _checked_numbers(table, "value", names)
        at_least = at_most = np.full(len(values), np.nan)
    else:
        values, at_least, at_most = (
            _optional_numbers(table, name, names) for name in ("value", *LIMITS)
        )
        check_limits(values, at_least, at_most, names)
    is_value = ~np.isnan(values)
    return [
        Statement(*parts)
        for parts in zip(
            about.statistics, about.entities, about.variables, about.labels,
            about.denominators, about.withins, values.tolist(),
            np.where(is_value, values, np.nan_to_num(at_least, nan=-np.inf)).tolist(),
            np.where(is_value, values, np.nan_to_num(at_most, nan=np.inf)).tolist(),
            strict=True,
        )
    ]  # fmt: skip


def _split_limits(
    statements: list[Statement], names: list[str], named: list[str]
) -> tuple[list[int], list[Statement], list[str]]:
    """Make two targets of a mean, a ratio or a share with two limits.

    Each limit is a row of its own in the problem's matrix (see `l0.calibration.problem.kinds`).

    Parameters
    ----------
    statements : list of Statement
    names, named : list of str
        The names of the rows, without and with a suffix for the limits of unnamed rows.

    Returns
    -------
    rows : list of int
        The row of the table that each target comes from.
    statements : list of Statement
    named : list of str
    """
    rows, split, split_named = [], [], []
    for row, of in enumerate(statements):
        parts = [of]
        if of.statistic != TOTAL and of.form == "within limits" and of.at_least < of.at_most:
            parts = [replace(of, at_most=math.inf), replace(of, at_least=-math.inf)]
        rows += [row] * len(parts)
        split += parts
        split_named += (
            [named[row]] if parts == [of] else [f"{names[row]} ({part.form})" for part in parts]
        )
    return rows, split, split_named


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


def shares_among(
    importance: NDArray[np.float64], groups: Sequence[str], grouped: bool, rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the shares that some targets would have without the others.

    Parameters
    ----------
    importance : ndarray of float64, shape (m,)
        The shares of all targets.
    groups : sequence of str, length m
    grouped : bool
        Whether each group has the same share.
    rows : ndarray of int64, shape (r,)

    Returns
    -------
    ndarray of float64, shape (r,)
        They add up to one, or all are 0 if all of `importance` are.
    """
    if grouped:
        names, size = np.unique(groups, return_counts=True)
        importance = importance * size[np.searchsorted(names, groups)]
    given, of = importance[rows], [groups[row] for row in rows]
    return shares(given, of if grouped else None, of) if given.any() else given


def _check_swallowed(table: pa.Table, survey: Survey) -> None:
    """Refuse a column that looks like a label but has another purpose."""
    for name, use in PURPOSES.items():
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


def check_merged(columns: list[str], argument: str, entities: Iterable[Entity]) -> None:
    """Refuse labels that differ in a CSV file and are the same number."""
    for entity in entities:
        for name in columns:
            if (
                entity.file is not None
                and name in entity.table.column_names
                and pa.types.is_floating(entity.table.column(name).type)
                and (cells := merged_cells(entity.file, name))
            ):
                raise InputError(
                    f"`{argument}` use the label {name!r}, and that column of `{entity.argument}` "
                    f"is numeric, where {' and '.join(map(repr, cells[:SHOWN]))} are the same "
                    "number; pass a frame with that column as text, or write these cells alike"
                )


def _optional_text(table: pa.Table, name: str) -> list[str]:
    if name not in table.column_names:
        return [""] * table.num_rows
    return [text or "" for text in label_texts(table, name, "targets")]


def label_texts(table: pa.Table, name: str, argument: str) -> list[str | None]:
    """Take a column of labels as text. An empty cell is None, and a missing code is an error."""
    values = table.column(name)
    coding = coding_of(table.schema.field(name))
    if coding is not None and coding.found:
        raise InputError(
            f"`{argument}` column {name!r} has the missing codes {first_few(coding.found)} in "
            f"{counted(sum(coding.found.values()), 'row')}; write a label there, or an empty cell "
            "for all levels"
        )
    try:
        if is_label(values.type):
            return as_text(values)
    except pa.ArrowException:
        pass  # a type that Arrow cannot write, such as an unknown time zone
    raise InputError(f"`{argument}` column {name!r} is {values.type}; write it as text")


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
            f"`targets` column {name!r} is empty, NaN or infinite for "
            f"{counted(bad.size, 'target')} ({first_few([names[row] for row in bad.tolist()])}); "
            "give each a number or drop the row"
        )
    return numbers


def _optional_numbers(table: pa.Table, name: str, names: Sequence[str]) -> NDArray[np.float64]:
    """Read an optional column of numbers, in which an empty cell or NaN is NaN."""
    if name not in table.column_names or pa.types.is_null(table.column(name).type):
        return np.full(table.num_rows, np.nan)
    values = table.column(name)
    if not is_number(values.type):
        raise InputError(
            f"`targets` column {name!r} is {not_a_number(values)}; write plain numbers"
        )
    numbers = as_numbers(values)
    infinite = np.flatnonzero(np.isinf(numbers))
    if infinite.size:
        raise InputError(
            f"`targets` column {name!r} is infinite for {counted(infinite.size, 'target')} "
            f"({first_few([names[row] for row in infinite.tolist()])}); write a finite number, or "
            "leave the cell empty"
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
            f"`targets` column {name!r} is negative for {counted(bad.size, 'target')} "
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
        rows = zip(labels, entities, label_texts(table, name, "targets"), strict=True)
        for row_labels, entity, text in rows:
            if text is None:
                continue
            if (entity, text) not in written:
                units = survey.members[entity] if entity else survey.records
                holder = survey.holder(units, name)
                written[entity, text] = (
                    level_of(text, holder.table, name, holder.argument, table.schema.field(name))
                    if holder
                    else text
                )
            row_labels.append((name, written[entity, text]))
    return [tuple(row_labels) for row_labels in labels]


def _check_unique(statements: list[Statement], names: list[str], complain: Complain) -> None:
    row_of: dict[Any, int] = {}
    twice = [
        f"{_described(of)}: {statements[first].numbers} ({names[first]}), {of.numbers} "
        f"({names[row]})"
        for row, of in enumerate(statements)
        if _numbers(statements[first := row_of.setdefault(of.definition, row)]) != _numbers(of)
    ]
    if twice:
        complain(
            Finding(
                ERROR,
                "duplicates",
                f"`targets` have different values for one target ({first_few(twice)})",
                "keep one",
                tuple(twice[:SHOWN]),
                len(twice),
            )
        )
    definition_of: dict[str, Any] = {}
    reused = [
        name
        for of, name in zip(statements, names, strict=True)
        if definition_of.setdefault(name, of.definition) != of.definition
    ]
    if reused:
        raise InputError(
            f"`targets` use one name for different targets ({first_few(dict.fromkeys(reused))}); "
            "rename all but one"
        )


def _numbers(of: Statement) -> tuple[float, float]:
    return of.at_least, of.at_most


def _described(of: Statement) -> str:
    what = subject(of.statistic, of.variable, of.denominator)
    return describe(of.entity, what, of.labels, of.within)
