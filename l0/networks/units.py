"""The units of a model: channels of several layers that can only be removed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from l0.networks.kinds import Kind, kind_of, multiplied_weight


@dataclass(frozen=True, eq=False)
class Member:
    """The part that one side of one layer has in a group.

    Attributes
    ----------
    module : str
        Name of the layer.
    side : str
        "in" or "out"; layers that keep channels apart have an "in" alone.
    positions : Tensor of int64
        Channels of the layer.
    units : Tensor of int64, the shape of `positions`
        The unit that each channel belongs to.
    """

    module: str
    side: str
    positions: Tensor
    units: Tensor


@dataclass(frozen=True, eq=False)
class UnitGroup:
    """Units of one sort: made by the same layers, and used by the same layers.

    Units that no layer makes are the features that come into one layer, each by itself: closing
    one drops it from what this layer reads. Or they are the entries of one layer's weight, which
    are set to 0.

    Attributes
    ----------
    name : str
        The layers that make the units, comma separated.
    n_units : int
        Number of units.
    producers, consumers, through : tuple of Member
        Layers that make the units, that use them, and that treat each by itself (batch norm,
        depthwise convolution).
    weights : str, optional
        The layer whose weight has the units as its entries; nothing else is then in the group.
    doubt : str, optional
        Why removal may fail, if it does; only trying tells.
    """

    name: str
    n_units: int
    producers: tuple[Member, ...]
    consumers: tuple[Member, ...]
    through: tuple[Member, ...] = ()
    weights: str | None = None
    doubt: str | None = None

    @property
    def members(self) -> tuple[Member, ...]:
        """All of them."""
        return (*self.producers, *self.consumers, *self.through)

    @property
    def made_by(self) -> set[str]:
        """The layers that make the units or hold the weights; none make features."""
        if self.weights is not None:
            return {self.weights}
        return {member.module for member in self.producers}


def features_of(name: str, kind: Kind) -> UnitGroup:
    """Make each feature that comes into a layer a unit of its own."""
    each = torch.arange(kind.n_in)
    return UnitGroup(f"{name} inputs", kind.n_in, (), (Member(name, "in", each, each),))


def single_weights(model: nn.Module, structure: Structure) -> Structure:
    """Make each entry of each layer's weight a unit, in place of what can be removed.

    Returns
    -------
    Structure
        Layers that share their weight with another are left out.
    """
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    groups, left_out = [], []
    for name in structure.places:
        module = model.get_submodule(name)
        weight = module._parameters.get("weight")
        if weight is None or weight is not multiplied_weight(module):
            continue
        if owners[id(weight)] > 1:
            left_out.append(LeftOut(name, "it shares its weight with another layer"))
        else:
            groups.append(UnitGroup(name, weight.numel(), (), (), weights=name))
    return Structure(groups, left_out, structure.places)


def units_of_channels(
    model: nn.Module, groups: Sequence[UnitGroup]
) -> dict[tuple[str, str], Tensor]:
    """Tell which units the channels of each layer depend on.

    Parameters
    ----------
    model : nn.Module
        Without gates, or with.
    groups : sequence of UnitGroup
        Their units are numbered one group after the other.

    Returns
    -------
    dict of (layer, side) to Tensor of int64, shape (n_channels, 2)
        The unit that the channel is part of, and the unit that selects it. Where there is none,
        the number of all units.
    """
    n_units = sum(group.n_units for group in groups)
    found: dict[tuple[str, str], Tensor] = {}
    start = 0
    for group in groups:
        for member in group.members:
            key = (member.module, member.side)
            if key not in found:
                kind = kind_of(model.get_submodule(member.module))
                assert kind is not None
                n = kind.n_in if member.side == "in" else kind.n_out
                found[key] = torch.full((n, 2), n_units)
            found[key][member.positions, 0 if group.producers else 1] = member.units + start
        start += group.n_units
    return found


@dataclass(frozen=True)
class LeftOut:
    """Channels that get no gate, and why."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Structure:
    """What can be removed from a model, and what it takes to run it.

    Attributes
    ----------
    groups : list of UnitGroup
        In the order of the model.
    left_out : list of LeftOut
        Groups of channels that get no gate.
    places : dict of str to float
        For each layer of a known kind, how often it is applied to one example: positions of a
        sequence or of an image, over all its calls.
    """

    groups: list[UnitGroup]
    left_out: list[LeftOut]
    places: dict[str, float]
