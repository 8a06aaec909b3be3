"""Arrow columns as numbers, or as labels of groups of rows."""

from __future__ import annotations

import unicodedata
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from l0.common.errors import InputError, first_few
from l0.common.formatting import counted

#: A float can represent all whole numbers up to this one.
EXACT = 2.0**53


class Unreadable(pa.ExtensionType):  # type: ignore[misc]
    """The type of a column that Arrow cannot represent, or from which it cannot take rows.

    A column of nulls replaces such a column, and its type describes the original. If the column is
    used, the error shows the description. If it is not used, there is no error.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(pa.null(), "l0.unreadable")

    def __arrow_ext_serialize__(self) -> bytes:
        return self.what.encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> Unreadable:
        return cls(serialized.decode())

    def __str__(self) -> str:
        return self.what


def unreadable(what: str, n_rows: int) -> pa.ExtensionArray:
    """Make a column of nulls that replaces a column with this description."""
    return pa.ExtensionArray.from_storage(Unreadable(what), pa.nulls(n_rows))


def check_unique(names: list[str], argument: str) -> None:
    """Refuse columns with the same name, or without one."""
    if (unnamed := names.count("")) > 1:
        raise InputError(
            f"`{argument}` has {counted(unnamed, 'column')} without a name; its first row must "
            "name the columns: write names there, and delete titles above it"
        )
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise InputError(
            f"`{argument}` has the columns {first_few(repeated)} more than once; rename all but one"
        )


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can be added up."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type has strings."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_label(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can be written as text, as labels of groups of rows."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        is_text(kind)
        or is_number(kind)
        or pa.types.is_date(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_time(kind)
        or pa.types.is_null(kind)
    )


def is_key(kind: pa.DataType) -> bool:
    """Tell whether values of this type can be keys, which are counted, sorted and looked up."""
    if isinstance(kind, Unreadable):
        return False
    try:
        # Of a dictionary, its values: Arrow cannot make every kind of dictionary from nothing.
        none = pa.array([], kind.value_type if pa.types.is_dictionary(kind) else kind)
        pc.value_counts(none)
        pc.sort_indices(none)
        pc.index_in(none, value_set=none)
    except pa.ArrowException:
        return False
    return True


def as_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Take a numeric column as float64. Nulls become NaN, and integers over 2^53 are rounded."""
    return np.ascontiguousarray(pc.cast(values, pa.float64(), safe=False).to_numpy())


def known_numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Take a numeric column as float64. Null, NaN and infinite numbers become 0.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.columns import known_numbers
    >>> known_numbers(pa.chunked_array([[1, None, 3]]))
    array([1., 0., 3.])
    """
    return np.nan_to_num(as_numbers(values), nan=0.0, posinf=0.0, neginf=0.0)


def plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Combine chunks to one array and decode dictionaries, so that values can be compared."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    return pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values


def not_a_number(values: pa.ChunkedArray) -> str:
    """Describe a column that should be numeric and is not, with the cells that are the cause."""
    what = f"{values.type}, not a number"
    if not is_label(values.type):
        return what
    try:
        texts = [text for text in as_text(pc.unique(values)) if text is not None]
    except pa.ArrowException:  # see `try_encode`
        return what
    bad = [text for text in texts if not is_plain_number(text)] or texts  # or all cells are codes
    return f"{what} ({first_few(bad)})" if bad else what


def is_plain_number(cell: str) -> bool:
    """Tell whether text can be read as a number."""
    try:
        pa.scalar(cell.strip()).cast(pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def as_text(values: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """Write values as labels. NaN and empty text become None.

    The label does not depend on the type: 2012, 2012.0 and the decimal 2012.00 all become ``2012``,
    and midnight of a time without a zone becomes its date. Beyond 2^53, where a float cannot
    represent all whole numbers, a float and a decimal become ``1e+16``, and an integer keeps its
    digits.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.columns import as_text
    >>> as_text(pa.array([2012.0, 0.5, None]))
    ['2012', '0.5', None]
    """
    values = plain(values)
    if pa.types.is_decimal(values.type):
        values = values.cast(pa.float64())
    texts = values.cast(pa.string())
    if pa.types.is_timestamp(values.type):
        texts = pc.replace_substring_regex(texts, r"( 00:00:00)?(\.0+)?$", "")
    if pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64())
        whole = pc.and_(pc.equal(pc.trunc(numbers), numbers), pc.less_equal(pc.abs(numbers), EXACT))
        digits = numbers.cast(pa.int64(), safe=False).cast(pa.string())
        texts = pc.if_else(pc.is_nan(numbers), None, pc.if_else(whole, digits, texts))
    return [text or None for text in texts.to_pylist()]


def as_level(text: str, kind: pa.DataType) -> str:
    """Write a label as `as_text` writes a column of this type.

    In a numeric column, ``2012.0`` means 2012. In a boolean column, ``True`` means true.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.columns import as_level
    >>> as_level("2012.0", pa.int64()), as_level("01", pa.string())
    ('2012', '01')
    """
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for wanted in (kind, pa.float64()) if is_number(kind) else (kind,):
        try:
            return as_text(pa.array([text]).cast(wanted))[0] or text
        except pa.ArrowException:
            continue  # the text is not a value of this type
    return text


def folded(level: str) -> str:
    """Write a level in a form that is equal for levels that differ only in blanks or case."""
    return " ".join(unicodedata.normalize("NFC", level).split()).casefold()


def encode(values: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Code a label column.

    Returns
    -------
    codes : ndarray of int64
        Positions in `levels`, and -1 for null, NaN and empty text.
    levels : list of str
        The levels in the column, sorted.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from l0.data.columns import encode
    >>> encode(pa.chunked_array([["b", "a", None, "b"]]))
    (array([ 1,  0, -1,  1]), ['a', 'b'])
    """
    values = plain(values)
    if pa.types.is_float16(values.type):  # Arrow codes it from version 26 on
        values = values.cast(pa.float64())
    coded = values.dictionary_encode()
    texts = as_text(coded.dictionary)
    levels = sorted({text for text in texts if text is not None})
    place: dict[str | None, int] = {level: code for code, level in enumerate(levels)}
    # Two values may have the same text (0.0 and -0.0). The last entry is for nulls.
    recode = np.array([place.get(text, -1) for text in [*texts, None]], dtype=np.int64)
    return recode[coded.indices.fill_null(len(texts)).to_numpy()], levels


def try_encode(values: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]] | None:
    """Code a column of labels as `encode` does; None where its values cannot be written as text.

    `is_label` goes by the kind of type. A time zone that nobody knows and a decimal that Arrow
    cannot count yet are found out here.
    """
    try:
        return encode(values)
    except pa.ArrowException:
        return None


def encode_with_null(values: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Code a label column as `encode` does, with a last level ``""`` for nulls if there are any."""
    codes, levels = encode(values)
    if (codes < 0).any():
        codes, levels = np.where(codes < 0, len(levels), codes), [*levels, ""]
    return codes, levels
