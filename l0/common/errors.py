"""The exception for wrong input, and two functions that write parts of its messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 5


class InputError(ValueError):
    """An input is wrong: the message names the argument, up to five offenders and the remedy.

    It is a `ValueError`.

    Examples
    --------
    >>> import numpy as np
    >>> import l0
    >>> A = np.ones((1, 3))
    >>> try:
    ...     l0.CalibrationProblem.from_matrix(A, values=[3, 4], weights=[1, 1, 1])
    ... except l0.InputError as error:
    ...     print(error)
    `values` has 2 entries for 1 rows of `A`; pass one for each of the rows of `A`
    """


def first_few(items: Iterable[object], total: int | None = None) -> str:
    """Write up to five offenders, and the number of the others.

    Parameters
    ----------
    items : iterable
        The offending rows or names.
    total : int, optional
        The number of all offenders, if `items` has only the first ones.

    Returns
    -------
    str

    Examples
    --------
    >>> from l0.common.errors import first_few
    >>> first_few("abcdefg")
    "'a', 'b', 'c', 'd', 'e' and 2 more"
    """
    items = list(items)
    shown = items[:SHOWN]
    rest = (len(items) if total is None else total) - len(shown)
    return ", ".join(map(repr, shown)) + (f" and {rest:,} more" if rest > 0 else "")


def closest(name: object, options: Iterable[object]) -> str:
    """Name the options that are closest to a misspelt one, for the end of an error message.

    Parameters
    ----------
    name : object
        The unknown name.
    options : iterable
        The known names.

    Returns
    -------
    str
        The closest options, or the first few options if none is close.

    Examples
    --------
    >>> from l0.common.errors import closest
    >>> closest("stat", ["state", "income"])
    "closest: 'state'"
    >>> closest("x", ["state", "income"])
    "there are: 'income', 'state'"
    """
    known = sorted({str(option) for option in options})
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.6)
    if near:
        return f"closest: {first_few(near)}"
    return f"there are: {first_few(known)}" if known else "there are none"
