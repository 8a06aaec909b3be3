"""The sparse matrix of a problem, from checked targets.

Targets with the same label columns form a *pattern* and are compiled together. The labels of the
units are coded once and looked up among the cells of the pattern, and the constructor of the sparse
matrix adds the units up to their records. There is no loop over records, and no dense row.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.inputs.kinds import COUNT
from l0.calibration.inputs.survey import Entity, Survey
from l0.calibration.inputs.targets import Targets
from l0.calibration.problem.kinds import Kinds, fitted_rows
from l0.common.errors import SHOWN, InputError, closest, first_few
from l0.data.columns import folded, is_label, is_number, not_a_number, try_encode
from l0.sparse_operator import narrow


def compile_targets(targets: Targets, survey: Survey) -> sp.csr_array:
    """Compile the targets to the rows of a sparse matrix, in their order.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (m, n)
        Entry (j, i) is what one unit of the weight of record i adds to target j.
    """
    _check_written_alike(targets, survey)
    return _compiled(targets, survey)


def compile_kinds(
    targets: Targets, numerators: sp.csr_array, survey: Survey, weights: NDArray[np.float64]
) -> tuple[sp.csr_array, Kinds]:
    """Compile the rows N - v D of means, ratios and shares.

    Parameters
    ----------
    targets : Targets
    numerators : scipy.sparse.csr_array, shape (m, n)
        N, or the row of a total.
    survey : Survey
    weights : ndarray of float64, shape (n,)
        The design weights.

    Returns
    -------
    matrix : scipy.sparse.csr_array, shape (m, n)
    kinds : Kinds
    """
    m, rows = len(targets.names), targets.ratios
    sizes = np.ones(m)
    limits = np.array([(of.at_least, of.at_most) for of in targets.statements])
    denominators = sp.csr_array(numerators.shape)
    if rows:
        below = targets.denominators()
        compiled = _compiled(below, survey)
        totals = compiled @ weights
        nothing = totals <= 0
        if nothing.any():
            names = [below.names[row] for row in np.flatnonzero(nothing)]
            raise InputError(
                "`targets` have means, ratios or shares whose denominator adds up to 0 or less "
                f"under the design weights ({first_few(names)}); correct their labels, name "
                "another `denominator`, or drop them"
            )
        # A published denominator is the one that the weights will have.
        sizes[rows] = np.where(below.values > 0, below.values, totals)
        place = sp.csr_array((np.ones(len(rows)), (rows, range(len(rows)))), (m, len(rows)))
        denominators = narrow(sp.csr_array(place @ compiled))
    at_least, at_most = limits.T
    statistics = [of.statistic for of in targets.statements]
    kinds = Kinds(statistics, at_least, at_most, denominators, sizes)
    if rows:
        others = sp.csr_array(sp.diags_array(kinds.is_total.astype(float)) @ numerators)
        fitted = fitted_rows(numerators[rows], compiled, kinds.ends[rows])
        numerators = sp.csr_array(others + place @ fitted)
    return numerators, kinds


def _compiled(targets: Targets, survey: Survey) -> sp.csr_array:
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
    """Group the targets by entity and by their label columns."""
    found: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for row, (entity, row_labels) in enumerate(zip(targets.entities, targets.labels, strict=True)):
        found.setdefault((entity, tuple(name for name, _ in row_labels)), []).append(row)
    return found


def cells(
    targets: Targets, rows: list[int], columns: tuple[str, ...], entity: Entity, survey: Survey
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the cells of a pattern, for each of its targets and each unit (-1: in no cell)."""
    cell_of_target = np.zeros(len(rows), dtype=np.int64)
    cell_of_unit = np.zeros(entity.table.num_rows, dtype=np.int64)
    for place, name in enumerate(columns):
        codes, levels = _coded(targets, rows, name, entity, survey)
        known = {level: code for code, level in enumerate(levels)}
        wanted = [targets.labels[row][place][1] for row in rows]
        lost = {row: level for row, level in zip(rows, wanted, strict=True) if level not in known}
        empty = _empty_levels(lost, levels, name, targets)
        known.update((level, len(levels) + code) for code, level in enumerate(empty))
        # One column at a time. Only cells that a target asks for remain, so that there are never
        # more cells than targets, for any number of columns.
        flat = cell_of_target * len(known) + np.array([known[level] for level in wanted])
        asked, cell_of_target = np.unique(flat, return_inverse=True)
        inside = np.flatnonzero((cell_of_unit >= 0) & (codes >= 0))
        flat = cell_of_unit[inside] * len(known) + codes[inside]
        found = np.searchsorted(asked, flat).clip(max=len(asked) - 1)
        cell_of_unit = np.full(len(codes), -1, dtype=np.int64)
        cell_of_unit[inside] = np.where(asked[found] == flat, found, -1)
    return cell_of_target, cell_of_unit


