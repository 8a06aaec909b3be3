"""Cooling: from soft gates that learn quickly to hard ones that are nearly 0 or 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from l0.common.errors import closest
from l0.common.validation import not_negative, positive
from l0.hard_concrete import HardConcrete


def _exponential(start: float, end: float, t: float) -> float:
    return float(start ** (1 - t) * end**t)  # the geometric mean, weighted


def _linear(start: float, end: float, t: float) -> float:
    return start * (1 - t) + end * t


def _cosine(start: float, end: float, t: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * t)) / 2


#: Temperature after the share t in [0, 1] of the way from `start` to `end`.
SCHEDULES: dict[str, Callable[[float, float, float], float]] = {
    "exponential": _exponential,
    "linear": _linear,
    "cosine": _cosine,
}


class TemperatureScheduler:
    """Temperatures from `initial_temp` at epoch 0 to `final_temp` at epoch `anneal_epochs`.

    With t = epoch / anneal_epochs, the temperature is

    * exponential: initial^(1 - t) final^t, the same factor every epoch;
    * linear: (1 - t) initial + t final, the same step every epoch;
    * cosine: final + (initial - final) (1 + cos(pi t)) / 2, slow at both ends.

    Parameters
    ----------
    initial_temp, final_temp : float, default 2.0 and 0.1
        Positive; usually falling, though they may rise.
    anneal_epochs : float, default 100
        At least 1.
    schedule : {"exponential", "linear", "cosine"}, default "exponential"
        How the temperature moves.
    total_epochs : float, optional
        Another name for `anneal_epochs`; give one of the two.

    Raises
    ------
    ValueError
        If an argument is out of its range, or `anneal_epochs` and `total_epochs` disagree.

    See Also
    --------
    update_temperatures : sets the gates of a model to a temperature.

    Notes
    -----
    The expected number of open gates depends on the temperature: at log alpha = 0 a gate is open
    with probability 0.99 at temperature 2, 0.77 at 0.5 and 0.56 at 0.1. So cooling alone closes
    gates, and the penalty, whose gradient is p (1 - p), pulls harder late than early.
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
            # An `anneal_epochs` of 100 that was spelt out cannot be told from the default.
            if anneal_epochs not in (100, total_epochs):
                raise ValueError(
                    f"`anneal_epochs` is {anneal_epochs!r} and `total_epochs` {total_epochs!r}, "
                    "two names for one number; give one of them"
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
            Counted from 0; fractions are fine, to cool within an epoch.

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

    Others stay as they are: `SparseCalibrationWeights` and `SparseL0Linear` keep their `beta`.

    Parameters
    ----------
    model : nn.Module
        Searched with everything inside it; may itself be a `HardConcrete`.
    temperature : float
        Positive and finite.

    Raises
    ------
    ValueError
        If `temperature` is not; nothing has changed then.
    """
    temperature = positive(temperature, "temperature")
    for module in model.modules():
        if isinstance(module, HardConcrete):
            module.temperature = temperature
