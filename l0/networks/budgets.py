"""What a model may cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from torch import nn

from l0.common.errors import InputError, closest, first_few
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
        # As written: 0.29 of 100 is 29, though the float 0.29 * 100 is a bit less.
        return math.floor(Fraction(str(self.amount)) * total)


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


#: Budgets of the model, or of layers by the patterns that their names match.
Asked = Budget | Sequence[Budget] | Mapping[str, Budget | Sequence[Budget]]


def constraints(budget: Asked, model: nn.Module, structure: Structure) -> list[Constraint]:
    """Turn what the user asks for into constraints.

    Parameters
    ----------
    budget : Budget, sequence of Budget, or mapping of str to either
        For the model, or for the layers whose names match patterns. Of several, each is held.
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
        If it is none of these, names a measure twice, or a pattern matches no layer.
    """
    if not isinstance(budget, Mapping):
        return _of_layers(budget, "budget", None, model, structure)
    if not budget:
        raise InputError("`budget` is empty; write l0.Params(0.1), say")
    found = []
    for pattern, asked in budget.items():
        if not matching(pattern, structure.places):
            raise InputError(
                f"`budget` names {pattern!r}, which matches no layer; "
                f"{closest(pattern, structure.places)}"
            )
        found += _of_layers(asked, f"budget[{pattern!r}]", pattern, model, structure)
    return found


def _of_layers(
    asked: Budget | Sequence[Budget],
    name: str,
    pattern: str | None,
    model: nn.Module,
    structure: Structure,
) -> list[Constraint]:
    """Give the constraints of the layers that match a pattern, of all where it is None."""
    budgets = list(asked) if isinstance(asked, Sequence) else [asked]
    if not budgets or not all(isinstance(one, Budget) for one in budgets):
        raise InputError(
            f"`{name}` must be one of Params, Macs, Units and Bytes, a list of them, or a dict of "
            f"either by the names of layers, got {asked!r}; write l0.Params(0.1), say"
        )
    nouns = [one.noun for one in budgets]
    twice = sorted({noun for noun in nouns if nouns.count(noun) > 1})
    if twice:
        raise InputError(f"`{name}` names {first_few(twice)} more than once; keep the smallest")
    layers = None if pattern is None else matching(pattern, structure.places)
    costs = [CostModel(model, structure, one.measure, layers) for one in budgets]
    return [
        Constraint(pattern, one, cost, one.limit(cost.total))
        for one, cost in zip(budgets, costs, strict=True)
    ]
