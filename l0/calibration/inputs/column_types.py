"""The types of the columns of a survey: labels, and amounts that can be added up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.inputs.kinds import COUNT
from l0.calibration.inputs.survey import Survey
from l0.data.codings import is_labelled
from l0.data.columns import encode_with_null, is_label, is_number
from l0.data.pandas_index import is_nameless

#: An integer column with more levels than this is an amount, unless a target uses it as a label.
INTEGER_LEVELS = 20
#: A text column with more levels than this is an identifier or free text. It is left out.
TEXT_LEVELS = 1000


@dataclass(frozen=True)
class Labels:
    """A label column as codes.

    Attributes
    ----------
    name : str
    codes : ndarray of int64, shape (n,)
        Positions in `levels`. The last level, "", stands for null.
    levels : list of str
    """

    name: str
    codes: NDArray[np.int64]
    levels: list[str]


@dataclass(frozen=True)
class ColumnTypes:
    """The label columns and the amounts of a table. Key and weight belong to neither.

    Attributes
    ----------
    labels : list of Labels
        Text, categorical, date and boolean columns, integers with few levels, numbers that all
        have a value label, and all columns that a target uses as a label. A column with one level
        is left out.
    amounts : list of str
        All other numeric columns, except one with the name ``count``, and whole numbers that number
        the rows in any order.

    A column without a name is neither.
    """

    labels: list[Labels]
    amounts: list[str]

    def without(self, names: Collection[str]) -> ColumnTypes:
        """Leave columns out."""
        return ColumnTypes(
            [column for column in self.labels if column.name not in names],
            [name for name in self.amounts if name not in names],
        )


def classify(survey: Survey, used_as_labels: Collection[str], entity: str = "") -> ColumnTypes:
    """Sort the columns of the records, or of a member table, into labels and amounts."""
    table = (survey.members[entity] if entity else survey.records).table
    labels, amounts = [], []
    for name in table.column_names:
        if name in (survey.key, survey.weight) or is_nameless(name):
            continue
        column = table.column(name)
        if not is_label(column.type):
            continue
        number = is_number(column.type) and not pa.types.is_boolean(column.type)
        if number and name not in used_as_labels:
            whole = pa.types.is_integer(column.type)
            n_different = pc.count_distinct(column).as_py() if whole else np.inf
            few = n_different <= INTEGER_LEVELS or is_labelled(table.schema.field(name), column)
            if not few and n_different == len(column) and _has_no_gap(column):
                continue  # an identifier
            if not few:
                # A statistic of an amount with this name would look like a count of records.
                amounts += [name] if name != COUNT else []
                continue
        try:
            coded = Labels(name, *encode_with_null(column))
        except pa.ArrowException:  # see `try_encode`
            continue
        most = np.inf if name in used_as_labels else TEXT_LEVELS
        if 1 < len(coded.levels) <= most:
            labels.append(coded)
    return ColumnTypes(labels, amounts)


def _has_no_gap(column: pa.ChunkedArray) -> bool:
    """Tell whether different whole numbers are all that there are from the least to the largest."""
    ends = pc.min_max(column).as_py()
    return bool(ends["max"] - ends["min"] + 1 == len(column))
