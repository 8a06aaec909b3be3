"""The units that channels form with the channels that they reach."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.networks.graph.marks import Replay
from l0.networks.graph.passes import recorded
from l0.networks.graph.relations import relation


def parts(code, n=12, n_in=12):
    """The sets of channels of a layer that belong together."""
    first, second = nn.Linear(5, n), nn.Linear(n_in, 3)
    model = nn.ModuleList([first, second])
    model.forward = lambda x: second(code(first(x)))
    found = relation(Replay(recorded(model, torch.randn(2, 5)).tapes[0]), "0", n)
    units = {}
    for i, unit in enumerate(found.source):
        units.setdefault(int(unit), set()).add(i)
    return sorted(map(sorted, units.values()))


def attention(order):
    """Attention with two heads of two channels; `order` says where q, k and v come from."""

    def code(x):
        given = x.view(-1, 1, 3, 2, 2).permute(2, 0, 3, 1, 4)
        q, k, v = (given[i].expand(-1, -1, 3, -1) for i in order)
        return F.scaled_dot_product_attention(q, k, v)[:, :, 0].flatten(1)

    return code


ALONE = [[i] for i in range(12)]
HEADS = [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]]


@pytest.mark.parametrize(
    ("code", "n_in", "expected"),
    [
        (F.gelu, 12, ALONE),
        (lambda x: x.roll(5, -1), 12, ALONE),
        (lambda x: F.layer_norm(x, (12,)), 12, [[*range(12)]]),
        (lambda x: F.group_norm(x, 3), 12, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
        (lambda x: x[:, :6] * x[:, 6:], 6, [[i, i + 6] for i in range(6)]),
        (attention([0, 1, 2]), 4, HEADS),
        (attention([2, 0, 1]), 4, HEADS),
        (lambda x: torch.cat([x, x.mean(1, keepdim=True)], 1), 13, [[*range(12)]]),
        (lambda x: torch.cat([F.layer_norm(x[:, :7], (7,)), x[:, 7:]], 1), 12,
         [[*range(7)], *ALONE[7:]]),
        (lambda x: x[:, :5], 5, ALONE),
    ],
)  # fmt: skip
def test_channels_that_belong_together(code, n_in, expected):
    assert parts(code, n_in=n_in) == expected
