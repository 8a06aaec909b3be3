"""Small tables, as text for `print` and as HTML for notebooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from textwrap import wrap

#: The largest length of a cell in the first column. Longer text is cut.
WIDEST = 40
#: The width of a terminal. The head of a wider table is wrapped.
TERMINAL = 80

# A name may start with a digit, such as 4.conv1 for a layer of a network.
_NUMBER = re.compile(r"[\d,.]+( \w+)?")

Row = Sequence[str]


def as_text(head: Row, rows: Sequence[Row]) -> str:
    """Write a table as text. The head is wrapped if the table is wider than a terminal.

    A first column of names is aligned to the left, and all other columns to the right.

    Examples
    --------
    >>> from l0.common.text_tables import as_text
    >>> print(as_text(("Region", "Persons"), [("North", "1,200"), ("South", "90")]))
    Region  Persons
    North     1,200
    South        90
    """
    rows = [(_short(row[0]), *row[1:]) for row in rows]
    names_first = not rows or not all(_NUMBER.fullmatch(row[0]) for row in rows)
    text = _aligned([head, *rows], names_first)
    if max(map(len, text.splitlines())) <= TERMINAL:
        return text
    heads = [
        # Each column is at least as wide as its longest word, so that no word is cut.
        wrap(title, max(map(len, [*column, *title.split()]), default=1))
        for title, column in zip(head, zip(*rows, strict=True), strict=True)
    ]
    height = max(map(len, heads))
    # Shorter heads have empty lines at the top, so that all heads end directly above the cells.
    titles = zip(*([""] * (height - len(lines)) + lines for lines in heads), strict=True)
    return _aligned([*titles, *rows], names_first)


def as_html(head: Row, rows: Sequence[Row]) -> str:
    """Write the same table as HTML for a notebook. HTML in a cell stays text.

    Examples
    --------
    >>> from l0.common.text_tables import as_html
    >>> as_html(("Region", "Persons"), [("North", "1,200")])[:50]
    '<table><thead><tr><th>Region</th><th>Persons</th><'
    """
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
