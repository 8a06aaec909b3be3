"""Removing closed units from a model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from l0.networks.gates.gating import fold, release, ungated_weight
from l0.networks.graph.layer_types import LayerType, module_at
from l0.networks.graph.tensors import copy_of
from l0.networks.graph.units import UnitGroup, units_of_channels


class Select(nn.Module):
    """Selects some features, for a layer that reads no other features.

    Parameters
    ----------
    index : Tensor of int64
        Positions of the selected features.
    axis : int
        Axis of the features.
    """

    index: Tensor

    def __init__(self, index: Tensor, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        """Return the selected features."""
        return x.index_select(self.axis, self.index)

    def extra_repr(self) -> str:
        """Return the settings, which printing shows."""
        return f"{len(self.index)}, axis={self.axis}"


#: Names of attributes that hold the width of a residual stream have one of these words.
_WIDTH_WORDS = ("embd", "embed", "hidden")

#: Those of attributes that count the heads of the queries that share one head of the keys.
_SHARING_WORDS = ("group", "rep", "quer")


def compacted(model: nn.Module, groups: Sequence[UnitGroup], keep: Sequence[Tensor]) -> nn.Module:
    """Return a smaller copy of a model: open gates are multiplied in, closed units are removed.

    Parameters
    ----------
    model : nn.Module
        With or without gates; it is not changed.
    groups : sequence of UnitGroup
        The groups of units of the model.
    keep : sequence of Tensor of bool
        For each group, the units that stay; at least one.

    Returns
    -------
    nn.Module
        Modules of the same classes with fewer channels. Closed single weights are 0.
    """
    small = folded(model)
    release(small)
    cut(small, groups, keep)
    return small


def folded(model: nn.Module) -> nn.Module:
    """Return a copy of a model of the same size, whose gates are multiplied in and removed.

    Norms over channels still leave out the closed channels.
    """
    copy = copy_of(model)
    training = {name: module.training for name, module in copy.named_modules()}
    copy.eval()  # so that stochastic gates have their settled values
    fold(copy)
    for name, module in copy.named_modules():
        module.training = training[name]
    return copy


def cut(model: nn.Module, groups: Sequence[UnitGroup], keep: Sequence[Tensor]) -> None:
    """Remove closed units from a model without gates, in place.

    Parameters
    ----------
    model : nn.Module
        Its modules change. Its parameters are replaced where they change, so another model may
        have the same ones.
    groups, keep
        As for :func:`compacted`.
    """
    open_units = torch.cat([*(alive.cpu() for alive in keep), _all_true(1)])
    stays = {key: open_units[units] for key, units in units_of_channels(model, groups).items()}
    types = {member.module: member.layer_type for group in groups for member in group.members}
    for name, layer_type in types.items():
        sides = {side: mask for (layer, side), mask in stays.items() if layer == name}
        _shrink(model, name, layer_type, sides)
    counts: dict[tuple[str, str], int] = {}
    for group, alive in zip(groups, keep, strict=True):
        if group.weights is not None:
            module = model.get_submodule(group.weights)
            weight = ungated_weight(module)
            kept = weight.detach().masked_fill(~alive.to(weight.device).view_as(weight), 0)
            module.weight = nn.Parameter(kept, requires_grad=weight.requires_grad)
        if group.producers:
            counts.update(_counts_of_heads(model, group, int(alive.sum())))
    # All are found before one is written: a new number may be the old one of another group.
    for (around, attribute), count in counts.items():
        setattr(model.get_submodule(around), attribute, count)


def _shrink(small: nn.Module, name: str, layer_type: LayerType, sides: dict[str, Tensor]) -> None:
    """Shrink a layer to the input channels that arrive and are selected, and to its outputs.

    The second column of the masks of `sides` tells whether a channel is selected.
    """
    module = module_at(small, name)
    layout = layer_type.layout(module)
    assert layout is not None
    masks = {
        side: sides.get(side, _all_true(layout.count(side), 2)) for side in ("in", "out", "inner")
    }
    keep = {side: mask.all(1).nonzero().flatten() for side, mask in masks.items()}
    layer_type.cut(module, keep)
    ins = masks["in"]
    selected = ins[ins[:, 0], 1]
    if not selected.all():
        device = next(module.parameters()).device
        select = Select(selected.nonzero().flatten().to(device), layout.axis_in)
        parent, _, last = name.rpartition(".")
        chosen = nn.Sequential(select, module).train(module.training)
        setattr(small.get_submodule(parent), last, chosen)


def _all_true(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool, device="cpu")


def _counts_of_heads(small: nn.Module, group: UnitGroup, n_kept: int) -> dict[tuple[str, str], int]:
    """Find the attributes that count heads in the modules around their layers, and the new counts.

    Units with several channels each are usually heads. The module around their layers then has the
    number of heads in an attribute with "head" in its name, and may have their joint width in
    another one. If one layer makes queries, keys and values, this width is a third of its outputs,
    and the attribute may have "split" in its name. If queries have more heads than keys, the module
    may count both. If all queries share one head of the keys, the attribute that counts them may
    have "group", "rep" or "quer" in its name. If the heads are tied to the width of a residual
    stream, the attribute of this width has "embd", "embed" or "hidden" in its name. Code that makes
    the first states of a recurrent layer has their number in an attribute with "hidden" in its
    name. The rule is ours; it covers the models of `transformers` in the tests, and a trial on
    copies finds the models that it does not cover.
    """
    n_units = group.n_units
    fewest = min(len(producer.positions) for producer in group.producers)
    # Queries, which may have several heads for each head of the keys.
    counts = {n_units * len(p.positions) // fewest for p in group.producers}
    new: dict[tuple[str, str], int] = {}
    for producer in group.producers:
        width, around = len(producer.positions), producer.module
        packed = any(3 * len(reader.positions) == width for reader in group.consumers)
        widths = {width, width // 3} if packed else {width}
        maker = module_at(small, producer.module)
        recurrent = isinstance(maker, nn.RNNBase | nn.RNNCellBase)
        while (width != n_units or recurrent) and around:
            around = around.rpartition(".")[0]
            found = [
                (name, value)
                for name, value in vars(small.get_submodule(around)).items()
                if type(value) is int
                and (
                    value == n_units and "hidden" in name
                    if recurrent
                    else _counts_heads(name, value, counts, widths, group)
                )
            ]
            for name, value in found:
                new.setdefault((around, name), value // n_units * n_kept)
            if found:
                break
    return new


def _counts_heads(
    name: str, value: int, counts: set[int], widths: set[int], group: UnitGroup
) -> bool:
    if group.meets and value in counts and any(word in name for word in _SHARING_WORDS):
        return True
    if group.in_sum and value in widths and any(word in name for word in _WIDTH_WORDS):
        return True
    if not ("head" in name or "split" in name):
        return False
    # The size of one head may equal the number of heads; this size does not change.
    of_one = value in counts and ("dim" in name or "size" in name)
    return (value in counts or value in widths) and not of_one
