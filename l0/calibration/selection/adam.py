"""Adam for a selector, without the start-up time of `torch.optim`.

The classes of `torch.optim` load the compiler of PyTorch when the first one is made. That takes two
seconds, about half of a whole run on the bundled CPS. The function that they call takes a step at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.adam import adam

#: One for each parameter.
Numbers = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AdamState:
    """The parameters and their moments, one parameter after the other.

    Attributes
    ----------
    parameters, first, second : ndarray of float32, shape (p,)
    steps : float
    """

    parameters: Numbers
    first: Numbers
    second: Numbers
    steps: float

    def each(self, change: Callable[[Numbers], Numbers]) -> AdamState:
        """Change the parameters and both moments in the same way."""
        return AdamState(
            change(self.parameters), change(self.first), change(self.second), self.steps
        )


class Adam:
    """Steps of Adam (Kingma & Ba 2015, arXiv:1412.6980, algorithm 1), with its usual constants.

    Parameters
    ----------
    parameters : sequence of Tensor
        Leaves that require gradients, all on one device.
    learning_rates : sequence of float
        The learning rate of each of them.
    """

    def __init__(self, parameters: Sequence[Tensor], learning_rates: Sequence[float]) -> None:
        self._parameters = list(parameters)
        self._learning_rates = list(learning_rates)
        self._first = [torch.zeros_like(parameter) for parameter in parameters]
        self._second = [torch.zeros_like(parameter) for parameter in parameters]
        self._steps = [torch.zeros((), device=parameter.device) for parameter in parameters]

    @property
    def state(self) -> AdamState:
        """The parameters and their moments."""
        return AdamState(
            _joined(self._parameters),
            _joined(self._first),
            _joined(self._second),
            float(self._steps[0]),
        )

    def continue_from(self, state: AdamState) -> None:
        """Set the parameters and their moments, in place and outside of autograd."""
        given = (state.parameters, state.first, state.second)
        with torch.no_grad():
            for tensors, values in zip(
                (self._parameters, self._first, self._second), given, strict=True
            ):
                lengths = [tensor.numel() for tensor in tensors]
                for tensor, part in zip(
                    tensors, torch.from_numpy(values).split(lengths), strict=True
                ):
                    tensor.copy_(part)
            for steps in self._steps:
                steps.fill_(state.steps)

    def minimize(self, loss: Tensor) -> None:
        """Compute the gradients of a loss, and take a step."""
        gradients = torch.autograd.grad(loss, self._parameters)
        state = zip(
            self._parameters, gradients, self._first, self._second, self._steps,
            self._learning_rates, strict=True,
        )  # fmt: skip
        with torch.no_grad():
            for parameter, gradient, first, second, steps, learning_rate in state:
                adam(
                    [parameter], [gradient], [first], [second], [], [steps],
                    fused=True, amsgrad=False, beta1=0.9, beta2=0.999, lr=learning_rate,
                    weight_decay=0.0, eps=1e-8, maximize=False,
                )  # fmt: skip


def _joined(tensors: Sequence[Tensor]) -> NDArray[np.float32]:
    return np.concatenate([tensor.detach().cpu().numpy() for tensor in tensors])
