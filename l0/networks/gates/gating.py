"""How gates act on the weights of a model: attaching them, and folding them in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from l0.networks.gates.open_channels import OpenChannels
from l0.networks.gates.unit_gate import UnitGate
from l0.networks.graph.channel_layout import positions_along
from l0.networks.graph.layer_types import module_at, owner_of
from l0.networks.graph.units import UnitGroup, units_of_channels

#: The least value that :func:`settle` leaves in a gate.
_LEAST = 0.1


class GatedEntries(nn.Module):
    """Multiplies each entry of a layer's weight by its own gate.

    Parameters
    ----------
    gate : UnitGate
        Gates with as many units as the weight has entries.

    Attributes
    ----------
    place : int
        The place of the weight among the parameters of its module.
    """

    place: int

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

    Attributes
    ----------
    place : int
        The place of the weight among the parameters of its module.
    """

    index: Tensor
    place: int

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
    free = {id(gate) for gate in gates}
    for name, layer_type in {m.module: m.layer_type for g in groups for m in g.consumers}.items():
        module = module_at(model, name)
        layout = layer_type.layout(module)
        assert layout is not None
        for weight_name, axis in layout.reads.items():
            side = layout.axes[weight_name][axis]
            if side is None or (name, side) not in units:
                continue
            weight = getattr(*owner_of(module, weight_name))
            # All groups of a grouped convolution have the same units at the same positions.
            index = units[name, side][positions_along(layout, side, weight.shape[axis])]
            acting, local = _acting(groups, gates, index)
            owned = [gate for gate in acting if id(gate) in free]
            free -= {id(gate) for gate in owned}
            if acting:
                gated = GatedWeight(acting, owned, local, axis, weight.ndim)
                _gate_weight(module, weight_name, gated)
    for name, layer_type in {m.module: m.layer_type for g in groups for m in g.through}.items():
        module = model.get_submodule(name)
        layout = layer_type.layout(module)
        if layout is not None and layout.over_channels:
            acting, local = _acting(groups, gates, units[name, "in"])
            vars(module)["forward"] = OpenChannels(module, layer_type, acting, local[:, 0])
    for group, gate in zip(groups, gates, strict=True):
        if group.weights is not None:
            _gate_weight(model.get_submodule(group.weights), "weight", GatedEntries(gate))


def _acting(
    groups: Sequence[UnitGroup], gates: Sequence[UnitGate], index: Tensor
) -> tuple[list[UnitGate], Tensor]:
    """Return the gates of some units, and the units as numbers among those of these gates only."""
    sizes = torch.tensor([group.n_units for group in groups], device=index.device)
    of_unit = torch.arange(len(groups), device=index.device).repeat_interleave(sizes)
    acts = torch.zeros_like(sizes, dtype=torch.bool)
    acts[of_unit[index[index < len(of_unit)]]] = True
    # For each unit, how many units of these gates come before it; and last, how many there are.
    before = torch.cat([sizes.new_zeros(1), acts[of_unit].cumsum(0)])
    return [gate for gate, here in zip(gates, acts.tolist(), strict=True) if here], before[index]


def _gate_weight(module: nn.Module, name: str, gated: GatedWeight | GatedEntries) -> None:
    owner, last = owner_of(module, name)
    gated.to(getattr(owner, last).device).train(module.training)
    gated.place = list(owner._parameters).index(last)
    # Gates keep the form of a weight. The check of it would compute every gated weight once more.
    parametrize.register_parametrization(owner, last, gated, unsafe=True)
    if isinstance(owner, nn.RNNBase) and _renew_weights not in owner._forward_pre_hooks.values():
        owner.register_forward_pre_hook(_renew_weights)
        owner.register_forward_hook(_forget_weights)


def _renew_weights(module: nn.RNNBase, args: object) -> None:
    """Let a recurrent layer read its weights anew: it keeps them in a list of its own."""
    module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]


def _forget_weights(module: nn.RNNBase, args: object, out: object) -> None:
    """Let go of gated weights after a pass, whose gradient history cannot be copied."""
    module._flat_weights = [ungated_weight(module, name) for name in module._flat_weights_names]


def _gated_names(module: nn.Module) -> list[str]:
    if not parametrize.is_parametrized(module):
        return []
    assert isinstance(module.parametrizations, nn.ModuleDict)
    return [
        name
        for name, parts in module.parametrizations.items()
        if any(isinstance(part, GatedWeight | GatedEntries) for part in parts.children())
    ]


def _gate_of(module: nn.Module, name: str) -> GatedWeight | GatedEntries:
    assert isinstance(module.parametrizations, nn.ModuleDict)
    parts = module.parametrizations[name].children()
    return next(part for part in parts if isinstance(part, GatedWeight | GatedEntries))


def ungated_weight(module: nn.Module, name: str = "weight") -> Tensor:
    """Return a layer's weight before gates act on it."""
    owner, last = owner_of(module, name)
    weight = getattr(owner, last)
    if parametrize.is_parametrized(owner, last):
        assert isinstance(owner.parametrizations, nn.ModuleDict)
        weight = owner.parametrizations[last].original
    assert isinstance(weight, Tensor)
    return weight


