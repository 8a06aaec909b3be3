"""What a model may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from l0.errors import InputError, closest
from l0.networks.cost import CostModel, Measure
from l0.networks.patterns import matching
from l0.networks.units import Structure


@dataclass(frozen=True)
class Budget:
    """An upper bound on one measure of cost; use a subclass.

    Parameters
    ----------
    amount : float
        A share of what the model costs now, in (0, 1]; or a number above 1.

    Raises
    ------
    ValueError
        If the amount is not positive and finite.
    """

    amount: float

    measure: ClassVar[Measure]
    noun: ClassVar[str]

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not 0 < self.amount < math.inf:
            raise InputError(
                f"`budget` {self!r} must be positive and finite: a share in (0, 1], or a number "
                "above 1"
            )

    def limit(self, total: int) -> int:
        """Return the largest whole cost within the budget, where the model costs `total` now."""
        if self.amount > 1:
            return math.floor(self.amount)
        # A share of 0.07 of 100 is 7, though 0.07 * 100 is a bit more.
        return math.floor(self.amount * total + 1e-9 * total)


class Params(Budget):
    """A budget in parameters."""

    measure = "params"
    noun = "parameters"


class Macs(Budget):
    """A budget in multiply-adds of linear layers and convolutions, for one example."""

    measure = "macs"
    noun = "multiply-adds"


class Units(Budget):
    """A budget in units: channels, neurons, attention heads."""

    measure = "units"
    noun = "units"


class Bytes(Budget):
    """A budget in bytes of parameters and buffers."""

    measure = "bytes"
    noun = "bytes"


@dataclass(frozen=True, eq=False)
class Constraint:
    """A budget on a model, or on the layers that match a pattern."""

    pattern: str | None
    budget: Budget
    cost: CostModel
    limit: int

    def __str__(self) -> str:
        """Name the measure, and the pattern where there is one."""
        return self.budget.noun if self.pattern is None else f"{self.budget.noun} of {self.pattern}"


def constraints(
    budget: Budget | Mapping[str, Budget], model: nn.Module, structure: Structure
) -> list[Constraint]:
    """Turn what the user asks for into constraints.

    Parameters
    ----------
    budget : Budget or mapping of str to Budget
        For the model, or for the layers whose names match patterns.
    model : nn.Module
        Without gates.
    structure : Structure
        The groups that get gates.

    Returns
    -------
    list of Constraint

    Raises
    ------
    InputError
        If it is neither, or a pattern matches no layer.
    """
    if isinstance(budget, Budget):
        cost = CostModel(model, structure, budget.measure)
        return [Constraint(None, budget, cost, budget.limit(cost.total))]
    if not isinstance(budget, Mapping) or not budget:
        raise InputError(
            f"`budget` must be one of Params, Macs, Units and Bytes, or a dict of them by the "
            f"names of layers, got {budget!r}; write l0.Params(0.1), say"
        )
    found = []
    for pattern, one in budget.items():
        if not isinstance(one, Budget):
            raise InputError(
                f"`budget[{pattern!r}]` must be one of Params, Macs, Units and Bytes, got {one!r}"
            )
        layers = matching(pattern, structure.places)
        if not layers:
            raise InputError(
                f"`budget` names {pattern!r}, which matches no layer; "
                f"{closest(pattern, structure.places)}"
            )
        cost = CostModel(model, structure, one.measure, layers)
        found.append(Constraint(pattern, one, cost, one.limit(cost.total)))
    return found
