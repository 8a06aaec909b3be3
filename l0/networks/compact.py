"""Removing units from a model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from l0.networks.gating import fold, ungated_weight
from l0.networks.kinds import kind_of, shrink
from l0.networks.units import UnitGroup, units_of_channels


class Select(nn.Module):
    """Takes some of the features that come in, for a layer that reads no others.

    Parameters
    ----------
    index : Tensor of int64
        Which.
    axis : int
        Of the features.
    """

    index: Tensor

    def __init__(self, index: Tensor, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("index", index)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features chosen."""
        return x.index_select(self.axis, self.index)

    def extra_repr(self) -> str:
        """Return the settings, for printing."""
        return f"{len(self.index)}, axis={self.axis}"


def compacted(model: nn.Module, groups: Sequence[UnitGroup], keep: Sequence[Tensor]) -> nn.Module:
    """Return a smaller copy of a model: open gates folded in, closed units removed.

    Parameters
    ----------
    model : nn.Module
        With or without gates; stays as it is.
    groups : sequence of UnitGroup
        Its units.
    keep : sequence of Tensor of bool
        For each group, which units stay; at least one.

    Returns
    -------
    nn.Module
        Modules of the same classes, with fewer channels; or with zeros, where single weights have
        gates.
    """
    small = deepcopy(model)
    training = {name: module.training for name, module in small.named_modules()}
    small.eval()  # stochastic gates then have their settled values
    fold(small)
    for name, module in small.named_modules():
        module.training = training[name]
    for parameter in small.parameters():
        parameter.grad = None
    open_units = torch.cat([*(alive.cpu() for alive in keep), torch.ones(1, dtype=torch.bool)])
    stays = {key: open_units[units] for key, units in units_of_channels(small, groups).items()}
    for name in dict.fromkeys(name for name, _ in stays):
        _shrink(small, name, stays.get((name, "in")), stays.get((name, "out")))
    for group, alive in zip(groups, keep, strict=True):
        if group.weights is not None:
            weight = ungated_weight(small.get_submodule(group.weights))
            weight.data[~alive.to(weight.device).view_as(weight)] = 0
        if group.producers:
            _set_heads(small, group, int(alive.sum()))
    return small


def _shrink(small: nn.Module, name: str, ins: Tensor | None, outs: Tensor | None) -> None:
    """Shrink a layer to the channels that arrive and are selected, and to those that go out."""
    module = small.get_submodule(name)
    kind = kind_of(module)
    assert kind is not None
    ins = torch.ones(kind.n_in, 2, dtype=torch.bool) if ins is None else ins
    outs = torch.ones(kind.n_out, 2, dtype=torch.bool) if outs is None else outs
    keep_in, keep_out = (side.all(1).nonzero().flatten() for side in (ins, outs))
    shrink(module, keep_in, keep_out)
    selected = ins[ins[:, 0], 1]
    if not selected.all():
        device = next(module.parameters()).device
        select = Select(selected.nonzero().flatten().to(device), kind.axis_in)
        parent, _, last = name.rpartition(".")
        chosen = nn.Sequential(select, module).train(module.training)
        setattr(small.get_submodule(parent), last, chosen)


def _set_heads(small: nn.Module, group: UnitGroup, n_kept: int) -> None:
    """Write the new number of heads where attention written by hand keeps it.

    Units of several channels each are heads, as a rule. Their layers' parent then counts them in
    an attribute with "head" in its name, and may hold their joint width in another. Where one layer
    makes queries, keys and values, their width is a third of what it gives, and "split" by it.
    """
    producer = group.producers[0]
    width, n_units = len(producer.positions), group.n_units
    if width == n_units:
        return
    parent = small.get_submodule(producer.module.rpartition(".")[0])
    for name, value in vars(parent).items():
        if type(value) is not int or not ("head" in name or "split" in name):
            continue
        # The size of one head may happen to equal their number; it stays.
        of_one = value == n_units and ("dim" in name or "size" in name)
        if value in (n_units, width, width / 3) and not of_one:
            setattr(parent, name, value // n_units * n_kept)
