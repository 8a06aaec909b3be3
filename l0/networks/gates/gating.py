"""How gates act on the weights of a model: attaching them, and folding them in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0.networks.gates.unit_gate import UnitGate
from l0.networks.graph.layer_types import weight_axis_in
from l0.networks.graph.units import UnitGroup, units_of_channels


class GatedEntries(nn.Module):
    """Multiplies each entry of a layer's weight by its own gate.

    Parameters
    ----------
    gate : UnitGate
        Gates with as many units as the weight has entries.
    """

    def __init__(self, gate: UnitGate) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, weight: Tensor) -> Tensor:
        """Return the gated weight."""
        z: Tensor = self.gate()
        return weight * z.view_as(weight).to(weight.dtype)


class GatedWeight(nn.Module):
    """Multiplies a layer's weight by the gates of its input channels.

    The gates act where a channel is read, not where it is made. So a closed unit equals a removed
    unit, with any biases, norms and padding between the layers, because no layer reads the channel.

    Parameters
    ----------
    gates : list of UnitGate
        The gates that act on the weight.
    owned : list of UnitGate
        The gates that become submodules here. A gate may act on several layers, but only one layer
        owns it, so that the model's parameters and its state contain it once.
    index : Tensor of int64, shape (n_channels, 2)
        For each channel along the weight's axis, the one or two units whose gates act on it. The
        number of all units stands for no unit.
    axis, ndim : int
        The axis of the channels in the weight, and the number of axes of the weight.
    """

    index: Tensor

    def __init__(
        self, gates: list[UnitGate], owned: list[UnitGate], index: Tensor, axis: int, ndim: int
    ) -> None:
        super().__init__()
        self._gates = tuple(gates)
        self.gates = nn.ModuleList(owned)
        self._shape = [1] * ndim
        self._shape[axis] = -1
        n_units = sum(len(gate.alive) for gate in gates)
        index = index[:, (index < n_units).any(0)]
        self._in_order = torch.equal(index.squeeze(1), torch.arange(n_units, device=index.device))
        self._all_gated = bool((index < n_units).all())
        self.register_buffer("index", index, persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the gated weight."""
        z = self._gates[0]() if len(self._gates) == 1 else torch.cat([g() for g in self._gates])
        if not self._in_order:
            if not self._all_gated:
                z = torch.cat([z, z.new_ones(1)])
            columns = self.index.unbind(1)
            z = z[columns[0]] if len(columns) == 1 else z[columns[0]] * z[columns[1]]
        return weight * z.view(self._shape).to(weight.dtype)


def attach(model: nn.Module, groups: Sequence[UnitGroup], gates: Sequence[UnitGate]) -> None:
    """Let gates act on the weights of the layers that read their units, in place.

    Parameters
    ----------
    model : nn.Module
        A model without gates; it gets parametrizations of its weights.
    groups : sequence of UnitGroup
        The groups of units of the model.
    gates : sequence of UnitGate
        The gates of each group.
    """
    units = units_of_channels(model, groups)
    consumers = dict.fromkeys(member.module for group in groups for member in group.consumers)
    free = {id(gate) for gate in gates}
    for name in consumers:
        module = model.get_submodule(name)
        weight, axis = module.weight, weight_axis_in(module)
        assert isinstance(weight, Tensor)
        # All groups of a grouped convolution have the same units at the same positions.
        index = units[name, "in"][: weight.shape[axis]]
        acting, local = [], torch.full_like(index, -1)
        start = n_local = 0
        for group, gate in zip(groups, gates, strict=True):
            if any(member.module == name for member in group.consumers):
                here = (index >= start) & (index < start + group.n_units)
                local[here] = index[here] - start + n_local
                acting.append(gate)
                n_local += group.n_units
            start += group.n_units
        local[local < 0] = n_local
        owned = [gate for gate in acting if id(gate) in free]
        free -= {id(gate) for gate in owned}
        _gate_weight(module, GatedWeight(acting, owned, local, axis, weight.ndim))
    for group, gate in zip(groups, gates, strict=True):
        if group.weights is not None:
            _gate_weight(model.get_submodule(group.weights), GatedEntries(gate))


def _gate_weight(module: nn.Module, gated: nn.Module) -> None:
    weight = module.weight
    assert isinstance(weight, Tensor)
    gated.to(weight.device).train(module.training)
    parametrize.register_parametrization(module, "weight", gated)


def _has_gates(module: nn.Module) -> bool:
    if not parametrize.is_parametrized(module, "weight"):
        return False
    assert isinstance(module.parametrizations, nn.ModuleDict)
    parts = module.parametrizations["weight"].children()
    return any(isinstance(part, GatedWeight | GatedEntries) for part in parts)


def ungated_weight(module: nn.Module) -> Tensor:
    """Return a layer's weight before gates act on it."""
    weight = module.weight
    if parametrize.is_parametrized(module, "weight"):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        weight = module.parametrizations["weight"].original
    assert isinstance(weight, Tensor)
    return weight


@torch.no_grad()
def settle(model: nn.Module, groups: Sequence[UnitGroup], gates: Sequence[UnitGate]) -> None:
    """Let gates keep their present values, in place; they no longer learn.

    The values are multiplied into the weights, and the gates become 1, so that a step of the
    optimiser changes all weights alike. Weights that other layers use too, or that the user
    computes from other ones, stay as they are, and so do the gates on them.

    Parameters
    ----------
    model : nn.Module
        A model with gates.
    groups : sequence of UnitGroup
        The groups of units of the model.
    gates : sequence of UnitGate
        The gates of each group.
    """
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())

    def own(name: str) -> bool:
        module = model.get_submodule(name)
        assert isinstance(module.parametrizations, nn.ModuleDict)
        parts = module.parametrizations["weight"].children()
        ours = all(isinstance(part, GatedWeight | GatedEntries) for part in parts)
        return ours and owners[id(ungated_weight(module))] == 1

    # A unit that came back may have a gate that counts as closed.
    values = [
        torch.where(gate.settled() > 0, gate.settled(), gate.ranks() * gate.alive) for gate in gates
    ]
    of_group = [
        [group.weights] if group.weights else [member.module for member in group.consumers]
        for group in groups
    ]
    folds = [all(own(name) for name in names) for names in of_group]
    for gate, value, folded in zip(gates, values, folds, strict=True):
        gate.constant.copy_(value if folded else gate.alive)
    for name in {
        name for names, folded in zip(of_group, folds, strict=True) if folded for name in names
    }:
        module = model.get_submodule(name)
        weight = module.weight
        assert isinstance(weight, Tensor)
        ungated_weight(module).copy_(weight)
    for gate, value, folded in zip(gates, values, folds, strict=True):
        gate.constant.copy_(gate.alive if folded else value)


def fold(model: nn.Module) -> None:
    """Multiply the gates into the weights that they act on, and remove them, in place."""
    for module in list(model.modules()):
        if not _has_gates(module):  # a parametrization of the user stays
            continue
        weight, original = module.weight, ungated_weight(module)
        assert isinstance(weight, Tensor)
        # remove_parametrizations would change the class, which the model shares with its copies.
        del module._modules["parametrizations"]
        module.__class__ = type(module).__bases__[0]
        module.weight = nn.Parameter(weight.detach(), requires_grad=original.requires_grad)
