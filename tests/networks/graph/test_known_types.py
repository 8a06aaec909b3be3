"""Layers that the package knows: removed is the same as closed, and costs are counts."""

import pytest
import torch
from torch import nn

from l0.networks import Params, sparsify
from l0.networks.budgets.cost import CostModel, count
from l0.networks.graph.known_types import type_of
from l0.networks.pruning.compact import compacted
from tests.networks.taught import TAUGHT, Recurrent
from tests.networks.training import measured
from tests.networks.unequal import largest_difference


class First(nn.Module):
    """The first of several results."""

    def forward(self, results):
        return results[0]


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", TAUGHT)
def test_removed_is_closed_and_costs_are_counts(name):
    torch.manual_seed(3)
    make, draw, units = TAUGHT[name]
    inputs = draw()
    sparsifier = sparsify(make().eval(), inputs, Params(0.99), residual=True)
    structure = sparsifier.structure
    assert [group.n_units for group in structure.groups] == units, structure.left_out
    assert largest_difference(sparsifier, inputs, 4) < 1e-5
    assert largest_difference(sparsifier, inputs, 2, training=True) < 1e-5
    keep = [torch.arange(group.n_units) % 3 != 1 for group in structure.groups]
    every = [torch.ones_like(mask) for mask in keep]
    full, small = (compacted(sparsifier.model, structure.groups, k) for k in (every, keep))
    for measure in ("params", "macs", "bytes"):
        cost = float(CostModel(full, structure, measure)(torch.cat(keep)))
        assert cost == pytest.approx(count(small, measure, structure), abs=1e-6)
        assert cost == pytest.approx(measured(small, inputs, measure), abs=1e-6)


def test_a_recurrent_layer_computes_with_its_gates_and_trains_them():
    torch.manual_seed(0)
    model, x = Recurrent(nn.GRU), torch.randn(2, 6, 5)
    with torch.no_grad():
        before = model(x)
    sparsifier = sparsify(model, x, Params(0.9), include="recurrent")
    assert torch.allclose(model(x), before)
    (gate,) = sparsifier.gates
    model(x).sum().backward()
    assert (gate.gate.v.grad != 0).all()
    gate.alive[::2] = False
    assert not torch.allclose(model(x), before)
    small = sparsifier.compact()
    assert small.recurrent.hidden_size < 8
    assert not small.recurrent._forward_pre_hooks
    assert torch.allclose(small.eval()(x), model.eval()(x), atol=1e-6)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_an_lstm_with_projections_loses_projected_units_and_says_why_no_hidden_ones():
    torch.manual_seed(0)
    model, x = (
        nn.Sequential(nn.LSTM(5, 8, 2, proj_size=4, bidirectional=True)),
        torch.randn(2, 6, 5),
    )
    model.append(First()).append(nn.Linear(8, 2))
    sparsifier = sparsify(model, x, Params(0.7))
    assert [group.n_units for group in sparsifier.structure.groups] == [4]
    reasons = {left.name: left.reason for left in sparsifier.structure.left_out}
    assert "hidden units of an LSTM with `proj_size`" in reasons["0 #2"]
    small = sparsifier.compact()
    assert small[0].hidden_size == 8
    assert 0 < small[0].proj_size < 4
    assert torch.allclose(small.eval()(x), model.eval()(x), atol=1e-6)


def test_a_state_from_the_input_of_the_model_keeps_its_width():
    class Continued(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.cell, self.last = nn.Linear(5, 6), nn.GRUCell(6, 8), nn.Linear(8, 2)

        def forward(self, x, state):
            return self.last(self.cell(self.first(x), state))

    inputs = torch.randn(2, 5), torch.randn(2, 8)
    structure = sparsify(Continued(), inputs, Params(0.9)).structure
    assert [group.name for group in structure.groups] == ["first"]
    assert (
        "meet the model's input" in {left.name: left.reason for left in structure.left_out}["cell"]
    )


def test_unusual_layers_keep_their_channels():
    for layer in (
        nn.LayerNorm((3, 4)),
        nn.PReLU(),
        nn.ReLU(),
    ):
        assert type_of(layer) is None


def test_a_norm_may_state_its_channels_as_a_whole_number():
    class IntLayerNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.normalized_shape, self.weight = 6, nn.Parameter(torch.ones(6))

    norm = IntLayerNorm()
    known = type_of(norm)
    assert known is not None and known.layout(norm).count("in") == 6
    assert known.layout(norm).over_channels
