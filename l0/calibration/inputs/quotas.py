"""Read and check the table of quotas: how many records each cell may keep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.calibration.inputs.survey import Survey
from l0.calibration.inputs.targets import check_merged, label_texts
from l0.common.errors import SHOWN, InputError, closest, first_few
from l0.data.codings import level_of
from l0.data.columns import (
    as_numbers,
    folded,
    is_label,
    is_number,
    not_a_number,
    try_encode,
)
from l0.data.pandas_index import without_row_numbers
from l0.data.tables import read_table

LIMITS = ("min_records", "max_records")
#: The name of the cell without labels.
ALL = "all records"


@dataclass(frozen=True, eq=False)
class Quota:
    """How many records of a cell may be chosen.

    Attributes
    ----------
    name : str
        The labels of the cell, such as ``state=CA, age=65+``.
    records : ndarray of int64
        The positions of the records of the cell, in ascending order.
    least : int
    most : int or None
        None if there is no upper limit.
    """

    name: str
    records: NDArray[np.int64]
    least: int
    most: int | None


def read_quotas(source: Any, survey: Survey) -> list[Quota]:
    """Read the table of quotas, and check its rows against the survey.

    Parameters
    ----------
    source : frame or path
        A row for each cell: `min_records`, `max_records` or both, and label columns of the records.
        A cell of the survey has the records whose columns equal all labels of the row. An empty
        label means any level.
    survey : Survey

    Returns
    -------
    list of Quota
        Sorted by name, so that the order of the rows does not matter.

    Raises
    ------
    InputError
        If a label column or a level is unknown (with the closest names), if a limit is no whole
        number of at least 0, if limits are missing or cross, or if a cell occurs twice.
    """
    table, _ = read_table(source, "quotas", dict.fromkeys(LIMITS, pa.float64()))
    table = without_row_numbers(table, "quotas")
    if set(LIMITS).isdisjoint(table.column_names):
        raise InputError(
            "`quotas` have neither a column 'min_records' nor 'max_records'; give at least one; "
            f"for 'min_records', {closest('min_records', table.column_names)}"
        )
    columns = [name for name in table.column_names if name not in LIMITS]
    _check_columns(columns, survey)
    check_merged(columns, "quotas", (survey.records,))
    labels: list[list[tuple[str, str]]] = [[] for _ in range(table.num_rows)]
    for name in columns:
        for row, text in enumerate(label_texts(table, name, "quotas")):
            if text is not None:
                stated = table.schema.field(name)
                level = level_of(text, survey.records.table, name, "records", stated)
                labels[row].append((name, level))
    names = [", ".join(f"{name}={level}" for name, level in row) or ALL for row in labels]
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"`quotas` have more than one row for {first_few(twice)}; keep one")
    least, most = (_limits(table, name, names) for name in LIMITS)
    _check_pairs(least, most, names)
    inside = _inside(labels, names, least, survey)
    found = [
        Quota(
            name,
            np.flatnonzero(there),
            int(np.nan_to_num(low)),
            None if np.isnan(high) else int(high),
        )
        for name, there, low, high in zip(names, inside, least, most, strict=True)
    ]
    return sorted(found, key=lambda quota: quota.name)


def _check_columns(columns: list[str], survey: Survey) -> None:
    known = survey.records.table.column_names
    unknown = [name for name in columns if name not in known]
    if not unknown:
        return
    of_members = [
        name for name in unknown
        if any(name in member.table.column_names for member in survey.members.values())
    ]  # fmt: skip
    if of_members:
        raise InputError(
            f"`quotas` have the label columns {first_few(of_members)}, which only `members` have, "
            "and quotas count records; make a column of `records` from them"
        )
    raise InputError(
        f"`quotas` have the label columns {first_few(unknown)}, which `records` do not have; drop "
        f"or rename them; for {unknown[0]!r}, {closest(unknown[0], [*known, *LIMITS])}"
    )


def _limits(table: pa.Table, column: str, names: list[str]) -> NDArray[np.float64]:
    """Take a column of limits. An empty cell is NaN."""
    if column not in table.column_names or pa.types.is_null(table.column(column).type):
        return np.full(table.num_rows, np.nan)
    values = table.column(column)
    if not is_number(values.type) or pa.types.is_boolean(values.type):
        raise InputError(
            f"`quotas` column {column!r} is {not_a_number(values)}; write whole numbers"
        )
    limits = as_numbers(values)
    with np.errstate(invalid="ignore"):
        wrong = ~np.isnan(limits) & ~((limits >= 0) & (limits == np.floor(limits)))
    wrong |= np.isinf(limits)
    if wrong.any():
        shown = [f"{names[row]}: {limits[row]:g}" for row in np.flatnonzero(wrong).tolist()]
        raise InputError(
            f"`quotas` column {column!r} has limits that are no numbers of records "
            f"({first_few(shown)}); write whole numbers of at least 0, or leave the cell empty"
        )
    return limits


def _check_pairs(least: NDArray[np.float64], most: NDArray[np.float64], names: list[str]) -> None:
    for wrong, what, remedy in (
        (np.isnan(least) & np.isnan(most), "no limit", "give each one, or drop the row"),
        (least > most, "`min_records` above `max_records`", "exchange or correct them"),
    ):
        if wrong.any():
            found = [names[row] for row in np.flatnonzero(wrong).tolist()]
            raise InputError(f"`quotas` have {what} for {first_few(found)}; {remedy}")


def _inside(
    labels: list[list[tuple[str, str]]],
    names: list[str],
    least: NDArray[np.float64],
    survey: Survey,
) -> list[NDArray[np.bool_]]:
    """Find the records of each cell, bool of shape (n,)."""
    asked: dict[str, set[str]] = {}
    for row in labels:
        for name, level in row:
            asked.setdefault(name, set()).add(level)
    coded: dict[str, tuple[NDArray[np.int64], dict[str, int]]] = {}
    for name, wanted in asked.items():
        codes, levels = _coded(name, survey)
        _check_spelling(name, wanted, levels)
        coded[name] = codes, {level: code for code, level in enumerate(levels)}
    for name, (_, known) in coded.items():
        # A cell that need not have a record may be one that none has.
        lost = {
            level
            for row, low in zip(labels, least, strict=True)
            for column, level in row
            if column == name and level not in known and low > 0
        }
        if lost:
            raise InputError(
                f"`quotas` ask for records with {first_few(sorted(lost))} in the column {name!r}, "
                f"and no record has {'it' if len(lost) == 1 else 'them'}; correct or drop these "
                f"rows; for {min(lost)!r}, {closest(min(lost), known)}"
            )
    inside = []
    for row in labels:
        there = np.ones(len(survey.keys), dtype=bool)
        for name, level in row:
            codes, known = coded[name]
            there &= codes == known.get(level, len(known))
        inside.append(there)
    return inside


def _coded(name: str, survey: Survey) -> tuple[NDArray[np.int64], list[str]]:
    values = survey.records.table.column(name)
    coded = try_encode(values) if is_label(values.type) else None
    if coded is None:
        raise InputError(
            f"`quotas` use the label {name!r}, and that column of `records` is {values.type}; "
            "write it as text"
        )
    return coded


def _check_spelling(name: str, asked: set[str], levels: list[str]) -> None:
    """Refuse a level beside another that differs only in blanks or case, unless both are asked."""
    wanted = {folded(level) for level in asked}
    alike = [level for level in levels if level not in asked and folded(level) in wanted]
    if alike:
        meant = sorted(level for level in asked if folded(level) in map(folded, alike))
        raise InputError(
            f"`quotas` name {first_few(meant)}, and the column {name!r} of `records` also has "
            f"{', '.join(map(repr, alike[:SHOWN]))}, written differently; write the levels in the "
            "same way, or have a row for each"
        )
