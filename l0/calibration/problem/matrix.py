"""From checked targets to the rows of a sparse matrix.

Targets that fill the same labels (a *pattern*) are compiled together: the units' labels are coded
once, looked up among the pattern's cells, and summed up to the records by the sparse constructor.
No loop runs over records and no dense row is made.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.inputs.survey import Entity, Survey
from l0.calibration.inputs.targets import COUNT, Targets
from l0.common.errors import InputError, closest, first_few
from l0.data.columns import is_label, is_number, not_a_number, try_encode


def compile_targets(targets: Targets, survey: Survey) -> sp.csr_array:
    """Compile the targets to the rows of a sparse matrix, in their order.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (m, n)
        Entry (j, i) is what one unit of record i's weight adds to target j.
    """
    blocks, rows = [], []
    for (name, columns), members in patterns(targets).items():
        entity = survey.members[name] if name else survey.records
        cell_of_target, cell_of_unit = cells(targets, members, columns, entity, survey)
        variables = np.array([targets.variables[row] for row in members])
        for variable in dict.fromkeys(variables.tolist()):
            wanted = np.flatnonzero(variables == variable)
            summed = _sum_cells(
                _measure(entity, variable, survey, targets, members),
                cell_of_unit,
                entity.record,
                (cell_of_target.max() + 1, len(survey.keys)),
            )
            blocks.append(summed[cell_of_target[wanted]])
            rows.append(np.asarray(members)[wanted])
    return sp.vstack(blocks, format="csr")[np.argsort(np.concatenate(rows))]


def patterns(targets: Targets) -> dict[tuple[str, tuple[str, ...]], list[int]]:
    """Group the targets by entity and by the columns whose labels they fill in."""
    found: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for row, (entity, row_labels) in enumerate(zip(targets.entities, targets.labels, strict=True)):
        found.setdefault((entity, tuple(name for name, _ in row_labels)), []).append(row)
    return found


def cells(
    targets: Targets, rows: list[int], columns: tuple[str, ...], entity: Entity, survey: Survey
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the cells of one pattern: for each of its targets, and for each unit (-1 for none)."""
    cell_of_target = np.zeros(len(rows), dtype=np.int64)
    cell_of_unit = np.zeros(entity.table.num_rows, dtype=np.int64)
    for place, name in enumerate(columns):
        codes, levels = _coded(targets, rows, name, entity, survey)
        known = {level: code for code, level in enumerate(levels)}
        wanted = [targets.labels[row][place][1] for row in rows]
        lost = {row: level for row, level in zip(rows, wanted, strict=True) if level not in known}
        if lost:
            missing = list(dict.fromkeys(lost.values()))
            raise InputError(
                f"`targets` ask for {first_few(missing)} in column {name!r} (targets "
                f"{first_few([targets.names[row] for row in lost])}), which no row has; correct "
                f"or drop them; for {missing[0]!r}, {closest(missing[0], levels)}"
            )
        # One column at a time, keeping only the cells that a target asks for: their number
        # never exceeds the number of targets, however many columns there are.
        flat = cell_of_target * len(levels) + np.array([known[level] for level in wanted])
        asked, cell_of_target = np.unique(flat, return_inverse=True)
        inside = np.flatnonzero((cell_of_unit >= 0) & (codes >= 0))
        flat = cell_of_unit[inside] * len(levels) + codes[inside]
        found = np.searchsorted(asked, flat).clip(max=len(asked) - 1)
        cell_of_unit = np.full(len(codes), -1, dtype=np.int64)
        cell_of_unit[inside] = np.where(asked[found] == flat, found, -1)
    return cell_of_target, cell_of_unit


def _coded(
    targets: Targets, rows: list[int], name: str, entity: Entity, survey: Survey
) -> tuple[NDArray[np.int64], list[str]]:
    """Code a label column for the units of an entity, or say why it is none."""
    who = first_few([targets.names[row] for row in rows])
    holder = survey.holder(entity, name)
    if holder is None:
        raise InputError(
            f"`targets` label {name!r} for {who}, "
            f"and `{entity.argument}` cannot reach a column of that name; leave the cell empty"
        )
    values = holder.table.column(name)
    coded = try_encode(values) if is_label(values.type) else None
    if coded is None:
        raise InputError(
            f"`targets` label {name!r} for {who}, and that column of `{holder.argument}` is "
            f"{values.type}; write it as text"
        )
    codes, levels = coded
    return (codes if holder is entity else codes[entity.record]), levels


def _measure(
    entity: Entity, variable: str, survey: Survey, targets: Targets, rows: list[int]
) -> NDArray[np.float64]:
    columns = entity.table.column_names
    if variable == COUNT:
        if COUNT in columns:
            raise InputError(
                f"`{entity.argument}` has a column named 'count', and `targets` use 'count' for "
                "the number of rows; rename the column"
            )
        return np.ones(entity.table.num_rows)
    users = [targets.names[row] for row in rows if targets.variables[row] == variable]
    if variable not in columns:
        raise InputError(
            f"`targets` ask for the variable {variable!r} (targets {first_few(users)}), which is "
            f"no column of `{entity.argument}`; {closest(variable, [*columns, COUNT])}"
        )
    values = entity.table.column(variable)
    if not is_number(values.type):
        raise InputError(
            f"`targets` ask for the variable {variable!r} (targets {first_few(users)}), which is "
            f"in `{entity.argument}` {not_a_number(values)}; write plain numbers, or use 'count' "
            "to count rows"
        )
    return survey.measure(entity, variable)


def _sum_cells(
    measure: NDArray[np.float64],
    cell_of_unit: NDArray[np.int64],
    record: NDArray[np.int64],
    shape: tuple[int, int],
) -> sp.csr_array:
    used = np.flatnonzero((cell_of_unit >= 0) & (measure != 0))
    # The units of a record are added in the order of their amounts: the same sum to the last
    # bit, whatever order they came in.
    used = used[np.lexsort((measure[used], record[used]))]
    entries = (measure[used], (cell_of_unit[used], record[used]))
    summed = sp.coo_array(entries, shape=shape).tocsr()  # adds up the entries of a place
    summed.eliminate_zeros()
    return summed
