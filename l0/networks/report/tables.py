"""Small tables as plain text and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

#: Characters of a row's name that a table shows: dozens of layers can make one group of units.
_LONGEST_NAME = 40


class Table(NamedTuple):
    """The cells of a table; the first cell of a row is its name.

    Attributes
    ----------
    head : tuple of str
        Names of the columns.
    rows : list of tuple of str
        As many cells as `head` has, in each row.
    """

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def text_table(table: Table) -> str:
    """Align the columns of a table: names on the left, numbers on the right."""
    lines = [table.head, *((_short(name), *cells) for name, *cells in table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(_aligned(line, widths) for line in lines)


def html_table(table: Table) -> str:
    """Write a table as an HTML element that needs no style sheet; all cells are escaped."""
    head = "".join(_cell("th", text, i) for i, text in enumerate(table.head))
    body = "".join(
        f"<tr>{''.join(_cell('td', text, i) for i, text in enumerate(row))}</tr>"
        for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    name, *cells = line
    numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
    return "  ".join([name.ljust(widths[0]), *numbers]).rstrip()


def _cell(tag: str, text: str, column: int) -> str:
    if column:
        return f'<{tag} style="text-align:right">{escape(text)}</{tag}>'
    # The whole name is shown where the pointer rests on a name that was cut.
    title = f' title="{escape(text)}"' if _short(text) != text else ""
    return f'<{tag} style="text-align:left"{title}>{escape(_short(text))}</{tag}>'


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 3]}..."
