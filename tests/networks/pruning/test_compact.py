"""Closed units are removed, and nothing else."""

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from l0.networks import Units, sparsify
from l0.networks.graph.dependencies import find_units
from l0.networks.graph.known_types import type_of
from l0.networks.graph.units import features_of, single_weights
from l0.networks.pruning.compact import Select, compacted
from tests.networks.nets import NETS


def found(name):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    return model.eval(), inputs, find_units(model, inputs)


def masks(groups, keep):
    return [keep(group.n_units) for group in groups]


@pytest.mark.parametrize("name", NETS)
def test_a_model_that_keeps_all_units_is_an_equal_copy(name):
    model, inputs, structure = found(name)
    same = compacted(
        model, structure.groups, masks(structure.groups, lambda n: torch.ones(n).bool())
    )
    assert torch.equal(same(inputs), model(inputs))
    assert str(same) == str(model)
    pairs = zip(same.parameters(), model.parameters(), strict=True)
    assert all(torch.equal(a, b) and a.data_ptr() != b.data_ptr() for a, b in pairs)


@pytest.mark.parametrize("name", NETS)
def test_each_group_has_the_units_that_stay(name):
    model, inputs, structure = found(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    small = compacted(
        model, structure.groups, masks(structure.groups, lambda n: torch.arange(n) % 2 == 0)
    )
    again = {group.name: group.n_units for group in find_units(small, inputs).groups}
    assert again == {group.name: (group.n_units + 1) // 2 for group in structure.groups}
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_removing_twice_is_the_same_as_removing_at_once():
    model, inputs, structure = found("separable")
    halves = masks(structure.groups, lambda n: torch.arange(n) < n // 2)
    quarters = masks(structure.groups, lambda n: torch.arange(n) < n // 4)
    half = compacted(model, structure.groups, halves)
    again = masks(structure.groups, lambda n: torch.arange(n // 2) < n // 4)
    twice = compacted(half, find_units(half, inputs).groups, again)
    once = compacted(model, structure.groups, quarters)
    assert str(twice) == str(once)
    assert torch.equal(twice(inputs), once(inputs))


def test_units_that_nothing_reads_can_go_without_a_change():
    model, x, structure = found("mlp")
    with torch.no_grad():
        model[2].weight[:, ::3] = 0
    keep = masks(structure.groups, lambda n: torch.ones(n).bool())
    keep[0][::3] = False
    small = compacted(model, structure.groups, keep)
    assert small[0].out_features == 10
    assert torch.allclose(small(x), model(x), atol=1e-6)


def test_features_that_a_layer_does_not_read_are_not_selected_for_it():
    model, x, structure = found("mlp")
    groups = [*structure.groups, features_of("0", type_of(model[0]), 12)]
    keep = masks(groups, lambda n: torch.ones(n).bool())
    keep[-1][[1, 4]] = False
    small = compacted(model, groups, keep)
    select, layer = small[0]
    assert isinstance(select, Select) and "10, axis=-1" in str(select)
    assert layer.in_features == 10
    x[:, [1, 4]] = 0
    assert torch.allclose(small(x), model(x), atol=1e-6)


def test_closed_single_weights_are_0():
    model, x, structure = found("lenet")
    groups = single_weights(model, structure).groups
    keep = masks(groups, lambda n: torch.arange(n) % 3 > 0)
    small = compacted(model, groups, keep)
    for group, alive in zip(groups, keep, strict=True):
        weight = small.get_submodule(group.weights).weight
        expected = model.get_submodule(group.weights).weight * alive.view_as(weight)
        assert torch.equal(weight, expected)


@pytest.mark.parametrize("training", [True, False])
def test_modes_stay_and_gradients_go(training):
    model, inputs, structure = found("resnet")
    model.train(training)[3].eval()
    model(inputs).sum().backward()
    small = compacted(
        model, structure.groups, masks(structure.groups, lambda n: torch.arange(n) > 0)
    )
    modes = {name: module.training for name, module in model.named_modules()}
    assert modes == {name: module.training for name, module in small.named_modules()}
    assert all(p.grad is None for p in small.parameters())
    assert all(p.grad is not None for p in model.parameters())


def test_the_number_of_heads_is_written_where_the_model_has_it():
    model, inputs, structure = found("transformer")
    keep = masks(structure.groups, lambda n: torch.arange(n) < max(1, n - 1))
    small = compacted(model, structure.groups, keep)
    assert [layer.attention.n_heads for layer in small.layers] == [2, 2]
    assert [layer.attention.q.out_features for layer in small.layers] == [8, 8]
    assert small(inputs).shape == model(inputs).shape


class TwoCounts(torch.nn.Module):
    """Two attentions in one module, each with its own number of heads."""

    def __init__(self):
        super().__init__()
        self.self_heads, self.cross_heads = 8, 4
        self.a, self.a_out = nn.Linear(24, 96), nn.Linear(32, 24)
        self.b, self.b_out = nn.Linear(24, 96), nn.Linear(32, 24)

    def attend(self, x, qkv, out, heads):
        q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in qkv(x).chunk(3, -1))
        return x + out(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def forward(self, x):
        x = self.attend(x, self.a, self.a_out, self.self_heads)
        return self.attend(x, self.b, self.b_out, self.cross_heads)


@pytest.mark.parametrize(("first", "second"), [(4, 2), (4, 4), (2, 3), (8, 4), (4, 3)])
def test_a_new_number_of_heads_may_be_the_old_one_of_another_attention(first, second):
    torch.manual_seed(0)
    model, x = TwoCounts().eval(), torch.randn(2, 6, 24)
    budget = {"a": Units(first), "b": Units(second)}
    sparsifier = sparsify(model, x, budget)
    assert {group.name: group.n_units for group in sparsifier.structure.groups} == {"a": 8, "b": 4}
    small = sparsifier.compact()
    assert (small.self_heads, small.cross_heads) == (first, second)
    assert torch.allclose(small(x), model(x), atol=1e-5)


def test_selecting_takes_features_along_an_axis():
    x = torch.arange(24.0).reshape(2, 3, 4)
    assert torch.equal(Select(torch.tensor([0, 2]), 1)(x), x[:, [0, 2]])
    assert torch.equal(Select(torch.tensor([3, 1]), -1)(x), x[..., [3, 1]])
    assert nn.Sequential(Select(torch.tensor([0]), 1)).state_dict().keys() == {"0.index"}