def _empty_levels(
    lost: dict[int, str], levels: list[str], name: str, targets: Targets
) -> list[str]:
    """Take the levels that no row has, if all their targets are 0.

    A level that differs from an existing level only in blanks or case is a wrong spelling, and an
    error.

    Parameters
    ----------
    lost : dict of int to str
        The levels of targets, by row, that are not among the `levels` of the column `name`.
    """
    ways = _ways(levels) if lost else {}
    like = {level: ways[folded(level)] for level in lost.values() if folded(level) in ways}
    wrong = {row: level for row, level in lost.items() if targets.values[row] or level in like}
    if not wrong:
        return sorted(set(lost.values()))
    missing = list(dict.fromkeys(wrong.values()))
    pairs = [
        f"{level!r} for {first_few(levels[code] for code in codes)}"
        for level, codes in like.items()
    ]
    nearest = (
        f"some differ from a level only in blanks or case: {', '.join(pairs[:SHOWN])}"
        if pairs
        else f"for {missing[0]!r}, {closest(missing[0], levels)}"
    )
    raise InputError(
        f"`targets` ask for {first_few(missing)} in column {name!r} (targets "
        f"{first_few([targets.names[row] for row in wrong])}), which no row has; correct or drop "
        f"them; {nearest}"
    )


def _ways(levels: list[str]) -> dict[str, list[int]]:
    """Group the codes of levels that differ only in blanks or case."""
    ways: dict[str, list[int]] = {}
    for code, level in enumerate(levels):
        ways.setdefault(folded(level), []).append(code)
    return ways


def _check_written_alike(targets: Targets, survey: Survey) -> None:
    """Refuse a target for one of several levels that differ only in blanks or case.

    Such a target would leave out the rows of the other levels. It is no error if there is a target
    for each of these levels.
    """
    asked: dict[tuple[str, str], set[str]] = {}
    holders: dict[str, Entity] = {}
    for name, row_labels in zip(targets.entities, targets.labels, strict=True):
        for column, level in row_labels:
            holder = survey.holder(survey.members[name] if name else survey.records, column)
            if holder is not None:  # `_coded` raises the error for an unknown column
                holders[holder.argument] = holder
                asked.setdefault((holder.argument, column), set()).add(level)
    for (argument, column), wanted in asked.items():
        values = holders[argument].table.column(column)
        coded = try_encode(values) if is_label(values.type) and not is_number(values.type) else None
        if coded is not None and (mixed := _mixed(*coded, wanted)):
            raise InputError(
                f"`targets` use the label {column!r}, and `{argument}` has levels of it that "
                f"differ only in blanks or case ({'; '.join(mixed[:SHOWN])}); write them in the "
                "same way, or have a target for each"
            )


def _mixed(codes: NDArray[np.int64], levels: list[str], wanted: set[str]) -> list[str]:
    """Name levels with several spellings, of which only some are wanted, with their counts."""
    rows = np.bincount(codes[codes >= 0], minlength=len(levels))
    mixed = []
    for alike in _ways(levels).values():
        found = [levels[code] in wanted for code in alike]
        if any(found) and not all(found):
            mixed.append(" and ".join(f"{levels[code]!r} in {rows[code]:,} rows" for code in alike))
    return mixed


def _coded(
    targets: Targets, rows: list[int], name: str, entity: Entity, survey: Survey
) -> tuple[NDArray[np.int64], list[str]]:
    """Code a label column for the units of an entity, or raise an error that says what is wrong."""
    who = first_few([targets.names[row] for row in rows])
    holder = survey.holder(entity, name)
    if holder is None:
        raise InputError(
            f"`targets` have a label {name!r} for {who}, and there is no column of that name for "
            f"`{entity.argument}`; leave the cell empty"
        )
    values = holder.table.column(name)
    coded = try_encode(values) if is_label(values.type) else None
    if coded is None:
        raise InputError(
            f"`targets` have a label {name!r} for {who}, and that column of `{holder.argument}` is "
            f"{values.type}; convert it to text"
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
            f"not a column of `{entity.argument}`; {closest(variable, [*columns, COUNT])}"
        )
    values = entity.table.column(variable)
    if not is_number(values.type):
        raise InputError(
            f"`targets` ask for the variable {variable!r} (targets {first_few(users)}), which is "
            f"{not_a_number(values)} in `{entity.argument}`; write plain numbers, or use 'count' "
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
    # The units of a record are added in the order of their amounts, so that the sum does not
    # depend on the order of the rows.
    used = used[np.lexsort((measure[used], record[used]))]
    entries = (measure[used], (cell_of_unit[used], record[used]))
    summed = sp.coo_array(entries, shape=shape).tocsr()  # adds up entries with the same position
    summed.eliminate_zeros()
    return summed
