"""What files of Stata, SPSS and SAS say about a column: value labels, missing codes, formats.

The description is in the metadata of the Arrow field, where it follows the column through sorting
and selecting. Cells with a missing code are nulls for a calibration, and come back when rows of the
file are written.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.common.errors import InputError, closest, first_few
from l0.data.columns import as_level, as_numbers, as_text, is_number, is_plain_number

#: The key of the description in the metadata of a field, and the label of a file in the schema.
CODING, FILE_LABEL = b"l0.coding", b"l0.file_label"
#: A NaN with a letter in its last bits is Stata's or SAS's missing code of this letter.
_TAGGED = 0x7FF8_0000_0000_0000

Code = int | float | str


@dataclass(frozen=True)
class Coding:
    """The description of a column.

    Attributes
    ----------
    program : {"stata", "spss", "sas"}
        The program that wrote the file.
    label : str or None
        The label of the column.
    values : list of [code, text]
        The value labels. A code is a number, a text, or the letter of a missing code.
    missing : list of [low, high]
        The ranges of user-defined missing codes of SPSS.
    integer : bool
        Whether the file stores the numbers as integers.
    format, measure, width : str, str and int, or None
        How the program shows the column.
    found : dict of str to int
        The missing codes that were read as null, and the number of their cells.
    """

    program: str
    label: str | None = None
    values: list[list[Any]] = field(default_factory=list)
    missing: list[list[Any]] = field(default_factory=list)
    integer: bool = False
    format: str | None = None
    measure: str | None = None
    width: int | None = None
    found: dict[str, int] = field(default_factory=dict)

    def on(self, column: pa.Field) -> pa.Field:
        """Put the description on an Arrow field."""
        return column.with_metadata({CODING: json.dumps(asdict(self))})


def coding_of(column: pa.Field) -> Coding | None:
    """Take the description of an Arrow field, or None if it has none."""
    text = (column.metadata or {}).get(CODING)
    return None if text is None else Coding(**json.loads(text))


def tagged(letters: list[str]) -> NDArray[np.float64]:
    """Write missing codes of Stata and SAS, such as ``a`` for ``.a``, as NaN with a letter."""
    return np.array([_TAGGED | ord(letter) for letter in letters], np.uint64).view(np.float64)


def letters_of(numbers: NDArray[np.float64]) -> list[str | None]:
    """Read the letters of missing codes. None is any other number."""
    bits = np.ascontiguousarray(numbers).view(np.uint64)
    tags = np.where(np.isnan(numbers), bits & 0x7F, 0).tolist()
    return [chr(tag) if tag else None for tag in tags]


def without_missing_codes(table: pa.Table) -> pa.Table:
    """Replace cells with a missing code by nulls, and count them in the descriptions."""
    for place, column in enumerate(table.schema):
        coding = coding_of(column)
        if coding is None:
            continue
        values = table.column(place)
        found = _missing(values, coding)
        if found is None:
            continue
        counts = Counter(as_code(code) for code in found.pop("codes"))
        left = pc.if_else(pa.array(found["where"]), pa.scalar(None, values.type), values)
        if coding.integer or coding.program != "stata":
            left = whole(left)
        coding = replace(coding, found=dict(sorted(counts.items())))
        table = table.set_column(place, coding.on(pa.field(column.name, left.type)), left)
    return table


def as_code(code: Code) -> str:
    """Write a code as labels are written: 2.0 as ``2``, and the letter ``a`` as it is."""
    return as_text(pa.array([code]))[0] or ""


def whole(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert a column of floats that are all whole to integers, so that codes are labels."""
    if not pa.types.is_floating(values.type):
        return values
    numbers = as_numbers(values)
    known = numbers[~np.isnan(numbers)]
    if known.size and (np.abs(known) <= 2.0**53).all() and (known == np.trunc(known)).all():
        return pc.cast(pc.if_else(pa.array(np.isnan(numbers)), None, values), pa.int64())
    return values


