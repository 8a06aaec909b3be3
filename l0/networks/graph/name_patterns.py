"""Choosing layers by patterns of their names."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from l0.common.errors import InputError, closest


def matching(pattern: str, names: Iterable[str]) -> set[str]:
    """Return the names that match a pattern, and the names inside modules that match it.

    Parameters
    ----------
    pattern : str
        A pattern as for file names; ``*`` stands for any characters, dots included.
    names : iterable of str
        Names of layers.

    Returns
    -------
    set of str
    """
    return {n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")}


def matching_any(
    patterns: str | Iterable[str] | None, names: Iterable[str], argument: str
) -> set[str]:
    """Return the names that match at least one pattern.

    Parameters
    ----------
    patterns : str or iterable of str, optional
        One pattern or several; None stands for no pattern.
    names : iterable of str
        Names of layers.
    argument : str
        The argument that the error message names.

    Returns
    -------
    set of str

    Raises
    ------
    InputError
        If a pattern matches no name.
    """
    names = list(names)
    found: set[str] = set()
    for pattern in [patterns] if isinstance(patterns, str) else patterns or ():
        matches = matching(pattern, names)
        if not matches:
            raise InputError(
                f"`{argument}` names {pattern!r}, which matches no layer; {closest(pattern, names)}"
            )
        found |= matches
    return found
