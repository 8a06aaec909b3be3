"""Selectors: ways to choose exactly k records, one class a file.

A new one is a class with a `select` method and a line in `SELECTORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.refit import Selection
from l0.calibration.selection.hard_concrete import HardConcreteGates
from l0.calibration.selection.hybrid import Hybrid
from l0.calibration.selection.path import Path
from l0.calibration.selection.pps import Pps
from l0.calibration.selection.random import Random
from l0.common.errors import InputError, first_few

__all__ = [
    "SELECTORS",
    "HardConcreteGates",
    "Hybrid",
    "Path",
    "Pps",
    "Random",
    "Selector",
    "get_selector",
]


@runtime_checkable
class Selector(Protocol):
    """A way to choose records; its settings are its attributes."""

    def select(self, context: FitContext, n_records: int) -> Selection:
        """Choose records.

        Parameters
        ----------
        context : FitContext
            The problem, and everything a fit of it needs.
        n_records : int
            How many, from 1 to the number of records.

        Returns
        -------
        Selection
            Exactly `n_records` records with positive base ratios.
        """
        ...


SELECTORS: dict[str, Callable[[], Selector]] = {
    "hybrid": Hybrid,
    "path": Path,
    "hard_concrete": HardConcreteGates,
    "random": Random,
    "pps": Pps,
}


def get_selector(method: str | Selector) -> Selector:
    """Look a selector up by name, or take one with settings of its own.

    Raises
    ------
    InputError
        For an unknown name; it lists the known ones.
    """
    if isinstance(method, str) and method in SELECTORS:
        return SELECTORS[method]()
    if isinstance(method, Selector) and not isinstance(method, type):
        return method
    raise InputError(
        f"`method` is {method!r}; it must be one of {first_few(SELECTORS)}, "
        "or a selector such as Hybrid(share=0.5)"
    )
