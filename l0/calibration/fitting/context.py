"""What every stage of one run shares: the objective, the effort, chance and the history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from l0.calibration.fitting.history import History
from l0.calibration.fitting.objective import Objective
from l0.calibration.problem.core import Problem


@dataclass(frozen=True, eq=False, repr=False)
class FitContext:
    """What a selector and a refit are handed.

    Attributes
    ----------
    objective : Objective
    epochs : int
        Epochs of a refit; selectors measure their own effort by it.
    generator : numpy.random.Generator
        Source of every random choice.
    history : History
    reference : ndarray of float64, shape (n,), or None
        Ratios of the calibrated full file, which keeps all records; None where neither the
        selector nor the account needs it.
    """

    objective: Objective
    epochs: int
    generator: np.random.Generator
    history: History
    reference: NDArray[np.float64] | None = None

    @property
    def problem(self) -> Problem:
        """What is solved."""
        return self.objective.problem

    @property
    def full_file(self) -> NDArray[np.float64]:
        """The reference, for those selectors that need it, shape (n,)."""
        if self.reference is None:
            raise RuntimeError("the selector has `needs_full_file = False`, and asks for it")
        return self.reference
