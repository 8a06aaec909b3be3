"""Small tables of text, for `print` and for notebooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from textwrap import wrap

#: A cell of the first column is cut at this length.
WIDEST = 40
#: How wide a table may be before its head is wrapped.
TERMINAL = 80

# A layer of a network may be named 4.conv1: a digit at the start does not make a number.
_NUMBER = re.compile(r"[\d,.]+( \w+)?")

Row = Sequence[str]


def as_text(head: Row, rows: Sequence[Row]) -> str:
    """Align a table; its head is wrapped where a terminal would be too narrow for it.

    All columns go to the right but a first one of names, which goes to the left.
    """
    rows = [(_short(row[0]), *row[1:]) for row in rows]
    names_first = not rows or not all(_NUMBER.fullmatch(row[0]) for row in rows)
    text = _aligned([head, *rows], names_first)
    if max(map(len, text.splitlines())) <= TERMINAL:
        return text
    heads = [
        # At least as wide as the longest word, so that no word is cut.
        wrap(title, max(map(len, [*column, *title.split()]), default=1))
        for title, column in zip(head, zip(*rows, strict=True), strict=True)
    ]
    height = max(map(len, heads))
    # The head's last lines stand together, right over the cells.
    titles = zip(*([""] * (height - len(lines)) + lines for lines in heads), strict=True)
    return _aligned([*titles, *rows], names_first)


def as_html(head: Row, rows: Sequence[Row]) -> str:
    """Write the same table for a notebook; whatever the cells hold stays text."""
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f'<tr><th style="text-align:left">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _aligned(lines: Sequence[Row], names_first: bool) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if names_first and place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
