"""Layers by name."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from l0.common.errors import InputError, closest


def matching(pattern: str, names: Iterable[str]) -> set[str]:
    """Return the names that match a pattern, and those of layers inside modules that match.

    Parameters
    ----------
    pattern : str
        As for files: ``*`` is anything, also across dots.
    names : iterable of str
        Of layers.

    Returns
    -------
    set of str
    """
    return {n for n in names if fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")}


def matching_any(
    patterns: str | Iterable[str] | None, names: Iterable[str], argument: str
) -> set[str]:
    """Return the names that match any of some patterns.

    Raises
    ------
    InputError
        If a pattern matches nothing; it names `argument`.
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
