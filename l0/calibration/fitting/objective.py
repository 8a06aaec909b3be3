"""What a fit minimises over the ratios u = w / w0: the weighted loss of the scaled errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.problem.bounds import Bounds
from l0.calibration.problem.core import Problem
from l0.calibration.problem.losses import Loss
from l0.sparse_operator import SparseOperator


@dataclass(frozen=True, eq=False, repr=False)
class Objective:
    """The datafit of a problem under a loss, within bounds, on a device.

    Attributes
    ----------
    problem : Problem
    operator : SparseOperator
        Scaled estimates of all targets from the ratios of all records; see `scaled_operator`.
    loss : Loss
    bounds : Bounds
        On the ratios of the records that are chosen.
    reachable : ndarray of bool, shape (m,)
        Targets that count in the loss.
    """

    problem: Problem
    operator: SparseOperator
    loss: Loss
    bounds: Bounds
    reachable: NDArray[np.bool_]

    @property
    def device(self) -> torch.device:
        """Where the fit runs."""
        return self.operator.device

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """Shares of the targets in the loss, shape (m,); 0 for those that do not count."""
        counted = np.where(self.reachable, self.problem.importance, 0.0)
        return np.asarray(counted / counted.sum())

    def tensor(self, array: NDArray[np.float64]) -> Tensor:
        """Move an array to the device as float32."""
        return torch.as_tensor(array, dtype=torch.float32).to(self.device)

    def datafit(self, estimates: Tensor) -> Tensor:
        """Weighted mean loss of scaled estimates, shape (m,), over the reachable targets."""
        error = estimates - self._goal
        beyond = error - error.clamp(-self._tolerance, self._tolerance)
        return self._shares @ self.loss(beyond)

    @cached_property
    def _goal(self) -> Tensor:
        return self.tensor(self.problem.values / self.problem.scales)

    @cached_property
    def _tolerance(self) -> Tensor:
        return self.tensor(self.problem.tolerance)

    @cached_property
    def _shares(self) -> Tensor:
        return self.tensor(self.importance)


def scaled_operator(problem: Problem, device: torch.device) -> SparseOperator:
    """Lay out A so that it maps ratios to estimates as shares of the targets' scales."""
    return SparseOperator.from_scipy(
        problem.matrix, 1 / problem.scales, problem.design_weights, device
    )
