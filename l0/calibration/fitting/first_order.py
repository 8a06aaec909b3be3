r"""A first-order method for many targets: the primal-dual hybrid gradient method.

Each iteration costs one product with B and one with B'. With steps sigma_j for the targets and
weights beta_i for the records,

.. math::
    D'(q_i) &\leftarrow \frac{(B'\lambda)_i + \beta_i D'(q_i)}{c_i + \beta_i}, \\
    \lambda_j &\leftarrow \operatorname{prox}\big(\lambda_j
    + \sigma_j (t_j - (B (2 q - q_{\text{old}}))_j)\big),

where prox is the proximal map of the conjugate of the loss: it cuts lambda off at the shares, or
shrinks it for squared errors. This is algorithm 1 of Chambolle & Pock (2016, Mathematical
Programming 159), with the Bregman distance of D for q and diagonal steps (Pock & Chambolle 2011,
ICCV). Its average is better than its last point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from l0.calibration.checkpoints.stages import Stages
from l0.calibration.fitting.certificate import Best, Certificate
from l0.calibration.fitting.distances import Array
from l0.calibration.fitting.program import Program
from l0.sparse_operator import SparseOperator

#: Two passes over the matrix each.
MAX_ITERATIONS = 400
#: The average starts anew after so many iterations, and so does the certificate.
ROUND = 50
#: The scale of the multipliers' steps, as a share of their limits, and the safety of both steps.
STEP, SAFETY = 0.3, 0.9
#: The step of a target that must be met is that of a target with this share.
MUST = 10.0
#: The multipliers' steps follow q in the first iterations, and then every so many.
EARLY, EVERY = 20, 10
#: The multipliers of the certificate are the best of these multiples.
FACTORS = (1.0, 0.98, 0.95, 0.9, 0.8, 0.6, 0.3)
#: D'(q) changes by at most so much in an iteration.
MOST_CHANGE = 2.0


@dataclass(frozen=True, eq=False)
class State:
    """Where the method is before a round.

    Attributes
    ----------
    iteration : int
        A multiple of `ROUND`, so that the first step of the round computes sigma.
    slope : ndarray of float64, shape (k,)
        D'(q).
    lam, estimates : ndarray of float64, shape (m,)
    best : Best
    """

    iteration: int
    slope: Array
    lam: Array
    estimates: Array
    best: Best


def solve_first_order(
    program: Program,
    device: torch.device,
    certificate: Certificate,
    stages: Stages | None = None,
) -> Certificate:
    """Improve on the best solution of a certificate until it is done, or for 400 iterations.

    Parameters
    ----------
    program : Program
        Only its total may have an infinite share.
    device : torch.device
        Where to compute, in float32. The certificate is computed in float64.
    certificate : Certificate
    stages : Stages, optional
        Keeps the states of a long fit.

    Returns
    -------
    Certificate
        The same object.
    """
    products, stages = _Products(program, device), stages or Stages()
    distance, cost, share = program.distance, program.cost, program.share
    centre, tolerance = (program.low + program.high) / 2, (program.high - program.low) / 2
    # One limit is like a point, but for the sign of its multiplier.
    centre = np.where(np.isinf(program.low), program.high, centre)
    centre = np.where(np.isinf(program.high), program.low, centre)
    tolerance = np.where(np.isinf(tolerance), 0.0, tolerance)
    least, most = program.signs
    limit = np.where(np.isfinite(share), share, MUST)
    scale = STEP * (limit / (1 + limit) if program.squared else limit)
    beta = products.sizes_back(scale)
    # A record that moves no target stays where it is.
    beta = np.where(beta > 0, beta, 1.0)
    slope = distance.gradient(program.inside(np.ones(len(cost))))
    q = np.clip(distance.inverse_gradient(slope), program.least, program.most)
    lam = np.zeros(len(share))
    estimates = products.forward(q)
    state = stages.resumed(State(0, slope, lam, estimates, certificate.best))
    certificate.continue_from(state.best)
    slope, lam, estimates = state.slope, state.lam, state.estimates
    totals = [np.zeros_like(q), np.zeros_like(lam)]
    for iteration in range(state.iteration, MAX_ITERATIONS):
        moved = (products.back(lam) + beta * slope) / (cost + beta)
        slope = np.clip(moved, slope - MOST_CHANGE, slope + MOST_CHANGE)
        q = np.clip(distance.inverse_gradient(slope), program.least, program.most)
        new = products.forward(q)
        if iteration < EARLY or iteration % EVERY == 0:
            sigma = SAFETY * scale / products.sizes(1 / distance.curvature(q))
        pushed = lam + sigma * (centre - 2 * new + estimates)
        pushed = np.sign(pushed) * np.maximum(np.abs(pushed) - sigma * tolerance, 0)
        if program.squared:
            lam = np.clip(pushed / (1 + sigma / (2 * share)), least, most)
        else:
            lam = np.clip(pushed, np.maximum(-share, least), np.minimum(share, most))
        estimates = new
        for total, value in zip(totals, (q, lam), strict=True):
            total += value
        if (iteration + 1) % ROUND == 0:
            if _offered(program, certificate, totals, ROUND):
                return certificate
            totals = [np.zeros_like(q), np.zeros_like(lam)]
            stages.keep(State(iteration + 1, slope, lam, estimates, certificate.best))
    return certificate.stop("iterations")


def _offered(program: Program, certificate: Certificate, totals: list[Array], count: int) -> bool:
    """Offer the averages of a round, and tell whether the fit is done."""
    q, lam = (total / count for total in totals)
    pulled = program.back(lam)
    # Multipliers that pull a little too hard at one record give a useless bound, and shrunk ones a
    # good one.
    factor = max(FACTORS, key=lambda by: program.dual(by * lam, by * pulled)[0])
    certificate.offer(q, program.times(q), factor * lam, factor * pulled)
    return certificate.done


class _Products:
    """Products with B in float32, on a device."""

    def __init__(self, program: Program, device: torch.device) -> None:
        matrix, entries = program.matrix, program.matrix.entries
        self._program = program
        factors, ranks = (matrix.row_factor, matrix.column_factor), program.ranks
        self._operator = SparseOperator.from_scipy(entries, *factors, device, ranks)
        self._sizes = self._operator
        self._signed = bool(entries.data.min(initial=0.0) < 0)
        if self._signed:
            self._sizes = SparseOperator.from_scipy(abs(entries), *factors, device, ranks)

    def forward(self, q: Array) -> Array:
        """Compute B q."""
        return self._product(self._operator, q)

    def back(self, lam: Array) -> Array:
        """Compute B' lambda."""
        return self._product(self._operator.transposed, lam)

    def sizes_back(self, scale: Array) -> Array:
        """Compute abs(B)' times a vector."""
        return self._product(self._sizes.transposed, scale)

    def sizes(self, q: Array) -> Array:
        """Compute abs(B) q, at least a little above 0."""
        return np.maximum(self._product(self._sizes, q), 1e-12)

    def _product(self, times: Callable[[Tensor], Tensor], vector: Array) -> Array:
        self._program.passes += 1
        with torch.no_grad():
            given = torch.from_numpy(vector.astype(np.float32)).to(self._operator.device)
            return times(given).cpu().numpy().astype(np.float64)
