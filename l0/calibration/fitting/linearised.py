r"""A fit near its solution: a regression of the records on the targets that it meets.

With the second derivatives S of the distances, and the rows B of the targets that are met, base
weights times 1 + g move the ratios q, to first order in g, by

.. math::
    q g - S^{-1} B' \big( B S^{-1} B' \big)^{-1} B (q g).

A total then changes by that of the residuals of its regression on the targets, as a calibration
estimator does (Deville & Särndal 1992, JASA 87(418), section 3). The hat matrix of the regression
is

.. math::
    H = S^{-1/2} B' (B S^{-1} B')^{-1} B S^{-1/2},

and the mean of its diagonal, the leverage of a record, is the number of these targets over that of
the records, if none follows from the others. A target that gives way pulls with a constant force
whatever the weights, and one within its tolerance does not pull: both add nothing. With squared
errors, all targets give way in part, as in ridge regression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.normal_matrix import NormalMatrix, Solve
from l0.calibration.fitting.program import Program
from l0.calibration.fitting.scaled_matrix import multiplied
from l0.calibration.fitting.solver import Solution

#: Random signs whose mean square length in the space of the targets is the mean leverage
#: (Hutchinson 1990, Communications in Statistics - Simulation and Computation 19(2)).
PROBES = 8
#: What stands on the diagonal for a target that is met, and for one that adds nothing, as a share
#: of what the records do to it.
MET, NOTHING = 1e-6, 1e6
#: A multiplier within this share of its limit belongs to a target that gives way.
AT_LIMIT = 0.01
#: Entries of a dense block of records.
BLOCK = 8_000_000
#: At an end of the logit distance, the curvature is infinite. It counts as this one.
MOST_CURVATURE = 1e6

#: Where the program meets all targets, to miss one costs so many times the largest multiplier.
DEARER = 10.0


@dataclass(frozen=True, eq=False)
class Linearised:
    """A fit near its solution.

    Attributes
    ----------
    matrix : scipy.sparse.csr_array of float64, shape (m, k)
        B, with the rows of all targets.
    q : ndarray of float64, shape (k,)
        The ratios of the solution.
    s : ndarray of float64, shape (k,)
        The diagonal of S.
    solve : callable
        Solves a system with B S^-1 B', without the targets that add nothing.

    Examples
    --------
    A hundred targets of two records each:

    >>> import numpy as np
    >>> import scipy.sparse as sp
    >>> from l0.calibration.fitting.linearised import Linearised
    >>> matrix, ones = sp.csr_array(np.kron(np.eye(100), [[1.0, 1.0]])), np.ones(200)
    >>> regression = Linearised(matrix, ones, ones, lambda right: right / 2)
    >>> round(regression.leverage, 1)
    0.5
    >>> first = sp.csr_array(np.eye(200)[:, :1])
    >>> regression.moved(sp.eye_array(200, format="csr"), lambda rows: (rows @ first).toarray())[:3]
    array([[ 0.5],
           [-0.5],
           [ 0. ]])
    """

    matrix: sp.csr_array
    q: Array
    s: Array
    solve: Solve

    @classmethod
    def of(cls, program: Program, solution: Solution, normal: NormalMatrix) -> Linearised:
        """Linearise a program at its solution.

        Parameters
        ----------
        program : Program
            As `dearer` gives it.
        solution : Solution
            Of this program.
        normal : NormalMatrix
            Of the matrix of the program.
        """
        matrix, q = program.matrix.csr, solution.q
        curvature = program.distance.curvature(program.inside(q))
        s = np.asarray(program.cost * np.minimum(curvature, MOST_CURVATURE))
        moved = diagonal(matrix, s)
        estimates, room = matrix @ q, MET * program.size
        within = (estimates > program.low + room) & (estimates < program.high - room)
        if program.squared:
            adds, least = ~within, 1 / (2 * program.share)
        else:
            adds = ~within & (np.abs(solution.multipliers) < (1 - AT_LIMIT) * program.share)
            least = np.zeros_like(moved)
        e = np.where(adds, np.maximum(least, MET * moved), NOTHING * moved)
        return cls(matrix, q, s, normal.factor(1 / s, e))

    def moved(self, totals: sp.csr_array, changed: Callable[[sp.csr_array], Array]) -> Array:
        """Compute how totals move if base weights change.

        Parameters
        ----------
        totals : scipy.sparse.csr_array of float64, shape (p, k)
            What the ratios add to each total.
        changed : callable
            Multiplies a matrix, shape (r, k), by the changes g, shape (k, C): base weights are
            multiplied by 1 + g. These are many numbers, and often of a simple form.

        Returns
        -------
        ndarray of float64, shape (p, C)
        """
        missed, moved = (changed(_times(part, self.q)) for part in (self.matrix, totals))
        multipliers = self.solve(missed)
        of_ratios = _times(totals, 1 / self.s)
        width = max(1, BLOCK // len(self.q))
        for start in range(0, moved.shape[1], width):
            those = slice(start, start + width)
            moved[:, those] -= of_ratios @ (self.matrix.T @ multipliers[:, those])
        return moved

    @cached_property
    def leverage(self) -> float:
        """The mean leverage of the records, from 0 to 1, by an estimate."""
        k = len(self.s)
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (k, PROBES))
        right = self.matrix @ (signs / np.sqrt(self.s)[:, None])
        found = float((right * self.solve(right)).sum()) / (k * PROBES)
        return min(max(found, 0.0), 1.0)


def _times(matrix: sp.csr_array, factors: Array) -> sp.csr_array:
    """Multiply the columns of a matrix by factors."""
    return multiplied(matrix, np.ones(matrix.shape[0]), factors)


def diagonal(matrix: sp.csr_array, s: Array) -> Array:
    """Compute the diagonal of B S^-1 B', shape (m,), with 1 for a target without records."""
    moved = np.asarray(matrix.multiply(matrix) @ (1 / s)).ravel()
    return np.where(moved > 0, moved, 1.0)


def dearer(program: Program, solution: Solution) -> Program:
    """Make it dear to miss a target, if the solution meets all of them.

    The shares of such a program need not be what made the solution meet them. The price is finite,
    because a column may have lost the records that meet a target. Squared errors have no such
    price, so that these targets must be met as well as the column can.
    """
    must = np.isinf(program.share)
    if not (program.missed(program.times(solution.q)) & ~program.soft).any():
        must |= ~program.soft
    if not must.any():
        return program
    price = np.inf
    if not program.squared:
        paid = program.share[np.isfinite(program.share)].max(initial=0.0)
        largest = float(np.abs(solution.multipliers).max())
        price = max(DEARER * largest, paid, float(program.cost.mean()))
    return replace(program, share=np.where(must, price, program.share), passes=0)
