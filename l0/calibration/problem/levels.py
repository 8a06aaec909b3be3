"""The levels that targets ask for, against those that the survey has.

A target for a level that no row has must be 0. A target for one of several levels that differ only
in blanks or case would leave out the rows of the others, so that each of them needs a target.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from l0.calibration.findings import ERROR, Complain, Finding, refuse
from l0.calibration.inputs.survey import Entity, Survey
from l0.calibration.inputs.targets import Targets
from l0.common.errors import SHOWN, closest, first_few
from l0.common.formatting import counted
from l0.data.columns import folded, is_label, is_number, try_encode


@dataclass(frozen=True)
class _Asked:
    """The levels of a column that targets ask for, with the targets of each."""

    holder: Entity
    column: str
    rows: dict[str, list[int]] = field(default_factory=dict)


def check_levels(targets: Targets, survey: Survey, complain: Complain = refuse) -> None:
    """Check the levels of all labels that targets use.

    Parameters
    ----------
    targets : Targets
    survey : Survey
    complain : callable
        Is told of each column that has such levels.
    """
    coded = []
    for asked in _asked(targets, survey):
        values = asked.holder.table.column(asked.column)
        found = try_encode(values) if is_label(values.type) else None
        if found is None:  # the matrix cannot be made of it, which is another error
            continue
        coded.append((asked, *found))
        if not is_number(values.type) and (mixed := _mixed(*found, set(asked.rows))):
            complain(_mixed_finding(asked, mixed))
    for asked, _, levels in coded:
        lost = _lost(asked, levels, targets)
        if lost:
            complain(_lost_finding(asked, lost, levels, targets))


def _asked(targets: Targets, survey: Survey) -> list[_Asked]:
    found: dict[tuple[str, str], _Asked] = {}
    labels = zip(targets.entities, targets.labels, strict=True)
    for row, (name, row_labels) in enumerate(labels):
        for column, level in row_labels:
            holder = survey.holder(survey.members[name] if name else survey.records, column)
            if holder is not None:  # without a holder, the matrix cannot be made either
                of = found.setdefault((holder.argument, column), _Asked(holder, column))
                of.rows.setdefault(level, []).append(row)
    return list(found.values())


def _lost(asked: _Asked, levels: list[str], targets: Targets) -> dict[str, list[int]]:
    """Find the targets of levels that no row has, unless all targets of the level are 0.

    A level that differs from an existing level only in blanks or case is a wrong spelling.
    """
    known, spellings = set(levels), _ways(levels)
    return {
        level: rows
        for level, rows in asked.rows.items()
        if level not in known and (targets.values[rows].any() or folded(level) in spellings)
    }


def _lost_finding(
    asked: _Asked, lost: dict[str, list[int]], levels: list[str], targets: Targets
) -> Finding:
    spellings = _ways(levels)
    pairs = [
        f"{level!r} for {first_few(levels[code] for code in spellings[folded(level)])}"
        for level in lost
        if folded(level) in spellings
    ]
    nearest = (
        f"some differ from a level only in blanks or case: {', '.join(pairs[:SHOWN])}"
        if pairs
        else f"for {next(iter(lost))!r}, {closest(next(iter(lost)), levels)}"
    )
    names = [targets.names[row] for row in sorted(row for rows in lost.values() for row in rows)]
    return Finding(
        ERROR,
        "levels",
        f"`targets` ask for {first_few(lost)} in column {asked.column!r} (targets "
        f"{first_few(names)}), which no row has",
        f"correct or drop them; {nearest}",
        tuple(names[:SHOWN]),
        len(names),
    )


def _ways(levels: list[str]) -> dict[str, list[int]]:
    """Group the codes of levels that differ only in blanks or case."""
    ways: dict[str, list[int]] = {}
    for code, level in enumerate(levels):
        ways.setdefault(folded(level), []).append(code)
    return ways


def _mixed_finding(asked: _Asked, mixed: list[str]) -> Finding:
    return Finding(
        ERROR,
        "levels",
        f"`targets` use the label {asked.column!r}, and `{asked.holder.argument}` has levels of it "
        f"that differ only in blanks or case ({'; '.join(mixed[:SHOWN])})",
        "write them in the same way, or have a target for each",
        (asked.column,),
        len(mixed),
    )


def _mixed(codes: NDArray[np.int64], levels: list[str], wanted: set[str]) -> list[str]:
    """Name levels with several spellings, of which only some are wanted, with their counts."""
    rows = np.bincount(codes[codes >= 0], minlength=len(levels))
    mixed = []
    for alike in _ways(levels).values():
        found = [levels[code] in wanted for code in alike]
        if any(found) and not all(found):
            mixed.append(
                " and ".join(f"{levels[code]!r} in {counted(rows[code], 'row')}" for code in alike)
            )
    return mixed
