"""Write numbers for reports and tables: short, and rounded without a false statement.

A share a little below 100% is not written as 100%, and a small error is not written as 0%. Lists of
names are written so that they can be read again, and those that people write are split.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

#: From where on a number is written in a unit (999.95 million are rounded to a billion), the unit,
#: and its word.
_WORDS = (
    (0.99995e12, 1e12, "trillion"),
    (0.99995e9, 1e9, "billion"),
    (1e7, 1e6, "million"),
)
#: Names that would not be read again as they are.
_UNCLEAR = re.compile(r'^$|[,"\r\n]|^\s|\s$')


def percent(share: float) -> str:
    """Write a share as a percentage. Some shares are negative: those of negative weights.

    Examples
    --------
    >>> from l0.common.formatting import percent
    >>> percent(0.01834), percent(0.99999), percent(1e-9), percent(-0.25)
    ('1.83%', '>99.9%', '<0.001%', '−25%')
    """
    if share == 0:
        return "0%"
    if share < 0:
        size = percent(-share)
        return {"<": ">", ">": "<"}.get(size[0], "") + "−" + size.lstrip("<>")
    if share < 0.999999e-5:
        return "<0.001%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share * 100:.3g}%" if share < 1 else f"{share * 100:,.0f}%"


def signed(share: float) -> str:
    """Write an error as a percentage with its sign.

    Examples
    --------
    >>> from l0.common.formatting import signed
    >>> signed(0.01834), signed(-1.0)
    ('+1.83%', '−100%')
    """
    size = percent(abs(share))
    if not size[0].isdigit() or share == 0:
        return size
    return ("−" if share < 0 else "+") + size


def counted(number: int, one: str, more: str = "") -> str:
    """Write a count with its noun, and with a verb where it has one. Without `more`, add an s.

    Examples
    --------
    >>> from l0.common.formatting import counted
    >>> counted(1, "target"), counted(5545, "record"), counted(0, "entry is", "entries are")
    ('1 target', '5,545 records', '0 entries are')
    """
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def amount(number: float) -> str:
    """Write a count or a total.

    Examples
    --------
    >>> from l0.common.formatting import amount
    >>> amount(5545), amount(34.2e9), amount(0.125)
    ('5,545', '34.2 billion', '0.125')
    """
    size = abs(number)
    sign = "−" if number < 0 else ""
    for start, unit, word in _WORDS:
        if size >= start:
            return f"{sign}{size / unit:,.4g} {word}"
    return sign + (f"{size:,.0f}" if size >= 999.95 else f"{size:.4g}")


def split_names(text: str) -> list[str]:
    """Split names with commas between them, as people write them in a cell or on a command line.

    Examples
    --------
    >>> from l0.common.formatting import split_names
    >>> split_names("state, age"), split_names("")
    (['state', 'age'], [])
    """
    return [name.strip() for name in text.split(",") if name.strip()]


def as_lines(texts: Iterable[str]) -> str:
    r"""Write each text as a line, so that other texts give other lines. A digest can be of them.

    Examples
    --------
    >>> from l0.common.formatting import as_lines
    >>> as_lines(["a", "b"]) == as_lines(["a\nb"])
    False
    """
    return "\n".join(text.replace("\\", "\\\\").replace("\n", "\\n") for text in texts)


def join_names(names: Iterable[str]) -> str:
    """Write names with commas between them; a name that has a comma itself is in quotes.

    Examples
    --------
    >>> from l0.common.formatting import join_names
    >>> join_names(["state", "age, in bands"])
    'state, "age, in bands"'
    """
    return ", ".join(
        '"{}"'.format(name.replace('"', '""')) if _UNCLEAR.search(name) else name for name in names
    )


def read_names(text: str) -> list[str]:
    """Read the names that `join_names` wrote.

    Examples
    --------
    >>> from l0.common.formatting import read_names
    >>> read_names('state, "age, in bands"')
    ['state', 'age, in bands']
    """
    return next(csv.reader([text], skipinitialspace=True), [])
