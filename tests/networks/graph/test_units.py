"""Units, and which channels depend on them."""

import pytest
import torch
from torch import nn

from l0.networks.graph.dependencies import find_units
from l0.networks.graph.known_types import type_of
from l0.networks.graph.layer_types import module_at
from l0.networks.graph.units import features_of, single_weights, units_of_channels
from tests.networks.nets import NETS


def structure_of(name):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    return model, find_units(model, inputs)


@pytest.mark.parametrize("name", NETS)
def test_each_unit_has_channels_in_every_layer_of_its_group(name):
    _, structure = structure_of(name)
    for group in structure.groups:
        for member in group.members:
            assert set(member.units.tolist()) == set(range(group.n_units))
            assert len(set(member.positions.tolist())) == len(member.positions)
        assert group.made_by == {member.module for member in group.producers}


@pytest.mark.parametrize("name", NETS)
def test_channels_and_units_of_a_layer_are_numbered_over_all_groups(name):
    model, structure = structure_of(name)
    n_units = sum(group.n_units for group in structure.groups)
    found = units_of_channels(model, structure.groups)
    for (layer, side), units in found.items():
        module = module_at(model, layer)
        layout = structure.types[layer].layout(module)
        assert units.shape == (layout.count(side), 2)
        assert units.min() >= 0 and units.max() <= n_units
        assert (units[:, 1] == n_units).all()  # nothing is selected
    seen = {unit for units in found.values() for unit in units.flatten().tolist()} - {n_units}
    assert seen == set(range(n_units))


def test_selected_features_are_in_the_second_column():
    model, structure = structure_of("mlp")
    feature = features_of("2", type_of(model[2]), 16)
    assert (feature.name, feature.n_units, feature.made_by) == ("2 inputs", 16, set())
    groups = [*structure.groups, feature]
    units = units_of_channels(model, groups)["2", "in"]
    assert torch.equal(units[:, 0], torch.arange(16))
    assert torch.equal(units[:, 1], torch.arange(16) + 26)


def test_single_weights_are_units_without_channels():
    model, structure = structure_of("lenet")
    single = single_weights(model, structure)
    sizes = {group.weights: group.n_units for group in single.groups}
    assert sizes == {name: m.weight.numel() for name, m in model.named_children()}
    assert all(not group.members and group.made_by == {group.weights} for group in single.groups)
    assert not units_of_channels(model, single.groups)
    assert single.n_positions == structure.n_positions


def test_layers_that_share_a_weight_have_no_single_weights():
    model, structure = structure_of("transformer")
    model.layers[1].up.weight = model.layers[0].up.weight
    single = single_weights(model, structure)
    assert {left.name for left in single.left_out} == {"layers.0.up", "layers.1.up"}
    assert not {"layers.0.up", "layers.1.up"} & {group.name for group in single.groups}


def test_layers_are_those_of_the_groups_in_the_order_of_the_model():
    model, structure = structure_of("resnet")
    layers = [n for n, m in model.named_modules() if type_of(m)]
    assert structure.layers == [name for name in layers if name in set(structure.layers)]
    assert set(structure.layers) == {m.module for g in structure.groups for m in g.members}
    assert single_weights(model, structure).layers == [
        name for name in layers if isinstance(model.get_submodule(name), nn.Linear | nn.Conv2d)
    ]
