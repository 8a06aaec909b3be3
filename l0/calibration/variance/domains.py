"""Domains: the cells of label columns, for which a statistic is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from l0.common.errors import InputError, closest
from l0.data.columns import is_label, is_number, plain, try_encode


@dataclass(frozen=True, eq=False)
class Domains:
    """The domains that label columns divide rows into.

    Attributes
    ----------
    names : tuple of str
        The label columns. Without any, all rows are one domain.
    codes : ndarray of int64, shape (n,)
        The domain of each row.
    levels : ndarray of int64, shape (d, len(names))
        The level of each domain in each column. They are sorted by it.
    columns : tuple of pyarrow.Array
        The label columns of the d domains, of the types of the table. A null is a level.
    fields : tuple of pyarrow.Field
        Their fields, with the value labels of files of Stata, SPSS and SAS.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]
    levels: NDArray[np.int64]
    columns: tuple[pa.Array, ...]
    fields: tuple[pa.Field, ...]

    @property
    def size(self) -> int:
        """The number of domains, d."""
        return len(self.levels)

    @property
    def labels(self) -> pa.Table:
        """The label columns as a table, with a row for each domain."""
        return pa.Table.from_arrays(list(self.columns), schema=pa.schema(self.fields))

    def within(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Number the larger domains that only some of the columns make, shape (d,)."""
        kept = self.levels[:, [self.names.index(name) for name in names]]
        return np.asarray(np.unique(kept, axis=0, return_inverse=True)[1].reshape(-1))

    def named(self, domain: np.integer[Any]) -> str:
        """Name a domain in an error message."""
        labels = [str(column[domain].as_py()) for column in self.columns]
        return ", ".join(f"{name} {label}" for name, label in zip(self.names, labels, strict=True))


def find_domains(table: pa.Table, by: Sequence[str]) -> Domains:
    """Find the domains of the rows of a table.

    Parameters
    ----------
    table : pyarrow.Table, n rows
    by : sequence of str
        The names of its label columns.

    Raises
    ------
    InputError
        If a column is missing, or its values cannot be labels.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.calibration.variance.domains import find_domains
    >>> table = pa.table({"state": ["VT", "NY", None, "VT"], "size": [2, 10, 2, 10]})
    >>> domains = find_domains(table, ["size", "state"])
    >>> domains.codes
    array([0, 2, 1, 3])
    >>> [column.to_pylist() for column in domains.columns]
    [[2, 2, 10, 10], ['VT', None, 'NY', 'VT']]
    """
    codes = np.zeros(table.num_rows, dtype=np.int64)
    coded = [_encode(table, name) for name in by]
    for of_column, n_levels in coded:
        # Numbered anew after each column, so that many columns do not overflow.
        codes = _numbered(codes * (n_levels + 1) + of_column)[1]
    first, codes = _numbered(codes)
    columns, levels = [], np.zeros((len(first), len(coded)), dtype=np.int64)
    for place, (name, (of_column, n_levels)) in enumerate(zip(by, coded, strict=True)):
        levels[:, place] = of_column[first]
        nulls = levels[:, place] == n_levels
        columns.append(plain(table.column(name)).take(pa.array(first, mask=nulls)))
    fields = (
        table.schema.field(name).with_type(of.type) for name, of in zip(by, columns, strict=True)
    )
    return Domains(tuple(by), codes, levels, tuple(columns), tuple(fields))


def _numbered(codes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number values in ascending order: the first row of each, and the number of each row."""
    _, first, numbers = np.unique(codes, return_index=True, return_inverse=True)
    return first, numbers.reshape(-1)


def _encode(table: pa.Table, name: str) -> tuple[NDArray[np.int64], int]:
    """Code a label column: the place of each label in their order, and the number of labels.

    Numbers are in the order of numbers, and all other labels in that of their text. The code of a
    null is the number of labels.
    """
    if name not in table.column_names:
        raise InputError(
            f"`by` names the column {name!r}, which `table` lacks; "
            f"{closest(name, table.column_names)}"
        )
    kind = table.column(name).type
    found = try_encode(table.column(name)) if is_label(kind) else None
    if found is None:
        raise InputError(
            f"`by` names the column {name!r}, which is {kind}; write its labels as text or numbers"
        )
    codes, labels = found
    order = np.arange(len(labels))
    if is_number(kind) and not pa.types.is_boolean(kind):
        order = np.argsort(np.argsort([float(label) for label in labels]))
    return np.append(order, len(labels))[codes], len(labels)
