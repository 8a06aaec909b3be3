"""One fit of one problem: the tensors, the loss and the random numbers that all stages share."""

from __future__ import annotations

from copy import copy
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from l0.calibration.fitting.history import Recorder
from l0.calibration.fitting.refit import calibrate_all
from l0.calibration.problem.bounds import Bounds, unreachable
from l0.calibration.problem.core import CalibrationProblem
from l0.calibration.problem.losses import Loss
from l0.sparse_operator import SparseOperator


class Task:
    """A problem on a device, with a loss, bounds, a budget of epochs and a generator.

    Parameters
    ----------
    problem : CalibrationProblem
    loss : Loss
    bounds, dense_bounds : Bounds
        On the weight ratios u = w / w0 of the records that are chosen, and where all are kept:
        n / k is little for one record of k, and for one of n out of the question.
    epochs : int
        Epochs of a refit; selectors measure their own effort by it.
    reachable : ndarray of bool, shape (m,)
        Targets that count in the loss.
    generator : numpy.random.Generator
        Source of every random choice.
    device : torch.device
    recorder : Recorder

    Attributes
    ----------
    importance : ndarray of float64, shape (m,)
        Shares of the targets in the loss; 0 for those that do not count.
    """

    def __init__(
        self,
        problem: CalibrationProblem,
        *,
        loss: Loss,
        bounds: Bounds,
        dense_bounds: Bounds,
        epochs: int,
        reachable: NDArray[np.bool_],
        generator: np.random.Generator,
        device: torch.device,
        recorder: Recorder,
    ) -> None:
        self.problem = problem
        self.loss = loss
        self.bounds = bounds
        self.dense_bounds = dense_bounds
        self.epochs = epochs
        self.generator = generator
        self.device = device
        self.recorder = recorder
        self._tolerance = self.tensor(problem.tolerance)
        self._goal = self.tensor(problem.values / problem.scales)
        self.count_only(reachable)

    def count_only(self, reachable: NDArray[np.bool_]) -> None:
        """Let these targets, a mask of shape (m,), count in the loss, and no others."""
        counted = np.where(reachable, self.problem.importance, 0.0)
        self.importance = counted / counted.sum()
        self._shares = self.tensor(self.importance)

    def tensor(self, array: NDArray[np.float64]) -> Tensor:
        """Move an array to the device as float32."""
        return torch.as_tensor(array, dtype=torch.float32).to(self.device)

    @cached_property
    def operator(self) -> SparseOperator:
        """Scaled estimates of all targets from the ratios of all records."""
        return SparseOperator.from_scipy(
            self.problem.matrix, 1 / self.problem.scales, self.problem.design_weights, self.device
        )

    @cached_property
    def reference(self) -> NDArray[np.float64]:
        """Ratios of the dense calibrated file, which keeps all records, shape (n,)."""
        _ = self.operator  # laid out once, for both
        dense = copy(self)
        dense.bounds = self.dense_bounds
        dense.count_only(unreachable(self.problem, dense.bounds, self.problem.n_records) == "")
        return calibrate_all(dense)

    def datafit(self, estimates: Tensor) -> Tensor:
        """Weighted mean loss of scaled estimates, shape (m,), over the reachable targets."""
        error = estimates - self._goal
        beyond = error - error.clamp(-self._tolerance, self._tolerance)
        return self._shares @ self.loss(beyond)
