"""The certificate of a fit: the best solution so far, and how far it can be from the optimum."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.program import Program

#: A fit with a duality gap of at most this is done, whatever share of the objective it is.
ZERO = 1e-12


@dataclass(frozen=True, eq=False)
class Best:
    """What a certificate knows after an iteration, so that another one can go on from it.

    Attributes
    ----------
    q, multipliers, primal, dual, iterations
        As in `Certificate`.
    passes : int
        The products with the matrix so far.
    """

    q: Array
    multipliers: Array
    primal: float
    dual: float
    iterations: int
    passes: int


class Certificate:
    """The best ratios and the best multipliers that a method has found.

    Parameters
    ----------
    program : Program
    gap : float
        The fit is done if the duality gap is at most this share of the objective.
    deadline : float
        The time, in seconds of `time.perf_counter`, at which the fit stops.
    watch : callable, optional
        It is called after each iteration, with the certificate and the estimates, shape (m,).

    Attributes
    ----------
    q : ndarray of float64, shape (k,)
    multipliers : ndarray of float64, shape (m,)
    primal, dual : float
        The objective of q, and the lower bound on all objectives.
    iterations : int
    stopped : str
        What stopped the fit before it was done, or the empty string.
    """

    def __init__(
        self,
        program: Program,
        gap: float,
        deadline: float = np.inf,
        watch: Callable[[Certificate, Array], None] | None = None,
    ) -> None:
        self._program, self._gap, self._deadline, self._watch = program, gap, deadline, watch
        self.q = np.ones(len(program.cost))
        self.multipliers = np.zeros(len(program.share))
        self.primal, self.dual = np.inf, -np.inf
        self.iterations = 0
        self.stopped = ""

    def offer(self, q: Array, estimates: Array, multipliers: Array, pulled: Array) -> None:
        """Keep ratios and multipliers if they are better than the best ones so far.

        Parameters
        ----------
        q : ndarray of float64, shape (k,)
            Within the bounds.
        estimates : ndarray of float64, shape (m,)
            B q.
        multipliers : ndarray of float64, shape (m,)
            At most the shares, if the errors are not squared.
        pulled : ndarray of float64, shape (k,)
            B' lambda.
        """
        if self._program.total:
            q, estimates = self._program.with_total(q, estimates)
        primal = self._program.primal(q, estimates)
        multipliers, pulled = self._program.allowed(multipliers, pulled)
        dual, _ = self._program.dual(multipliers, pulled)
        if primal < self.primal:
            self.primal, self.q = primal, q
        if dual > self.dual:
            self.dual, self.multipliers = dual, multipliers
        if self._watch is not None:
            self._watch(self, estimates)
        self.iterations += 1
        if not self.done and self.expired:
            self.stopped = "max_seconds"

    @property
    def best(self) -> Best:
        """What is known so far."""
        return Best(
            self.q, self.multipliers, self.primal, self.dual, self.iterations, self._program.passes
        )

    def continue_from(self, best: Best) -> None:
        """Go on from what was known."""
        self.q, self.multipliers = best.q, best.multipliers
        self.primal, self.dual = best.primal, best.dual
        self.iterations, self._program.passes = best.iterations, best.passes

    @property
    def expired(self) -> bool:
        """Whether the time is over."""
        if np.isinf(self._deadline):
            return False
        over = time.perf_counter() > self._deadline
        return self._program.ranks.of_first(lambda: bytes([over])) == b"\1"

    @property
    def gap(self) -> float:
        """The duality gap as a share of the objective; a gap of nearly 0 itself."""
        if not np.isfinite(self.primal):
            return np.inf
        difference = max(self.primal - self.dual, 0.0)
        return difference if difference <= ZERO else difference / abs(self.primal)

    @property
    def certified(self) -> bool:
        """Whether the gap is small enough."""
        allowed = max(self._gap * abs(self.primal), ZERO)
        return bool(np.isfinite(self.primal)) and self.primal - self.dual <= allowed

    @property
    def done(self) -> bool:
        """Whether the method can end."""
        return bool(self.stopped) or self.certified

    def stop(self, what: str) -> Certificate:
        """Note what stopped the fit before it was done."""
        self.stopped = what
        return self
