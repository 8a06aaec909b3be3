"""The cost of a model as a function of its open units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from l0.networks.graph.layer_types import arrays, module_at, owner_of
from l0.networks.graph.units import Structure, units_of_channels

#: The bytes of the position of a selected feature.
_POSITION = 8

Measure = Literal["params", "macs", "units", "bytes"]

#: The cost of a layer as a sum of products: for each set of sides, the cost of one channel of each.
LayerCost = dict[tuple[str, ...], float]


@dataclass(frozen=True)
class LayerTimes:
    """The time of a pass, which is a cost as the others are.

    Attributes
    ----------
    layers : mapping of str to dict
        For each layer that belongs to a group, its microseconds, with what depends on it.
    rest : float
        The microseconds of all else.
    """

    layers: Mapping[str, LayerCost]
    rest: float


def layer_cost(
    model: nn.Module, structure: Structure, name: str, measure: Measure | LayerTimes
) -> LayerCost:
    """Return the cost of one layer.

    Parameters
    ----------
    model : nn.Module
        A model without gates.
    structure : Structure
        The types of its layers, and how often each is applied.
    name : str
        A layer whose role is not "fixed", or a loose parameter.
    measure : str or LayerTimes
        "params" counts parameters, "bytes" the memory of parameters and buffers, and "macs" the
        multiply-adds for one example. Times are looked up.

    Returns
    -------
    dict of tuple of str to float
        The cost holds for any number of channels, not only for the present one: it is the sum, over
        the keys, of the number times the numbers of channels of the sides in the key.
    """
    if isinstance(measure, LayerTimes):
        return measure.layers.get(name, {})
    module, layer_type = module_at(model, name), structure.types[name]
    layout = layer_type.layout(module)
    assert layout is not None
    cost: LayerCost = {}
    if measure == "macs" and name in structure.products:
        cost["out",] = structure.products[name]
    for array, tensor in arrays(module, layer_type):
        if measure == "macs" and array not in layout.multiplied:
            continue
        if measure == "params" and not isinstance(tensor, nn.Parameter):
            continue
        sides = sorted(side for side in layout.axes.get(array, ()) if side is not None)
        if layout.role == "through":  # its outputs are its inputs
            sides = ["in"] * bool(sides)
        each = _entry_cost(tensor, measure, structure.n_positions[name]) * tensor.numel()
        for side in sides:
            each /= layout.count(side)
        cost[tuple(sides)] = cost.get(tuple(sides), 0) + each
    return cost


def _entry_cost(tensor: Tensor, measure: Measure, n_positions: float) -> float:
    """Return the cost of one entry of a parameter or buffer."""
    if measure == "macs":
        return n_positions
    return 1 if measure == "params" else tensor.element_size()


def count(model: nn.Module, measure: Measure, structure: Structure) -> int:
    """Count the cost of a model from its parameters and buffers.

    Parameters
    ----------
    model : nn.Module
        A model without gates.
    measure : str
        "params", "bytes" or "macs".
    structure : Structure
        The types of its layers, and the number of positions to which each is applied.

    Returns
    -------
    int
        "macs" counts linear layers, convolutions and recurrent layers, and all products and
        convolutions between the layers.
    """
    if measure == "params":
        return sum(p.numel() for p in model.parameters())
    if measure == "bytes":
        tensors = (*model.parameters(), *model.buffers())
        return sum(t.numel() * t.element_size() for t in tensors)
    total = structure.other_products
    for name, times in structure.n_positions.items():
        module = module_at(model, name)
        layout = structure.types[name].layout(module)
        assert layout is not None
        total += times * sum(getattr(*owner_of(module, w)).numel() for w in layout.multiplied)
        total += structure.products.get(name, 0.0) * layout.n_out
    return round(total)


def _numbers(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device="cpu")


def _places(values: Sequence[int]) -> Tensor:
    return torch.tensor(values, dtype=torch.long, device="cpu")


class CostModel:
    r"""One measure of cost, for some layers, as a differentiable function of open units.

    .. math::
        C(o) = C_0 + \sum_l p_l a_l b_l + q_l a_l + r_l b_l

    Here a_l and b_l are the numbers of open input and output channels of layer l; a recurrent layer
    has b_l^2 too, and experts have inner channels in the same way. An open number
    is the sum, over the channels, of the openness o of their unit, times the openness of the unit
    that selects them. The model is exact if every unit is either open or closed.

    Parameters
    ----------
    model : nn.Module
        A model without gates.
    structure : Structure
        The units of the model, and how often its layers are applied.
    measure : str or LayerTimes
        "params", "macs", "units" or "bytes", or measured times.
    layers : set of str, optional
        The layers to count; the whole model by default.

    Notes
    -----
    The formula is ours. It follows from counting: a dense layer has one entry for each pair of
    channels, and a bias or a norm has one for each channel. The tests compare it with the count
    of real models from which units were removed.
    """

    def __init__(
        self,
        model: nn.Module,
        structure: Structure,
        measure: Measure | LayerTimes,
        layers: set[str] | None = None,
    ) -> None:
        groups = structure.groups
        self.n_units = sum(group.n_units for group in groups)
        self._flat = torch.zeros(self.n_units, dtype=torch.float64, device="cpu")
        self._constant = 0.0
        sides: dict[tuple[str, str], Tensor] = {}
        if measure == "units":
            made_by = [g.made_by or {m.module for m in g.consumers} for g in groups]
            counts = [float(layers is None or bool(made & layers)) for made in made_by]
            sizes = _places([group.n_units for group in groups])
            self._flat = _numbers(counts).repeat_interleave(sizes)
        else:
            self._constant = self._total(model, structure, measure, layers)
            sides = {
                key: units
                for key, units in units_of_channels(model, groups).items()
                if layers is None or key[0] in layers
            }
            if not isinstance(measure, LayerTimes):
                self._take_weights(model, structure, measure, layers)
        number = {key: i for i, key in enumerate(sides)}
        self._units = torch.cat([_places([]).view(0, 2), *sides.values()])
        sizes = _places([len(units) for units in sides.values()])
        self._sides = _places(range(len(sides))).repeat_interleave(sizes)
        linear = [0.0] * len(sides)
        pairs: list[tuple[int, int, float]] = []
        for name in dict.fromkeys(name for name, _ in sides):
            layout = structure.types[name].layout(module_at(model, name))
            assert layout is not None
            for key, each in layer_cost(model, structure, name, measure).items():
                gated = [side for side in key if (name, side) in number]
                whole = math.prod(layout.count(side) for side in key if side not in gated)
                at = [number[name, side] for side in gated]
                if at:
                    self._constant -= each * math.prod(layout.count(side) for side in key)
                if len(at) == 1:
                    linear[at[0]] += each * whole
                elif at:
                    pairs.append((at[0], at[1], each))
        self._linear = _numbers(linear)
        self._a = _places([a for a, _, _ in pairs])
        self._b = _places([b for _, b, _ in pairs])
        self._pair = _numbers([c for _, _, c in pairs])
        reads = {m.module for g in groups if not g.made_by for m in g.consumers}
        selects = [measure == "bytes" and name in reads and side == "in" for name, side in sides]
        self._selects = any(selects)
        self._position = _POSITION * _numbers([float(each) for each in selects])
        self.total = round(self.marginal(torch.ones_like(self._flat))[0])

    def __call__(self, openness: Tensor) -> Tensor:
        """Return the cost.

        Parameters
        ----------
        openness : Tensor, shape (n_units,)
            The openness of the units of all groups, one group after the other; on the CPU.

        Returns
        -------
        Tensor of float64, shape ()
        """
        return self._cost(openness.double())[0]

    def marginal(self, openness: Tensor) -> tuple[float, Tensor]:
        """Return the cost and its gradient: the marginal cost of each unit.

        Parameters
        ----------
        openness : Tensor, shape (n_units,)
            As for a call.

        Returns
        -------
        cost : float
        gradient : Tensor of float64, shape (n_units,)
        """
        o = openness.double()
        cost, channels, factors, linear = self._cost(o)
        slope = linear.clone()
        slope.index_add_(0, self._a, self._pair * channels[self._b])
        slope.index_add_(0, self._b, self._pair * channels[self._a])
        each = slope[self._sides]
        gradient = torch.cat([self._flat, self._flat.new_zeros(1)])
        gradient.index_add_(0, self._units[:, 0], each * factors[:, 1])
        gradient.index_add_(0, self._units[:, 1], each * factors[:, 0])
        return float(cost), gradient[:-1]

    def _cost(self, o: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        factors = torch.cat([o, o.new_ones(1)])[self._units]
        channels = torch.zeros_like(self._linear)
        channels = channels.index_add(0, self._sides, factors[:, 0] * factors[:, 1])
        pairs = self._pair * channels[self._a] * channels[self._b]
        linear = self._linear + self._positions(channels, factors)
        cost = self._constant + (linear * channels).sum() + pairs.sum()
        return cost + (self._flat * o).sum(), channels, factors, linear

    def _positions(self, channels: Tensor, factors: Tensor) -> Tensor:
        """Return what the position of a feature costs, on sides that select some of the inputs."""
        if not self._selects:  # in most models, and for most measures
            return self._position
        there = torch.zeros_like(channels).index_add(0, self._sides, factors[:, 0])
        return self._position * (channels < there)

    def _take_weights(
        self, model: nn.Module, structure: Structure, measure: Measure, layers: set[str] | None
    ) -> None:
        """Move each gated weight from the constant part of the cost to its own gate."""
        start = 0
        for group in structure.groups:
            name = group.weights
            if name is not None and (layers is None or name in layers):
                weight = module_at(model, name).weight
                assert isinstance(weight, Tensor)
                each = _entry_cost(weight, measure, structure.n_positions[name])
                self._flat[start : start + group.n_units] = each
                self._constant -= each * group.n_units
            start += group.n_units

    @staticmethod
    def _total(
        model: nn.Module,
        structure: Structure,
        measure: Measure | LayerTimes,
        layers: set[str] | None,
    ) -> float:
        if layers is None and not isinstance(measure, LayerTimes):
            return float(count(model, measure, structure))
        total = measure.rest if isinstance(measure, LayerTimes) and layers is None else 0.0
        for name in structure.n_positions:
            layout = structure.types[name].layout(module_at(model, name))
            assert layout is not None
            if (layers is None or name in layers) and layout.role != "fixed":
                for key, each in layer_cost(model, structure, name, measure).items():
                    total += each * math.prod(layout.count(side) for side in key)
        return total
