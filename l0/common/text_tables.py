"""Small tables of text, for `print` and for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

#: A first cell is cut at this length.
WIDEST = 40

Row = Sequence[str]


def as_text(head: Row, rows: Sequence[Row]) -> str:
    """Align a table: the first column to the left, all others to the right."""
    lines = [(_short(row[0]), *row[1:]) for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_html(head: Row, rows: Sequence[Row]) -> str:
    """Write the same table for a notebook; whatever the cells hold stays text."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f'<tr><th style="text-align:left">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 3]}..."
