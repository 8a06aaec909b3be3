"""Figures: where matplotlib is fetched, and how an image is written."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from l0.common.atomic_files import whole_file

#: Colour of a lone line.
BLUE = "#0072B2"


def matplotlib(module: str) -> Any:
    """Import a module of matplotlib.

    Raises
    ------
    ImportError
        Without matplotlib, with the command that installs it.
    """
    try:
        return import_module(f"matplotlib.{module}")
    except ImportError:
        raise ImportError("plots need matplotlib: pip install matplotlib") from None


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format that its name ends in, whole or not at all."""
    with whole_file(path) as draft:
        figure.savefig(draft, dpi=150)
