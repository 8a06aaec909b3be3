"""How gates act on weights, and how they are multiplied in."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from l0.networks.gates.families import FAMILIES
from l0.networks.gates.gating import attach, fold, ungated_weight
from l0.networks.graph.dependencies import find_units
from l0.networks.graph.known_types import type_of
from l0.networks.graph.units import features_of, single_weights
from tests.networks.nets import NETS


def gated(name, choose=lambda model, structure: structure.groups, family="hadamard"):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    original = copy.deepcopy(model)
    groups = choose(model, find_units(model, inputs))
    gates = [FAMILIES[family](group.n_units, True) for group in groups]
    attach(model, groups, gates)
    return original.eval(), model.eval(), groups, gates, inputs


@pytest.mark.parametrize("name", NETS)
def test_open_gates_change_nothing_and_each_is_in_the_model_once(name):
    original, model, _, gates, inputs = gated(name)
    assert torch.allclose(model(inputs), original(inputs), atol=1e-6)
    ids = [id(p) for p in model.parameters()]
    assert len(ids) == len(set(ids)) == len(list(original.parameters())) + len(gates)
    assert len([key for key in model.state_dict() if key.endswith("gate.v")]) == len(gates)


def test_a_gate_scales_what_is_read_of_its_channel():
    original, model, _, gates, x = gated("mlp")
    with torch.no_grad():
        gates[0].gate.v[3] = 0.5 ** (1 / 4)
    expected = original[2].weight.detach().clone()
    expected[:, 3] *= 0.5
    assert torch.allclose(model[2].weight, expected)
    assert torch.equal(ungated_weight(model[2]), original[2].weight)
    assert torch.equal(model[0].weight, original[0].weight)  # the layer that makes it is as it was


def test_a_channel_of_a_selected_feature_has_two_gates():
    def choose(model, structure):
        return [*structure.groups, features_of("2", type_of(model[2]), 16)]

    original, model, _, gates, _ = gated("mlp", choose)
    with torch.no_grad():
        gates[0].gate.v[3] = gates[-1].gate.v[3] = 0.5 ** (1 / 4)
    expected = original[2].weight.detach().clone()
    expected[:, 3] *= 0.25
    assert torch.allclose(model[2].weight, expected)


def test_a_gate_of_a_single_weight_scales_one_entry():
    original, model, _, gates, _ = gated("mlp", lambda *found: single_weights(*found).groups)
    gates[1].alive[2 * 16 + 5] = False
    expected = original[2].weight.detach().clone()
    expected[2, 5] = 0
    assert torch.equal(model[2].weight, expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NETS)
def test_folding_keeps_the_outputs_and_leaves_no_trace(name, family):
    original, model, _, gates, inputs = gated(name, family=family)
    for gate in gates:
        gate.alive[::2] = False
    expected, untouched = model(inputs), copy.deepcopy(model)
    fold(model)
    assert torch.allclose(model(inputs), expected, atol=1e-6)
    assert model.state_dict().keys() == original.state_dict().keys()
    assert [type(m) for m in model.modules()] == [type(m) for m in original.modules()]
    assert torch.equal(untouched(inputs), expected)  # copies keep their gates


def test_folding_leaves_parametrizations_of_the_user():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 3)), nn.Linear(3, 2))
    fold(model)
    assert parametrize.is_parametrized(model[0])


def test_frozen_weights_stay_frozen():
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS["mlp"])
    model[2].weight.requires_grad_(False)
    groups = find_units(model, inputs).groups
    attach(model, groups, [FAMILIES["hadamard"](group.n_units, True) for group in groups])
    fold(model)
    assert not model[2].weight.requires_grad
    assert model[4].weight.requires_grad


def test_a_recurrent_layer_with_gates_is_copied_after_a_pass():
    model, x = nn.Sequential(nn.Linear(5, 6), nn.GRU(6, 8)), torch.randn(3, 2, 5)
    found = find_units(nn.Sequential(*model, First(), nn.Linear(8, 2)), x)
    assert [group.name for group in found.groups] == ["0", "1"]
    attach(model, found.groups[:1], [FAMILIES["hadamard"](6, True)])
    out, _ = model(x)
    copied = copy.deepcopy(model)
    out.sum().backward()
    assert torch.equal(copied(x)[0], out)
    fold(copied)
    assert not copied[1]._forward_hooks
    assert not copied[1]._forward_pre_hooks


class First(nn.Module):
    """The first of several outputs."""

    def forward(self, outputs):
        return outputs[0]
