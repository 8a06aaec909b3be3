"""Findings on the tables themselves: columns of no use, repeated targets, weights that are left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from l0.calibration.findings import NOTE, WARNING, Finding
from l0.calibration.inputs.survey import Survey
from l0.calibration.inputs.targets import Targets
from l0.common.errors import SHOWN, first_few
from l0.common.formatting import counted
from l0.data.columns import is_label


def useless_columns(survey: Survey) -> Iterator[Finding]:
    """Find columns that are neither labels nor amounts, such as lists or huge integers."""
    for entity in (survey.records, *survey.members.values()):
        found = [
            f"{field.name} ({field.type})"
            for field in entity.table.schema
            if not is_label(field.type) and field.name != survey.key
        ]
        if found:
            yield Finding(
                NOTE,
                "columns",
                f"`{entity.argument}` has columns that can be neither labels nor amounts "
                f"({first_few(found)})",
                "nothing uses them: convert them if a target should",
                tuple(found[:SHOWN]),
                len(found),
            )


def left_out(survey: Survey) -> Iterator[Finding]:
    """Say how many records are left out because of a design weight of 0."""
    if survey.n_dropped:
        yield Finding(
            NOTE,
            "weights",
            counted(
                survey.n_dropped,
                "record has a design weight of 0, and is left out",
                "records have a design weight of 0, and are left out",
            ),
            "give them a weight if they should count",
            count=survey.n_dropped,
        )


def repeated(targets: Targets) -> Iterator[Finding]:
    """Find targets that are stated more than once, with the same value."""
    rows: dict[object, list[int]] = defaultdict(list)
    for row, of in enumerate(targets.statements):
        rows[of.definition, of.at_least, of.at_most].append(row)
    twice = [targets.names[of[0]] for of in rows.values() if len(of) > 1]
    if twice:
        yield Finding(
            WARNING,
            "duplicates",
            f"`targets` state {counted(len(twice), 'target')} more than once ({first_few(twice)})",
            "each copy counts in the loss: drop all but one, or set their `importance`",
            tuple(twice[:SHOWN]),
            len(twice),
        )
