"""Scores of units: how much a model would lose with each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from l0.networks.gates.gating import ungated_weight
from l0.networks.graph.channel_layout import positions_along
from l0.networks.graph.layer_types import module_at
from l0.networks.graph.units import Member, UnitGroup


@torch.no_grad()
def unit_scores(
    model: nn.Module,
    groups: Sequence[UnitGroup],
    z: Tensor,
    activity: Mapping[str, Tensor] | None = None,
) -> Tensor:
    r"""Score the units by their gates and weights; between equal gates, the weights decide.

    .. math::
        s_u = \sum_l \frac{m_{lu}}{\sum_{v: m_{lv} \ge m_{lu}} m_{lv}}, \qquad
        m_{lu} = z_u^2 \lVert W_{lu} \rVert^2 \, \overline{x_{lu}^2}

    Here W_lu are the columns of the weight of layer l that read unit u, x_lu is what they read, the
    sum is over the layers that read it, and v runs over the units of the same group.
    A unit that is read by several layers, as in a residual stream, is missed by each of them. In
    each layer, the largest unit of a group has the score 1, and the smallest has its share of the
    magnitude of the whole group. The score of a unit depends on the units above it in its group,
    so no group loses all of its units only because they are cheap or many.

    Parameters
    ----------
    model : nn.Module
        With or without gates.
    groups : sequence of UnitGroup
        The groups of units of the model.
    z : Tensor of float64, shape (n_units,)
        Gate values of the groups, one group after the other.
    activity : mapping of str to Tensor, optional
        For layers by name, the mean squares of their input channels on some data. Other layers
        count as if all their channels were equally active, and so do single weights.

    Returns
    -------
    Tensor of float64, shape (n_units,)
        Scores of at least 0, on the CPU. For units that are single weights, m_u = z_u^2 w_u^2.

    Notes
    -----
    The reference scores single weights. Scores of units, with the sum over layers and the factor
    z^2 and the activity, are ours. `benchmarks/cut_at_once.py` measures them.

    References
    ----------
    J. Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning", ICLR 2021,
    arXiv:2010.07611, eq. 5.
    """
    parts = z.split([group.n_units for group in groups])
    scores = [
        torch.stack(
            [
                _share_of_the_larger(gates.square() * m)
                for m in _magnitudes(model, group, activity or {})
            ]
        ).sum(0)
        for group, gates in zip(groups, parts, strict=True)
    ]
    return torch.cat(scores)


def _magnitudes(model: nn.Module, group: UnitGroup, activity: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the magnitudes of the units for each layer that reads them."""
    if group.weights is not None:
        weight = ungated_weight(model.get_submodule(group.weights))
        return [weight.abs().double().square().flatten().cpu()]
    found = []
    for member in group.consumers:
        columns = _columns(model, member)[member.positions]
        if member.module in activity and member.side == "in":
            columns = columns * activity[member.module][member.positions]
        each = torch.zeros(group.n_units, dtype=torch.float64, device="cpu")
        found.append(each.index_add_(0, member.units, columns))
    return found


def _columns(model: nn.Module, member: Member) -> Tensor:
    """Return the squares of all weights that read each channel of a side of a layer."""
    module = module_at(model, member.module)
    layout = member.layer_type.layout(module)
    assert layout is not None
    n = layout.count(member.side)
    found = torch.zeros(n, dtype=torch.float64, device="cpu")
    for name, axis in layout.reading(member.side).items():
        squares = ungated_weight(module, name).abs().double().square()
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
