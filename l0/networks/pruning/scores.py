"""Scores of units: how much a model would lose with each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from l0.networks.gates.gating import ungated_weight
from l0.networks.graph.channel_layout import positions_along
from l0.networks.graph.layer_types import module_at
from l0.networks.graph.units import Member, UnitGroup


@torch.no_grad()
def unit_scores(model: nn.Module, groups: Sequence[UnitGroup], z: Tensor) -> Tensor:
    r"""Score the units by their gates and weights; between equal gates, the weights decide.

    .. math::
        s_u = \frac{m_u}{\sum_{v: m_v \ge m_u} m_v}, \qquad m_u = z_u^2 \, \overline{
        \lVert W_u \rVert^2 / \lVert W \rVert^2}

    Here W_u are the columns of a layer's weight W that read unit u, the mean is over the layers
    that read it, and v runs over the units of the same group. The largest unit of a group has the
    score 1. The smallest unit has its share of the magnitude of the whole group. The score of a
    unit depends on the units above it in its group, so no group loses all of its units only
    because they are cheap or many.

    Parameters
    ----------
    model : nn.Module
        With or without gates.
    groups : sequence of UnitGroup
        The groups of units of the model.
    z : Tensor of float64, shape (n_units,)
        Gate values of the groups, one group after the other.

    Returns
    -------
    Tensor of float64, shape (n_units,)
        Scores in [0, 1], on the CPU. For units that are single weights, m_u = z_u^2 w_u^2.

    Notes
    -----
    The reference scores single weights. Scores of units, with the mean over layers and the factor
    z^2, are ours.

    References
    ----------
    J. Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021,
    arXiv:2010.07611, eq. 5.
    """
    parts = z.split([group.n_units for group in groups])
    scores = [
        _share_of_the_larger(gates.square() * _magnitudes(model, group))
        for group, gates in zip(groups, parts, strict=True)
    ]
    return torch.cat(scores)


def _magnitudes(model: nn.Module, group: UnitGroup) -> Tensor:
    if group.weights is not None:
        weight = ungated_weight(model.get_submodule(group.weights))
        return weight.double().square().flatten().cpu()
    found = torch.zeros(group.n_units, dtype=torch.float64, device="cpu")
    for member in group.consumers:
        columns = _columns(model, member)[member.positions]
        found.index_add_(0, member.units, columns / columns.sum().clamp_min(1e-300))
    return found / len(group.consumers)


def _columns(model: nn.Module, member: Member) -> Tensor:
    """Return the squares of all weights that read each channel of a side of a layer."""
    module = module_at(model, member.module)
    layout = member.layer_type.layout(module)
    assert layout is not None
    n = layout.count(member.side)
    found = torch.zeros(n, dtype=torch.float64, device="cpu")
    for name, axis in layout.reads.items():
        if layout.axes[name][axis] == member.side:
            squares = ungated_weight(module, name).double().square()
            columns = squares.movedim(axis, 0).flatten(1).sum(1).cpu()
            # All groups of a grouped convolution read the same columns of the weight.
            at = positions_along(layout, member.side, len(columns))
            of_part = torch.zeros_like(found).index_add_(0, at, columns)
            found += of_part[positions_along(layout, member.side, n)]
    return found


def _share_of_the_larger(magnitudes: Tensor) -> Tensor:
    ascending, order = magnitudes.sort(stable=True)
    larger = ascending.flip(0).cumsum(0).flip(0)
    return torch.empty_like(magnitudes).scatter_(0, order, ascending / larger.clamp_min(1e-300))
