"""Read survey tables and a table of targets, and compile them to the parts of a problem."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.findings import Complain, refuse
from l0.calibration.inputs.kinds import describe, subject
from l0.calibration.inputs.survey import LARGEST_WEIGHT, LEAST_WEIGHT, Survey, read_survey
from l0.calibration.inputs.targets import Targets, read_targets
from l0.calibration.options import TableOptions, with_defaults
from l0.calibration.problem.kinds import Kinds
from l0.calibration.problem.matrix import compile_kinds, compile_targets
from l0.common.errors import InputError
from l0.common.sparse_rows import narrow


@dataclass(frozen=True, eq=False)
class Tables:
    """Tables that were read, and what they are compiled to.

    Attributes
    ----------
    survey : Survey
    targets : Targets
        In the order of their table.
    target_order : ndarray of int64, shape (m,)
        The positions of the targets, sorted by name. `matrix` and `kinds` are in this order.
    matrix : scipy.sparse.csr_array, shape (m, n)
    kinds : Kinds or None
        None if all targets are totals with a value.
    weights : ndarray of float64, shape (n,)
        The design weights, or the even ones that stand for them.
    """

    survey: Survey
    targets: Targets
    target_order: NDArray[np.int64]
    matrix: sp.csr_array
    kinds: Kinds | None
    weights: NDArray[np.float64]

    @property
    def fields(self) -> dict[str, Any]:
        """The arguments of `Problem` that follow from the tables."""
        survey, table, by_name = self.survey, self.targets, self.target_order
        return {
            "matrix": self.matrix,
            "values": table.values[by_name],
            "design_weights": self.weights,
            "names": [table.names[row] for row in by_name],
            "groups": [table.groups[row] for row in by_name],
            "variables": [
                describe(of.entity, subject(of.statistic, of.variable, of.denominator), ())
                for of in (table.statements[row] for row in by_name)
            ],
            "importance": table.importance[by_name],
            "tolerance": table.tolerance[by_name],
            "keys": survey.keys,
            "key": survey.key,
            "weight": survey.weight,
            "record_order": survey.order,
            "target_order": by_name,
            "survey": survey,
            "kinds": self.kinds,
            "n_dropped": survey.n_dropped,
            "grouped": table.grouped,
            "labels": table.label_table.take(by_name),
            "index": {} if survey.index is None else {"records.index": survey.index},
        }


def read_tables(
    records: Any, targets: Any, options: TableOptions, complain: Complain = refuse
) -> Tables:
    """Read and compile tables (see `CalibrationProblem.from_frames`).

    Parameters
    ----------
    records, targets : frame or path
    options : TableOptions
    complain : callable
        Is told of each finding. If it returns, the reading goes on.
    """
    survey = read_survey(records, **with_defaults(options, TableOptions), complain=complain)
    return compile_tables(survey, targets, complain)


def compile_tables(survey: Survey, targets: Any, complain: Complain = refuse) -> Tables:
    """Read the table of targets, and compile it with a survey that was read."""
    table = read_targets(targets, survey, complain)
    matrix = compile_targets(table, survey, complain)
    weights = survey.weights
    if weights is None:
        weights = even_weights(matrix, table)
    kinds = None
    if not all(map(table.is_published, range(len(table.names)))):
        matrix, kinds = compile_kinds(table, matrix, survey, weights)
    by_name = np.array(sorted(range(len(table.names)), key=table.sort_key))
    return Tables(
        survey=survey,
        targets=table,
        target_order=by_name,
        matrix=narrow(matrix[by_name]),
        kinds=None if kinds is None else kinds.of(by_name),
        weights=weights,
    )


def even_weights(matrix: sp.csr_array, table: Targets) -> NDArray[np.float64]:
    """Make one weight for all records: the median of value / unweighted total, shape (n,).

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (m, n)
    table : Targets
        In the order of the rows of the matrix.
    """
    published = np.array([table.is_published(row) for row in range(len(table.names))])
    unweighted = np.asarray(matrix.sum(axis=1)).ravel()
    usable = published & (unweighted * table.values > 0)
    if not usable.any():
        raise InputError(
            "`weight` is not given, and no target says how many units a record represents; "
            "name a column of design weights"
        )
    even = float(np.median(table.values[usable] / unweighted[usable]))
    if not LEAST_WEIGHT <= even <= LARGEST_WEIGHT:
        raise InputError(
            f"`weight` is not given, and the values of the targets say that a record represents "
            f"{even:g} units, which no fit can compute with; correct the values, or name a column "
            "of design weights"
        )
    return np.full(matrix.shape[1], even)
