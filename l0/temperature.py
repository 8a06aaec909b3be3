"""Lower the temperature of gates: soft gates learn quickly, hard ones are nearly 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from l0.common.errors import closest
from l0.common.validation import not_negative, positive
from l0.hard_concrete import HardConcrete

__all__ = ["TemperatureScheduler", "update_temperatures"]


def _exponential(start: float, end: float, t: float) -> float:
    return float(start ** (1 - t) * end**t)  # a weighted geometric mean


def _linear(start: float, end: float, t: float) -> float:
    return start * (1 - t) + end * t


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


#: The temperature after a share t in [0, 1] of the epochs, between `start` and `end`.
SCHEDULES: dict[str, Callable[[float, float, float], float]] = {
    "exponential": _exponential,
    "linear": _linear,
    "cosine": _cosine,
}


class TemperatureScheduler:
    """Temperatures from `initial_temp` at epoch 0 to `final_temp` at epoch `anneal_epochs`.

    With t = epoch / anneal_epochs, the temperature is

    * exponential: initial^(1 - t) final^t, with the same factor in every epoch;
    * linear: (1 - t) initial + t final, with the same step in every epoch;
    * cosine: final + (initial - final) (1 + cos(pi t)) / 2, with small steps at both ends
      (Loshchilov & Hutter 2017, "SGDR", arXiv:1608.03983, eq. 5, without restarts).

    Parameters
    ----------
    initial_temp, final_temp : float, default 2.0 and 0.1
        Positive. Usually the final one is lower, but it may be higher.
    anneal_epochs : float, default 100
        At least 1.
    schedule : {"exponential", "linear", "cosine"}, default "exponential"
        How the temperature changes.
    total_epochs : float, optional
        Another name for `anneal_epochs`; give one of the two.

    Raises
    ------
    ValueError
        If an argument is out of its range, or if `anneal_epochs` and `total_epochs` differ.

    See Also
    --------
    update_temperatures : sets the temperature of all gates of a model.

    Notes
    -----
    The expected number of open gates depends on the temperature: at log alpha = 0 a gate is open
    with probability 0.99 at temperature 2, 0.77 at 0.5 and 0.56 at 0.1. So a falling temperature
    closes gates by itself. The gradient of the penalty is p (1 - p), so the penalty also pulls
    harder late than early.

    Examples
    --------
    >>> from l0 import TemperatureScheduler
    >>> scheduler = TemperatureScheduler(2.0, 0.1, anneal_epochs=100)
    >>> [round(scheduler.get_temperature(epoch), 3) for epoch in (0, 50, 100, 150)]
    [2.0, 0.447, 0.1, 0.1]
    """

    def __init__(
        self,
        initial_temp: float = 2.0,
        final_temp: float = 0.1,
        anneal_epochs: float = 100,
        schedule: str = "exponential",
        *,
        total_epochs: float | None = None,
    ) -> None:
        if total_epochs is not None:
            # 100 may be the default or may have been passed; both are allowed.
            if anneal_epochs not in (100, total_epochs):
                raise ValueError(
                    f"`anneal_epochs` is {anneal_epochs!r} and `total_epochs` {total_epochs!r}, "
                    "but both name the same number; pass one of them"
                )
            anneal_epochs = total_epochs
        if not 1 <= anneal_epochs < math.inf:
            name = "anneal_epochs" if total_epochs is None else "total_epochs"
            raise ValueError(f"`{name}` must be finite and at least 1, got {anneal_epochs!r}")
        if schedule not in SCHEDULES:
            raise ValueError(f"`schedule` is {schedule!r}; {closest(schedule, SCHEDULES)}")
        self.initial_temp = positive(initial_temp, "initial_temp")
        self.final_temp = positive(final_temp, "final_temp")
        self.anneal_epochs = anneal_epochs
        self.schedule = schedule

    def get_temperature(self, epoch: float) -> float:
        """Return the temperature of an epoch.

        Parameters
        ----------
        epoch : float
            Counted from 0. A fraction is a time within an epoch.

        Returns
        -------
        float
            `final_temp` from epoch `anneal_epochs` on.

        Raises
        ------
        ValueError
            If `epoch` is negative, NaN or infinite.
        """
        t = not_negative(epoch, "epoch") / self.anneal_epochs
        if t >= 1:
            return self.final_temp
        return SCHEDULES[self.schedule](self.initial_temp, self.final_temp, t)


def update_temperatures(model: nn.Module, temperature: float) -> None:
    """Set the temperature of every :class:`HardConcrete` in a model.

    Other gates stay as they are: `SparseCalibrationWeights` and `SparseL0Linear` keep their `beta`.
    The state of a model has no temperatures: set it again after `load_state_dict` into a new model.

    Parameters
    ----------
    model : nn.Module
        Searched with all its submodules. It may itself be a `HardConcrete`.
    temperature : float
        Positive and finite.

    Raises
    ------
    ValueError
        If `temperature` is not positive and finite; no gate has changed then.

    Examples
    --------
    >>> from l0 import SparseMLP, update_temperatures
    >>> model = SparseMLP(6, 5, 4)
    >>> update_temperatures(model, 0.2)
    >>> model.fc1.weight_gates.temperature
    0.2
    """
    temperature = positive(temperature, "temperature")
    for module in model.modules():
        if isinstance(module, HardConcrete):
            module.temperature = temperature
