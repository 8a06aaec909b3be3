"""Untargeted statistics: what a result does to counts and totals that are not targets.

The statistics come from the records alone, and a user of the file might compute them: weighted
counts, and weighted totals of each amount, over all records, by the levels of each label column,
and by each pair of label columns. The reference is the calibrated full file, with all records.

The effective number of records of a statistic is (sum c)^2 / sum c^2, where c = w x is the
contribution of a record. This is Kish's effective sample size (Kish 1965, Survey Sampling, section
11.7) of the contributions in place of the weights. A Poisson sample that expects a share f of the
records has the coefficient of variation sqrt((1 - f) / f / effective_n).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.evaluation.metrics import UntargetedMetrics
from l0.calibration.inputs.column_types import ColumnTypes, Labels
from l0.calibration.inputs.kinds import COUNT, describe
from l0.calibration.inputs.survey import Survey
from l0.calibration.inputs.targets import Targets
from l0.calibration.problem.losses import capped_error
from l0.calibration.problem.matrix import cells, patterns
from l0.data.columns import known_numbers

#: A statistic counts if its effective number of records is at least this. A sample of half of the
#: records then estimates it with a coefficient of variation of at most 10%.
LEAST_EFFECTIVE_N = 100.0
#: The largest number of label columns that form pairs, and of amounts that are added up. Columns
#: that a target uses come first, then the first columns of the file. The work grows with the square
#: of the first number times the second, and a file may have a hundred replicate weights.
PAIRED_LABELS = 10
AMOUNTS = 20
#: The level of records without a label, in the name of a statistic.
NO_LEVEL = "(none)"

T = TypeVar("T")


@dataclass(frozen=True)
class SurveyStatistics:
    """Counts and totals by labels and pairs of labels, made from the records.

    A null, NaN or infinite amount counts as 0: totals are over the records with a known amount. At
    most `PAIRED_LABELS` label columns form pairs, and at most `AMOUNTS` amounts are added up.

    Some statistics are left out: pairs of columns with more cells than records, cells with an
    effective number of records below `LEAST_EFFECTIVE_N`, and cells that the targets determine. The
    targets determine a cell if each of its records is in a target of the same variable, and these
    targets have the same label columns, which include those of the cell. Only totals with a value
    determine a cell.

    Parameters
    ----------
    survey : Survey
    column_types : ColumnTypes
    targets : Targets
    """

    survey: Survey
    column_types: ColumnTypes
    targets: Targets

    def compare(self, reference: NDArray[np.float64], weights: NDArray[np.float64]) -> pa.Table:
        """See `UntargetedStatistics.compare`."""
        chosen = np.flatnonzero(weights)
        statements = self.targets.statements
        used = {name for of in statements for name in (of.variable, of.denominator)}
        variables = [COUNT, *_first(self.column_types.amounts, lambda name: name in used, AMOUNTS)]
        amounts = [self._amount(variable) for variable in variables]
        contributions = [reference * amount for amount in amounts]
        squared = [contribution**2 for contribution in contributions]
        kept = [weights[chosen] * amount[chosen] for amount in amounts]
        grouped = patterns(self.targets)
        targeted = [list(self._targeted(variable, grouped)) for variable in variables]
        parts: list[list[pa.Table]] = [[] for _ in variables]
        # The loop over variables is inside, so that the cells are computed once for all of them.
        for columns in self._cells(len(weights)):
            codes, size = _cell_codes(columns, len(weights))
            if columns and np.bincount(codes).max() < LEAST_EFFECTIVE_N:
                continue  # the effective number is at most the number of records
            codes_chosen = codes[chosen]
            for place, variable in enumerate(variables):
                total = _add_up(codes, contributions[place], size)
                squares = _add_up(codes, squared[place], size)
                effective_n = _effective_n(total, squares)
                shown = (effective_n >= LEAST_EFFECTIVE_N) & ~self._fixed_by_targets(
                    columns, codes, size, targeted[place]
                )
                estimate = _add_up(codes_chosen, kept[place], size)
                parts[place].append(
                    _rows(variable, columns, np.flatnonzero(shown), total, estimate, effective_n)
                )
        return pa.concat_tables([part for of_variable in parts for part in of_variable])

    def _amount(self, variable: str) -> NDArray[np.float64]:
        table = self.survey.records.table
        if variable == COUNT:
            return np.ones(table.num_rows)
        return known_numbers(table.column(variable))

    def _cells(self, n: int) -> Iterator[tuple[Labels, ...]]:
        yield ()
        for column in self.column_types.labels:
            yield (column,)
        used = {name for labels in self.targets.labels for name, _ in labels}
        paired = _first(self.column_types.labels, lambda column: column.name in used, PAIRED_LABELS)
        for one, other in combinations(paired, 2):
            if len(one.levels) * len(other.levels) <= n:
                yield one, other

    def _targeted(
        self, variable: str, grouped: dict[tuple[str, tuple[str, ...]], list[int]]
    ) -> Iterator[tuple[frozenset[str], NDArray[np.bool_]]]:
        """Give the label columns of targets of this variable, and the records in a target."""
        for (entity, names), rows in grouped.items():
            asked = [
                row
                for row in rows
                if self.targets.variables[row] == variable and self.targets.is_published(row)
            ]
            if not entity and asked:
                _, cell_of_record = cells(
                    self.targets, asked, names, self.survey.records, self.survey
                )
                yield frozenset(names), cell_of_record >= 0

    @staticmethod
    def _fixed_by_targets(
        columns: tuple[Labels, ...],
        codes: NDArray[np.int64],
        size: int,
        targeted: list[tuple[frozenset[str], NDArray[np.bool_]]],
    ) -> NDArray[np.bool_]:
        fixed = np.zeros(size, dtype=bool)
        for names, inside in targeted:
            if names >= {column.name for column in columns}:
                fixed |= np.bincount(codes, ~inside, size) == 0
        return fixed


@dataclass(frozen=True)
class MatrixStatistics:
    """Statistics from the rows of a matrix.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (p, n)
    """

    matrix: sp.csr_array

    def compare(self, reference: NDArray[np.float64], weights: NDArray[np.float64]) -> pa.Table:
        """See `UntargetedStatistics.compare`."""
        total, estimate = self.matrix @ reference, self.matrix @ weights
        squares = self.matrix.multiply(self.matrix) @ reference**2
        p = len(total)
        return _table(
            [f"statistic {row}" for row in range(p)],
            [""] * p,
            [""] * p,
            total,
            estimate,
            _effective_n(total, squares),
        )


def untargeted_metrics(table: pa.Table | None) -> UntargetedMetrics:
    """Compute the median and the mean capped relative error; None if there is no statistic."""
    if table is None or not table.num_rows:
        return {"untargeted_median_error": None, "untargeted_capped_error": None}
    error = table.column("relative_error").to_numpy()
    return {
        "untargeted_median_error": float(np.median(np.abs(error))),
        "untargeted_capped_error": float(capped_error(error).mean()),
    }


def _first(items: list[T], wanted: Callable[[T], bool], most: int) -> list[T]:
    """Take at most so many items, in their order. The wanted ones have priority."""
    places = sorted(range(len(items)), key=lambda place: not wanted(items[place]))[:most]
    return [items[place] for place in sorted(places)]


def _cell_codes(columns: tuple[Labels, ...], n: int) -> tuple[NDArray[np.int64], int]:
    """Number the cells of label columns: the cell of each record, and the number of cells."""
    codes, size = np.zeros(n, dtype=np.int64), 1
    for column in columns:
        codes = codes * len(column.levels) + column.codes
        size *= len(column.levels)
    return codes, size


def _effective_n(total: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the effective number of records, (sum c)^2 / sum c^2, or 0 if all c are 0."""
    return np.divide(total**2, squares, out=np.zeros(len(total)), where=squares > 0)


