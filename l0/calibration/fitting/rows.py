"""The rows of a fit: the published targets, and after them the soft ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from l0.calibration.problem.core import Problem
from l0.calibration.problem.representation import SoftTargets


@dataclass(frozen=True, eq=False)
class Rows:
    """What a fit wants its weights to give.

    Attributes
    ----------
    parts : sequence of scipy.sparse.csr_array, shapes (r_1, n), (r_2, n), ...
        What one unit of a record's weight adds to each row: those of the published targets, and
        those of the soft ones if there are any.
    scales : ndarray of float64, shape (r,)
        Errors are shares of them.
    goals : ndarray of float64, shape (r,)
    free_below, free_above : ndarray of float64, shape (r,)
        How far a row may be from its goal at no cost, as shares of its scale.
    shares : ndarray of float64, shape (r,)
        The shares of the rows in the loss. Those of the published targets add up to one.
    n_published : int
        The rows before this one are the published targets.
    """

    parts: Sequence[sp.csr_array]
    scales: NDArray[np.float64]
    goals: NDArray[np.float64]
    free_below: NDArray[np.float64]
    free_above: NDArray[np.float64]
    shares: NDArray[np.float64]
    n_published: int

    @classmethod
    def of(
        cls, problem: Problem, importance: NDArray[np.float64], soft: SoftTargets | None
    ) -> Rows:
        """Put the published targets and the soft ones together.

        Parameters
        ----------
        problem : Problem
        importance : ndarray of float64, shape (m,)
            The shares of the published targets in the loss.
        soft : SoftTargets or None
        """
        published = cls(
            [problem.matrix],
            problem.scales,
            problem.goals,
            problem.free_below,
            problem.free_above,
            importance,
            problem.n_targets,
        )
        if soft is None:
            return published
        p = len(soft.values)
        share = soft.part / max(int(np.count_nonzero(importance)), 1)
        none = np.zeros(p)
        return cls(
            [problem.matrix, soft.matrix],
            np.concatenate([problem.scales, np.abs(soft.values)]),
            np.concatenate([problem.goals, soft.values]),
            np.concatenate([problem.free_below, none]),
            np.concatenate([problem.free_above, none]),
            np.concatenate([importance, np.full(p, share)]),
            problem.n_targets,
        )

    @cached_property
    def matrix(self) -> sp.csr_array:
        """The parts one above the other, shape (r, n). If there are several, this copies them."""
        return self.parts[0] if len(self.parts) == 1 else sp.vstack(self.parts, format="csr")

    def of_published(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give numbers of the published targets to all rows. The soft ones get 0."""
        found = np.zeros(len(self.shares))
        found[: self.n_published] = numbers
        return found
