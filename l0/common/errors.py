"""The exception for bad input, and the two phrases its messages are built from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 5


class InputError(ValueError):
    """Bad input: the message names the argument, up to five offenders, and the remedy."""


def first_few(items: Iterable[object], total: int | None = None) -> str:
    """Write up to five offenders, and how many more there are.

    Parameters
    ----------
    items : iterable
        The offending rows or names.
    total : int, optional
        How many offenders there are where `items` holds only the first ones.

    Returns
    -------
    str
        For example ``'a', 'b', 'c', 'd', 'e' and 12 more``.
    """
    items = list(items)
    shown = items[:SHOWN]
    rest = (len(items) if total is None else total) - len(shown)
    return ", ".join(map(repr, shown)) + (f" and {rest:,} more" if rest > 0 else "")


def closest(name: object, options: Iterable[object]) -> str:
    """Name the options nearest to a misspelt one, as a clause that ends an error message.

    Parameters
    ----------
    name : object
        What was asked for.
    options : iterable
        What there is.

    Returns
    -------
    str
        ``"closest: 'state', 'status'"``, or the first few options where none is near.
    """
    known = sorted({str(option) for option in options})
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    if near:
        return f"closest: {first_few(near)}"
    return f"there are: {first_few(known)}" if known else "there are none"