def _add_up(
    codes: NDArray[np.int64], amounts: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    return np.bincount(codes, amounts, size).astype(np.float64, copy=False)


def _rows(
    variable: str,
    columns: tuple[Labels, ...],
    cells: NDArray[np.int64],
    total: NDArray[np.float64],
    estimate: NDArray[np.float64],
    effective_n: NDArray[np.float64],
) -> pa.Table:
    sizes = tuple(len(column.levels) for column in columns)
    places = np.unravel_index(cells, sizes) if columns else []
    labels = [
        [
            (column.name, column.levels[code] or NO_LEVEL)
            for column, code in zip(columns, cell, strict=True)
        ]
        for cell in (zip(*places, strict=True) if columns else [()] * len(cells))
    ]
    return _table(
        [describe("", variable, cell) for cell in labels],
        [variable] * len(cells),
        [", ".join(column.name for column in columns)] * len(cells),
        total[cells],
        estimate[cells],
        effective_n[cells],
    )


def _table(
    names: list[str],
    variables: list[str],
    by: list[str],
    total: NDArray[np.float64],
    estimate: NDArray[np.float64],
    effective_n: NDArray[np.float64],
) -> pa.Table:
    difference = estimate - total
    return pa.table(
        {
            "statistic": pa.array(names, pa.string()),
            "variable": pa.array(variables, pa.string()),
            "by": pa.array(by, pa.string()),
            "reference": total,
            "estimate": estimate,
            "relative_error": np.divide(
                difference, np.abs(total), out=np.sign(difference), where=total != 0
            ),
            "effective_n": effective_n,
        }
    )
