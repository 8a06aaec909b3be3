"""`Solver`: the accuracy of the fits, and their limits."""

from __future__ import annotations

from dataclasses import dataclass

from l0.common.errors import InputError
from l0.common.validation import check_settings, positive


@dataclass(frozen=True)
class Solver:
    """The accuracy of a fit, and its limits.

    Attributes
    ----------
    gap : float
        The fit ends when its objective is certainly within this share of the best possible one:
        the relative duality gap.
    max_seconds : float, optional
        Each fit ends after this time, with the best weights so far and the status ``stopped``.

    Examples
    --------
    >>> import numpy as np
    >>> from l0.calibration import CalibrationProblem, Solver
    >>> A = np.random.default_rng(0).uniform(size=(3, 500))
    >>> problem = CalibrationProblem.from_matrix(A, 1.1 * A.sum(axis=1), np.ones(500))
    >>> problem.solve(solver=Solver(gap=1e-6)).metrics["fit_status"]
    'exact'
    """

    gap: float = 1e-3
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        check_settings(self, gap=positive, max_seconds=_seconds)


def checked_solver(solver: Solver | None) -> Solver:
    """Check the option `solver`. None is a solver with its default settings."""
    if solver is None:
        return Solver()
    if not isinstance(solver, Solver):
        raise InputError(f"`solver` is {solver!r}; pass a Solver, such as Solver(gap=1e-6)")
    return solver


def _seconds(value: object, name: str) -> object:
    return value if value is None else positive(value, name)
