"""Selectors choose exactly k records. Each has a file of its own.

A new selector is a class with a `select` method, and an entry in `SELECTORS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.selected import Selection
from l0.calibration.selection.cube import Cube
from l0.calibration.selection.hard_concrete import HardConcreteGates
from l0.calibration.selection.hybrid import Hybrid
from l0.calibration.selection.path import Path
from l0.calibration.selection.pps import Pps
from l0.calibration.selection.random import Random
from l0.common.errors import InputError

__all__ = [
    "SELECTORS",
    "Cube",
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
    """The interface of a selector, which chooses records. Its settings are its attributes.

    An object with a method `select` is a selector, and can be passed as `method`. A selector that
    does not use the calibrated full file can set ``needs_full_file = False``, to save its fit.

    Examples
    --------
    A selector that takes the path for small budgets only:

    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, Hybrid, Path, Selector
    >>> class Mixed:
    ...     def select(self, context, n_records):
    ...         small = n_records < 10 * context.problem.n_targets
    ...         return (Path() if small else Hybrid()).select(context, n_records)
    >>> isinstance(Mixed(), Selector)
    True
    >>> A = np.random.default_rng(0).uniform(size=(3, 200))
    >>> problem = CalibrationProblem.from_matrix(A, A.sum(axis=1), np.ones(200))
    >>> problem.solve(20, method=Mixed(), epochs=50).metrics["n_records"]
    20
    """

    def select(self, context: FitContext, n_records: int) -> Selection:
        """Choose records.

        Parameters
        ----------
        context : FitContext
            The problem (`context.problem`), the records that may be chosen (`candidates`), and
            what a fit needs: `objective`, `epochs`, `generator`, `history` and the ratios of the
            calibrated full file (`full_file`). A choice that does not obey the options `must_keep`
            and `quotas` (`constraints`) is changed by as few records as possible.
        n_records : int
            The number of records to choose, from 1 to the number of candidates.

        Returns
        -------
        Selection
            Exactly `n_records` candidates, with positive base ratios.
        """
        ...


#: The selectors by name. Each value makes the selector with its default settings.
SELECTORS: dict[str, Callable[[], Selector]] = {
    "hybrid": Hybrid,
    "path": Path,
    "hard_concrete": HardConcreteGates,
    "random": Random,
    "pps": Pps,
    "cube": Cube,
}


def get_selector(method: str | Selector) -> Selector:
    """Look up a selector by name, or take a selector object.

    Raises
    ------
    InputError
        If the name is unknown. The message lists the known ones.
    """
    if isinstance(method, str) and method in SELECTORS:
        return SELECTORS[method]()
    if isinstance(method, Selector) and not isinstance(method, type):
        return method
    names = ", ".join(map(repr, SELECTORS))
    raise InputError(
        f"`method` is {method!r}; it must be one of {names}, or a selector such as "
        "Hybrid(share=0.5)"
    )
