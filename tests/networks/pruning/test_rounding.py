"""Widths that are multiples of a number, within the budget."""

import pytest
import torch
from torch import nn

from l0.common.errors import InputError
from l0.networks import Macs, Params, Units, sparsify
from l0.networks.graph.known_types import type_of
from l0.networks.graph.units import Member, UnitGroup
from l0.networks.pruning.rounding import Rounding
from tests.networks.nets import NETS, Transformer
from tests.networks.training import measured, train

LINEAR = type_of(nn.Linear(2, 2))


def wide():
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 33, 3),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(33, 24), nn.ReLU(),
        nn.Linear(24, 5),
    )  # fmt: skip


@pytest.mark.parametrize(("share", "round_to"), [(0.5, 8), (0.75, 8), (0.6, 5), (0.9, 11)])
def test_widths_are_multiples_or_whole_and_every_budget_is_kept(share, round_to):
    torch.manual_seed(round_to)
    model, inputs = wide(), torch.randn(2, 3, 8, 8)
    sparsifier = sparsify(model, inputs, [Params(share), Macs(share)], round_to=round_to)
    small = sparsifier.compact()
    for gate in sparsifier.gates:
        n = int(gate.alive.sum())
        assert n % round_to == 0 or n == len(gate.alive)
    for constraint in sparsifier.constraints:
        assert measured(small, inputs, constraint.budget.measure) <= constraint.limit
    # No group could keep one width more.
    for k, gate in enumerate(sparsifier.gates):
        n, size = int(gate.alive.sum()), len(gate.alive)
        more = [other.alive.clone() for other in sparsifier.gates]
        closed = (~more[k]).nonzero().flatten()[: min(size, n + round_to) - n]
        more[k][closed] = True
        costs = [float(c.cost(torch.cat(more))) > c.limit - 0.5 for c in sparsifier.constraints]
        assert n == size or any(costs)


def test_a_rounded_model_stays_as_it_is_when_it_is_trained_and_compacted_again():
    torch.manual_seed(0)
    model, inputs = wide().double(), torch.randn(3, 3, 8, 8, dtype=torch.float64)
    sparsifier = sparsify(model, inputs, Macs(0.5), round_to=8, total_steps=20)
    train(model, inputs, sparsifier, 20)
    small = sparsifier.compact().eval()
    widths = [m.out_channels for m in small.modules() if isinstance(m, nn.Conv2d)]
    assert all(width in (20, 33) or width % 8 == 0 for width in widths)
    assert torch.allclose(model.eval()(inputs), small(inputs), atol=1e-10)
    again = sparsifier.compact().eval()
    assert torch.equal(again(inputs), small(inputs))


def test_channels_of_layers_are_rounded_and_not_units():
    torch.manual_seed(0)
    model, tokens = Transformer(heads=6, head_dim=4), NETS["transformer"][1]()
    small = sparsify(model, tokens, Params(0.7), round_to=8).compact()
    assert {layer.attention.n_heads % 2 for layer in small.layers} == {0}
    assert {layer.up.out_features % 8 for layer in small.layers} == {0}
    uneven = Member("a", "out", torch.arange(5), torch.tensor([0, 0, 1, 1, 2]), LINEAR)
    assert Rounding([UnitGroup("a", 3, (uneven,), ())], 2).least == [3]


def test_units_that_training_closed_come_back_only_to_fill_a_width():
    model = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 2))
    sparsifier = sparsify(model, torch.randn(2, 4), Units(20), round_to=8)
    with torch.no_grad():
        sparsifier.gates[0].gate.v[3:] = 0
    small = sparsifier.compact().eval()
    assert small[0].out_features == 8
    assert sparsifier.gates[0].alive[:3].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"round_to": 0}, "`round_to` must be an integer of at least 1"),
        ({"round_to": 8.0}, "`round_to` must be an integer"),
        ({"round_to": 8, "granularity": "weight"}, "`round_to` is 8, which rounds the widths"),
        ({"round_to": 8, "inputs": "7"}, "`round_to` is 8, which rounds the widths"),
    ],
)
def test_bad_values(options, message):
    with pytest.raises(InputError, match=message):
        sparsify(wide(), torch.randn(2, 3, 8, 8), Params(0.5), **options)


def test_a_budget_below_the_smallest_widths_is_refused():
    with pytest.raises(InputError, match="but the smallest width in each of the 3 groups"):
        sparsify(wide(), torch.randn(2, 3, 8, 8), Units(20), round_to=8)
