"""Which columns of a survey are labels, and which are amounts that can be added up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.calibration.survey import Survey
from l0.calibration.tables import as_text, dictionary, is_number

#: An integer column with more levels than this is an amount, unless a target uses it as a label.
INTEGER_LEVELS = 20
#: A text column with more levels than this is an identifier or free text, and is left alone.
TEXT_LEVELS = 1000


@dataclass(frozen=True)
class Labels:
    """A column of labels, coded.

    Attributes
    ----------
    name : str
    codes : ndarray of int64, shape (n,)
        Index into `levels`; a null has the last level, "".
    levels : list of str
    """

    name: str
    codes: NDArray[np.int64]
    levels: list[str]


@dataclass(frozen=True)
class Roles:
    """The columns of the records by what they are for; key and weight are neither.

    Attributes
    ----------
    labels : list of Labels
        Text, categorical and boolean columns, integers of few levels, and whatever a target
        uses as a label.
    amounts : list of str
        All other numeric columns.
    """

    labels: list[Labels]
    amounts: list[str]


def classify(survey: Survey, used_as_labels: Collection[str]) -> Roles:
    """Sort the columns of the records into labels and amounts."""
    labels, amounts = [], []
    for name in survey.records.table.column_names:
        if name in (survey.key, survey.weight):
            continue
        column = survey.records.table.column(name)
        number = is_number(column.type) and not pa.types.is_boolean(column.type)
        if number and name not in used_as_labels:
            few = (
                pa.types.is_integer(column.type)
                and pc.count_distinct(column).as_py() <= INTEGER_LEVELS
            )
            if not few:
                amounts.append(name)
                continue
        coded = _code(name, column)
        if len(coded.levels) <= TEXT_LEVELS or name in used_as_labels:
            labels.append(coded)
    return Roles(labels, amounts)


def _code(name: str, column: pa.ChunkedArray) -> Labels:
    """Code a column in the alphabetical order of its levels, whatever order its rows have."""
    indices, dictionary_levels = dictionary(column)
    texts = [text or "" for text in as_text(dictionary_levels)]
    levels = sorted(set(texts)) + ([""] if indices.null_count and "" not in texts else [])
    place = {level: code for code, level in enumerate(levels)}
    recode = np.array([place[text] for text in texts] + [place.get("", 0)], dtype=np.int64)
    return Labels(name, recode[indices.fill_null(len(texts)).to_numpy()], levels)
