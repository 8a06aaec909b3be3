"""The rows of a survey table as what statistics are made of: label columns and measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.inputs.column_types import Labels
from l0.calibration.inputs.kinds import COUNT
from l0.common.formatting import join_names
from l0.data.columns import known_numbers

#: The level of units without a label, in the name of a statistic.
NO_LEVEL = "(none)"


@dataclass(frozen=True, eq=False)
class Measure:
    """What a statistic adds up: a number for some units of a table, and 0 for all others.

    Attributes
    ----------
    name : str
    places : ndarray of int64, shape (p,)
        The positions of units whose number is not 0.
    values : ndarray of float64, shape (p,)
    """

    name: str
    places: NDArray[np.int64]
    values: NDArray[np.float64]

    def part(self, inside: NDArray[np.bool_]) -> Measure:
        """Keep some of the places, shape (p,), and count their units."""
        return Measure(self.name, self.places[inside], np.ones(np.count_nonzero(inside)))


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of some label columns.

    Attributes
    ----------
    columns : tuple of Labels
    codes : ndarray of int64, shape (n_units,)
        The cell of each unit.
    size : int
        The number of cells.
    """

    columns: tuple[Labels, ...]
    codes: NDArray[np.int64]
    size: int

    @property
    def by(self) -> str:
        """The names of the columns."""
        return join_names(column.name for column in self.columns)

    def labels(self, cells: NDArray[np.int64]) -> list[list[tuple[str, str]]]:
        """Give the columns and levels of some cells."""
        if not self.columns:
            return [[] for _ in cells]
        places = np.unravel_index(cells, [len(column.levels) for column in self.columns])
        return [
            [
                (column.name, column.levels[code] or NO_LEVEL)
                for column, code in zip(self.columns, cell, strict=True)
            ]
            for cell in zip(*places, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Units:
    """The rows of the records' table or of a member table.

    Attributes
    ----------
    entity : str
        The name of the member table, or "" for the records.
    record : ndarray of int64, shape (n_units,)
        The position of each unit's record.
    table : pyarrow.Table
    labels : list of Labels
        Its own label columns.
    amounts : list of str
        The names of the columns that are added up.
    order : ndarray of int64, shape (n_units,)
        The row of each unit in the table of the survey.
    """

    entity: str
    record: NDArray[np.int64]
    table: pa.Table
    labels: list[Labels]
    amounts: list[str]
    order: NDArray[np.int64]

    @property
    def size(self) -> int:
        """The number of units."""
        return len(self.record)

    @cached_property
    def measures(self) -> list[Measure]:
        """The number of units, and each amount. An unknown amount counts as 0."""
        found = [Measure(COUNT, np.arange(self.size), np.ones(self.size))]
        for name in self.amounts:
            numbers = known_numbers(self.table.column(name))
            places = np.flatnonzero(numbers)
            found.append(Measure(name, places, numbers[places]))
        return found

    def in_order(self) -> Units:
        """Sort units by record, labels and amounts, so that sums do not depend on their order."""
        numbers = [known_numbers(self.table.column(name)) for name in self.amounts]
        order = np.lexsort([*numbers, *(column.codes for column in self.labels), self.record])
        labels = [Labels(column.name, column.codes[order], column.levels) for column in self.labels]
        return Units(
            self.entity, self.record[order], self.table.take(order), labels, self.amounts, order
        )

    def spread(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give each unit the weight of its record."""
        return weights[self.record] if self.entity else weights

    def cells(self, columns: Sequence[Labels]) -> Cells:
        """Number the cells of label columns that belong to the units."""
        codes, size = np.zeros(self.size, dtype=np.int64), 1
        for column in columns:
            codes = codes * len(column.levels) + column.codes
            size *= len(column.levels)
        return Cells(tuple(columns), codes, size)

    def rows(
        self, cells: Cells, measure: Measure, kept: NDArray[np.int64], n_records: int
    ) -> sp.csr_array:
        """Make the rows of some cells: what one unit of a record's weight adds to each.

        Returns
        -------
        scipy.sparse.csr_array, shape (len(kept), n_records)
        """
        row = np.full(cells.size, -1)
        row[kept] = np.arange(len(kept))
        row_of = row[cells.codes[measure.places]]
        inside = row_of >= 0
        entries = (row_of[inside], self.record[measure.places[inside]])
        shape = (len(kept), n_records)
        return sp.coo_array((measure.values[inside], entries), shape=shape).tocsr()
