"""A table of many rows: its data, which the script searches and sorts, and the rows without it.

The page holds the data as JSON, column by column, and ``table.js`` shows a page of rows at a time.
The template writes the first rows, so that a reader without scripts sees them. Both write numbers
in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from l0.calibration.results.report import charts
from l0.calibration.results.summary import price, stated, stated_size
from l0.common.formatting import amount, percent, signed

#: How numbers of each kind are written.
KINDS: dict[str, Callable[[float], str]] = {
    "amount": amount, "percent": percent, "signed": signed, "price": price,
}  # fmt: skip
#: The significant digits of numbers in the page: of amounts, and of shares.
AMOUNT_DIGITS, SHARE_DIGITS = 9, 5
#: The number of rows on a page, and of those without scripts.
SIZE = 50
#: The largest number of rows in a table of the worst or the largest, which has no pages.
WORST = 20


def write_cell(value: Any, kind: str) -> str:
    """Write a value as its kind says. None is a number that is not known."""
    if value is None:
        return "none"
    return KINDS[kind](value) if kind in KINDS else str(value)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key : str
        The name in the downloaded file.
    title : str
    kind : {"text", "choice", "marks", "amount", "percent", "signed", "price", "change"}
        A choice is a place in `levels`. Marks are a sum of powers of two, one for each of `levels`.
        Signed numbers are sorted by their size. A change draws two other columns (`of`).
    values : list
        One of each row.
    place : {"head", "cell", "under", "file"}
        The head of the row, a cell, under the head, or in the downloaded file alone.
    filter : bool
        Whether the reader may filter by it; for choices and marks.
    levels : list of str
    texts : dict of str to (str, number)
        For some rows of numbers, the text in place of the number, and the number to sort by.
    empty : str
        What is written where the number is None.
    of : tuple of str
    """

    key: str
    title: str
    kind: str
    values: Sequence[Any] = ()
    place: str = "cell"
    filter: bool = False
    levels: Sequence[str] = ()
    texts: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    empty: str = "none"
    of: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers to show."""
        return self.kind in KINDS

    @property
    def data(self) -> dict[str, Any]:
        """What the script needs."""
        return {name: value for name, value in vars(self).items() if value not in ((), {}, False)}

    def text(self, row: int) -> str:
        """Write the value of a row."""
        if self.kind == "choice":
            return str(self.levels[self.values[row]])
        if self.kind == "marks":
            return "; ".join(self.marks(row))
        if str(row) in self.texts:
            return self.texts[str(row)][0]
        value = self.values[row]
        return self.empty if value is None else write_cell(value, self.kind)

    def marks(self, row: int) -> list[str]:
        """List the marks of a row."""
        return [level for place, level in enumerate(self.levels) if self.values[row] >> place & 1]

    def ranks(self) -> list[float]:
        """List the numbers to sort by; NaN where there is none."""
        size = abs if self.kind == "signed" else float
        found = [math.nan if value is None else float(size(value)) for value in self.values]
        for row, (_, number) in self.texts.items():
            found[int(row)] = number
        return found


def choice(key: str, title: str, texts: Iterable[str | None], **rest: Any) -> Column:
    """Make a column of texts of which many are the same. None is the empty text."""
    found = ["" if text is None else text for text in texts]
    levels = sorted(set(found), key=natural)
    code = {level: place for place, level in enumerate(levels)}
    return Column(key, title, "choice", [code[text] for text in found], levels=levels, **rest)


def number(
    key: str, title: str, kind: str, values: Iterable[float | None], *, exact: bool = False,
    **rest: Any,
) -> Column:  # fmt: skip
    """Make a column of numbers, which are rounded unless they are `exact`. NaN becomes None."""
    digits = 17 if exact else AMOUNT_DIGITS if kind == "amount" else SHARE_DIGITS
    return Column(key, title, kind, [_rounded(value, digits) for value in values], **rest)


def stated_values(table: pa.Table) -> Column:
    """Make the column of what targets state: a value, or the words of its limits."""
    values = table.column("value")
    places = np.flatnonzero(values.is_null().to_numpy())
    limits = {
        str(place): (stated(row), stated_size(row))
        for place, row in zip(places, table.take(places).to_pylist(), strict=True)
    }
    return number("value", "Value", "amount", values.to_pylist(), texts=limits)


def natural(text: str) -> tuple[Any, ...]:
    """Sort numbers in texts by their size: ``age 5-9`` comes before ``age 10-14``."""
    parts: list[tuple[int, Any]] = []
    digits = ""
    for character in [*text, ""]:
        if character.isascii() and character.isdigit():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        if character:
            parts.append((1, character.casefold()))
    return (tuple(parts), text)


@dataclass(frozen=True)
class DataTable:
    """A table that the page shows.

    Attributes
    ----------
    id : str
        The id of the element.
    things : str
        What a row is, in the plural.
    file : str
        The name of the downloaded file.
    columns : sequence of Column
        One has the place ``head``.
    order : (str, bool)
        The key of the column by which the rows are sorted at first, and whether the largest come
        first.
    """

    id: str
    things: str
    file: str
    columns: Sequence[Column]
    order: tuple[str, bool]

    @cached_property
    def n(self) -> int:
        """The number of rows."""
        return len(next(column for column in self.columns if column.place == "head").values)

    @property
    def data(self) -> dict[str, Any]:
        """What the script needs, as plain numbers, texts, lists and dicts."""
        return {
            "n": self.n, "things": self.things, "file": self.file, "size": SIZE,
            "order": list(self.order), "columns": [column.data for column in self.columns],
        }  # fmt: skip

    def placed(self, place: str) -> list[Column]:
        """List the columns at a place."""
        return [column for column in self.columns if column.place == place]

    @property
    def first_rows(self) -> list[int]:
        """The rows that stand in the page without a script, in their order."""
        key, down = self.order
        ranks = np.array(next(column for column in self.columns if column.key == key).ranks())
        order = np.argsort(-ranks if down else ranks, kind="stable")  # NaN comes last
        return order[:SIZE].tolist()  # type: ignore[no-any-return]

    def drawing(self, column: Column, row: int) -> str:
        """Draw a change."""
        before, after = (
            next(each for each in self.columns if each.key == key).values[row] for key in column.of
        )
        return charts.change(*(1.0 if share is None else abs(share) for share in (before, after)))


def _rounded(value: float | None, digits: int) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    short = value if digits >= 17 else float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
