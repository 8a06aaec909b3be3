"""Budgets: what a model may cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from torch import nn

from l0.common.errors import InputError, closest, first_few
from l0.common.validation import is_number, positive, positive_share
from l0.networks.budgets.cost import CostModel, LayerTimes, Measure
from l0.networks.graph.name_patterns import matching
from l0.networks.graph.units import Structure

#: The shortest time of a pass that may be asked for.
_LEAST_MS = 0.01

#: A cost may exceed a whole number by rounding errors.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Budget:
    """An upper limit for the cost of a model; use a subclass, which names the measure.

    Parameters
    ----------
    amount : float
        A share of the cost of the full model, in (0, 1]; or an amount above 1.

    Raises
    ------
    ValueError
        If the amount is not positive and finite.

    Examples
    --------
    >>> from l0.networks import Budget, Params
    >>> isinstance(Params(0.1), Budget)
    True
    """

    amount: float

    measure: ClassVar[Measure | Literal["microseconds"]]
    noun: ClassVar[str]

    def __post_init__(self) -> None:
        if not hasattr(self, "measure"):
            raise InputError(
                f"`budget` {self!r} has no measure; write l0.Params, l0.Macs, l0.Units, l0.Bytes "
                "or l0.Latency"
            )
        if not is_number(self.amount) or not 0 < self.amount < math.inf:
            raise InputError(
                f"`budget` {self!r} must be a number, positive and finite: a share in (0, 1], "
                "or an amount above 1"
            )

    def limit(self, total: int) -> int:
        """Return the largest whole cost within the budget.

        Parameters
        ----------
        total : int
            The cost of the full model.

        Returns
        -------
        int

        Examples
        --------
        >>> from l0.networks import Params
        >>> Params(0.29).limit(1000), Params(500).limit(1000)
        (290, 500)
        """
        if self.amount > 1:
            return math.floor(self.amount)
        # The decimal that the user wrote: 0.29 of 100 is 29, but the float 0.29 * 100 is less.
        return math.floor(Fraction(str(self.amount)) * total)


class Params(Budget):
    """A budget in parameters.

    Examples
    --------
    >>> from l0 import Params
    >>> Params(0.1)
    Params(amount=0.1)
    >>> Params(0.1).limit(25_000)
    2500
    """

    measure = "params"
    noun = "parameters"


class Macs(Budget):
    """A budget in multiply-adds for one example.

    They are those of linear, convolutional and recurrent layers, and of all products and
    convolutions between the layers: inside attention, with a parameter, or with a weight that is
    computed, as by `weight_norm`.

    Examples
    --------
    >>> from l0 import Macs
    >>> Macs(0.25).limit(1_000_000)
    250000
    """

    measure = "macs"
    noun = "multiply-adds"


class Units(Budget):
    """A budget in units: channels, neurons, attention heads.

    Examples
    --------
    >>> from l0 import Units
    >>> Units(64).limit(256)
    64
    """

    measure = "units"
    noun = "units"


class Bytes(Budget):
    """A budget in bytes of parameters and buffers.

    Each feature that a compact model selects before a layer (see the `inputs` of
    :func:`l0.sparsify`) takes 8 bytes for its position.

    Examples
    --------
    >>> from l0 import Bytes
    >>> Bytes(200_000).limit(1_000_000)
    200000
    """

    measure = "bytes"
    noun = "bytes"


class Latency(Budget):
    """A budget in the time of a pass over the example inputs, on the device of the model.

    The layers are timed at several widths when :func:`l0.sparsify` is called, which takes some
    dozens of passes. Give example inputs of the size that matters: the time of a batch of 32 is not
    32 times that of one example.

    Parameters
    ----------
    share : float, optional
        A share of the time of the full model, in (0, 1].
    ms : float, optional
        Milliseconds, in place of a share.

    Raises
    ------
    ValueError
        If not exactly one of the two is given, or it is out of its range.

    Notes
    -----
    The budget holds for the fitted times, up to their error; :meth:`Sparsifier.report` measures the
    time of the compact model, and warns if it differs.

    Examples
    --------
    >>> from l0 import Latency
    >>> Latency(0.5)
    Latency(share=0.5)
    >>> Latency(ms=4)
    Latency(ms=4)
    """

    measure = "microseconds"
    noun = "microseconds"

    def __init__(self, share: float | None = None, *, ms: float | None = None) -> None:
        if (share is None) == (ms is None):
            raise InputError(
                "`budget` Latency must have a share or `ms`, and not both; write Latency(0.5), or "
                "Latency(ms=4) for milliseconds"
            )
        if share is not None:
            amount = positive_share(share, "share")
        else:
            amount = 1000 * positive(ms, "ms")
            if amount < 1000 * _LEAST_MS:
                raise InputError(f"`ms` is {ms!r}; give milliseconds, at least {_LEAST_MS}")
        object.__setattr__(self, "amount", amount)

    def __repr__(self) -> str:
        """Show the share, or the milliseconds."""
        if self.amount > 1:
            return f"Latency(ms={self.amount / 1000:g})"
        return f"Latency(share={self.amount:g})"


@dataclass(frozen=True, eq=False)
class Constraint:
    """A budget with its cost and its limit, for a model or for the layers that match a pattern."""

    pattern: str | None
    budget: Budget
    cost: CostModel
    limit: int

    def holds(self, cost: float) -> bool:
        """Tell whether a cost meets the budget, up to rounding errors."""
        return cost <= self.limit + ROUNDING

    def target(self, way: float) -> float:
        """Return a cost between the full cost, at 0, and the budget, at 1, by equal factors."""
        total, limit = max(self.cost.total, 1), max(self.limit, 1)
        return total * math.exp(way * min(0.0, math.log(limit / total)))

    def __str__(self) -> str:
        """Name the measure, and the pattern if there is one."""
        return self.budget.noun if self.pattern is None else f"{self.budget.noun} of {self.pattern}"


#: What the user gives: budgets of the model, or budgets of layers by patterns of their names.
Asked = Budget | Sequence[Budget] | Mapping[str, Budget | Sequence[Budget]]


def budgets_in(budget: Asked) -> Iterator[Budget]:
    """Yield the budgets that the user gives, as far as they are budgets."""
    for asked in budget.values() if isinstance(budget, Mapping) else [budget]:
        several = asked if isinstance(asked, Sequence) else [asked]
        yield from (one for one in several if isinstance(one, Budget))


def constraints(
    budget: Asked, model: nn.Module, structure: Structure, times: LayerTimes | None = None
) -> list[Constraint]:
    """Turn the budgets that the user gives into constraints.

    Parameters
    ----------
    budget : Budget, sequence of Budget, or mapping of str to either
        Budgets of the model; or, in a mapping, budgets of the layers whose names match a pattern.
        The model must meet every one of them.
    model : nn.Module
        The model without gates.
    structure : Structure
        The groups that get gates.
    times : LayerTimes, optional
        The times of its layers, if there is a budget of them.

    Returns
    -------
    list of Constraint

    Raises
    ------
    InputError
        If `budget` has another type or names a measure twice, or if a pattern matches no layer.
    """
    if not isinstance(budget, Mapping):
        return _of_layers(budget, "budget", None, model, structure, times)
    if not budget:
        raise InputError("`budget` is empty; write l0.Params(0.1), for example")
    found = []
    for pattern, asked in budget.items():
        if not isinstance(pattern, str):
            raise InputError(f"`budget` has the key {pattern!r}; give patterns of names of layers")
        if not matching(pattern, structure.n_positions):
            raise InputError(
                f"`budget` names {pattern!r}, which matches no layer; "
                f"{closest(pattern, structure.n_positions)}"
            )
        found += _of_layers(asked, f"budget[{pattern!r}]", pattern, model, structure, times)
    return found


def _of_layers(
    asked: Budget | Sequence[Budget],
    name: str,
    pattern: str | None,
    model: nn.Module,
    structure: Structure,
    times: LayerTimes | None,
) -> list[Constraint]:
    """Return the constraints of the layers that match a pattern; None stands for the model."""
    budgets = list(asked) if isinstance(asked, Sequence) else [asked]
    if not budgets or not all(isinstance(one, Budget) for one in budgets):
        raise InputError(
            f"`{name}` must be one of Params, Macs, Units, Bytes and Latency, a list of them, or "
            f"a dict from names of layers to one or a list of them, got {asked!r}; write "
            "l0.Params(0.1), for example"
        )
    nouns = [one.noun for one in budgets]
    twice = sorted({noun for noun in nouns if nouns.count(noun) > 1})
    if twice:
        raise InputError(f"`{name}` names {first_few(twice)} more than once; keep the smallest")
    layers = None if pattern is None else matching(pattern, structure.n_positions)
    costs = [CostModel(model, structure, _measure(one, times), layers) for one in budgets]
    return [
        Constraint(pattern, one, cost, one.limit(cost.total))
        for one, cost in zip(budgets, costs, strict=True)
    ]


def _measure(budget: Budget, times: LayerTimes | None) -> Measure | LayerTimes:
    if budget.measure != "microseconds":
        return budget.measure
    assert times is not None
    return times