@torch.no_grad()
def settle(
    model: nn.Module, groups: Sequence[UnitGroup], gates: Sequence[UnitGate], left: float
) -> None:
    """Let gates keep their present values, in place; they no longer learn.

    The values are multiplied into the weights, and the gates become 1 if `left` is 0, so that a
    step of the optimiser changes all weights alike. If `left` is 1, values of at least 0.1 stay in
    the gates. Weights that other layers use too, or that the user computes from other ones,
    stay as they are, and so do the gates on them.

    Parameters
    ----------
    model : nn.Module
        A model with gates.
    groups : sequence of UnitGroup
        The groups of units of the model.
    gates : sequence of UnitGate
        The gates of each group.
    left : float
        The power of the values, between 0 and 1, that is left in the gates.

    Notes
    -----
    After many steps, the gates of open units have values like 0.3, and their weights have grown.
    An optimiser such as Adam, whose steps do not depend on the scale of the gradient, then changes
    the product of both by 0.3 of its learning rate, and by the whole rate once the value is in the
    weight. Its moments, too, are those of weights before the gates. LeNet-300-100 after 7,300 steps
    had an error of 2.6%, 8% after 50 more, and 3% from then on; with the values left in the gates,
    2.1%. Units with smaller gates could hardly learn at their pace, so some of it is multiplied in.
    """
    owners = Counter(id(p) for module in model.modules() for p in module._parameters.values())

    def own(owner: nn.Module, last: str) -> bool:
        assert isinstance(owner.parametrizations, nn.ModuleDict)
        parts = owner.parametrizations[last].children()
        ours = all(isinstance(part, GatedWeight | GatedEntries) for part in parts)
        return ours and owners[id(ungated_weight(owner, last))] == 1

    # A unit that came back may have a gate that counts as closed.
    values = [
        torch.where(gate.settled() > 0, gate.settled(), gate.ranks() * gate.alive) for gate in gates
    ]
    rests = [value.clamp_min(_LEAST).pow(left) for value in values]
    weights = [_gated_weights(model, group) for group in groups]
    folds = [all(own(*weight) for weight in of_group) for of_group in weights]
    for gate, value, rest, folded in zip(gates, values, rests, folds, strict=True):
        gate.constant.copy_(value / rest if folded else gate.alive)
    folded_weights = {
        weight
        for of_group, folded in zip(weights, folds, strict=True)
        if folded
        for weight in of_group
    }
    for owner, last in folded_weights:
        ungated_weight(owner, last).copy_(getattr(owner, last))
    for gate, value, rest, folded in zip(gates, values, rests, folds, strict=True):
        gate.constant.copy_(rest * gate.alive if folded else value)


def _gated_weights(model: nn.Module, group: UnitGroup) -> list[tuple[nn.Module, str]]:
    """Return the weights that the gates of a group act on, each with the module that holds it."""
    if group.weights is not None:
        return [(model.get_submodule(group.weights), "weight")]
    found = []
    for member in group.consumers:
        module = module_at(model, member.module)
        layout = member.layer_type.layout(module)
        assert layout is not None
        found += [owner_of(module, name) for name in layout.reading(member.side)]
    return found


def fold(model: nn.Module) -> None:
    """Multiply the gates into the weights that they act on, and remove them, in place.

    Norms over channels go on to compute over the open channels: :func:`release`.
    """
    for module in list(model.modules()):
        names = _gated_names(module)
        if not names:  # a parametrization of the user stays
            continue
        folded = {name: getattr(module, name).detach() for name in names}
        trained = {name: ungated_weight(module, name).requires_grad for name in names}
        places = {name: _gate_of(module, name).place for name in names}
        # remove_parametrizations would change the class, which the model shares with its copies.
        del module._modules["parametrizations"]
        module.__class__ = type(module).__bases__[0]
        for name in reversed(names):
            parameter = nn.Parameter(folded[name], requires_grad=trained[name])
            _put_back(module, name, parameter, places[name])
        if isinstance(module, nn.RNNBase):
            for hooks in (module._forward_pre_hooks, module._forward_hooks):
                for key, hook in list(hooks.items()):
                    if hook in (_renew_weights, _forget_weights):
                        del hooks[key]
            module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]


def _put_back(module: nn.Module, name: str, parameter: nn.Parameter, place: int) -> None:
    """Put a parameter where it was among the others: an optimiser counts them in this order."""
    after = list(module._parameters)[place:]
    module.register_parameter(name, parameter)
    for other in after:
        module._parameters[other] = module._parameters.pop(other)


def release(model: nn.Module) -> None:
    """Let norms over channels compute over all channels that they have, in place."""
    for module in model.modules():
        if isinstance(vars(module).get("forward"), OpenChannels):
            del vars(module)["forward"]
