"""Error messages in the words of the command line: `--n-records` in place of `n_records`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: An argument in a message: its name, perhaps with a value, such as `zero_weights='drop'`.
_ARGUMENT = re.compile(r"`(\w+)(?:(=)([^`]*))?`")
_MEMBER = re.compile(r"`members\['([^']*)'\]`")
#: Messages speak of the rows and columns of these, so that they stay words: `targets` column 'x'.
_TABLE_NAMES = ("records", "targets", "table")
#: What a message for Python adds about the command line.
_ASIDE = re.compile(r" \(on the command line [^)]*\)")
#: What the value of an option does not have.
_SIGNS = re.compile(r"""[()\[\]'" ]|\bNone\b""")
_TABLES = re.compile(r"such as \{'(\w+)': \w+\}")


def as_options(message: str, options: Mapping[str, str]) -> str:
    """Write the arguments in a message as options.

    Parameters
    ----------
    message : str
    options : mapping of str to str
        The names of arguments that are options, and how each is written: ``--n-records``.

    Examples
    --------
    >>> from l0.cli.wording import as_options
    >>> options = {"bounds": "--bounds", "exact": "--exact", "members": "--members"}
    >>> as_options("`bounds` cross; pass `bounds=(0.1, 10)` and `exact=False`", options)
    '`--bounds` cross; pass `--bounds 0.1,10` and `--no-exact`'
    >>> as_options("`members['person']` has no column 'id'", options)
    "`--members person` has no column 'id'"
    >>> as_options("pass `bounds=(0, None)`", options)
    'pass `--bounds 0,`'
    """
    message = _ASIDE.sub("", message)
    message = _MEMBER.sub(r"`--members \1`", message)
    message = _TABLES.sub(r"such as \1=FILE", message)
    return _ARGUMENT.sub(lambda found: _option(found, options), message)


def _option(found: re.Match[str], options: Mapping[str, str]) -> str:
    name, equals, value = found.groups()
    if name not in options:
        return found.group()
    option = options[name]
    if equals and value == "False":
        return f"`--no-{option.removeprefix('--')}`"
    if not value or value == "True":
        return f"`{option}`"
    return f"`{option} {_SIGNS.sub('', value)}`"


def arguments_of(command: Any) -> dict[str, str]:
    """List what a command calls its arguments without a dash, by their names: ``A`` for ``a``."""
    return {
        parameter.name: parameter.metavar
        for parameter in command.params
        if parameter.param_type_name == "argument"
        and parameter.metavar
        and parameter.name not in _TABLE_NAMES
    }


def options_of(*commands: Any) -> dict[str, str]:
    """List the options of commands, by the names of their arguments. The first one counts."""
    return {
        parameter.name: parameter.opts[0]
        for command in reversed(commands)
        for parameter in command.params
        if parameter.param_type_name == "option"
    }
