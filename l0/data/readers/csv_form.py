"""How a CSV file is written: its separator, its numbers and its encoding."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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
#: The ends of the names of CSV files.
SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
UTF8 = "utf-8"
#: Cells that are empty in a column of numbers.
NULLS = pa.csv.ConvertOptions().null_values


@dataclass(frozen=True)
class CsvForm:
    """The form of a CSV file.

    Attributes
    ----------
    separator, decimal, thousands : str
        A sign each. `thousands` is empty if digits are not grouped.
    encoding : str
        A name that Python knows.
    is_stated : bool
        Whether somebody named the decimal sign.
    """

    separator: str = ","
    decimal: str = "."
    thousands: str = ""
    encoding: str = UTF8
    is_stated: bool = field(default=False, compare=False)

    @property
    def reading(self) -> pa.csv.ReadOptions:
        """The encoding, for Arrow."""
        # Arrow copies the file for any other name than its own.
        return pa.csv.ReadOptions(encoding="utf8" if self.encoding == UTF8 else self.encoding)

    @property
    def parsing(self) -> pa.csv.ParseOptions:
        """The separator, for Arrow. A cell in quotes may have several lines."""
        return pa.csv.ParseOptions(delimiter=self.separator, newlines_in_values=True)

    @property
    def _is_plain(self) -> bool:
        """Whether numbers are written as Arrow reads them."""
        return not self.thousands and self.decimal == "."

    @cached_property
    def _number(self) -> str:
        """The pattern of a number, with or without groups of digits."""
        thousands, decimal = re.escape(self.thousands), re.escape(self.decimal)
        groups = rf"|[1-9]\d{{0,2}}({thousands}\d{{3}})+" if thousands else ""
        return rf"^[+-]?((\d+{groups})({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?$"

    def plain(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """Write cells that are numbers with a point and without groups. Others do not change."""
        cells = pc.utf8_trim_whitespace(cells)
        if self._is_plain:
            return cells
        points = pc.replace_substring(cells, self.thousands, "") if self.thousands else cells
        points = pc.replace_substring(points, self.decimal, ".")
        return pc.if_else(pc.match_substring_regex(cells, self._number), points, cells)

    def ungrouped(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """Convert cells to numbers if all are numbers, with or without groups. Else they stay."""
        empty = pc.is_in(pc.utf8_trim_whitespace(cells), value_set=pa.array(NULLS))
        known = pc.if_else(empty, None, cells)
        numbers = self.are_numbers(known)
        codes = pc.any(pc.match_substring_regex(known, r"^\s*[+-]?0\d")).as_py()
        if codes or not len(numbers.drop_null()) or not pc.all(numbers).as_py():
            return cells
        plain = self.plain(known)
        floating = pc.any(pc.match_substring_regex(plain, r"[.eE]")).as_py()
        return plain.cast(pa.float64() if floating else pa.int64())

    def are_numbers(self, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        """Tell which cells are numbers of this form. Null stays null."""
        cells = pc.utf8_trim_whitespace(cells)
        if not self._is_plain:
            return pc.match_substring_regex(cells, self._number)
        try:
            cells.cast(pa.float64())
            return pc.equal(cells, cells)
        except pa.ArrowInvalid:
            found = [None if cell is None else is_plain_number(cell) for cell in cells.to_pylist()]
        return pa.chunked_array([pa.array(found, pa.bool_())])

    def check_points(self, cells: pa.ChunkedArray, what: str, location: Location) -> None:
        """Refuse a column in which no cell tells whether a point is decimal or groups digits.

        Where a semicolon separates cells, numbers often have a decimal comma.

        Parameters
        ----------
        cells : pyarrow.ChunkedArray of str
        what : str
            The beginning of the error message: ``"`targets` column 'value'"``.
        location : Location
        """
        if self.separator != ";" or self.is_stated or self.thousands:
            return
        pointed = cells.filter(pc.match_substring(cells, "."))
        pattern = r"^\s*[+-]?[1-9]\d{0,2}\.\d{3}\s*$"
        if len(pointed) and pc.all(pc.match_substring_regex(pointed, pattern)).as_py():
            raise InputError(
                f"{what} of {str(location)!r} has points that may be decimal or may group digits "
                f"({first_few(pc.unique(pointed).to_pylist())}); say so, as in "
                "'file.csv#separator=semicolon,decimal=point' or "
                "'file.csv#separator=semicolon,decimal=comma,thousands=point'"
            )


def opened(location: Location) -> pa.NativeFile:
    """Open a CSV file to read its text, also where it is compressed."""
    # Arrow knows compressed files by an ending in small letters only.
    return pa.input_stream(
        location.path, compression="gzip" if location.name.endswith(".gz") else None
    )


def form_of(location: Location, argument: str) -> CsvForm:
    """Read the options of a CSV file, as in ``file.csv#separator=semicolon,decimal=comma``.

    The separator of ``.tsv`` files is a tab.

    Raises
    ------
    InputError
        If an option or its value is unknown, or if one sign has two meanings.
    """
    found: dict[str, Any] = {"separator": "\t"} if ".tsv" in location.name else {}
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
    form = CsvForm(**found, is_stated="decimal" in found)
    if form.thousands == form.decimal:
        raise InputError(
            f"`{argument}`: decimal and thousands are both {form.decimal!r} in {str(location)!r}; "
            "name two signs, such as decimal=comma,thousands=point"
        )
    return form
