"""The packages of the extra ``files``, which are imported when a file needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from l0.common.errors import InputError


def package_for(name: str, what: str, path: object) -> Any:
    """Import a package that a kind of file needs.

    Parameters
    ----------
    name : str
        The name of the module: ``pyreadstat``.
    what : str
        The beginning of the error message: ``"`records`: reading"``.
    path : object
        The file, for the error message.

    Raises
    ------
    InputError
        If the package is not installed. The message has the line that installs it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{what} {str(path)!r} needs the package {error.name}; install it: "
            'pip install "l0-python[files]"'
        ) from None
