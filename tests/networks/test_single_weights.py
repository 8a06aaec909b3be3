"""A gate on every weight."""

import pytest
import torch
from torch import nn

from l0.common.errors import InputError
from l0.networks import Bytes, Macs, Params, Units, load, save, sparsify
from l0.networks.graph.name_patterns import matching
from tests.networks.nets import NETS
from tests.networks.training import make, train


def zeros(model):
    return sum(int((p == 0).sum()) for name, p in model.named_parameters() if "weight" in name)


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
@pytest.mark.parametrize("name", NETS)
def test_the_compact_model_has_zeros_for_closed_gates(name, gates):
    model, inputs = make(name)
    total = sum(p.numel() for p in model.parameters())
    shapes = {key: p.shape for key, p in model.named_parameters()}
    sparsifier = sparsify(
        model, inputs, Params(0.3), granularity="weight", gates=gates, total_steps=10
    )
    train(model, inputs, sparsifier, 5)
    sparsifier.finish()
    small = sparsifier.compact()
    assert {key: p.shape for key, p in small.named_parameters()} == shapes
    (constraint,) = sparsifier.constraints
    assert float(constraint.cost(sparsifier.gates.alive())) <= constraint.limit
    assert total - zeros(small) <= 0.3 * total
    assert total - zeros(small) >= 0.29 * total
    with torch.no_grad():
        assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)
    assert sparsifier.report(latency=False).totals["parameters"].after == total - zeros(small)
    train(model.train(), inputs, sparsifier, 2)


@pytest.mark.parametrize("budget", [Params(0.4), Macs(0.4), Units(0.4), Bytes(0.4)])
def test_budgets_count_open_weights(budget):
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, budget, granularity="weight")
    sparsifier.finish()
    constraint = sparsifier.constraints[0]
    left = [int(gate.alive.sum()) for gate in sparsifier.gates]
    places = [sparsifier.structure.n_positions[g.name] for g in sparsifier.structure.groups]
    biases = 6 + 8 + 20 + 4
    expected = {
        "params": sum(left) + biases,
        "bytes": 8 * (sum(left) + biases),
        "macs": sum(n * times for n, times in zip(left, places, strict=True)),
        "units": sum(left),
    }[budget.measure]
    assert float(constraint.cost(sparsifier.gates.alive())) == expected <= constraint.limit


def test_a_trained_model_keeps_its_largest_weights():
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Units(0.25), granularity="weight", include="2")
    weight = make("mlp")[0][2].weight.abs()
    sparsifier.finish()
    (gate,) = sparsifier.gates
    open_weights = gate.alive.view_as(weight)
    assert int(open_weights.sum()) == weight.numel() // 4
    assert weight[open_weights].min() >= weight[~open_weights].max()


def test_include_exclude_and_shared_weights():
    model, inputs = make("transformer")
    model.layers[1].up.weight = model.layers[0].up.weight
    sparsifier = sparsify(
        model, inputs, {"layers": Params(0.9)}, granularity="weight", exclude="*.attention"
    )
    names = {group.name for group in sparsifier.structure.groups}
    assert names == {"layers.0.down", "layers.1.down", "head"}
    reasons = {left.name: left.reason for left in sparsifier.structure.left_out}
    assert "shares its weight" in reasons["layers.1.up"]
    assert set(reasons) >= matching("*.attention", sparsifier.structure.n_positions)


def test_zeros_are_saved(tmp_path):
    model, inputs = make("lenet")
    small = sparsify(model, inputs, Params(0.3), granularity="weight").compact().eval()
    save(small, tmp_path / "small.pt")
    loaded = load(NETS["lenet"][0]().double(), tmp_path / "small.pt").eval()
    assert torch.equal(small(inputs), loaded(inputs))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"granularity": "channel"}, "`granularity` is 'channel'; give 'unit' or 'weight'"),
        ({"granularity": "weight", "inputs": "0"}, "`inputs` selects features for units"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        sparsify(nn.Sequential(nn.Linear(3, 2)), torch.ones(1, 3), Params(0.5), **options)
