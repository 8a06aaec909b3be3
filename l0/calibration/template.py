"""A table of targets to fill in, with the survey's own totals. It needs no torch."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack, overload

import numpy as np
import pyarrow as pa

from l0.calibration.inputs.kinds import COUNT
from l0.calibration.inputs.survey import Survey, read_survey
from l0.calibration.inputs.targets import RESERVED
from l0.calibration.options import TableOptions, takes, with_defaults
from l0.calibration.reading import compile_tables
from l0.common.errors import InputError, closest, first_few
from l0.data.columns import is_label, try_encode
from l0.data.tables import FrameT, Kind, checked_kind, native

logger = logging.getLogger(__name__)


@overload
def targets_template(
    records: str | os.PathLike[str],
    *,
    by: Sequence[str | Sequence[str]] = (),
    variables: Sequence[str] = (COUNT,),
    entity: str | None = None,
    kind: Kind | None = None,
    **options: Unpack[TableOptions],
) -> Any: ...
@overload
def targets_template(
    records: FrameT,
    *,
    by: Sequence[str | Sequence[str]] = (),
    variables: Sequence[str] = (COUNT,),
    entity: str | None = None,
    kind: None = None,
    **options: Unpack[TableOptions],
) -> FrameT: ...
@overload
def targets_template(
    records: Any,
    *,
    by: Sequence[str | Sequence[str]] = (),
    variables: Sequence[str] = (COUNT,),
    entity: str | None = None,
    kind: Kind,
    **options: Unpack[TableOptions],
) -> Any: ...
@takes(TableOptions)
def targets_template(
    records: Any,
    *,
    by: Sequence[str | Sequence[str]] = (),
    variables: Sequence[str] = (COUNT,),
    entity: str | None = None,
    kind: Kind | None = None,
    **options: Unpack[TableOptions],
) -> Any:
    """Make a table of targets whose values are the survey's own design-weighted totals.

    Replace the values by published totals, and name their source. As it is, the table is a valid
    table of targets, which the design weights meet. A unit with an empty label is in no cell, and
    the logger `l0` warns of such units.

    Parameters
    ----------
    records : frame or path
        As in `l0.calibrate`.
    by : sequence of str or of sequences of str
        The margins. Each is a label column, or several: a cell for each combination that some unit
        has. Without it, the table has the totals over all units. A text alone is one column.
    variables : sequence of str, default ("count",)
        The numeric columns to add up. ``count`` is the number of units.
    entity : str, optional
        The table in `members` whose units are counted and added up. The default is the records.
    kind : {"pyarrow", "pandas", "polars"}, optional
        The kind of the frame. The default is the kind of `records`, and pyarrow for a path.
    **options

    Returns
    -------
    frame
        The columns are `entity` if there is one, `variable`, the label columns, `value` and
        `source`. The last one, which a calibration ignores, says how many records are behind a
        value.

    Raises
    ------
    InputError
        If a table cannot be read, or if there is no such column or entity.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.calibration import targets_template
    >>> homes = pa.table({"w": [10.0, 10.0, 12.0], "area": ["N", "N", "S"]})
    >>> targets_template(homes, by=["area"], weight="w").to_pandas()
      variable area  value              source
    0    count    N   20.0  survey (2 records)
    1    count    S   12.0   survey (1 record)
    """
    survey = read_survey(records, **with_defaults(options, TableOptions))
    if survey.weights is None:
        survey = replace(survey, weights=np.ones(len(survey.keys)))
    margins = _checked_margins(by, survey, entity)
    variables = list(dict.fromkeys([variables] if isinstance(variables, str) else variables))
    _check_variables(variables, survey, entity)
    cells = [cell for margin in margins for cell in _cells(survey, margin, entity or "")]
    labels = list(dict.fromkeys(name for margin in margins for name in margin))
    table = pa.table(
        {
            **({"entity": [entity] * len(cells) * len(variables)} if entity else {}),
            "variable": pa.array([name for name in variables for _ in cells], pa.string()),
            **{
                name: pa.array([cell.get(name) for cell in cells] * len(variables), pa.string())
                for name in labels
            },
        }
    )
    # With any values, the table is compiled to the rows of the totals that belong into it.
    compiled = compile_tables(survey, table.append_column("value", pa.array(np.ones(len(table)))))
    values, behind = np.empty(len(table)), np.empty(len(table), dtype=np.int64)
    values[compiled.target_order] = compiled.matrix @ compiled.weights
    behind[compiled.target_order] = np.diff(compiled.matrix.indptr)
    table = table.append_column("value", pa.array(values))
    sources = [f"survey ({count:,} {'record' if count == 1 else 'records'})" for count in behind]
    return native(table.append_column("source", pa.array(sources)), checked_kind(kind, survey.kind))


def _checked_margins(
    by: Sequence[str | Sequence[str]], survey: Survey, entity: str | None
) -> list[tuple[str, ...]]:
    """Check the entity and the margins. Without any, there is one without a column."""
    if entity is not None and entity not in survey.members:
        nearest = f"; {closest(entity, survey.members)}" if survey.members else ""
        raise InputError(
            f"`entity` is {entity!r}, and no table in `members` has this name; pass its table, or "
            f"leave `entity` out for the records{nearest}"
        )
    units = survey.members[entity] if entity else survey.records
    margins = {tuple(sorted(margin)): margin for margin in _margins(by)}
    for name in dict.fromkeys(name for margin in margins for name in margin):
        holder = survey.holder(units, name)
        if holder is None:
            known = {*units.table.column_names, *survey.records.table.column_names}
            raise InputError(
                f"`by` names the column {name!r}, which `{units.argument}` does not have; "
                f"{closest(name, known)}"
            )
        if name in RESERVED:
            raise InputError(
                f"`by` names the column {name!r}, which has another meaning in a table of targets; "
                f"rename it in `{holder.argument}`"
            )
    return list(margins.values()) or [()]


def _margins(by: object) -> list[tuple[str, ...]]:
    """Take the margins as tuples of names, in which a column is named once."""
    listed = [by] if isinstance(by, str) else by
    try:
        margins = [(each,) if isinstance(each, str) else tuple(each) for each in listed]  # type: ignore[attr-defined]
    except TypeError:
        margins = [(None,)]
    if not all(isinstance(name, str) for margin in margins for name in margin):
        raise InputError(
            f"`by` is {by!r}; pass a list of label columns, and of lists of them for cells by "
            "several, such as ['state', ['state', 'age']]"
        )
    return [tuple(dict.fromkeys(margin)) for margin in margins]


def _check_variables(variables: list[str], survey: Survey, entity: str | None) -> None:
    units = survey.members[entity] if entity else survey.records
    for name in variables:
        if name != COUNT and name not in units.table.column_names:
            raise InputError(
                f"`variables` names the column {name!r}, which `{units.argument}` does not have; "
                f"{closest(name, [*units.table.column_names, COUNT])}"
            )


def _cells(survey: Survey, margin: tuple[str, ...], entity: str) -> list[dict[str, str]]:
    """List the cells of a margin: the labels of each combination that some unit has."""
    if not margin:
        return [{}]
    units = survey.members[entity] if entity else survey.records
    codes, levels = {}, {}
    for name in margin:
        holder = survey.holder(units, name)
        assert holder is not None  # see `_checked_margins`
        values = holder.table.column(name)
        coded = try_encode(values) if is_label(values.type) else None
        if coded is None:
            raise InputError(
                f"`by` names the column {name!r}, which is {values.type} in `{holder.argument}`; "
                "convert it to text"
            )
        codes[name] = coded[0] if holder is units else coded[0][units.record]
        levels[name] = coded[1]
    table = pa.table(codes)
    inside = table.filter(np.all([of >= 0 for of in codes.values()], axis=0))
    if inside.num_rows < table.num_rows:
        logger.warning(
            "%s of %s rows of `%s` have an empty label in %s, and are in no cell",
            f"{table.num_rows - inside.num_rows:,}",
            f"{table.num_rows:,}",
            units.argument,
            first_few(margin),
        )
    if not inside.num_rows:
        raise InputError(
            f"`by` names the columns {first_few(margin)}, which leave no cell: each row of "
            f"`{units.argument}` has an empty label; name others"
        )
    found = inside.group_by(list(margin)).aggregate([])
    found = found.sort_by([(name, "ascending") for name in margin])
    return [{name: levels[name][code] for name, code in row.items()} for row in found.to_pylist()]
