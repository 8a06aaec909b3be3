"""The refit: weights of a fixed set of records, close to base weights.

For records with base ratios g, it minimises over the ratios u = w / w0

    datafit(A u) + mu D(u, g),    D = sum_i W_i (q_i log q_i - q_i + 1) / sum_i W_i,

where q = u / g and W = w0 g. D is the raking (entropy) distance of Deville & Särndal (1992, JASA
87(418), table 1, case 2), as a share of the sum of the base weights. Calibration with a penalty
instead of constraints is ridge calibration (Beaumont & Bocci 2008, Metron 66(1)), which has squared
errors. It has a solution when totals contradict each other. The sum with the losses here is ours.
On the bundled CPS (hybrid, 5,545 records, medians of three seeds), mu = 0.01, 0.1 and 1 give losses
of 1.81%, 1.83% and 2.16%, and effective sample sizes of 4,010, 4,363 and 4,405.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.context import FitContext
from l0.calibration.fitting.history import due
from l0.calibration.fitting.objective import Objective

LEARNING_RATE = 0.05
#: The number of snapshots of a refit.
SNAPSHOTS = 8
#: mu for the calibration of all records, whose base weights are the design weights.
FULL_FILE_MU = 0.002


@dataclass(frozen=True)
class Selection:
    """The records that a selector chose, with the base weights of their refit.

    Attributes
    ----------
    records : ndarray of int64, shape (k,)
        The positions, in ascending order.
    base : ndarray of float64, shape (k,)
        The base ratios g > 0. The refit starts from them and stays close to them.
    mu : float
        The factor of the distance to the base weights in the refit.
    """

    records: NDArray[np.int64]
    base: NDArray[np.float64]
    mu: float


class EntropyDistance:
    """The distance D of the module's docstring, as a function of log u.

    Parameters
    ----------
    log_base : Tensor, shape (k,)
        log g.
    weight : Tensor, shape (k,)
        W = w0 g, times any constant.
    """

    def __init__(self, log_base: Tensor, weight: Tensor) -> None:
        self._log_base = log_base
        self._share = weight / weight.sum()

    def __call__(self, log_ratios: Tensor) -> Tensor:
        """Map log u, shape (k,), to D, shape ()."""
        log_q = log_ratios - self._log_base
        return self._share @ (log_q.exp() * (log_q - 1) + 1)


class Pulled:
    """A selection as tensors: the log ratios to fit, their estimates and their penalty.

    Parameters
    ----------
    objective : Objective
    selection : Selection

    Attributes
    ----------
    log_ratios : Tensor, shape (k,)
        log u. It starts at log g.
    """

    def __init__(self, objective: Objective, selection: Selection) -> None:
        self._operator = objective.operator.subset(selection.records)
        log_base = objective.tensor(np.log(selection.base))
        weight = selection.base * objective.problem.design_weights[selection.records]
        self._distance = EntropyDistance(log_base, objective.tensor(weight))
        self._mu = selection.mu
        self.log_ratios = log_base.clone().requires_grad_()

    def estimates(self) -> Tensor:
        """Compute the scaled estimates of these records, shape (m,)."""
        return self._operator(self.log_ratios.exp())

    def penalty(self) -> Tensor:
        """Compute the penalty, mu D(u, g), shape ()."""
        return self._mu * self._distance(self.log_ratios)


def refit(context: FitContext, selection: Selection, stage: str = "refit") -> NDArray[np.float64]:
    """Fit the ratios of the selected records.

    Parameters
    ----------
    context : FitContext
    selection : Selection
    stage : str
        The name of this fit in the history.

    Returns
    -------
    ndarray of float64, shape (k,)
        The ratios u > 0, within the bounds up to rounding.
    """
    objective, epochs = context.objective, context.epochs
    pulled = Pulled(objective, selection)
    optimizer = torch.optim.Adam([pulled.log_ratios], lr=LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    objective.bounds.clamp_log_(pulled.log_ratios)
    for epoch in range(epochs):
        estimates = pulled.estimates()
        optimizer.zero_grad()
        (objective.datafit(estimates) + pulled.penalty()).backward()
        optimizer.step()
        schedule.step()
        objective.bounds.clamp_log_(pulled.log_ratios)
        if since := due(epoch, epochs, SNAPSHOTS):
            context.history.snapshot(
                stage, since, len(selection.records), estimates.detach().cpu().numpy()
            )
    return pulled.log_ratios.detach().cpu().double().exp().numpy()


def calibrate_full_file(context: FitContext) -> NDArray[np.float64]:
    """Calibrate all records. Their weights are the reference of the untargeted statistics."""
    n = context.objective.problem.n_records
    return refit(context, Selection(np.arange(n), np.ones(n), FULL_FILE_MU), stage="full")
