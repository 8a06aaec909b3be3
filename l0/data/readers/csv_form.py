"""How a CSV file is written: its separator, its numbers and its encoding."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from l0.common.errors import InputError, first_few
from l0.data.columns import is_plain_number
from l0.data.locations import Location, checked_encoding, options_of

#: The remedy for a CSV file in another form.
AS_CSV = (
    "save it as comma-separated UTF-8 text, or say how it is written, as in "
    "'file.csv#separator=semicolon,decimal=comma,thousands=point,encoding=latin-1'"
)
#: The words for the signs, so that no sign has to be quoted in a shell.
SIGNS = {
    "separator": {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "space": " "},
    "decimal": {"point": ".", "comma": ","},
    "thousands": {"comma": ",", "point": ".", "space": " ", "apostrophe": "'"},
}
UTF8 = "utf-8"


@dataclass(frozen=True)
class CsvForm:
    """The form of a CSV file.

    Attributes
    ----------
    separator, decimal, thousands : str
        A sign each. `thousands` is empty if digits are not grouped.
    encoding : str
        A name that Python knows.
    """

    separator: str = ","
    decimal: str = "."
    thousands: str = ""
    encoding: str = UTF8

    @property
    def reading(self) -> pa.csv.ReadOptions:
        """The encoding, for Arrow."""
        # Arrow copies the file for any other name than its own.
        return pa.csv.ReadOptions(encoding="utf8" if self.encoding == UTF8 else self.encoding)

    @property
    def parsing(self) -> pa.csv.ParseOptions:
        """The separator, for Arrow."""
        return pa.csv.ParseOptions(delimiter=self.separator)

    @cached_property
    def _grouped(self) -> str:
        """The pattern of a number whose digits are in groups."""
        thousands, decimal = re.escape(self.thousands), re.escape(self.decimal)
        return rf"^[+-]?(0|[1-9]\d{{0,2}}({thousands}\d{{3}})+|[1-9]\d*)({decimal}\d*)?$"

    def plain(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """Write cells that are numbers with a point and without groups. Others do not change."""
        cells = pc.utf8_trim_whitespace(cells)
        if not self.thousands and self.decimal == ".":
            return cells
        # Without groups, any number with this decimal sign.
        pattern = self._grouped if self.thousands else r"^[+-]?[\d,]+([eE][+-]?\d+)?$"
        points = pc.replace_substring(cells, self.thousands, "") if self.thousands else cells
        points = pc.replace_substring(points, self.decimal, ".")
        return pc.if_else(pc.match_substring_regex(cells, pattern), points, cells)

    def ungrouped(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """Convert cells to numbers if all are numbers, with or without groups. Else they stay."""
        numbers = pc.match_substring_regex(pc.utf8_trim_whitespace(cells), self._grouped)
        if not len(numbers.drop_null()) or not pc.all(numbers).as_py():
            return cells
        plain = self.plain(cells)
        floating = pc.any(pc.match_substring(plain, ".")).as_py()
        return plain.cast(pa.float64() if floating else pa.int64())

    def is_number(self, cell: str) -> bool:
        """Tell whether a cell is a number of this form."""
        return is_plain_number(self.plain(pa.chunked_array([[cell]]))[0].as_py())


def form_of(location: Location, argument: str) -> CsvForm:
    """Read the options of a CSV file, as in ``file.csv#separator=semicolon,decimal=comma``.

    The separator of ``.tsv`` files is a tab.

    Raises
    ------
    InputError
        If an option or its value is unknown, or if one sign has two meanings.
    """
    found = {"separator": "\t"} if ".tsv" in location.name else {}
    for name, word in options_of(location, argument, (*SIGNS, "encoding")).items():
        if name == "encoding":
            found[name] = checked_encoding(word, argument)
        elif word not in SIGNS[name]:
            raise InputError(
                f"`{argument}`: {name} is {word!r} in {str(location)!r}; write one of the words "
                f"{first_few(SIGNS[name])}"
            )
        else:
            found[name] = SIGNS[name][word]
    form = CsvForm(**found)
    if form.thousands == form.decimal:
        raise InputError(
            f"`{argument}`: decimal and thousands are both {form.decimal!r} in {str(location)!r}; "
            "name two signs, such as decimal=comma,thousands=point"
        )
    return form
