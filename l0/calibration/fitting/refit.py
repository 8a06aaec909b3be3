"""The refit: weights of a fixed set of records, close to where they come from.

On records with base ratios g it minimises, over the ratios u = w / w0,

    datafit(A u) + mu D(u, g),    D = sum_i W_i (q_i log q_i - q_i + 1) / sum_i W_i,

with q = u / g and W = w0 g: the raking (entropy) distance of Deville & Särndal (1992, case 2),
as a penalty in place of a constraint, so that totals which contradict each other share the blame.
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
#: Snapshots a refit takes for the history.
SNAPSHOTS = 8
#: Pull towards the design weights where all records are calibrated.
FULL_FILE_MU = 0.002


@dataclass(frozen=True)
class Selection:
    """Records a selector chose, and the weights their refit starts from and stays close to.

    Attributes
    ----------
    records : ndarray of int64, shape (k,)
        Positions in ascending order.
    base : ndarray of float64, shape (k,)
        Base ratios g > 0.
    mu : float
        Strength of the pull towards the base.
    """

    records: NDArray[np.int64]
    base: NDArray[np.float64]
    mu: float


class EntropyDistance:
    """D of this module's docstring, as a function of log u.

    Parameters
    ----------
    log_base : Tensor, shape (k,)
        log g.
    weight : Tensor, shape (k,)
        W = w0 g, at any scale.
    """

    def __init__(self, log_base: Tensor, weight: Tensor) -> None:
        self._log_base = log_base
        self._share = weight / weight.sum()

    def __call__(self, log_ratios: Tensor) -> Tensor:
        """Map log u, shape (k,), to D, shape ()."""
        log_q = log_ratios - self._log_base
        return self._share @ (log_q.exp() * (log_q - 1) + 1)


class Pulled:
    """A selection as tensors: log ratios to fit, their estimates, and their pull to the base.

    Parameters
    ----------
    objective : Objective
    selection : Selection

    Attributes
    ----------
    log_ratios : Tensor, shape (k,)
        log u, which starts at log g.
    """

    def __init__(self, objective: Objective, selection: Selection) -> None:
        self._operator = objective.operator.subset(selection.records)
        log_base = objective.tensor(np.log(selection.base))
        weight = selection.base * objective.problem.design_weights[selection.records]
        self._distance = EntropyDistance(log_base, objective.tensor(weight))
        self._mu = selection.mu
        self.log_ratios = log_base.clone().requires_grad_()

    def estimates(self) -> Tensor:
        """Scaled estimates of these records, shape (m,)."""
        return self._operator(self.log_ratios.exp())

    def penalty(self) -> Tensor:
        """Mu D(u, g), shape ()."""
        return self._mu * self._distance(self.log_ratios)


def refit(context: FitContext, selection: Selection, stage: str = "refit") -> NDArray[np.float64]:
    """Fit the ratios of the selected records.

    Parameters
    ----------
    context : FitContext
    selection : Selection
    stage : str
        What the history calls it.

    Returns
    -------
    ndarray of float64, shape (k,)
        Ratios u > 0; within the bounds up to rounding.
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
    """Calibrate all records, close to their design weights: what untargeted errors refer to."""
    n = context.objective.problem.n_records
    return refit(context, Selection(np.arange(n), np.ones(n), FULL_FILE_MU), stage="full")
