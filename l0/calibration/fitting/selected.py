"""The records that a selector chose: as it hands them over, and as tensors to fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.objective import Objective
from l0.calibration.problem.bounds import Bounds


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
    drawn : ndarray of bool, shape (k,), optional
        Which records a probability design drew. Targets chose the others. None means all.
    order : ndarray of int64, optional
        The positions of all records that could be drawn, in the order of the draw. None means that
        the order was random.
    """

    records: NDArray[np.int64]
    base: NDArray[np.float64]
    mu: float
    drawn: NDArray[np.bool_] | None = None
    order: NDArray[np.int64] | None = None

    @property
    def is_searched(self) -> bool:
        """Whether records were chosen by a search among all, and not only drawn."""
        return self.drawn is not None and not self.drawn.all()


class SelectedRatios:
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
        self._operator = objective.operator_of(selection.records)
        log_base = objective.tensor(np.log(selection.base))
        weight = selection.base * objective.problem.design_weights[selection.records]
        self._log_base = log_base
        self._limits = log_limits(objective.bounds.of(selection.records), log_base)
        self._cost = objective.tensor(selection.mu * weight / weight.sum())
        self.log_ratios = log_base.clone().requires_grad_()

    def estimates(self) -> Tensor:
        """Compute the scaled estimates of these records, shape (r,), those of soft targets last."""
        return self._operator(self.log_ratios.exp())

    def penalty(self) -> Tensor:
        """Compute mu sum_i W_i D(u_i / g_i) / sum_i W_i, shape (), with the raking distance D."""
        log_q = self.log_ratios - self._log_base
        return self._cost @ (log_q.exp() * (log_q - 1) + 1)

    def clamp_(self) -> None:
        """Clamp the ratios to the bounds of these records, in place and outside of autograd."""
        clamp_log_(self.log_ratios, self._limits)


def log_limits(bounds: Bounds, like: Tensor) -> tuple[Tensor, Tensor] | None:
    """Send the logarithms of bounds to the device of a tensor; None if there is no bound."""
    if not bounds.active:
        return None
    low, high = (torch.as_tensor(side).to(like) for side in bounds.logarithms)
    return low, high


def clamp_log_(log_ratios: Tensor, limits: tuple[Tensor, Tensor] | None) -> None:
    """Clamp the logarithms of ratios to their limits, in place and outside of autograd."""
    if limits is not None:
        with torch.no_grad():
            log_ratios.clamp_(*limits)
