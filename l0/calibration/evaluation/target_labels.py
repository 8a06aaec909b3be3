"""The label columns in the table of the targets of a result."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pyarrow as pa

#: The columns that the table of the targets may have of its own. All others are labels.
OWN = (
    "name", "value", "statistic", "at_least", "at_most", "estimate", "error", "relative_error",
    "group", "status", "reason", "importance", "shadow_price", "at_limit", "design_estimate",
    "design_relative_error", "suspect_factor", "standard_error",
)  # fmt: skip
#: What comes before the name of a label column that the table uses itself.
PREFIX = "label_"


def label_columns(labels: pa.Table | None) -> dict[str, pa.ChunkedArray]:
    """Name the label columns of targets so that they can stand beside those of the result.

    A column whose name is in `OWN` gets `PREFIX` in front, as often as no other column has the
    name. It does so whether this result has the column or not, so that the names do not depend on
    the options of a run.

    Parameters
    ----------
    labels : pyarrow.Table or None
        As `Problem.labels`.
    """
    if labels is None:
        return {}
    names = labels.column_names
    return {free_name(name, OWN, names): labels.column(name) for name in names}


def free_name(name: str, taken: Collection[str], labels: Collection[str]) -> str:
    """Put `PREFIX` before the name of a label column until it is neither taken nor another one."""
    free = name
    while free in taken or (free != name and free in labels):
        free = PREFIX + free
    return free


def labels_of(names: Iterable[str]) -> list[str]:
    """List the label columns among the columns of a table of targets."""
    return [name for name in names if name not in OWN]