def _missing(values: pa.ChunkedArray, coding: Coding) -> dict[str, Any] | None:
    """Find the cells with a missing code, and their codes."""
    where = np.zeros(len(values), dtype=bool)
    codes: list[Code] = []
    if pa.types.is_floating(values.type):
        letters = letters_of(as_numbers(values))
        where = np.array([letter is not None for letter in letters], dtype=bool)
        codes += [letter for letter in letters if letter is not None]
    for low, high in coding.missing:
        if is_number(values.type) == isinstance(low, str):
            continue
        inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
        rows = inside.fill_null(False).to_numpy()
        codes += values.filter(pa.array(rows)).to_pylist()
        where |= rows
    return {"where": where, "codes": codes} if where.any() else None


def level_of(
    text: str, table: pa.Table, name: str, argument: str, stated: pa.Field | None = None
) -> str:
    """Write a label as a column has it. A value label stands for its code.

    Parameters
    ----------
    text : str
        A level of the column, or one of its value labels.
    table : pyarrow.Table
    name : str
        The name of the column.
    argument : str
        The name of the table in error messages.
    stated : pyarrow.Field, optional
        The field of another table that the text comes from. If both have value labels, a code means
        what it is labelled there: programs number the labels of each file anew.

    Raises
    ------
    InputError
        If the text is the label of several codes, or of one code and is another code itself; or if
        it is neither a number nor a label in a column of numbers with value labels.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.codings import Coding, level_of
    >>> sex = Coding("stata", values=[[1, "Men"], [2, "Women"]]).on(pa.field("sex", pa.int64()))
    >>> table = pa.table({"sex": [1, 2]}, schema=pa.schema([sex]))
    >>> level_of("Women", table, "sex", "records"), level_of("2", table, "sex", "records")
    ('2', '2')
    """
    column = table.schema.field(name)
    coding = coding_of(column)
    if coding is None or not coding.values:
        return as_level(text, column.type)
    if stated is not None and (other := coding_of(stated)) is not None:
        meant = {as_code(code): str(label).strip() for code, label in other.values}
        text = meant.get(text) or text
    level = as_level(text, column.type)
    labelled = {as_code(code): str(label).strip() for code, label in coding.values}
    codes = [code for code, label in labelled.items() if label == text.strip()]
    if codes:
        is_code = level in labelled or level in as_text(pc.unique(table.column(name)))
        if len(found := {*codes, *([level] if is_code else [])}) > 1:
            raise InputError(
                f"{text!r} can mean several codes of `{argument}` column {name!r} "
                f"({first_few(sorted(found))}), by its value labels; write the code"
            )
        return codes[0]
    if is_number(column.type) and level not in labelled and not is_plain_number(text):
        pairs = [f"{code} {label}" for code, label in labelled.items()]
        raise InputError(
            f"{text!r} is neither a code nor a value label of `{argument}` column {name!r} "
            f"({first_few(pairs)}); correct it; {closest(text, labelled.values())}"
        )
    return level


def is_labelled(column: pa.Field, values: pa.ChunkedArray) -> bool:
    """Tell whether all values of a column have a value label, as the codes of groups do."""
    coding = coding_of(column)
    if coding is None or not coding.values:
        return False
    labelled = {as_code(code) for code, _ in coding.values}
    return {text for text in as_text(pc.unique(values)) if text is not None} <= labelled


def labelled(table: pa.Table, name: str) -> list[str | None]:
    """Write the labels of a column as text, each code with its value label.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.codings import Coding, labelled
    >>> sex = Coding("stata", values=[[1, "Men"]]).on(pa.field("sex", pa.int64()))
    >>> labelled(pa.table({"sex": [1, 2, None]}, schema=pa.schema([sex])), "sex")
    ['1 Men', '2', None]
    """
    coding = coding_of(table.schema.field(name))
    label_of = {as_code(code): label for code, label in coding.values} if coding else {}
    texts = as_text(table.column(name))
    return [f"{text} {label_of[text]}" if text in label_of else text for text in texts]
