"""Times of layers as functions of their widths: fitted to known ones, and within a budget."""

import math

import pytest
import torch
from torch import nn

import l0
from l0.common.errors import InputError
from l0.networks.budgets.cost import CostModel
from l0.networks.graph.dependencies import find_units
from l0.networks.pruning.compact import compacted
from l0.networks.timing import layer_times as module
from l0.networks.timing.layer_times import layer_times
from tests.networks.nets import NETS
from tests.networks.training import clock_of_entries


def known_time(model, structure, name):
    """A time of a layer that depends on the products of its sides, and on its place."""
    place = 1 + structure.layers.index(name)
    counts = module._counts(model, structure)[name]
    return 5 * place + 0.01 * place * math.prod(max(n, 1) for n in counts.values())


def known_clock(structure):
    """A clock for which the whole takes twice the time of its layers, and 7 microseconds more."""

    def timed(model, _, names):
        found = {name: known_time(model, structure, name) for name in names}
        return {**found, "": 7 + 2 * sum(found.values())}

    return timed


@pytest.mark.parametrize("name", ["mlp", "lenet", "resnet", "separable"])
def test_known_times_are_found_for_every_choice_of_units(name, monkeypatch):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    structure = find_units(model, inputs)
    monkeypatch.setattr(module, "_timed", known_clock(structure))
    times = layer_times(model, inputs, structure, [1] * len(structure.groups))
    cost = CostModel(model, structure, times)
    for _ in range(5):
        keep = [torch.rand(group.n_units) < 0.6 for group in structure.groups]
        for mask in keep:
            mask[0] = True
        small = compacted(model, structure.groups, keep)
        expected = known_clock(structure)(small, None, structure.layers)[""]
        assert float(cost(torch.cat(keep))) == pytest.approx(expected, rel=0.01)


def test_a_model_is_timed_within_its_budget_and_stays_as_it_is():
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS["transformer"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    structure = find_units(model, inputs)
    times = layer_times(model, inputs, structure, [1] * len(structure.groups))
    assert times.rest >= 0
    assert min(factor for cost in times.layers.values() for factor in cost.values()) >= 0
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_sizes_that_are_tried_are_multiples():
    structure = find_units(*(make() for make in NETS["lenet"]))
    least = [2] * len(structure.groups)
    for keep in module._keep_sets(structure, least):
        for group, stays in zip(structure.groups, keep, strict=True):
            n = int(stays.sum())
            assert n == group.n_units or n % 2 == 0


def test_a_budget_of_time_is_met_and_reported(monkeypatch):
    monkeypatch.setattr(module, "_timed", clock_of_entries)
    model = nn.Sequential(nn.Linear(25, 51), nn.ReLU(), nn.Linear(51, 51), nn.Linear(51, 4))
    inputs = torch.randn(12, 25)
    sparsifier = l0.sparsify(model, inputs, [l0.Latency(0.8), l0.Params(0.9)])
    row = sparsifier.report(latency=False).budgets[0]
    assert row.name == "microseconds"
    assert row.change.after <= row.limit < row.change.before
    assert sparsifier.compact()(inputs).shape == (12, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "share or `ms`"),
        ({"share": 0.5, "ms": 4}, "share or `ms`"),
        ({"share": 4}, "`share` must be a number above 0 and up to 1"),
        ({"ms": -1}, "`ms` must be positive"),
        ({"ms": 0.001}, "at least 0.01"),
    ],
)
def test_a_time_that_is_none_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        l0.Latency(**arguments)


def test_single_weights_have_no_time():
    with pytest.raises(InputError, match="granularity"):
        l0.sparsify(
            nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)),
            torch.ones(2, 4),
            l0.Latency(0.5),
            granularity="weight",
        )
