"""What all stages of a run share: objective, epochs, random numbers, history and checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from l0.calibration.checkpoints.stages import Stages
from l0.calibration.fitting.history import History
from l0.calibration.fitting.objective import Objective
from l0.calibration.problem.constraints import Constraints
from l0.calibration.problem.core import Problem
from l0.calibration.problem.representation import Represent
from l0.calibration.solver_settings import Solver


@dataclass(frozen=True, eq=False, repr=False)
class FitContext:
    """The arguments of a selector and of a refit.

    Attributes
    ----------
    objective : Objective
    solver : Solver
        The accuracy of the fits.
    epochs : int
        The epochs of a selector are a multiple of it.
    generator : numpy.random.Generator
        The source of all random numbers.
    history : History
    candidates : ndarray of int64, shape (c,)
        The positions of the records that may have a positive weight, in ascending order. These are
        all records, unless a total of zero forces some out.
    reference : ndarray of float64, shape (n,), or None
        The ratios of the calibrated full file, which keeps all candidates. All other records have
        the ratio 0. None if neither the selector nor the evaluation needs them.
    represent : bool, list or None
        Which totals of the full file the fit should keep.
    constraints : Constraints or None
        The records that must be kept and the quotas, or None if all choices are allowed.
    stages : Stages
        Computes the stages of the run, or takes them from a checkpoint.
    """

    objective: Objective
    solver: Solver
    epochs: int
    generator: np.random.Generator
    history: History
    candidates: NDArray[np.int64]
    reference: NDArray[np.float64] | None = None
    represent: Represent | None = None
    constraints: Constraints | None = None
    stages: Stages = field(default_factory=Stages)

    @property
    def problem(self) -> Problem:
        """The problem of the objective."""
        return self.objective.problem

    @property
    def trained(self) -> frozenset[str]:
        """The names of the untargeted statistics that are soft targets."""
        soft = self.objective.soft
        return frozenset() if soft is None else frozenset(soft.names)

    @property
    def full_file(self) -> NDArray[np.float64]:
        """The reference, shape (n,), for selectors that need it."""
        if self.reference is None:
            raise RuntimeError("a selector with `needs_full_file = False` used `full_file`")
        return self.reference
