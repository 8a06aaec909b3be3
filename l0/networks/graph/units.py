"""The units of a model: channels of several layers that can only be removed together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor, nn

from l0.networks.graph.layer_types import LayerType, module_at


@dataclass(frozen=True, eq=False)
class Member:
    """The channels of a group on one side of one layer.

    Attributes
    ----------
    module : str
        Name of the layer.
    side : str
        "in", "out", or "inner" for channels that the layer makes and reads itself. Layers that keep
        channels apart, such as batch norm, have only "in".
    positions : Tensor of int64
        Channels of the layer.
    units : Tensor of int64, the shape of `positions`
        The unit that each channel belongs to.
    layer_type : LayerType
        The type of the layer.
    """

    module: str
    side: str
    positions: Tensor
    units: Tensor
    layer_type: LayerType


@dataclass(frozen=True, eq=False)
class UnitGroup:
    """Units that the same layers make and the same layers read.

    There are three sorts. Most units are made by layers; closing such a unit removes its channels
    from all layers of the group. Other units are the input features of one layer; closing such a
    unit means that this layer no longer reads the feature. The last sort are the entries of one
    layer's weight; closing such a unit sets the entry to 0.

    Attributes
    ----------
    name : str
        The layers that make the units, separated by commas.
    n_units : int
        Number of units.
    producers, consumers, through : tuple of Member
        Layers that make the units, layers that read them, and layers that treat each unit by
        itself (batch norm, depthwise convolution).
    weights : str, optional
        The layer whose weight entries are the units; the group then has no members.
    doubt : str, optional
        A reason why removal may fail. Only a trial shows whether it does.
    in_sum : bool
        Whether the units are channels of a sum of layers, such as a residual stream.
    meets : tuple of str
        Layers whose channels stay because all units meet each of them, such as those that make the
        one head of keys and values of multi-query attention.
    """

    name: str
    n_units: int
    producers: tuple[Member, ...]
    consumers: tuple[Member, ...]
    through: tuple[Member, ...] = ()
    weights: str | None = None
    doubt: str | None = None
    in_sum: bool = False
    meets: tuple[str, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """Producers, consumers and layers that the units pass through."""
        return (*self.producers, *self.consumers, *self.through)

    @property
    def made_by(self) -> set[str]:
        """The layers that make the units or hold the weights; empty for input features."""
        if self.weights is not None:
            return {self.weights}
        return {member.module for member in self.producers}


def tied(groups: Sequence[UnitGroup], n_units: int) -> UnitGroup:
    """Return one group, in which the units of several groups are tied by their places.

    Parameters
    ----------
    groups : sequence of UnitGroup
        Groups whose units layers make. Their numbers of units are multiples of `n_units`.
    n_units : int
        Number of units of the new group. Unit i has the units i, i + n_units, ... of each group.

    Returns
    -------
    UnitGroup
    """

    def joined(sides: Iterable[tuple[Member, ...]]) -> tuple[Member, ...]:
        found: dict[tuple[str, str], list[Member]] = {}
        for member in chain.from_iterable(sides):
            found.setdefault((member.module, member.side), []).append(member)
        return tuple(
            Member(
                *key,
                torch.cat([member.positions for member in members]),
                torch.cat([member.units for member in members]) % n_units,
                members[0].layer_type,
            )
            for key, members in found.items()
        )

    producers = joined(group.producers for group in groups)
    return UnitGroup(
        ", ".join(member.module for member in producers),
        n_units,
        producers,
        joined(group.consumers for group in groups),
        joined(group.through for group in groups),
        doubt=next((group.doubt for group in groups if group.doubt), None),
        in_sum=any(group.in_sum for group in groups),
        meets=tuple(dict.fromkeys(name for group in groups for name in group.meets)),
    )


def features_of(name: str, layer_type: LayerType, n_in: int) -> UnitGroup:
    """Return a group in which each input feature of a layer is a unit."""
    each = torch.arange(n_in, device="cpu")
    return UnitGroup(f"{name} inputs", n_in, (), (Member(name, "in", each, each, layer_type),))


def single_weights(model: nn.Module, structure: Structure) -> Structure:
    """Return a structure in which each entry of each layer's weight is a unit.

    Parameters
    ----------
    model : nn.Module
        Without gates.
    structure : Structure
        What :func:`find_units` found; only its layers are used.

    Returns
    -------
    Structure
        Layers that share their weight with another layer are left out.
    """
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    groups, left_out = [], []
    for name, layer_type in structure.types.items():
        module = module_at(model, name)
        layout, weight = layer_type.layout(module), module._parameters.get("weight")
        if weight is None or layout is None or layout.multiplied != ("weight",):
            continue
        if owners[id(weight)] > 1:
            left_out.append(LeftOut(name, "it shares its weight with another layer"))
        else:
            groups.append(UnitGroup(name, weight.numel(), (), (), weights=name))
    return replace(structure, groups=groups, left_out=left_out)


def units_of_channels(
    model: nn.Module, groups: Sequence[UnitGroup]
) -> dict[tuple[str, str], Tensor]:
    """Tell which units the channels of each layer depend on.

    Parameters
    ----------
    model : nn.Module
        With or without gates.
    groups : sequence of UnitGroup
        Their units are numbered one group after the other.

    Returns
    -------
    dict of (layer, side) to Tensor of int64, shape (n_channels, 2)
        For each channel, the unit that the channel is part of, and the unit that selects it. If
        there is no such unit, its place holds the number of all units.
    """
    n_units = sum(group.n_units for group in groups)
    found: dict[tuple[str, str], Tensor] = {}
    start = 0
    for group in groups:
        for member in group.members:
            key = (member.module, member.side)
            if key not in found:
                layout = member.layer_type.layout(module_at(model, member.module))
                assert layout is not None
                n = layout.count(member.side)
                found[key] = torch.full((n, 2), n_units, device="cpu")
            found[key][member.positions, 0 if group.producers else 1] = member.units + start
        start += group.n_units
    return found


@dataclass(frozen=True)
class LeftOut:
    """Channels that get no gate.

    Attributes
    ----------
    name : str
        The layers that make the channels, separated by commas, or the layer that keeps its size.
    reason : str
        Why they get no gate.
    """

    name: str
    reason: str


def named_once(left_out: Iterable[LeftOut]) -> list[LeftOut]:
    """Join the reasons of layers whose channels stay for several ones."""
    reasons: dict[str, list[str]] = {}
    for left in left_out:
        of_name = reasons.setdefault(left.name, [])
        if left.reason not in of_name:
            of_name.append(left.reason)
    return [LeftOut(name, "; others: ".join(found)) for name, found in reasons.items()]


@dataclass(frozen=True, eq=False)
class Structure:
    """The units of a model, and how often each layer is applied.

    Attributes
    ----------
    groups : list of UnitGroup
        The groups of units, in the order of the model.
    left_out : list of LeftOut
        The channels that get no gate.
    n_positions : dict of str to float
        For each layer of a known type, the number of positions of one example to which it is
        applied: positions of a sequence or of an image, added over all calls of the layer.
    types : dict of str to LayerType
        The types of these layers.
    products : dict of str to float
        For layers whose channels enter products between the layers, as those of queries and values
        do in attention, the multiply-adds of one of their output channels in these products, for
        one example.
    other_products : float
        The multiply-adds of products that grow with no layer, for one example.
    """

    groups: list[UnitGroup]
    left_out: list[LeftOut]
    n_positions: dict[str, float]
    types: dict[str, LayerType]
    products: dict[str, float]
    other_products: float

    @property
    def layers(self) -> list[str]:
        """Names of the layers that belong to a group, in the order of the model."""
        touched = {name for group in self.groups for name in group.made_by}
        touched |= {member.module for group in self.groups for member in group.members}
        return [name for name in self.n_positions if name in touched]
