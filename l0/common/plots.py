"""Figures: import matplotlib when it is needed, and write images."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from l0.common.atomic_files import whole_file
from l0.common.validation import check_path

#: The colour of a single line.
BLUE = "#0072B2"


def matplotlib(module: str) -> Any:
    """Import a module of matplotlib.

    Raises
    ------
    ImportError
        If matplotlib is not installed. The message has the command that installs it.
    """
    try:
        return import_module(f"matplotlib.{module}")
    except ImportError:
        raise ImportError("plots need matplotlib: pip install matplotlib") from None


def save_figure(figure: Any, path: str | os.PathLike[str], argument: str = "path") -> None:
    """Write a figure, whole or not at all. The suffix of the path is the format.

    Errors name the path as the `argument`.
    """
    check_path(path, argument, "the file to write")
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=150)
