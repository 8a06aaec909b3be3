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


def listed(patterns: str | Iterable[str] | None, argument: str) -> tuple[str, ...] | None:
    """Take one pattern or several, each of them once more than an iterator would give it.

    Raises
    ------
    InputError
        If they are something else.

    Examples
    --------
    >>> from l0.networks.graph.name_patterns import listed
    >>> listed("layer1", "include"), listed(iter(["q", "k"]), "include"), listed(None, "include")
    (('layer1',), ('q', 'k'), None)
    """
    if patterns is None:
        return None
    found = (patterns,) if isinstance(patterns, str) else patterns
    if isinstance(found, Iterable):
        found = tuple(found)
        if all(isinstance(pattern, str) for pattern in found):
            return found
    raise InputError(f"`{argument}` is {patterns!r}; give a pattern of names of layers, or several")


def matching_any(patterns: Iterable[str] | None, names: Iterable[str], argument: str) -> set[str]:
    """Return the names that match at least one pattern.

    Parameters
    ----------
    patterns : iterable of str, optional
        None stands for no pattern.
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
    for pattern in patterns or ():
        matches = matching(pattern, names)
        if not matches:
            raise InputError(
                f"`{argument}` names {pattern!r}, which matches no layer; {closest(pattern, names)}"
            )
        found |= matches
    return found
