"""The sparse matrix of a problem, from checked targets.

Targets with the same label columns form a *pattern* and are compiled together. The labels of the
units are coded once and looked up among the cells of the pattern, and the constructor of the sparse
matrix adds the units up to their records. There is no loop over records, and no dense row.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.findings import Complain, refuse
from l0.calibration.inputs.kinds import COUNT
from l0.calibration.inputs.survey import Entity, Survey
from l0.calibration.inputs.targets import Targets
from l0.calibration.problem.kinds import Kinds, fitted_rows
from l0.calibration.problem.levels import check_levels
from l0.common.errors import InputError, closest, first_few
from l0.common.sparse_rows import narrow
from l0.data.columns import is_label, is_number, not_a_number, try_encode


def compile_targets(targets: Targets, survey: Survey, complain: Complain = refuse) -> sp.csr_array:
    """Compile the targets to the rows of a sparse matrix, in their order.

    Parameters
    ----------
    targets : Targets
    survey : Survey
    complain : callable
        Is told of levels that no row has, or that some rows have in another spelling (see
        `levels`). If it returns, such a level has the rows that are spelled in the same way.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (m, n)
        Entry (j, i) is what one unit of the weight of record i adds to target j.
    """
    check_levels(targets, survey, complain)
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
        # No row has these levels. `check_levels` asks for a value of 0 for their targets.
        empty = sorted({level for level in wanted if level not in known})
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
