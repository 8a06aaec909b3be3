"""Cost as a function of open units."""

import pytest
import torch

from l0.networks import Bytes, sparsify
from l0.networks.budgets.cost import CostModel, count
from l0.networks.graph.dependencies import find_units
from l0.networks.pruning.compact import compacted
from tests.networks.nets import NETS


@pytest.mark.parametrize("measure", ["params", "macs", "bytes"])
@pytest.mark.parametrize("name", NETS)
def test_it_is_the_count_of_the_real_model_whatever_is_open(name, measure):
    torch.manual_seed(6)
    model, inputs = (make() for make in NETS[name])
    structure = find_units(model, inputs)
    cost = CostModel(model, structure, measure)
    assert cost.total == count(model, measure, structure)
    for _ in range(5):
        keep = [torch.rand(group.n_units) < 0.6 for group in structure.groups]
        for mask in keep:
            mask[0] = True
        small = compacted(model, structure.groups, keep)
        assert float(cost(torch.cat(keep))) == count(small, measure, structure)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_positions_of_selected_features_count_as_bytes(share):
    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(300, 10)), torch.zeros(2, 300)
    full = count(model, "bytes", find_units(model, x))
    sparsifier = sparsify(model, x, Bytes(share), inputs="0")
    small = sparsifier.compact()
    found = sum(y.nbytes for y in (*small.parameters(), *small.buffers()))
    assert found <= share * full < found + 2 * 48  # a feature has ten weights and a position
    total = sparsifier.report(latency=False).totals["bytes"]
    assert (total.before, total.after) == (full, found)


@pytest.mark.parametrize("share", [0.6, 0.8, 1.0])
def test_positions_are_counted_where_the_compact_model_has_them(share):
    for seed in range(5):
        torch.manual_seed(seed)
        model = torch.nn.Sequential(
            torch.nn.Linear(12, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4)
        )
        full = sum(x.nbytes for x in model.parameters())
        sparsifier = sparsify(model, torch.zeros(2, 12), Bytes(share), inputs=["0", "2"])
        small = sparsifier.compact()
        found = sum(x.nbytes for x in (*small.parameters(), *small.buffers()))
        assert sparsifier.report(latency=False).totals["bytes"].after == found <= share * full
    assert share < 1 or found == full


@pytest.mark.parametrize("measure", ["params", "macs", "bytes", "units"])
def test_the_marginal_cost_is_the_gradient(measure):
    model, inputs = (make() for make in NETS["resnet"])
    cost = CostModel(model, find_units(model, inputs), measure)
    openness = torch.rand(cost.n_units, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(cost(openness), openness)
    value, marginal = cost.marginal(openness.detach())
    assert value == pytest.approx(float(cost(openness.detach())))
    assert torch.allclose(gradient, marginal)


def test_the_layers_add_up_to_the_model():
    model, inputs = (make() for make in NETS["separable"])
    structure = find_units(model, inputs)
    openness = torch.rand(CostModel(model, structure, "params").n_units)
    parts = [CostModel(model, structure, "params", {name}) for name in structure.n_positions]
    whole = CostModel(model, structure, "params")
    assert sum(part.total for part in parts) == whole.total
    assert sum(float(part(openness)) for part in parts) == pytest.approx(float(whole(openness)))
