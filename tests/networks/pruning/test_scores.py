"""Which units a model would miss most."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.networks import Params, sparsify
from l0.networks.graph.dependencies import find_units
from l0.networks.pruning.compact import compacted
from l0.networks.pruning.scores import unit_scores
from tests.networks.nets import NETS


def scored(name, z=None):
    torch.manual_seed(0)
    model, inputs = (make() for make in NETS[name])
    groups = find_units(model, inputs).groups
    z = torch.ones(sum(g.n_units for g in groups), dtype=torch.float64) if z is None else z
    return model, groups, unit_scores(model, groups, z)


@pytest.mark.parametrize("name", NETS)
def test_the_greatest_of_each_layer_counts_1_and_the_least_its_share(name):
    _, groups, scores = scored(name)
    parts = scores.split([group.n_units for group in groups])
    for group, part in zip(groups, parts, strict=True):
        n_layers = len(group.consumers)
        assert 1 <= part.max() <= n_layers
        assert 0 < part.min() <= part.max()
        if n_layers == 1:
            assert part.max() == 1
            assert part.min() <= 1 / len(part)


def test_each_layer_that_reads_a_unit_misses_it():
    model, groups, scores = scored("resnet")
    (stream,) = [g for g in groups if len(g.consumers) > 2]
    assert stream.n_units == len(model[0].weight)
    start = sum(g.n_units for g in groups[: groups.index(stream)])
    expected = torch.zeros(stream.n_units, dtype=torch.float64)
    for member in stream.consumers:
        weight = model.get_submodule(member.module).weight.detach().double()
        squares = weight.square().movedim(1, 0).flatten(1).sum(1)
        expected += torch.stack([m / squares[squares >= m].sum() for m in squares])
    assert torch.allclose(scores[start : start + stream.n_units], expected)


def test_it_is_the_share_of_the_larger():
    model, _, scores = scored("mlp")
    squares = model[2].weight.detach().double().square().sum(0)
    expected = [m / squares[squares >= m].sum() for m in squares]
    assert torch.allclose(scores[:16], torch.stack(expected), rtol=1e-6)


def test_the_scale_of_a_layer_does_not_matter_and_gates_do():
    model, groups, before = scored("lenet")
    with torch.no_grad():
        model.fc2.weight.mul_(100)
    z = torch.ones_like(before)
    assert torch.allclose(before, unit_scores(model, groups, z))
    z[3] = 0.01
    scores = unit_scores(model, groups, z)
    assert scores[:6].argmin() == 3
    z[3] = 0
    assert unit_scores(model, groups, z)[3] == 0


def batches(n_classes, generator):
    centres = torch.randn(n_classes, 1, 12, 12, generator=generator)
    y = torch.randint(0, n_classes, (1000,), generator=generator)
    return 0.35 * centres[y] + torch.randn(1000, 1, 12, 12, generator=generator), y


def fit(model, x, y, steps, generator, lr):
    optimizer = torch.optim.Adam(model.train().parameters(), lr)
    for _ in range(steps):
        rows = torch.randint(0, 500, (100,), generator=generator)
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def accuracy(model, x, y):
    return float((model.eval()(x[500:]).argmax(1) == y[500:]).float().mean())


def network():
    return nn.Sequential(
        nn.Conv2d(1, 12, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 16, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 40),
        nn.ReLU(),
        nn.Linear(40, 4),
    )


def one_shot(seed):
    """Accuracy of a trained model, of half of it, that fine-tuned; and of as much at random."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = batches(4, generator)
    model = network()
    fit(model, x, y, 150, generator, 3e-3)
    sparsifier = sparsify(copy.deepcopy(model), x[:2], Params(0.5), start_open=True)
    small = sparsifier.compact()
    at_random = []
    for _ in range(10):
        keep = [
            g.alive[torch.randperm(len(g.alive), generator=generator)] for g in sparsifier.gates
        ]
        at_random.append(accuracy(compacted(model, sparsifier.structure.groups, keep), x, y))
    at_once = accuracy(small, x, y)
    fit(small, x, y, 60, generator, 1e-3)
    return accuracy(model, x, y), at_once, accuracy(small, x, y), sum(at_random) / 10


def test_a_trained_model_is_pruned_in_one_shot():
    runs = torch.tensor([one_shot(seed) for seed in range(3)])
    dense, at_once, tuned, at_random = runs.mean(0).tolist()
    assert at_once > at_random + 0.1
    assert tuned > at_once
    assert tuned > dense - 0.02
